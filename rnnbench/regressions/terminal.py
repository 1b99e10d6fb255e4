"""A comparison in the terminal: a table of times, a line a quantity for everything else, and what was left out."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnbench.regressions.compare import Comparison
from rnnbench.regressions.statistics import CANNOT_TELL, FASTER, SLOWER, VERDICTS, geometric_mean
from rnnbench.report import wording

_STYLES = {SLOWER: "bold red", FASTER: "bold green", CANNOT_TELL: "yellow"}


def show(comparison: Comparison, console: Console | None = None) -> None:
    """Print the comparison, times first."""
    console = console or Console()
    console.print(Text(f"A: {comparison.path_a}\nB: {comparison.path_b}", style="bold"))
    if len(comparison.points):
        console.print()
        console.print(_times(comparison))
    for line in summary(comparison):
        console.print(Text(line, style="bold"))
    if len(comparison.values):
        console.print()
        console.print(_values(comparison.values))
    for note in comparison.notes:
        console.print(Text(note, style="dim"))


def summary(comparison: Comparison) -> list[str]:
    """Return a line for each timed quantity: how many points got each verdict, and the geometric mean of the ratios."""
    lines = []
    for (probe, quantity), part in comparison.points.groupby(["probe", "quantity"], sort=False):
        verdicts = ", ".join(f"{(part['verdict'] == verdict).sum()} {verdict}" for verdict in VERDICTS)
        mean = wording.significant(geometric_mean(part["ratio"]), 4)
        lines.append(
            f"{quantity} of {probe}, {wording.count(len(part), 'point')}: {verdicts}; geometric mean of B / A {mean}"
        )
    return lines


def _times(comparison: Comparison) -> Table:
    points = comparison.points
    kinds = [name for name in ("probe", "quantity") if points[name].nunique() > 1]
    table = Table(
        title=Text("Times, the largest ratio first"), title_justify="left", title_style="italic", box=box.SIMPLE_HEAD
    )
    for name in [*kinds, *comparison.varying]:
        table.add_column(Text(wording.words(name)), overflow="fold")
    machine = points["machine_ratio"].notna().any()
    for heading in ("A", "B", "B / A", "95 % interval", *(["machine"] if machine else []), "q"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for row in points.to_dict("records"):
        told = [row[name] for name in kinds] + [wording.value_text(row[name]) for name in comparison.varying]
        verdict = Text(row["verdict"], style=_STYLES.get(row["verdict"], ""))
        if row["reason"]:
            verdict.append(f": {row['reason']}", style="dim")
        numbers = [time_text(row["time_a_s"]), time_text(row["time_b_s"]), wording.significant(row["ratio"], 4)]
        numbers += [interval_text(row["ratio_low"], row["ratio_high"])]
        numbers += [wording.significant(row["machine_ratio"])] if machine else []
        numbers += [wording.significant(row["q_value"], 2)]
        table.add_row(*map(Text, told), *numbers, verdict)  # Text: a name in [brackets] is no markup
    table.caption, table.caption_justify = Text(_same_everywhere(comparison)), "left"
    return table


def _same_everywhere(comparison: Comparison) -> str:
    varying, points = comparison.varying, comparison.points
    held = {name: points[name].iloc[0] for name in comparison.parameters if name not in varying}
    return f"In every row: {wording.setting(held)}." if held else ""


def _values(values: pd.DataFrame) -> Table:
    table = Table(
        title=Text("Values that do not hang on speed"), title_justify="left", title_style="italic", box=box.SIMPLE_HEAD
    )
    for heading in ("probe", "quantity"):
        table.add_column(heading, overflow="fold")
    for heading in ("in both", "identical", "largest relative difference"):
        table.add_column(heading, justify="right")
    table.add_column("there", overflow="fold")
    for row in values.to_dict("records"):
        alone = [f"{row[f'only_{side}']:,} only in {side.upper()}" for side in "ab" if row[f"only_{side}"]]
        there = "; ".join(filter(None, [row["where"], *alone]))
        difference = wording.significant(row["largest_relative_difference"], 2)
        numbers = f"{row['both']:,}", f"{row['identical']:,}", difference
        table.add_row(Text(row["probe"]), Text(row["quantity"]), *numbers, Text(there))
    return table


def time_text(seconds: float) -> str:
    """Return a time in the unit that suits it: 12.3 µs, 4.56 ms, 1.20 s."""
    scale, unit = (1.0, "s") if seconds >= 1 else (1e3, "ms") if seconds >= 1e-3 else (1e6, "µs")
    text = wording.significant(seconds * scale)
    return text if text == wording.MISSING else f"{text} {unit}"


def interval_text(low: float, high: float) -> str:
    """Return "0.984 to 1.012"; a dash where there is none."""
    return wording.MISSING if pd.isna(low) else f"{wording.significant(low, 4)} to {wording.significant(high, 4)}"
