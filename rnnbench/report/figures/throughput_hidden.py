"""How speed grows with the hidden size."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rnnbench.report import wording
from rnnbench.report.figures._scaling import GEMM_RATES, ScalingPlot, trial_rates
from rnnbench.report.rows import Rows, groups
from rnnbench.report.tables import Column, Table, setting_cells, setting_columns


class ThroughputHidden(ScalingPlot):
    """Throughput against hidden size; the table of all shapes goes with it."""

    name = "throughput_hidden"
    title = "Throughput against hidden size"
    axis = "hidden"
    axis_label = "hidden size (units)"

    def tables(self, rows: Rows) -> list[Table]:
        """Return time, rates and the fraction of the machine's own matrix-product rate for every shape."""
        frame = trial_rates(rows)
        if "median_time" not in frame:
            return []
        rates = [name for name in GEMM_RATES if name in frame]
        gemm = rates[0].split("_")[0] if len(rates) == 1 else "matrix product"
        if rates and "flop_rate" in frame:
            frame["gemm"] = frame[rates].bfill(axis=1).iloc[:, 0]  # a trial has that of its own type
            frame["percent"] = 100 * frame["flop_rate"] / frame["gemm"]
        names = rows.distinct(frame)
        quantities = {
            "median_time": (Column("time, median", "ms"), 1e3),
            "sequence_step_rate": (Column("speed", "sequence-steps/s"), 1.0),
            "flop_rate": (Column("arithmetic", "GFLOP/s"), 1.0),
            "gemm": (Column(gemm, "GFLOP/s"), 1.0),
            "percent": (Column(f"of {gemm}", "%"), 1.0),
        }
        shown = {name: entry for name, entry in quantities.items() if name in frame}
        body = [
            [*setting_cells(values), *(_median(part[name] * scale) for name, (_, scale) in shown.items())]
            for values, part in groups(frame, names)
        ]
        columns = [*setting_columns(names), *(column for column, _ in shown.values())]
        caption = "Speed of every shape; the matrix-product rate was timed in the same trials."
        return [Table(caption if rates else "Speed of every shape.", columns, body)]


def _median(values: pd.Series) -> str:
    finite = values[np.isfinite(values)]
    return wording.significant(float(finite.median()))
