from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from rnnbench.sweeps import progress
from rnnbench.sweeps.trial import Outcome, Trial

TRIALS = [Trial("probe", {"cell": "[red]lstm[/]", "seed": seed}) for seed in range(3)]


def shown(terminal: bool) -> str:
    """Return what is printed for three trials, the second of which failed."""
    file = io.StringIO()
    reporter = progress.reporter(Console(file=file, force_terminal=terminal, width=100))
    reporter.start(3, reused=2)
    for trial in TRIALS:
        reporter.running([trial])
        failed = trial is TRIALS[1]
        reporter.finished(
            trial, Outcome(trial.key, "error" if failed else "ok", "ValueError: no [bold]" if failed else "")
        )
    reporter.stop()
    return file.getvalue()


def test_without_a_terminal_there_are_plain_lines() -> None:
    assert shown(terminal=False).splitlines() == [
        "3 trials to run, 2 finished before",
        "error: probe cell=[red]lstm[/] seed=1: ValueError: no [bold]",
        "3/3 done, 1 failed, about 0 s left",
    ]


def test_plain_lines_come_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_INTERVAL_S", -math.inf)
    assert [line.split(",")[0] for line in shown(terminal=False).splitlines()[1:]] == [
        "1/3 done", "error: probe cell=[red]lstm[/] seed=1: ValueError: no [bold]", "2/3 done", "3/3 done",
    ]  # fmt: skip


def test_a_terminal_shows_a_bar_counts_and_what_runs() -> None:
    text = shown(terminal=True)
    assert "probe cell=[red]lstm[/] seed=0" in text
    assert "error: probe cell=[red]lstm[/] seed=1: ValueError: no [bold]" in text
    assert "3/3" in text
    assert "1 failed" in text
    assert "0 left" in text
