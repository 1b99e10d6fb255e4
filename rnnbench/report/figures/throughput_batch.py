"""How speed grows with the batch."""

from __future__ import annotations

from rnnbench.report.figures._scaling import ScalingPlot


class ThroughputBatch(ScalingPlot):
    """Throughput against batch size."""

    name = "throughput_batch"
    title = "Throughput against batch size"
    axis = "batch"
    axis_label = "batch size (sequences)"
