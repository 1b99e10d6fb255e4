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
    results = rnnbench.run(folder / "sweep.toml", code=[folder], out=folder / "out", jobs=0, progress=False)
    assert list(results.trials["status"]) == ["ok"] * 3, results.trials["reason"].to_list()
    assert cells.get("leaky").saved == ("candidate",)
    assert tasks.get("own_adding").__doc__ == "The adding problem by another name."


@pytest.mark.parametrize("jobs", [1])
def test_workers_get_the_files_with_the_trials(folder: Path, jobs: int) -> None:
    results = rnnbench.run(folder / "sweep.toml", code=[folder], out=folder / "out", jobs=jobs, progress=False)
    assert list(results.trials["status"]) == ["ok"] * 3, results.trials["reason"].to_list()


def test_the_results_hold_the_files_and_can_be_run_again(folder: Path) -> None:
    first = rnnbench.run(folder / "sweep.toml", code=[folder], out=folder / "out", jobs=0, progress=False)
    assert (first.path / "files" / "leaky.py").read_text() == CELL
    assert tomllib.loads((first.path / "sweep.toml").read_text())["files"] == ["files/leaky.py", "files/own_task.py"]
    keys = list(first.trials["key"])
    code = [first.path / "files"]
    again = rnnbench.run(first.path / "sweep.toml", code=code, out=folder / "elsewhere", jobs=0, progress=False)
    assert list(again.trials["key"]) == keys
    assert (again.path / "files" / "own_task.py").read_text() == TASK


def test_a_file_that_is_named_no_more_goes_from_the_results(folder: Path) -> None:
    first = rnnbench.run(folder / "sweep.toml", code=[folder], out=folder / "out", jobs=0, progress=False)
    sweep = sweep_of(files=[str(folder / "own_task.py")])
    del sweep["sweep"][0]
    rnnbench.run(sweep, code=[folder], out=folder / "out", jobs=0, progress=False)
    assert [path.name for path in (first.path / "files").iterdir()] == ["own_task.py"]


def keys(path: Path) -> dict[str, str]:
    return {trial.label(): trial.key for trial in spec.load(path, code=[path.parent]).trials}


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
        [leaky, *_] = spec.load(folder / "sweep.toml", code=[folder]).trials
        outcome = perform(leaky)
        assert outcome.status == "ok", outcome.reason
        found.append([row.value for row in outcome.rows])
    assert found[0] != found[1]


def test_a_trial_brings_its_file_to_a_process_without_it(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    [leaky, gru, training] = spec.load(folder / "sweep.toml", code=[folder]).trials
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
        spec.load(folder / "sweep.toml", code=[folder])
    assert str(refused.value).startswith(message)


def test_a_path_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.py: cannot be read: No such file or directory; expected a Python"):
        own_files.read("sweep", ["nowhere.py"], tmp_path, [tmp_path])
    (tmp_path / "cell.txt").write_text(CELL)
    with pytest.raises(InputError, match=r"cell\.txt: expected a Python file, NAME\.py"):
        own_files.read("sweep", ["cell.txt"], tmp_path, [tmp_path])
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"bytes\.py: cannot be read: not UTF-8 text"):
        own_files.read("sweep", ["bytes.py"], tmp_path, [tmp_path])


def test_two_files_of_one_name_are_refused(folder: Path) -> None:
    (folder / "leaky.py").write_text(CELL + "# another\n")
    with pytest.raises(InputError, match=r"another file of the sweep is called leaky\.py; expected names that differ"):
        own_files.read("sweep", ["own/leaky.py", "leaky.py"], folder, [folder])
    assert len(own_files.read("sweep", ["own/leaky.py", "own/leaky.py"], folder, [folder])) == 1


def marked(folder: Path) -> Path:
    """Let the files of the sweep leave a mark when they run, and return its path."""
    mark = folder / "ran"
    for path in (folder / "own" / "leaky.py", folder / "own_task.py"):
        path.write_text(f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n{path.read_text()}")
    return mark


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ([], "own/leaky.py own_task.py"),
        (["own"], "own_task.py"),
        (["own_task.py"], "own/leaky.py"),
    ],
)
def test_nothing_runs_that_the_command_line_does_not_name(folder: Path, code: list[str], refused: str) -> None:
    mark = marked(folder)
    with pytest.raises(InputError) as caught:
        spec.load(folder / "sweep.toml", code=[folder / each for each in code])
    paths = [str(folder / name) for name in refused.split()]
    options = " ".join(f"--code {path}" for path in paths)
    assert str(caught.value) == (
        f"{folder / 'sweep.toml'}: files would run {', '.join(paths)}. A sweep runs only what the command line names "
        f"as well: if you trust it, add {options}, or the folder"
    )
    assert not mark.exists()
    spec.load(folder / "sweep.toml", code=[folder / "own", folder / "own_task.py"])
    assert mark.exists()


def test_a_link_out_of_the_folder_is_another_place(folder: Path) -> None:
    mark = marked(folder)
    (folder / "allowed").mkdir()
    (folder / "allowed" / "link.py").symlink_to(folder / "own" / "leaky.py")
    with pytest.raises(InputError, match=r"files would run \S+link\.py\. A sweep runs only what"):
        spec.load(sweep_of(files=[str(folder / "allowed" / "link.py")]), code=[folder / "allowed"])
    with pytest.raises(InputError, match="files would run"):
        spec.load(sweep_of(files=[str(folder / "allowed" / ".." / "own" / "leaky.py")]), code=[folder / "allowed"])
    assert not mark.exists()


def test_code_that_the_sweep_does_not_name_is_a_mistake(folder: Path) -> None:
    with pytest.raises(InputError, match=r"--code \S+elsewhere: \S+sweep\.toml names no file there; expected one of"):
        spec.load(folder / "sweep.toml", code=[folder, folder / "elsewhere"])
    with pytest.raises(InputError, match=r"--code \S+: sweep names no file there"):
        spec.load({"name": "plain", "sweep": [{"probe": "null"}]}, code=[folder])


def test_the_command_line_runs_a_sweep_with_its_code(folder: Path) -> None:
    from typer.testing import CliRunner

    from rnnbench.cli import app

    call = ["run", str(folder / "sweep.toml"), "--out", str(folder / "out"), "--jobs", "0"]
    assert not isinstance(CliRunner().invoke(app, call).exception, SystemExit | None)
    found = CliRunner().invoke(app, [*call, "--code", str(folder / "own"), "--code", str(folder / "own_task.py")])
    assert found.exit_code == 0, found.output
    report = (folder / "out" / "own" / "report.html").read_text()
    assert "rnnbench run own/sweep.toml --out again --code own/files" in report


def test_files_is_a_list_of_paths() -> None:
    with pytest.raises(InputError, match=r"sweep: files = \"leaky\.py\": "):
        spec.load(sweep_of(files="leaky.py"))
