"""The table of what training came to: final scores, baselines, and how many seeds solved the task."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from rnnbench.report import wording
from rnnbench.report.rows import Rows, groups, seed_count
from rnnbench.report.statistics import mean_interval
from rnnbench.report.tables import Column, Table, setting_cells, setting_columns


def table(rows: Rows, task: str, wide: pd.DataFrame) -> Table:
    """Return the final scores of one task, a row a setting, from one row a trial."""
    names = rows.distinct(wide)
    unit = rows.quantity("final_score").set_index("key")["unit"].get(wide["key"].iloc[0], "")
    columns = [
        *setting_columns(names),
        Column("seeds"),
        Column("final score ± sd", str(unit)),
        Column("95 % interval", str(unit)),
        Column("baseline", str(unit)),
        Column("solved"),
        Column("solved, 95 % interval", "%"),
        Column("time to solve, median", "steps"),
        Column("clipped, median", "%"),
    ]
    body = []
    for values, part in groups(wide, names):
        score = part["final_score"][np.isfinite(part["final_score"])]
        body.append(
            [
                *setting_cells(values),
                str(seed_count(part)),
                wording.mean_and_deviation(score.mean(), score.std()),
                _interval(*mean_interval(score.to_numpy())),
                _median_of(part, "baseline_score"),
                *_solved(part),
                _median_of(part, "steps_to_solve", "{:,.0f}"),
                _percent(part),
            ]
        )
    caption = f"Final scores, {task}" if task else "Final scores"
    caption += ". Mean over seeds with Student's interval, of other seeds on the same "
    caption += "held-out data, not of other data; share that solved it with Wilson's."
    return Table(caption, columns, body, _network_sizes(wide)).condensed()


def _network_sizes(wide: pd.DataFrame) -> str:
    """Return how many parameters the network of each cell has."""
    if "parameter_count" not in wide:
        return ""
    sizes = [
        f"{wording.cell_label(str(values.get('cell', '')))} {_whole_span(part['parameter_count'])}".strip()
        for values, part in groups(wide, ["cell"])
    ]
    return f"Network parameters: {', '.join(sizes)}."


def _whole_span(values: pd.Series) -> str:
    return " to ".join(dict.fromkeys(f"{value:,.0f}" for value in (values.min(), values.max())))


def _median_of(part: pd.DataFrame, quantity: str, pattern: str = "") -> str:
    value = float(part[quantity].median()) if quantity in part else np.nan
    return pattern.format(value) if pattern and np.isfinite(value) else wording.significant(value)


def _percent(part: pd.DataFrame) -> str:
    fraction = float(part["fraction_clipped"].median()) if "fraction_clipped" in part else np.nan
    return wording.significant(100 * fraction, 2)


def _interval(low: float, high: float) -> str:
    return f"{wording.significant(low, 2)} to {wording.significant(high, 2)}" if np.isfinite(low) else wording.MISSING


def _solved(part: pd.DataFrame) -> tuple[str, str]:
    """Return "k of n" and Wilson's interval in percent."""
    solved = part["solved"].dropna() if "solved" in part else pd.Series(dtype=float)
    if solved.empty:
        return wording.MISSING, wording.MISSING
    successes, trials = int((solved > 0.5).sum()), len(solved)
    interval = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    return f"{successes} of {trials}", f"{100 * interval.low:.0f} to {100 * interval.high:.0f}"
