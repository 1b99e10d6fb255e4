"""Times of a run as asv's results: asv reads the same numbers, draws them, and compares them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up_project import git
from made_up_runs import MakeRun, throughput, timed, trial

import rnnbench.cli
from rnnbench.errors import InputError
from rnnbench.regressions.asv_results import MISSING_ASV, export
from rnnbench.sweeps.folder import RunFolder, write_text
from rnnbench.sweeps.store import Results

pytest.importorskip("asv", reason="asv comes with the extra 'gate'")
HIDDEN = {16: 1.0, 32: 1.5, 64: 1.0}


@pytest.fixture
def commits(tmp_path: Path, make_run: MakeRun) -> list[str]:
    """Two commits of a repository in the working folder."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    for message in ("First", "Second"):
        git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(tmp_path, "rev-list", "--reverse", "main").split()


def of_commit(run: Results, commit: str, dirty: bool = False) -> Results:
    """Return a run as if it had measured a commit."""
    folder = RunFolder(run.path)
    state = {"package_git": {"commit": commit, "dirty": dirty}, "versions": {"python": "3.11.7", "numba": "0.68.1"}}
    write_text(folder.provenance, json.dumps(folder.read_provenance() | state))
    return Results.load(run.path)


@pytest.fixture
def runs(commits: list[str], make_run: MakeRun) -> list[Results]:
    """A run of each commit, of two processes a point, the second slower at hidden 32."""
    found = []
    for name, commit, factor in zip("ab", commits, (1.0, 1.5), strict=True):
        trials = throughput({16: 1.0, 32: factor, 64: 1.0}, seed=ord(name), seeds=2)
        found.append(of_commit(make_run(name, trials), commit))
    return found


def samples_of(run: Results, hidden: int) -> list[float]:
    keys = run.trials.loc[run.trials["hidden"] == hidden, "key"]
    rows = run.measurements
    return sorted(rows.loc[rows["key"].isin(keys) & (rows["quantity"] == "time"), "value"])


def asv(*arguments: str) -> str:
    """Run asv with a configuration in the working folder, and return what it prints."""
    Path("asv.conf.json").write_text(
        json.dumps(
            {
                "version": 1, "project": "example", "repo": ".", "branches": ["main"], "environment_type": "virtualenv",
                "results_dir": "asv", "html_dir": "html", "benchmark_dir": "none",
            }
        )
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "asv", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_asv_loads_the_samples_and_their_median(runs: list[Results], commits: list[str]) -> None:
    from asv.benchmarks import Benchmarks
    from asv.config import Config
    from asv.results import Results as AsvResults

    path = export(runs[0], Path("asv"), "machine")
    loaded = AsvResults.load(str(path), machine_name="machine")
    assert loaded.commit_hash == commits[0]
    assert loaded.date == 1000 * int(git(Path(), "show", "--no-patch", "--format=%at", commits[0]))
    configuration = Config()
    configuration.results_dir = "asv"
    benchmark = Benchmarks.load(configuration)["throughput.time"]
    assert (benchmark["params"], benchmark["param_names"]) == ([["16", "32", "64"]], ["hidden"])
    values = loaded.get_result_value("throughput.time", benchmark["params"])
    samples = loaded.get_result_samples("throughput.time", benchmark["params"])
    for hidden, value, own in zip((16, 32, 64), values, samples, strict=True):
        assert sorted(own) == samples_of(runs[0], hidden)
        assert value == np.median(own)


def test_asv_compares_two_commits_with_the_ratio_of_their_medians(runs: list[Results], commits: list[str]) -> None:
    for run in runs:
        export(run, Path("asv"), "machine")
    printed = asv("compare", "--machine", "machine", "--factor", "1.1", *commits)
    rows = re.findall(r"\| +([\d.]+) +\| throughput\.time\((\d+)\)", printed)
    found = {int(hidden): float(ratio) for ratio, hidden in rows}
    for hidden in (16, 32, 64):
        a, b = (float(np.median(samples_of(run, hidden))) for run in runs)
        assert found[hidden] == pytest.approx(b / a, abs=0.006), "asv prints two digits"
    (slower,) = [line for line in printed.splitlines() if line.startswith("| +")]
    assert "throughput.time(32)" in slower


def test_asv_publishes_them(runs: list[Results]) -> None:
    for run in runs:
        export(run, Path("asv"), "machine")
    asv("publish")
    (graph,) = (path for path in Path("html/graphs").rglob("throughput.time.json") if "summary" not in path.parts)
    points = json.loads(graph.read_text())
    medians = [[float(np.median(samples_of(run, hidden))) for hidden in (16, 32, 64)] for run in runs]
    assert [values for _, values in points] == medians


def test_other_benchmarks_and_other_commits_stay(runs: list[Results]) -> None:
    folder = Path("asv")
    folder.mkdir()
    (folder / "benchmarks.json").write_text('{"other": {"name": "other", "params": []}, "version": 2}')
    files = [export(run, folder, "machine") for run in (*runs, runs[0])]
    assert len(set(files)) == 2
    assert json.loads((folder / "benchmarks.json").read_text()).keys() == {"other", "throughput.time", "version"}


def test_points_that_hardly_fill_a_grid_are_one_parameter(commits: list[str], make_run: MakeRun) -> None:
    sizes = range(8)
    trials = [trial("throughput", timed([1e-3, 2e-3]), hidden=2**n, length=3 + n, batch=5 + n) for n in sizes]
    run = of_commit(make_run("sparse", trials), commits[0])
    stored = json.loads(export(run, Path("asv"), "machine").read_text())
    (params,) = stored["results"]["throughput.time"][stored["result_columns"].index("params")]
    assert len(params) == 8
    assert repr("batch=5, hidden=1, length=3") in params


def test_what_cannot_be_filed_is_refused(commits: list[str], make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", throughput(HIDDEN, seed=1))
    with pytest.raises(InputError, match="its provenance names no commit; say which with --commit"):
        export(run, Path("asv"), "machine")
    with pytest.raises(InputError, match=r"measured with changes on top of .*; --commit files it so"):
        export(of_commit(run, commits[0], dirty=True), Path("asv"), "machine")
    with pytest.raises(InputError, match="--commit nowhere: no branch, tag or commit of"):
        export(run, Path("asv"), "machine", commit="nowhere")
    untimed = of_commit(make_run("untimed", [trial("training", [])]), commits[0])
    with pytest.raises(InputError, match="no quantity of it is a time with samples"):
        export(untimed, Path("asv"), "machine")
    assert not Path("asv").exists()


def test_without_asv_the_extra_is_named(runs: list[Results], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asv.benchmarks", None)
    with pytest.raises(InputError, match=re.escape(MISSING_ASV)):
        export(runs[0], Path("asv"), "machine")


def test_the_command_files_a_run_under_a_commit(
    runs: list[Results], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--out", "asv", "--machine", "quiet", "--commit", "main"]
    monkeypatch.setattr(sys, "argv", ["rnnbench", "export-asv", "a", *options])
    with pytest.raises(SystemExit) as ended:
        rnnbench.cli.main()
    assert not ended.value.code
    path = Path(capsys.readouterr().out.strip())
    assert path.parent == Path("asv", "quiet")
    assert json.loads(path.read_text())["commit_hash"] == git(Path(), "rev-parse", "main")
