"""Training where gradients explode: loss, norm and update at every step, under one rule of clipping.

    training_loss, gradient_norm      before each update; the norm is global, over all weights, before clipping
    update_norm                       ||w_after - w_before||: what clipping acts on
    gradient_norm_quantile            50th, 90th, 99th and 100th percentile of the norms, by percent
    fraction_clipped, mean_gradient_norm
    diverged_at_step                  the step whose loss or gradient is not finite, NaN where there is none
    final_loss, largest_loss, baseline_loss     final: the mean of the last tenth of all steps that were to be made

A loss that becomes infinite is what may be seen here, not a failure of the trial: it ends the training, and the rows
say where. Pascanu, Mikolov and Bengio 2013 advise thresholds of half to ten times the mean norm; `regularization` is
the weight of their Omega (4 in their experiments, beside a threshold of 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from rnnbench.probes._parameters import CellName
from rnnbench.probes.base import Measurement, Probe, ProbeParameters, Seeds
from rnnbench.probes.training import RecipeParameters, prepare
from rnnbench.training import train

PERCENTILES = (50, 90, 99, 100)


class ExplodingParameters(RecipeParameters):
    """Axes of the probe exploding: those of training, with the defaults of a network that explodes."""

    cell: CellName = Field(default="rnn", description="a cell, see `rnnbench list cells`")
    gain: float = Field(default=1.5, gt=0, description="multiplies W_hh")
    steps: PositiveInt = Field(default=300, description="training steps at most")
    learning_rate: PositiveFloat = 0.01
    clip_norm: NonNegativeFloat = Field(default=0.0, description="largest global norm, 0 for no such clipping")
    stop_when_solved: bool = False


class Exploding(Probe):
    """Loss, gradient norm and update at every step of training, with or without clipping, where gradients explode."""

    name = "exploding"
    Parameters = ExplodingParameters

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield the traces by step, then what they come to."""
        assert isinstance(parameters, ExplodingParameters)
        p = parameters
        task, network, recipe = prepare(p, seeds)
        unit = "mse" if task.loss == "mse" else "nat"
        losses, norms, clipped, score = [], [], 0, math.nan
        before = network.weights.astype(np.float64)
        streams = seeds.generator("training data"), seeds.generator("evaluation data")
        for step in train(network, task, recipe, *streams):
            after = network.weights.astype(np.float64)
            yield Measurement("training_loss", step.loss, unit, step.number)
            yield Measurement("gradient_norm", step.gradient_norm, "1", step.number)
            with np.errstate(invalid="ignore", over="ignore"):
                update = float(np.linalg.norm(after - before))
            yield Measurement("update_norm", update, "1", step.number)
            losses.append(step.loss)
            norms.append(step.gradient_norm)
            clipped += step.clipped
            score = math.nan if step.score is None else step.score
            before = after
        finite = math.isfinite(losses[-1]) and math.isfinite(norms[-1])
        known = [norm for norm in norms if math.isfinite(norm)] or [math.nan]
        for percent, value in zip(PERCENTILES, np.percentile(known, PERCENTILES), strict=True):
            yield Measurement("gradient_norm_quantile", float(value), "1", percent)
        tail = losses[-max(1, p.steps // 10) :]
        yield Measurement("fraction_clipped", clipped / len(norms), "1")
        yield Measurement("mean_gradient_norm", float(np.mean(known)), "1")
        yield Measurement("diverged_at_step", math.nan if finite else len(losses), "step")
        yield Measurement("final_loss", float(np.mean(tail)) if finite else math.inf, unit)
        yield Measurement("largest_loss", max(losses) if finite else math.inf, unit)
        yield Measurement("baseline_loss", task.baseline.loss, unit)
        yield Measurement("final_score", score, task.metric_unit)
