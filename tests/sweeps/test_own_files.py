"""Files that a sweep names: run, checked, sent along with trials, kept with the results."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import rnnbench
from rnnbench import cells, tasks
from rnnbench.errors import InputError
from rnnbench.sweeps import own_files, spec, toml
from rnnbench.sweeps.own_files import OwnFile
from rnnbench.sweeps.trial import Trial, perform

CELL = '''
"""A leaky RNN."""
from rnnbench.arithmetic import tanh, tanh_slope
from rnnbench.cells.base import Cell
from rnnbench.cells.gru import GRU  # imported, not the file's own
def forward_element(z, state):
    n = tanh(z[0])
    return (state[0] + RATE * (n - state[0]),), (n,)
def backward_element(d_state, state, previous, saved):
    return (RATE * d_state[0] * tanh_slope(saved[0]),), ((1.0 - RATE) * d_state[0],)
RATE = 0.5
LEAKY = Cell("leaky", "h' = h + a (n - h)", ("hidden",), forward_element, backward_element, saved=("candidate",))
'''
TASK = '''
from rnnbench.tasks.adding import Adding
class Own(Adding):
    """The adding problem by another name."""
    name = "own_adding"
'''
SMALL = {"hidden": 4, "length": 24, "batch": 2, "backend": "reference", "data": "adding"}


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registers."""
    monkeypatch.setattr(cells, "_registered", {})
    monkeypatch.setattr(tasks, "_registered", {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a cell, a task, and a sweep that names both files."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "leaky.py").write_text(CELL)
    (tmp_path / "own_task.py").write_text(TASK)
    sweep = sweep_of(files=["own/leaky.py", "own_task.py"])
    (tmp_path / "sweep.toml").write_text(toml.dumps(sweep))
    return tmp_path


def sweep_of(**top: Any) -> dict[str, Any]:
    decay = {"probe": "gradient_decay", "axes": {"cell": ["leaky", "gru"]}, "fixed": SMALL}
    training = {"task": "own_adding", "hidden": 4, "length": 5, "batch": 2, "steps": 2, "backend": "reference"}
    return {"name": "own", **top, "sweep": [decay, {"probe": "training", "fixed": {**training, "cell": "rnn"}}]}


def test_a_sweep_runs_with_what_its_files_have(folder: Path) -> None:
    results = rnnbench.run(folder / "sweep.toml", out=folder / "out", jobs=0, progress=False)
    assert list(results.trials["status"]) == ["ok"] * 3, results.trials["reason"].to_list()
    assert cells.get("leaky").saved == ("candidate",)
    assert tasks.get("own_adding").__doc__ == "The adding problem by another name."


@pytest.mark.parametrize("jobs", [1])
def test_workers_get_the_files_with_the_trials(folder: Path, jobs: int) -> None:
    results = rnnbench.run(folder / "sweep.toml", out=folder / "out", jobs=jobs, progress=False)
    assert list(results.trials["status"]) == ["ok"] * 3, results.trials["reason"].to_list()


def test_the_results_hold_the_files_and_can_be_run_again(folder: Path) -> None:
    first = rnnbench.run(folder / "sweep.toml", out=folder / "out", jobs=0, progress=False)
    assert (first.path / "files" / "leaky.py").read_text() == CELL
    assert tomllib.loads((first.path / "sweep.toml").read_text())["files"] == ["files/leaky.py", "files/own_task.py"]
    keys = list(first.trials["key"])
    again = rnnbench.run(first.path / "sweep.toml", out=folder / "elsewhere", jobs=0, progress=False)
    assert list(again.trials["key"]) == keys
    assert (again.path / "files" / "own_task.py").read_text() == TASK


def test_a_file_that_is_named_no_more_goes_from_the_results(folder: Path) -> None:
    first = rnnbench.run(folder / "sweep.toml", out=folder / "out", jobs=0, progress=False)
    sweep = sweep_of(files=[str(folder / "own_task.py")])
    del sweep["sweep"][0]
    rnnbench.run(sweep, out=folder / "out", jobs=0, progress=False)
    assert [path.name for path in (first.path / "files").iterdir()] == ["own_task.py"]


def keys(path: Path) -> dict[str, str]:
    return {trial.label(): trial.key for trial in spec.load(path).trials}


def test_an_edit_repeats_the_trials_that_use_the_file_and_no_others(folder: Path) -> None:
    before = keys(folder / "sweep.toml")
    (folder / "own" / "leaky.py").write_text(CELL.replace("RATE = 0.5", "RATE = 0.25"))
    after = keys(folder / "sweep.toml")
    assert before.keys() == after.keys()
    changed = [label for label in before if before[label] != after[label]]
    assert len(changed) == 1
    assert "cell=leaky" in changed[0]


def test_an_edited_file_is_what_runs(folder: Path) -> None:
    found = []
    for rate in ("0.5", "0.25"):
        (folder / "own" / "leaky.py").write_text(CELL.replace("RATE = 0.5", f"RATE = {rate}"))
        [leaky, *_] = spec.load(folder / "sweep.toml").trials
        outcome = perform(leaky)
        assert outcome.status == "ok", outcome.reason
        found.append([row.value for row in outcome.rows])
    assert found[0] != found[1]


def test_a_trial_brings_its_file_to_a_process_without_it(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    [leaky, gru, training] = spec.load(folder / "sweep.toml").trials
    assert [file.name for file in leaky.files] == ["leaky.py"]
    assert gru.files == ()
    assert [file.name for file in training.files] == ["own_task.py"]
    monkeypatch.setattr(cells, "_registered", {})
    assert perform(leaky).status == "ok"


def test_trials_without_files_have_the_keys_they_had() -> None:
    plain = Trial("null", {"seed": 0})
    assert plain.key == Trial("null", {"seed": 0}, files=()).key
    assert plain.key != Trial("null", {"seed": 0}, files=(OwnFile("a.py", ""),)).key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "leaky.py: it has no Cell and no subclass of Task at its top level"),
        ("from rnnbench.cells.gru import GRU", "leaky.py: it has no Cell and no subclass of Task at its top level"),
        ("x = (", "leaky.py: line 1: SyntaxError: "),
        ("import math\n\nmath.sqrt(-1)", "leaky.py: line 3: ValueError: "),
        ("def f():\n    1 / 0\n\nf()", "leaky.py: line 2: ZeroDivisionError: division by zero"),
        ("import nowhere_to_be_found", "leaky.py: line 1: ModuleNotFoundError: "),
        (
            CELL.replace("RATE * d_state[0] * tanh_slope", "d_state[0] * tanh_slope"),
            "leaky.py: cell 'leaky': the gradient by the z of hidden is off by 1 of its largest value",
        ),
        (CELL.replace('"leaky"', '"gru"'), "leaky.py: cell 'gru': rnnbench has a cell of that name"),
        (TASK.replace("own_adding", "adding"), "leaky.py: task 'adding': rnnbench has a task of that name"),
    ],
)
def test_a_file_that_is_wrong_is_refused_before_anything_runs(folder: Path, text: str, message: str) -> None:
    (folder / "own" / "leaky.py").write_text(text)
    with pytest.raises(InputError) as refused:
        spec.load(folder / "sweep.toml")
    assert str(refused.value).startswith(message)


def test_a_path_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.py: cannot be read: No such file or directory; expected a Python"):
        own_files.read(["nowhere.py"], tmp_path)
    (tmp_path / "cell.txt").write_text(CELL)
    with pytest.raises(InputError, match=r"cell\.txt: expected a Python file, NAME\.py"):
        own_files.read(["cell.txt"], tmp_path)
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"bytes\.py: cannot be read: not UTF-8 text"):
        own_files.read(["bytes.py"], tmp_path)


def test_two_files_of_one_name_are_refused(folder: Path) -> None:
    (folder / "leaky.py").write_text(CELL + "# another\n")
    with pytest.raises(InputError, match=r"another file of the sweep is called leaky\.py; expected names that differ"):
        own_files.read(["own/leaky.py", "leaky.py"], folder)
    assert len(own_files.read(["own/leaky.py", "own/leaky.py"], folder)) == 1


def test_files_is_a_list_of_paths() -> None:
    with pytest.raises(InputError, match=r"sweep: files = \"leaky\.py\": "):
        spec.load(sweep_of(files="leaky.py"))
