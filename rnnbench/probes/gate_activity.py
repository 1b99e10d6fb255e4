"""What the gates do while a sequence is read: how open they are, how far apart, how often shut or wide open.

For each gate between 0 and 1, over all units and sequences at step t (1 ... T):

    GATE_gate                                     mean
    GATE_gate_lower_quartile, _upper_quartile     quartiles
    GATE_gate_left_saturated, _right_saturated    fraction below 0.1, fraction above 0.9

The fractions follow Karpathy, Johnson and Fei-Fei 2015, "Visualizing and understanding recurrent networks". As scalars
`GATE_gate_mean` over all steps too. A cell without gates has `state_saturated`, the fraction of |h| above 0.9, which
is where a tanh lets less than a fifth of the gradient pass; every cell has it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field, PositiveInt

from rnnbench.probes._gates import gate_values
from rnnbench.probes._studied import StudiedParameters, studied_layer
from rnnbench.probes.base import Diverged, Measurement, Probe, ProbeParameters, Seeds

SHUT, OPEN = 0.1, 0.9
NOT_BETWEEN_0_AND_1 = "candidate"


class GateActivityParameters(StudiedParameters):
    """Axes of the probe gate_activity."""

    hidden: PositiveInt = Field(default=32, description="units H")


class GateActivity(Probe):
    """How open each gate is at every step, and how often it is shut or wide open, on a task's inputs."""

    name = "gate_activity"
    Parameters = GateActivityParameters

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield the rows of every gate by step, then their means; Diverged where a state is not finite."""
        assert isinstance(parameters, GateActivityParameters)
        layer, x = studied_layer(parameters, seeds)
        h = layer.forward(x, store=False).h
        if not np.isfinite(h).all():
            raise Diverged("a state is not finite")
        for step, values in enumerate(np.abs(h), start=1):
            yield Measurement("state_saturated", np.mean(values > OPEN), "1", step)
        for name, values in gate_values(layer, x).items():
            if name in layer.cell.gates and name != NOT_BETWEEN_0_AND_1:
                yield from gate_rows(name, values)


def gate_rows(name: str, values: np.ndarray) -> Iterator[Measurement]:
    """Yield the rows of one gate (T, B, H)."""
    flat = values.reshape(len(values), -1)
    low, high = np.quantile(flat, [0.25, 0.75], axis=1)
    of_steps = {
        "": flat.mean(axis=1),
        "_lower_quartile": low,
        "_upper_quartile": high,
        "_left_saturated": (flat < SHUT).mean(axis=1),
        "_right_saturated": (flat > OPEN).mean(axis=1),
    }
    for suffix, found in of_steps.items():
        for step, value in enumerate(found, start=1):
            yield Measurement(f"{name}_gate{suffix}", value, "1", step)
    yield Measurement(f"{name}_gate_mean", flat.mean(), "1")
