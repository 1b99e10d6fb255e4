"""`rnnbench compare`: what it prints, the files it writes whole or not at all, how it exits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from made_up_runs import MakeRun, throughput, trial, with_provenance

import rnnbench.cli
from rnnbench.probes.base import Measurement
from rnnbench.regressions import figure, terminal
from rnnbench.regressions.compare import compare
from rnnbench.report import style

SIZES = dict.fromkeys([16, 32, 64], 1.0)


@pytest.fixture
def runs(make_run: MakeRun) -> None:
    """Two runs in the working folder, of which b is slower at hidden 64 and has another score."""
    make_run("a", [*throughput(SIZES, seed=1), trial("training", [Measurement("final_score", 0.5, "1")])])
    make_run("b", [*throughput(SIZES | {64: 1.2}, seed=2), trial("training", [Measurement("final_score", 0.6, "1")])])


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command in this process and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["rnnbench", "compare", *arguments])
    with pytest.raises(SystemExit) as ended:
        rnnbench.cli.main()
    return int(ended.value.code or 0)


def test_a_table_and_a_summary_are_printed_and_a_slowdown_is_no_error(runs: None) -> None:
    root = Path(rnnbench.cli.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "rnnbench.cli", "compare", "a", "b"],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines() if line.strip()]
    assert lines[0] + lines[1] == ["A:", "a", "B:", "b"]
    header = next(n for n, line in enumerate(lines) if line[0] == "hidden")
    assert lines[header] == ["hidden", "A", "B", "B", "/", "A", "95", "%", "interval", "machine", "q", "verdict"]
    slow = lines[header + 2]
    assert (slow[0], slow[2], slow[4], slow[-1]) == ("64", "µs", "µs", "slower")
    assert float(slow[5]) == pytest.approx(1.2, rel=0.02)
    assert "In every row: LSTM, length 64." in done.stdout
    assert "time of throughput, 3 points: 0 faster, 1 slower, 2 same, 0 cannot tell; geometric mean" in done.stdout
    score = next(line for line in lines if line[:2] == ["training", "final_score"])
    assert score[2:] == ["1", "0", "0.17"]


def test_the_help_teaches_by_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(monkeypatch, "--help") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "rnnbench compare results/before results/after" in told.partition("Examples:")[2]
    assert "Points and seeds that only one run has" in told
    assert "`" not in told


def test_the_csv_has_every_point_in_full(runs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command(monkeypatch, "a", "b", "--csv", "changes.csv") == 0
    found = pd.read_csv("changes.csv")
    assert found["hidden"].iloc[0] == 64
    assert found["verdict"].tolist() == ["slower", "same", "same"]
    numbers = ["time_a_s", "time_b_s", "ratio", "ratio_low", "ratio_high", "p_value", "q_value"]
    assert np.isfinite(found[numbers].to_numpy()).all()
    np.testing.assert_allclose(found["ratio"], found["time_b_s"] / found["time_a_s"], rtol=1e-12)


@pytest.mark.parametrize("option", ["--csv", "--figure"])
def test_a_file_is_replaced_whole_or_not_at_all(
    runs: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    path = Path("before.svg")
    path.write_text("from before")

    def full_disk(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        assert command(monkeypatch, "a", "b", option, str(path)) == 1
    assert "error: cannot write before.svg: No space left on device" in capsys.readouterr().err
    assert path.read_text() == "from before"
    assert sorted(entry.name for entry in Path().iterdir()) == ["a", "b", "before.svg"]
    assert command(monkeypatch, "a", "b", option, str(path)) == 0
    assert path.read_text() != "from before"
    assert sorted(entry.name for entry in Path().iterdir()) == ["a", "b", "before.svg"]


@pytest.mark.parametrize(
    ("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml"), ("SVG", b"<?xml")]
)
def test_the_suffix_says_the_format_of_the_figure(
    runs: None, monkeypatch: pytest.MonkeyPatch, suffix: str, magic: bytes
) -> None:
    assert command(monkeypatch, "a", "b", "--figure", f"changes.{suffix}") == 0
    first = Path(f"changes.{suffix}").read_bytes()
    assert first.startswith(magic)
    assert command(monkeypatch, "a", "b", "--figure", f"changes.{suffix}") == 0
    assert Path(f"changes.{suffix}").read_bytes() == first, "the same rows give the same bytes"


def test_the_figure_has_a_line_with_its_interval_for_each_point(make_run: MakeRun) -> None:
    sizes = dict.fromkeys(range(1, 71), 1.0)
    a, b = make_run("a", throughput(sizes, seed=1)), make_run("b", throughput(sizes | {7: 1.5, 9: 0.5}, seed=2))
    comparison = compare(a, b)
    with style.context():
        drawn = figure.draw(comparison)
    (axes,) = drawn.axes
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert len(labels) == figure.MOST_POINTS
    assert (labels[0], labels[-1]) == ("hidden 7", "hidden 9")
    assert "60 of 70 points" in axes.get_xlabel()
    segments = np.concatenate([found.get_segments() for found in axes.collections])
    expected = comparison.points.set_index("hidden").loc[7, ["ratio_low", "ratio_high"]]
    np.testing.assert_allclose(segments[0][:, 0], expected.astype(float))
    legend = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert legend[:2] == ["slower", "faster"]
    assert legend[-1] == "±3 %"


def test_the_title_of_the_figure_is_text(runs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a").rename("<a> & co")
    assert command(monkeypatch, "<a> & co", "b", "--figure", "changes.svg") == 0
    assert "A <a> & co · B b" in "".join(ElementTree.parse("changes.svg").getroot().itertext())


def test_names_in_brackets_are_no_markup(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    trials = throughput({16: 1.0, 32: 1.0}, seed=1) + throughput({16: 1.0}, seed=1, cell="[red]")
    terminal.show(compare(make_run("[a]", trials), make_run("b", trials)))
    told = capsys.readouterr().out
    assert "[red]" in told
    assert "A: [a]" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a", "c"], "error: unknown run 'c': known: a, b"),
        (["a", "bb"], "error: unknown run 'bb': did you mean 'b'?"),
        (["a", "."], "error: .: not the results of a run; runs at hand: a, b"),
        (["a", "b", "--figure", "x.jpg"], "error: --figure x.jpg: expected a name that ends in .svg, .pdf or .png"),
        (
            ["a", "b", "--csv", "no/x.csv"],
            "error: --csv no/x.csv: expected the name of a file, and this has no folder no",
        ),
        (["a", "b", "--csv", "a"], "error: --csv a: expected the name of a file, and this is a folder"),
        (["a", "b", "--threshold", "-1"], "error: threshold is -0.01; expected 0 or more"),
    ],
)
def test_a_mistake_exits_with_two_and_one_line(
    runs: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert command(monkeypatch, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(told)
    assert len(printed.err.splitlines()) == 1
    assert sorted(entry.name for entry in Path().iterdir()) == ["a", "b"]


def test_runs_of_different_machines_exit_with_two_unless_that_is_known(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run("a", throughput(SIZES, seed=1))
    with_provenance(make_run("b", throughput(SIZES, seed=2)), machine={"cpu": "Other CPU"})
    assert command(monkeypatch, "a", "b") == 2
    assert "cpu: Example CPU in a, Other CPU in b" in capsys.readouterr().err
    assert command(monkeypatch, "a", "b", "--different-machines") == 0


@pytest.mark.parametrize("name", ["trials/*.parquet", "provenance.json", "sweep.toml", "trials.txt"])
def test_a_damaged_run_exits_with_two_and_names_the_file(
    runs: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = next(Path("b").glob(name))
    path.write_bytes(b"\xff" + path.read_bytes()[: path.stat().st_size // 2])
    assert command(monkeypatch, "a", "b") == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {path}: ")
    assert len(told.splitlines()) == 1
    assert "Traceback" not in told


def test_a_figure_needs_a_time(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run("a", [trial("training", [Measurement("final_score", 0.5, "1")])])
    assert command(monkeypatch, "a", "a", "--figure", "x.svg") == 2
    printed = capsys.readouterr()
    assert "final_score" in printed.out
    assert printed.err == "error: x.svg: the runs have no time in common that could be drawn\n"
