"""How much of the gradient is left k steps back, for one layer as it is initialised.

The loss is put at the last step alone, as a random direction on h_T: delta_T = v. With delta_t = dL/ds_t, s = h for
an RNN or GRU and [h; c] for an LSTM, the rows `log_gradient_norm` are, against the lag k,

    ln ||delta_{T-k}|| - ln ||delta_T||        median and quartiles over the batch, nats

and a straight line is fitted to the medians by least squares over the lags [20, min(T - 1, 200)]: its slope in nats a
step, the half-life -ln 2 / slope where it falls, and R^2. Before lag 20 the curve still bends. Where the median becomes
0 there is no line, and a row `vanished_at_lag` says where.

`log_theory` is what can be said beforehand. RNN: the upper bound k ln sigma_max(W_hh) of Pascanu, Mikolov and Bengio
2013, eq. 6-7 (the slope of tanh and ReLU is at most 1). LSTM and GRU: the path through the gates alone at a
pre-activation of gate_bias, k ln sigmoid(gate_bias); the paths through the weights are left out, so it is no bound.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from typing import Literal

import numpy as np
from pydantic import Field, PositiveInt, model_validator

from rnnbench import arithmetic, tasks
from rnnbench.layer import Layer
from rnnbench.network import encode
from rnnbench.probes._parameters import InitializedParameters, TaskName
from rnnbench.probes.base import Diverged, Measurement, Probe, ProbeParameters, Seeds

FIRST_FITTED_LAG = 20
LAST_FITTED_LAG = 200


class GradientDecayParameters(InitializedParameters):
    """Axes of the probe gradient_decay."""

    data: TaskName = Field(default="sequential_digits", description="the task whose inputs are fed in")
    length: int = Field(default=64, ge=FIRST_FITTED_LAG + 4, description="steps T")
    batch: PositiveInt = Field(default=32, description="sequences B")
    dtype: Literal["float32", "float64"] = "float64"

    @model_validator(mode="after")
    def _data_has_length(self) -> GradientDecayParameters:
        tasks.get(self.data)(self.length)
        return self


class GradientDecay(Probe):
    """Norm of the gradient by lag at initialisation, its slope and half-life, and the theory's line."""

    name = "gradient_decay"
    Parameters = GradientDecayParameters

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield the curve, its fit and the theory."""
        assert isinstance(parameters, GradientDecayParameters)
        p = parameters
        task = tasks.get(p.data)(p.length)
        inputs = task.sample(seeds.generator("inputs"), p.batch).inputs
        layer = Layer(
            p.cell,
            task.input_size,
            p.hidden,
            p.dtype,
            p.backend,
            seeds.generator("weights"),
            p.initialization,
            p.gain,
            p.gate_bias or 0.0,
        )
        trace = layer.forward(encode(inputs, task.input_size, layer.dtype))
        direction = seeds.generator("direction").standard_normal((p.batch, p.hidden))
        gradients = layer.backward(trace, d_state={"h": direction}, input_gradient=False)
        assert gradients.state_sequence is not None
        deltas = {name: np.asarray(value, np.float64)[::-1] for name, value in gradients.state_sequence.items()}
        curve = np.median((yield from log_norms(deltas)), axis=1)
        if np.isnan(curve).any() or np.isposinf(curve).any():
            lag = int(np.flatnonzero(~np.isfinite(curve))[0])
            raise Diverged(f"the gradient's norm is {np.exp(curve[lag]):g} at lag {lag}")
        if np.isneginf(curve).any():
            yield Measurement("vanished_at_lag", int(np.argmax(np.isneginf(curve))), "step")
        else:
            yield from fitted_line(curve)
        slope = theory_slope(layer, p.gate_bias or 0.0)
        for lag in range(len(curve)):
            yield Measurement("log_theory", lag * slope, "nat", lag)


def log_norms(deltas: dict[str, np.ndarray]) -> Generator[Measurement, None, np.ndarray]:
    """Yield the rows of the curves; return ln(||delta_{T-k}|| / ||delta_T||) (T, B) of the whole state.

    `deltas` holds dL/ds (T, B, H) for each state, lag 0 first.
    """
    squares = {name: np.square(value).sum(axis=2) for name, value in deltas.items()}
    with np.errstate(divide="ignore"):  # a norm of 0 is -inf, and reported as such
        whole = 0.5 * np.log(sum(squares.values()))
        parts = {name: 0.5 * np.log(value) - whole[0] for name, value in squares.items()}
    ratios = whole - whole[0]
    for lag, values in enumerate(ratios):
        with np.errstate(invalid="ignore"):  # between two values of -inf
            low, middle, high = np.nan_to_num(np.quantile(values, [0.25, 0.5, 0.75]), nan=-np.inf, neginf=-np.inf)
        yield Measurement("log_gradient_norm", middle, "nat", lag)
        yield Measurement("log_gradient_norm_lower_quartile", low, "nat", lag)
        yield Measurement("log_gradient_norm_upper_quartile", high, "nat", lag)
    if len(parts) > 1:
        for name, part in parts.items():
            for lag, values in enumerate(part):
                if np.isfinite(values).all():
                    yield Measurement(f"log_gradient_norm_{name}", np.median(values), "nat", lag)
    return ratios


def fitted_line(curve: np.ndarray) -> Iterator[Measurement]:
    """Yield slope, half-life and R^2 of the least-squares line through the fitted lags of a curve by lag."""
    lags = np.arange(FIRST_FITTED_LAG, min(len(curve) - 1, LAST_FITTED_LAG) + 1)
    slope, intercept = np.polyfit(lags, curve[lags], 1)
    spread = np.square(curve[lags] - curve[lags].mean()).sum()
    unexplained = np.square(curve[lags] - slope * lags - intercept).sum()
    yield Measurement("decay_slope", slope, "nat/step")
    yield Measurement("half_life", -math.log(2) / slope if slope < 0 else math.nan, "step")
    yield Measurement("fit_r2", 1 - unexplained / spread if spread > 0 else math.nan, "1")
    yield Measurement("fit_first_lag", lags[0], "step")
    yield Measurement("fit_last_lag", lags[-1], "step")


def theory_slope(layer: Layer, gate_bias: float) -> float:
    """Return the slope of the theory's line in nats a step; see the module."""
    if layer.cell.memory_gate is None:
        return float(np.log(np.linalg.norm(layer.params["W_hh"], 2)))
    return float(np.log(arithmetic.sigmoid(gate_bias)))
