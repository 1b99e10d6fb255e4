"""What a sweep shows while it runs: a live display in a terminal or a notebook, plain lines anywhere else."""

from __future__ import annotations

import time
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from rnnbench.sweeps.trial import Outcome, Trial

PLAIN_INTERVAL_S = 5.0
"""Without a terminal: at most one line in this many seconds, failures apart."""


class Reporter(Protocol):
    """What the engine tells while it works."""

    def start(self, total: int, reused: int) -> None:
        """`total` trials are to run; `reused` more were finished before."""

    def running(self, trials: list[Trial]) -> None:
        """These trials run now; called a few times a second."""

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        """A trial has its outcome, and its file is written."""

    def note(self, message: str) -> None:
        """Something a person should know."""

    def stop(self) -> None:
        """Nothing follows."""


class Silent:
    """Says nothing."""

    def start(self, total: int, reused: int) -> None:
        """Say nothing."""

    def running(self, trials: list[Trial]) -> None:
        """Say nothing."""

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""

    def stop(self) -> None:
        """Say nothing."""


def reporter(console: Console | None = None) -> Reporter:
    """Return the live display where the console can show one, else plain lines."""
    console = console or Console(stderr=True)
    return LiveReporter(console) if console.is_terminal or console.is_jupyter else PlainReporter(console)


class _Counting:
    def __init__(self, console: Console) -> None:
        self.console = console
        self.total = self.done = self.failed = 0
        self.started = time.monotonic()

    def _count(self, outcome: Outcome) -> None:
        self.done += 1
        self.failed += outcome.status != "ok"

    def _beginning(self, total: int, reused: int) -> str:
        self.total, self.started = total, time.monotonic()
        kept = f", {reused} finished before" if reused else ""
        return f"{total} {'trial' if total == 1 else 'trials'} to run{kept}"

    def note(self, message: str) -> None:
        """Print the message on its own line."""
        self.console.print(message, markup=False, highlight=False, soft_wrap=True)


def _failure(trial: Trial, outcome: Outcome) -> str:
    return f"{outcome.status}: {trial.label()}: {outcome.reason}"


class PlainReporter(_Counting):
    """Lines without control codes, for logs."""

    def start(self, total: int, reused: int) -> None:
        """Print how much there is to do."""
        self.note(self._beginning(total, reused))
        self._last = time.monotonic()

    def running(self, trials: list[Trial]) -> None:
        """Say nothing: a log wants results."""

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        """Print every failure, and now and then how far it is."""
        self._count(outcome)
        if outcome.status != "ok":
            self.note(_failure(trial, outcome))
        now = time.monotonic()
        if now - self._last >= PLAIN_INTERVAL_S or self.done == self.total:
            self._last = now
            left = (now - self.started) / self.done * (self.total - self.done)
            self.note(f"{self.done}/{self.total} done, {self.failed} failed, about {left:.0f} s left")

    def stop(self) -> None:
        """Nothing is open."""


class LiveReporter(_Counting):
    """A bar with done, failed, left and the time it will take, over what runs now.

    It draws only when told something, never from a thread of its own: timing trials need the cores.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("[red]{task.fields[failed]} failed[/]"), TextColumn("{task.fields[left]} left"),
            TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
            console=console, auto_refresh=False,
        )  # fmt: skip
        self._task = self._bar.add_task("trials", total=None, failed=0, left="?")
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._running = Text()
        self._drawn = 0.0

    def start(self, total: int, reused: int) -> None:
        """Open the display."""
        self.note(self._beginning(total, reused))
        self._bar.update(self._task, total=total, left=total)
        self._live.start()
        self._draw()

    def running(self, trials: list[Trial]) -> None:
        """Show what runs now."""
        width = max(20, self.console.width - 2)
        lines = [f"  {trial.label()}"[:width] for trial in trials[:8]]
        self._running = Text("\n".join(lines), style="dim")
        self._draw()

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        """Advance the bar; a failure gets a line of its own above it."""
        self._count(outcome)
        self._bar.update(self._task, advance=1, failed=self.failed, left=self.total - self.done)
        if outcome.status != "ok":
            self.note(_failure(trial, outcome))
        if time.monotonic() - self._drawn > 0.2 or self.done == self.total:
            self._draw()

    def stop(self) -> None:
        """Leave the bar as it stands."""
        self._running = Text()
        self._draw()
        self._live.stop()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self._live.update(Group(self._bar, self._running), refresh=True)
