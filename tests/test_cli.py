"""The real command, in processes of its own: what it prints, what it leaves, how it exits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rnnbench.cli
from rnnbench.sweeps.store import Results

ROOT = Path(rnnbench.cli.__file__).parents[1]
PLUGIN = Path(__file__).parent / "sweeps" / "plugin"

SWEEP = """
name = "small"
[[sweep]]
probe = "misbehave"
[sweep.axes]
number = [1, 2, 3]
[sweep.fixed]
deed = "finish"
"""


def rnnbench_command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rnnbench.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(PLUGIN)]), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SWEEP)
    return tmp_path


def test_the_package_is_a_command_too(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rnnbench", "report", "nowhere"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: unknown run 'nowhere'")


def test_a_run_prints_plain_lines_and_ends_with_the_report(folder: Path) -> None:
    done = rnnbench_command(folder, "run", "small.toml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "3 ok, 0 failed"
    assert done.stdout.splitlines()[-1] == "results/small/report.html"
    assert (folder / "results/small/report.html").stat().st_size > 0
    assert done.stderr.splitlines()[0] == "3 trials to run"
    assert done.stderr.splitlines()[-1].startswith("3/3 done, 0 failed")
    assert "\x1b" not in done.stdout + done.stderr
    shown = rnnbench_command(folder, "show", "results/small")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip()
    report = rnnbench_command(folder, "report", "results/small")
    assert report.stdout.splitlines()[-1] == "results/small/report.html"


def test_failed_trials_are_told_and_exit_with_one(folder: Path) -> None:
    deeds = "deed=['finish', 'raise']"
    done = rnnbench_command(folder, "run", "small.toml", "--set", deeds, "--out", "o", "--jobs", "0")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "3 ok, 3 failed"
    failures = [line for line in done.stderr.splitlines() if line.startswith("error: misbehave")]
    assert len(failures) == 3
    assert all("deed=raise" in line and "ZeroDivisionError: the denominator was zero" in line for line in failures)
    assert "Traceback" not in done.stdout + done.stderr
    results = Results.load(folder / "o" / "small")
    assert results.counts == {"ok": 3, "error": 3}
    failed = results.trials[results.trials["status"] == "error"]["key"]
    assert all("in _raise" in results.traceback(key) for key in failed)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "absent.toml"], "error: unknown sweep file 'absent.toml'"),
        (["run", "smal.toml"], "error: unknown sweep file 'smal.toml': did you mean 'small.toml'?"),
        (
            ["run", "small.toml", "--set", "numbr=1"],
            "error: --set numbr=1: unknown key 'numbr': did you mean 'number'?",
        ),
        (
            ["run", "small.toml", "--set", "number=many"],
            'error: small.toml: sweep.0.fixed.number = "many": expected a whole number',
        ),
        (
            ["run", "small.toml", "--set", "seed=-1"],
            "error: small.toml: sweep.0.fixed.seed = -1: expected a value greater than or equal to 0",
        ),
        (["run", "small.toml", "--timeout", "-1"], "error: --timeout -1: expected seconds, more than 0"),
        (["show", "results/none"], "error: unknown run 'results/none': known: none"),
        (["show", "."], "error: .: not the results of a run; runs at hand: none"),
    ],
)
def test_a_mistake_exits_with_two_and_one_line(folder: Path, arguments: list[str], expected: str) -> None:
    done = rnnbench_command(folder, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(expected)
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "results").exists()


def test_an_unknown_key_in_the_file_is_told_with_its_place(folder: Path) -> None:
    (folder / "wrong.toml").write_text(SWEEP.replace("number", "numbr") + "length = -5\n")
    done = rnnbench_command(folder, "run", "wrong.toml")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: wrong.toml: sweep.0.axes.numbr = [1, 2, 3]: unknown key 'numbr': did you mean 'number'? "
        "known: deed, number, seconds, seed",
        "wrong.toml: sweep.0.fixed.length = -5: unknown key 'length': known: deed, number, seconds, seed",
    ]


@pytest.mark.parametrize("arguments", [["run"], ["runn"], ["run", "small.toml", "--jobs", "x"], ["list", "cell"]])
def test_the_wrong_usage_exits_with_two(folder: Path, arguments: list[str]) -> None:
    done = rnnbench_command(folder, *arguments)
    assert done.returncode == 2
    assert "Usage:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_exits_with_one_and_a_message(folder: Path) -> None:
    """A limit on the size of files stands in for the full disk: the system refuses the write as well."""
    resource = pytest.importorskip("resource")
    assert rnnbench_command(folder, "run", "small.toml", "--jobs", "0").returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "rnnbench.cli", "run", "small.toml", "--jobs", "0", "--set", "number=[1, 5]"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(PLUGIN)])},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    )
    assert done.returncode == 1
    assert re.search(r"^error: cannot write results/small/\S+: .*finished trials are kept", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
    assert not list((folder / "results").rglob("*.tmp"))
    assert Results.load(folder / "results" / "small").counts == {"ok": 3}


def test_list_names_probes_and_describes_them(folder: Path) -> None:
    (folder / "experiments").mkdir()
    (folder / "experiments" / "mine.toml").write_text('title = "My experiment"')
    probes = rnnbench_command(folder, "list", "probes").stdout
    assert re.search(r"^null +Do nothing and report one random number", probes, re.MULTILINE)
    assert re.search(r"^misbehave +Yield one row", probes, re.MULTILINE)
    everything = rnnbench_command(folder, "list").stdout
    assert re.search(r"^lstm +\S", everything, re.MULTILINE)
    assert re.search(r"^adding +\S", everything, re.MULTILINE)
    assert re.search(r"^experiments/mine\.toml +My experiment", everything, re.MULTILINE)


def test_info_tells_versions_and_machine_also_as_json(folder: Path) -> None:
    told = json.loads(rnnbench_command(folder, "info", "--json").stdout)
    assert told["versions"]["numba"]
    assert told["machine"]["available_cores"] >= 1
    assert told["kernel_threads"] >= 1
    assert told["compiled_code_cache"]
    assert {"cpu", "reference"} <= set(told["backends"])
    text = rnnbench_command(folder, "info").stdout
    assert f"numba: {told['versions']['numba']}" in text
    assert f"cpu: {told['machine']['cpu']}" in text


@pytest.mark.parametrize("command", ["run", "report", "show", "list", "info"])
def test_the_help_of_each_command_teaches_by_example(folder: Path, command: str) -> None:
    done = rnnbench_command(folder, command, "--help")
    assert done.returncode == 0
    examples = done.stdout.partition("Examples:")[2]
    assert re.search(rf"^ *rnnbench {command}", examples, re.MULTILINE)
    assert "`" not in done.stdout


def test_help_answers_at_once(folder: Path) -> None:
    def seconds() -> float:
        start = time.perf_counter()
        assert rnnbench_command(folder, "--help").returncode == 0
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 1.0


def test_the_command_line_imports_nothing_heavy() -> None:
    heavy = ("numba", "pandas", "distributed", "pydantic", "matplotlib")
    code = f"import sys, rnnbench.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
