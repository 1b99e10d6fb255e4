"""Without numba-cuda, a driver or a GPU: a message that says what is missing and what helps, never a traceback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from rnnbench import backends, cells
from rnnbench.backends.cuda import toolkit
from rnnbench.cli import app
from rnnbench.errors import InputError
from rnnbench.layer import Layer
from rnnbench.sweeps import engine, spec
from rnnbench.sweeps.trial import perform


class NoDevice:
    implementation = "NVIDIA"

    @staticmethod
    def get_current_device() -> None:
        raise RuntimeError("Error at driver init: \n\nCUDA driver library cannot be found.\n:")


class OldDevice:
    implementation = "NVIDIA"

    @staticmethod
    def get_current_device() -> SimpleNamespace:
        return SimpleNamespace(compute_capability=(6, 1))


class OldTarget:
    implementation = "Built-in"


def not_installed() -> None:
    raise ImportError("No module named 'cuda'")


SITUATIONS = {
    "not installed": (not_installed, r"numba-cuda cannot be imported \(No module named 'cuda'\); .*pip install"),
    "built-in": (OldTarget, r"numba has only its old built-in CUDA target; .*pip install 'rnnbench\[cuda13\]'"),
    "old GPU": (lambda: OldDevice, r"the GPU has compute capability 6.1; expected 7.0 or newer"),
    "no driver": (lambda: NoDevice, "no GPU can be used: .*CUDA driver library cannot be found."),
}


@pytest.fixture(params=SITUATIONS)
def message(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    found, message = SITUATIONS[request.param]
    monkeypatch.delenv(toolkit.SIMULATE, raising=False)
    monkeypatch.setattr(toolkit, "numba_cuda", found)
    toolkit._missing.cache_clear()
    toolkit.device.cache_clear()
    yield message
    toolkit._missing.cache_clear()


@pytest.mark.parametrize("backend", ["cuda", "cuda_fast"])
def test_a_layer_says_what_is_missing(backend: str, message: str) -> None:
    layer = Layer("lstm", 2, 3, backend=backend)
    with pytest.raises(InputError, match=message):
        layer.forward(np.zeros((2, 1, 2)))


def test_what_is_missing_is_described(message: str) -> None:
    found = backends.get("cuda")
    assert found.missing()
    assert found.describe(cells.get("lstm"), 8, 2, np.dtype("float32")) == f"cuda: {found.missing()}"
    assert toolkit.describe()["usable"] is False


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.toml"
    path.write_text(
        'name = "gpu"\n[[sweep]]\nprobe = "throughput"\n[sweep.fixed]\nbackend = "cuda"\nhidden = 2\nlength = 2\n'
    )
    return path


def test_a_local_run_is_refused_with_exit_code_2_before_anything_is_written(message: str, sweep: Path) -> None:
    found = CliRunner().invoke(app, ["run", str(sweep), "--out", str(sweep.parent), "--jobs", "0"])
    assert isinstance(found.exception, InputError)  # which main() prints, and ends with 2
    assert re.search(f'backend = "cuda": expected one that can run on this machine; {message}', str(found.exception))
    assert not list(sweep.parent.glob("gpu/*.json"))


def test_a_run_on_a_cluster_is_not_refused_here(message: str, sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    monkeypatch.setattr(engine, "outcomes", lambda trials, *options: sent.extend(trials) or iter(()))
    monkeypatch.setattr(engine, "_timed_hardware", lambda scheduler: f"that of {scheduler}")
    engine.execute(sweep, sweep.parent, scheduler="tcp://10.0.0.5:8786", progress=False)
    assert [trial.parameters["backend"] for trial in sent] == ["cuda"]
    assert [trial.hardware for trial in sent] == ["that of tcp://10.0.0.5:8786"]


def test_a_worker_without_a_gpu_records_why(message: str, sweep: Path) -> None:
    [trial] = spec.load(sweep).trials
    outcome = perform(trial)
    assert outcome.status == "error"
    assert re.search(message, outcome.reason)


def test_info_and_list_work_and_tell(message: str) -> None:
    listed = CliRunner().invoke(app, ["list", "backends"])
    assert listed.exit_code == 0
    assert "cuda_fast" in listed.output
    shown = CliRunner().invoke(app, ["info"])
    assert shown.exit_code == 0
    assert "usable: False" in shown.output


def test_the_simulator_is_there_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(toolkit.SIMULATE, "1")
    toolkit.device.cache_clear()
    assert toolkit.missing() is None
    assert toolkit.describe()["simulated"] is True
    assert "one block holds" in backends.get("cuda").describe(cells.get("lstm"), 8, 2, np.dtype("float32"))
    toolkit.device.cache_clear()


def test_one_package_names_numba_cuda_and_the_driver() -> None:
    folder = Path(toolkit.__file__).parent
    sources = [path for path in folder.parents[2].rglob("*.py") if folder not in path.parents]
    assert len(sources) > 100
    pattern = re.compile(
        r"^\s*(from|import) (numba_cuda|numba\.cuda|cuda)\b|from numba import .*\bcuda\b", re.MULTILINE
    )
    assert [path.name for path in sources if pattern.search(path.read_text())] == []
    assert [path.name for path in sorted(folder.glob("*.py")) if pattern.search(path.read_text())]
