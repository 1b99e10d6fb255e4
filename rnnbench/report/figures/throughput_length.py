"""How speed changes with the sequence length."""

from __future__ import annotations

from rnnbench.report.figures._scaling import ScalingPlot


class ThroughputLength(ScalingPlot):
    """Throughput against sequence length."""

    name = "throughput_length"
    title = "Throughput against sequence length"
    axis = "length"
    axis_label = "sequence length (steps)"
