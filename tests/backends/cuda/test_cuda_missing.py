"""Without numba-cuda, a driver or a GPU: a message that says what is missing and what helps, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rnnbench import backends, cells
from rnnbench.backends.cuda import toolkit
from rnnbench.cli import app
from rnnbench.errors import InputError
from rnnbench.layer import Layer


class NoDevice:
    implementation = "NVIDIA"

    @staticmethod
    def get_current_device() -> None:
        raise RuntimeError("Error at driver init: \n\nCUDA driver library cannot be found.\n:")


class OldTarget:
    implementation = "Built-in"


def not_installed() -> None:
    raise ImportError("No module named 'cuda'")


SITUATIONS = {
    "not installed": (not_installed, r"numba-cuda cannot be imported \(No module named 'cuda'\); .*pip install"),
    "built-in": (OldTarget, r"numba has only its old built-in CUDA target; .*pip install 'rnnbench\[cuda13\]'"),
    "no driver": (lambda: NoDevice, "no GPU can be used: .*CUDA driver library cannot be found."),
}


@pytest.fixture(params=SITUATIONS)
def message(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    found, message = SITUATIONS[request.param]
    monkeypatch.delenv(toolkit.SIMULATE, raising=False)
    monkeypatch.setattr(toolkit, "_numba_cuda", found)
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


def test_a_sweep_that_names_it_is_refused_with_exit_code_2(message: str, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.toml"
    sweep.write_text(
        'name = "gpu"\n[[sweep]]\nprobe = "throughput"\n[sweep.fixed]\nbackend = "cuda"\nhidden = 2\nlength = 2\n'
    )
    found = CliRunner().invoke(app, ["run", str(sweep), "--out", str(tmp_path), "--jobs", "0"])
    assert isinstance(found.exception, InputError)  # which main() prints, and ends with 2
    assert "backend 'cuda' cannot run here" in str(found.exception)


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
