"""The asv suite without asv's environments: its configuration parses, and every benchmark runs at its smallest size."""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SUITE = ROOT / "experiments" / "benchmarks"
KINDS = ("time_", "timeraw_", "peakmem_")
sys.path.insert(0, str(SUITE.parent))
suite = importlib.import_module(SUITE.name)


def modules() -> list[ModuleType]:
    return [importlib.import_module(f"{SUITE.name}.{module.name}") for module in pkgutil.iter_modules(suite.__path__)]


def benchmarks() -> Iterator[tuple[type, str]]:
    """Yield class and method of each benchmark; asv's own way of finding them is compared below."""
    for module in modules():
        for kind in vars(module).values():
            if inspect.isclass(kind) and not kind.__name__.startswith("_"):
                yield from ((kind, name) for name in dir(kind) if name.startswith(KINDS))


def full_name(kind: type, method: str) -> str:
    return f"{kind.__module__.removeprefix(SUITE.name + '.')}.{kind.__name__}.{method}"


BENCHMARKS = [
    pytest.param(
        kind,
        method,
        id=full_name(kind, method),
        marks=[pytest.mark.compiled] if kind.__module__.endswith(".kernels") else [],
    )
    for kind, method in benchmarks()
]


def configuration() -> dict:
    return json.loads((ROOT / "asv.conf.json").read_text())


@pytest.mark.parametrize(("kind", "method"), BENCHMARKS)
def test_runs_at_its_smallest_parameters(
    kind: type, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    parameters = [values[0] for values in getattr(kind, "params", ())]
    benchmark = kind()
    if hasattr(benchmark, "setup_cache"):
        assert benchmark.setup_cache() is None, "asv would hand what it returns to setup, as one more argument"
    try:
        getattr(benchmark, "setup", lambda *parameters: None)(*parameters)
    except NotImplementedError as missing:  # which is how asv is told to skip
        pytest.skip(str(missing))
    result = getattr(benchmark, method)(*parameters)
    if method.startswith("timeraw_"):
        run_in_a_fresh_interpreter(result)
    else:
        assert result is None
    if hasattr(benchmark, "teardown"):
        benchmark.teardown(*parameters)
    assert list(tmp_path.iterdir()) == [], "a benchmark leaves nothing where it runs"


def run_in_a_fresh_interpreter(code: str | tuple[str, str]) -> None:
    """Run what a timeraw benchmark returns, statement or (statement, setup); uncompiled, to be quick."""
    statement, setup = code if isinstance(code, tuple) else (code, "")
    program = f"import timeit; assert timeit.timeit({statement!r}, {setup!r}, number=1) > 0"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in benchmarks()}, key=str))
def test_results_stay_comparable_when_the_suite_is_edited(kind: type) -> None:
    assert isinstance(kind.version, str), "without an explicit version asv hashes the code, and an edit ends a history"
    assert all(type(value) in (str, int, float) for values in getattr(kind, "params", ()) for value in values)
    assert len(getattr(kind, "param_names", ())) == len(getattr(kind, "params", ()))


def test_covers_what_it_promises() -> None:
    assert {full_name(kind, method) for kind, method in benchmarks()} >= {
        "kernels.LayerTime.time_layer",
        "kernels.LayerMemory.peakmem_layer",
        "compilation.FirstCall.timeraw_compile",
        "runner.InProcess.time_run",
        "runner.Workers.time_run",
        "startup.Command.time_command",
    }


def kernel_points() -> set[tuple[str, str]]:
    """Return the cells and directions that layers are measured in."""
    kernels = importlib.import_module(f"{SUITE.name}.kernels")
    return {point[:2] for kind in (kernels.LayerTime, kernels.LayerMemory) for point in itertools.product(*kind.params)}


@pytest.mark.parametrize(("cell", "direction"), sorted(kernel_points()))
def test_a_layer_is_skipped_by_a_commit_without_its_options_and_by_no_other(
    cell: str, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = importlib.import_module(f"{SUITE.name}.kernels")
    layer = kernels._Layer()
    layer.prepare(cell, direction, "3x2x4")
    monkeypatch.setattr(kernels, "FORWARD", inspect.signature(lambda self, x, state=None, lengths=None: None))
    if kernels.OPTIONS[direction]:
        with pytest.raises(NotImplementedError, match=r"Layer\.forward has no "):
            layer.prepare(cell, direction, "3x2x4")
    else:
        layer.prepare(cell, direction, "3x2x4")
    assert layer.x.shape == (3, 2, 4)


def test_asv_finds_the_same_benchmarks() -> None:
    discovery = pytest.importorskip("asv_runner.discovery", reason="asv comes with the extra 'dev'")
    found = {benchmark.name for benchmark in discovery.disc_benchmarks(str(SUITE))}
    assert found == {full_name(kind, method) for kind, method in benchmarks()}


def test_asv_is_pinned_and_pointed_at_the_suite() -> None:
    asv = configuration()
    assert ROOT / asv["benchmark_dir"] == SUITE
    assert asv["environment_type"] == "virtualenv"
    (runner_version,) = asv["matrix"]["req"]["pip+asv_runner"]
    assert runner_version, "asv would install the newest asv_runner, and histories change with it"
    assert asv["results_dir"].startswith("results/")
    assert asv["env_dir"].startswith(".asv/")
    assert asv["html_dir"].startswith(".asv/")


def test_asv_accepts_the_configuration() -> None:
    config = pytest.importorskip("asv.config", reason="asv comes with the extra 'dev'")
    loaded = config.Config.load(ROOT / "asv.conf.json")
    own = {"gate"}  # read by `rnnbench gate`
    assert set(vars(loaded)) - own == set(vars(config.Config())), "a key that asv does not know does nothing"


def test_the_gate_times_forward_and_backward_of_every_cell() -> None:
    names = [
        f"{full_name(kind, method)}({', '.join(map(repr, point))})"
        for kind, method in benchmarks()
        if getattr(kind, "params", None)
        for point in itertools.product(*kind.params)
    ]
    found = {each: [name for name in names if re.search(each, name)] for each in configuration()["gate"]["benchmarks"]}
    assert all(found.values()), "a pattern finds nothing"
    selected = set(itertools.chain(*found.values()))
    for cell in ("rnn", "lstm", "gru"):
        for direction in ("forward", "forward_backward"):
            assert any(f"'{cell}', '{direction}'" in name for name in selected)
