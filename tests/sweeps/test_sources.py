"""What decides a trial's numbers is in its key, and nothing else: which files, of whom."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnnbench.sweeps import plugins, sources, spec

PACKAGE = Path(sources.__file__).parents[1]

SWEEP = """
name = "cells"
[[sweep]]
probe = "gradient_decay"
[sweep.axes]
cell = ["rnn", "lstm", "gru"]
data = ["adding", "temporal_order"]
[sweep.fixed]
hidden = 3
length = 24
batch = 2
backend = "reference"
[[sweep]]
probe = "null"
"""

RUN = """
import json, sys
from rnnbench.sweeps import engine, progress

class Ran(progress.Silent):
    trials = []
    def finished(self, trial, outcome):
        assert outcome.status == "ok", outcome.traceback
        self.trials.append([trial.probe, trial.parameters.get("cell"), trial.parameters.get("data")])

engine.execute("cells.toml", "out", jobs=0, progress=Ran())
print(json.dumps(Ran.trials))
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[[], set[tuple[str, str | None, str | None]]]:
    """Return a function that runs the sweep with a copy of the package, and returns which trials it ran."""
    shutil.copytree(PACKAGE, tmp_path / "rnnbench", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "cells.toml").write_text(SWEEP)

    def ran() -> set[tuple[str, str | None, str | None]]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_DISABLE_JIT": "1"}
        command = [sys.executable, "-c", RUN]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return {tuple(each) for each in json.loads(done.stdout)}

    return ran


def edit(path: Path) -> None:
    """Change a helper of a module without changing what it does."""
    first = "from __future__ import annotations\n"
    text = path.read_text()
    assert first in text
    path.write_text(text.replace(first, f"{first}\n\ndef _helper(x):\n    return x\n", 1))


def test_an_edit_of_a_cells_helper_reruns_exactly_its_trials(run: Callable[[], Any], tmp_path: Path) -> None:
    everything = run()
    assert len(everything) == 3 * 2 + 1
    for beside in ("report/tables.py", "sweeps/progress.py", "backends/cpu/forward.py", "tasks/parity.py"):
        edit(tmp_path / "rnnbench" / beside)
    assert run() == set()
    edit(tmp_path / "rnnbench" / "cells" / "lstm.py")
    assert run() == {each for each in everything if each[1] == "lstm"}
    edit(tmp_path / "rnnbench" / "tasks" / "temporal_order.py")
    assert run() == {each for each in everything if each[2] == "temporal_order"}


EXECUTED = """
import json, sys, threading
from rnnbench.sweeps import plugins, sources, spec
from rnnbench.probes.base import Seeds
from rnnbench import backends, cells, datasets, implementations, tasks
for each in (backends, cells, datasets, implementations, tasks, plugins):
    each.entries()
executed = set()
def note(frame, event, argument):
    if event == "call":
        executed.add((frame.f_globals.get("__name__"), frame.f_code.co_name))
found = {}
for trial in spec.load(json.loads(sys.argv[1])).trials:
    probe = plugins.get(trial.probe)
    known = sources.trial_modules(probe, trial.parameters)
    parameters = probe.Parameters.model_validate(trial.parameters)
    seeds = Seeds(0, trial.identity)
    executed.clear()
    threading.setprofile(note); sys.setprofile(note)
    rows = list(probe.measure(parameters, seeds))
    threading.setprofile(None); sys.setprofile(None)
    ran = {module for module, name in executed if name != "<module>" and str(module).startswith("rnnbench.")}
    found[trial.probe] = [sorted(ran - known), len(ran & known)]
print(json.dumps(found))
"""

SMALL: dict[str, Any] = {"hidden": 3, "length": 30, "batch": 2, "backend": "reference"}
STUDIED = {**SMALL, "data": "temporal_order", "training_steps": 1}
PROBES: dict[str, dict[str, Any]] = {
    "null": {},
    "training": {**SMALL, "task": "sequential_digits", "length": 64, "cell": "gru", "steps": 2, "evaluation_size": 4},
    "gradient_decay": STUDIED,
    "exploding": {**SMALL, "task": "adding", "steps": 2, "evaluation_size": 4},
    "gate_activity": STUDIED,
    "jacobian_products": STUDIED,
    "lyapunov": {**STUDIED, "length": 210},
    "parameter_gradient": STUDIED,
    "throughput": {**SMALL, "repeats": 3, "length": 2},
}
"""Timings beside other libraries run in processes of their own, where these tests don't see them."""


def test_no_code_runs_in_a_trial_that_its_key_does_not_hash() -> None:
    """Every trial is run with all of its Python calls noted."""
    sweep = {"name": "small", "sweep": [{"probe": probe, "fixed": fixed} for probe, fixed in PROBES.items()]}
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-c", EXECUTED, json.dumps(sweep)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for probe, (missed, seen) in json.loads(done.stdout).items():
        assert missed == [], probe
        assert seen >= 1, probe


def modules_of(probe: str, **fixed: Any) -> frozenset[str]:
    trial = spec.load({"name": "one", "sweep": [{"probe": probe, "fixed": fixed}]}).trials[0]
    return sources.trial_modules(plugins.get(probe), trial.parameters)


def test_a_trial_is_decided_by_what_it_names_and_what_that_imports() -> None:
    modules = modules_of("training", cell="gru", task="sequential_digits")
    assert {"rnnbench.cells.gru", "rnnbench.tasks.sequential_digits", "rnnbench.datasets.digits"} <= modules
    assert {"rnnbench.arithmetic", "rnnbench.backends.cpu.lanes", "rnnbench.probes.base"} <= modules
    others = {"rnnbench.cells.lstm", "rnnbench.tasks.adding", "rnnbench.datasets.prose", "rnnbench.backends.reference"}
    assert not modules & others
    assert not [name for name in modules if name.split(".")[1] in sources.NOT_MEASURING]


def test_an_installed_probe_brings_its_own_files_and_those_of_ours_that_it_imports() -> None:
    modules = modules_of("misbehave")
    assert {"rnnbench_test_probes", "rnnbench.probes.base"} <= modules
    assert "rnnbench.layer" not in modules


def test_what_has_no_file_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a cell made at a prompt; its functions are nowhere to be read."""
    from rnnbench import cells

    source = "def forward(z, state):\n    return (z[0],), ()\n"
    names: dict[str, Any] = {"__name__": "made_at_a_prompt"}
    exec(source, names)
    shown = replace(cells.get("rnn"), name="shown", forward_element=names["forward"])
    known = {**cells.entries(), "shown": shown}
    monkeypatch.setattr(cells, "entries", lambda: known)
    modules = sources.trial_modules(plugins.get("training"), {"cell": "shown"})
    assert "rnnbench.cells.rnn" in modules  # of the other function
    assert "made_at_a_prompt" not in modules


OWN_TASK = """
import scipy
from rnnbench.tasks.parity import Parity

class Mine(Parity):
    \"\"\"Parity by another name.\"\"\"

    name = "own_task"
"""
OWN_CELL = """
from dataclasses import replace
from rnnbench import cells
from rnnbench.optimizers import Adam

MINE = replace(cells.get("rnn"), name="own_cell")
"""


@pytest.mark.parametrize(
    ("parameter", "text", "imported"),
    [
        ("task", OWN_TASK, {"rnnbench.tasks.parity", "rnnbench.tasks._metrics"}),
        ("cell", OWN_CELL, {"rnnbench.cells.rnn", "rnnbench.optimizers"}),
    ],
)
def test_what_a_file_of_ones_own_imports_counts(tmp_path: Path, parameter: str, text: str, imported: set[str]) -> None:
    def modules(text: str) -> frozenset[str]:
        (tmp_path / "mine.py").write_text(text)
        fixed = {parameter: f"own_{parameter}"}
        sweep = {"name": "own", "files": [str(tmp_path / "mine.py")], "sweep": [{"probe": "training", "fixed": fixed}]}
        [trial] = spec.load(sweep, code=[tmp_path]).trials
        assert ("scipy" in trial.packages) == ("scipy" in text)
        return sources.trial_modules(plugins.get("training"), trial.parameters)

    first = modules(text)
    assert imported <= first
    second = modules(text + "OTHER = 1\n")  # in the same process, as in a notebook or a worker that stays
    assert len(first ^ second) == 2
    assert all(name.startswith("rnnbench_own_mine_") for name in first ^ second)
    assert not [name for name in modules_of("training", cell="rnn") if name.startswith("rnnbench_own")]


SCRIPT = """
from dataclasses import replace
import rnnbench
from rnnbench import cells
from rnnbench.sweeps import spec

def forward(z, state):
    return cells.get("rnn").forward_element(z, state)

cells.register(replace(cells.get("rnn"), name="scripted", forward_element=forward))
print(*[t.key for t in spec.load({"name": "s", "sweep": [
    {"probe": "training", "axes": {"cell": ["scripted", "rnn"]}, "fixed": {"backend": "reference"}}]}).trials])
"""


def test_an_edit_of_a_script_runs_the_trials_of_its_cells_again(tmp_path: Path) -> None:
    def keys(text: str) -> list[str]:
        (tmp_path / "script.py").write_text(text)
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "NUMBA_DISABLE_JIT": "1"}
        command = [sys.executable, str(tmp_path / "script.py")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    before, after = keys(SCRIPT), keys(SCRIPT + "# edited")
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_packages_count_where_they_are_imported() -> None:
    def packages(probe: str, **parameters: Any) -> tuple[str, ...]:
        return sources.numerical_packages(plugins.get(probe), parameters)

    assert packages("null") == ("numpy",)
    assert packages("training", cell="lstm", backend="cpu") == ("numpy", "numba", "llvmlite")
    assert {"numba-cuda", "nvidia-nvvm"} <= set(packages("training", cell="lstm", backend="cuda"))


def test_data_without_a_checksum_are_part_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnnbench.datasets.prose import Prose

    def source_hash(task: str) -> str:
        sources._hash.cache_clear()
        return sources.source_hash(plugins.get("training"), {"task": task})

    prose, digits = source_hash("character_prose"), source_hash("sequential_digits")
    monkeypatch.setattr(Prose, "fingerprint", classmethod(lambda cls: "another text"))
    assert source_hash("character_prose") != prose
    assert source_hash("sequential_digits") == digits
    sources._hash.cache_clear()


def test_imports_are_read_from_the_syntax(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_package"
    (package / "below").mkdir(parents=True)
    files = {
        "__init__.py": "from . import first",
        "first.py": "import some_package.second, scipy.stats\nfrom some_package.below import leaf, value",
        "second.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from some_package import unseen\n"
        "def later():\n    from .below.leaf import x\n    import rnnbench.losses\n",
        "below/__init__.py": "value = 1",
        "below/leaf.py": "from .. import third\nfrom ..third import y\nNAME = 'third'",
        "third.py": "raise AssertionError('nothing is run')",
        "unseen.py": "",
    }
    for name, text in files.items():
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys.modules["importlib.util"], "find_spec", _find_without_import(tmp_path))
    found = sources._closure(frozenset(["some_package.first"]))
    own = {f"some_package.{name}" for name in ("first", "second", "below", "below.leaf", "third")}
    assert {name for name in found if name.startswith("some_package")} == own
    assert "rnnbench.losses" in found
    assert sources.source("some_package.first").packages == {"scipy"}
    assert sources.source("some_package.below.leaf").constants == {"third"}


def _find_without_import(folder: Path) -> Callable[[str], Any]:
    """Return find_spec for a package that must not be imported: its parents would be."""
    from importlib.util import find_spec, spec_from_file_location

    def find(name: str) -> Any:
        if not name.startswith("some_package"):
            return find_spec(name)
        place = folder.joinpath(*name.split("."))
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        return spec_from_file_location(name, file) if file.exists() else None

    return find
