"""Training where gradients explode on their way back through time: the recurrent weights' gradient at every step.

Before each update, of the loss alone (without the regulariser) and before clipping:

    training_loss
    recurrent_gradient_norm     ||dL/dW_hh||, over all layers: made of products of up to T - 1 Jacobians
    readout_gradient_norm       ||dL/dW_hy||: no product of Jacobians enters it. Of the mean cross-entropy of one answer
                                a sequence it is at most sqrt(2 D H), as a tanh or gated state lies in [-1, 1]
    gradient_norm               over all weights

so that a gradient that explodes through time is told from a readout that is unstable. Then

    update_norm                 ||w_after - w_before||: what clipping acts on
    recurrent_gradient_norm_quantile    50th, 90th, 99th and 100th percentile over the steps, by percent
    fraction_clipped            of the steps; where there is a regulariser its gradient is clipped with the loss's
    mean_gradient_norm, diverged_at_step        the step whose loss or gradient is not finite; NaN: none
    final_loss, largest_loss, baseline_loss     final: the mean of the last tenth of all steps that were to be made

A loss that becomes infinite is what may be seen here, not a failure of the trial: it ends the training, and the rows
say where. Pascanu, Mikolov and Bengio 2013 advise thresholds of half to ten times the mean norm; `regularization` is
the weight of their Omega (4 in their experiments, beside a threshold of 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from rnnbench.backends.base import Arrays
from rnnbench.probes._parameters import CellName, TaskName
from rnnbench.probes.base import Measurement, Probe, ProbeParameters, Seeds
from rnnbench.probes.training import LOSS_UNITS, RecipeParameters, prepare
from rnnbench.training import train

PERCENTILES = (50, 90, 99, 100)


class ExplodingParameters(RecipeParameters):
    """Axes of the probe exploding: those of training, with the defaults of a network that explodes."""

    task: TaskName = Field(default="temporal_order", description="a task, see `rnnbench list tasks`")
    cell: CellName = Field(default="rnn", description="a cell, see `rnnbench list cells`")
    gain: float = Field(default=2.0, gt=0, description="multiplies W_hh")
    steps: PositiveInt = Field(default=300, description="training steps at most")
    learning_rate: PositiveFloat = 0.01
    clip_norm: NonNegativeFloat = Field(default=0.0, description="largest global norm, 0 for no such clipping")
    stop_when_solved: bool = False


class Norms(NamedTuple):
    """Norms of one gradient of the loss, before clipping."""

    recurrent: float
    readout: float
    all: float

    @classmethod
    def of(cls, gradients: Arrays) -> Norms:
        """Take the norms of a network's gradients by name, in float64."""
        return cls(
            _norm(value for name, value in gradients.items() if name.endswith("W_hh")),
            _norm([gradients["W_hy"]]),
            _norm(gradients.values()),
        )


class Exploding(Probe):
    """Loss, gradient norm and update at every step of training, with or without clipping, where gradients explode."""

    name = "exploding"
    Parameters = ExplodingParameters

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield the traces by step, then what they come to."""
        assert isinstance(parameters, ExplodingParameters)
        p = parameters
        task, network, recipe = prepare(p, seeds)
        unit = LOSS_UNITS[task.loss]
        seen: list[Norms] = []
        network.observe = lambda gradients: seen.append(Norms.of(gradients))
        losses, updates, clipped, score, finite = [], [], 0, math.nan, True
        before = network.weights.astype(np.float64)
        streams = seeds.generator("training data"), seeds.generator("evaluation data")
        for step in train(network, task, recipe, *streams, at_once=1):
            after = network.weights.astype(np.float64)
            norms = seen[-1]
            yield Measurement("training_loss", step.loss, unit, step.number)
            yield Measurement("recurrent_gradient_norm", norms.recurrent, "1", step.number)
            yield Measurement("readout_gradient_norm", norms.readout, "1", step.number)
            yield Measurement("gradient_norm", norms.all, "1", step.number)
            with np.errstate(invalid="ignore", over="ignore"):
                update = float(np.linalg.norm(after - before))
            yield Measurement("update_norm", update, "1", step.number)
            losses.append(step.loss)
            updates.append(update)
            clipped += step.clipped
            score = math.nan if step.score is None else step.score
            finite = math.isfinite(step.loss) and math.isfinite(step.gradient_norm)
            before = after
        recurrent = [norms.recurrent for norms in seen if math.isfinite(norms.recurrent)] or [math.nan]
        for percent, value in zip(PERCENTILES, np.percentile(recurrent, PERCENTILES), strict=True):
            yield Measurement("recurrent_gradient_norm_quantile", float(value), "1", percent)
        yield Measurement("largest_readout_gradient_norm", max(norms.readout for norms in seen), "1")
        known = [norms.all for norms in seen if math.isfinite(norms.all)] or [math.nan]
        tail = losses[-max(1, p.steps // 10) :]
        yield Measurement("fraction_clipped", clipped / len(losses), "1")
        yield Measurement("mean_gradient_norm", float(np.mean(known)), "1")
        yield Measurement("diverged_at_step", math.nan if finite else len(losses), "step")
        yield Measurement("final_loss", float(np.mean(tail)) if finite else math.inf, unit)
        yield Measurement("largest_update_norm", max(updates) if finite else math.inf, "1")
        yield Measurement("largest_loss", max(losses) if finite else math.inf, unit)
        yield Measurement("baseline_loss", task.baseline.loss, unit)
        yield Measurement("final_score", score, task.metric_unit)


def _norm(parts: Iterable[np.ndarray]) -> float:
    with np.errstate(invalid="ignore", over="ignore"):  # a gradient that is not finite ends the training
        return math.sqrt(sum(float(np.square(part, dtype=np.float64).sum()) for part in parts))
