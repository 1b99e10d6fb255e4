"""How much of the gradient is left k steps back, for one layer as it is initialised, or after training.

The loss is put at the last step alone, as a random direction on h_T: delta_T = v. With delta_t = dL/ds_t, s = h for
an RNN or GRU and [h; c] for an LSTM, the rows `log_gradient_norm` are, against the lag k,

    ln ||delta_{T-k}|| - ln ||delta_T||        median and quartiles over the batch, nats

beside those of dL/dh and dL/dc alone where a cell has both. Cotangents are rescaled between stretches and logarithms
added up in float64, so that nothing underflows. A straight line is fitted to the medians by least squares over the lags
[20, min(T - 1, 200)]: its slope in nats a step, the half-life -ln 2 / slope where it falls, and R^2. Before lag 20 the
curve still bends. Where the median becomes 0 there is no line, and a row `vanished_at_lag` says where.

`log_gates_only` is the gradient that touches no recurrent weights, with the gates as they are on these inputs and a
line of its own, `gates_only_half_life`: what is left of the curve where W_hh = 0. For a GRU it is
ln ||z_{T-k+1} ... z_T v|| - ln ||v||; for an LSTM v first enters the cell,
ln ||f_{T-k+1} ... f_T o_T (1 - tanh(c_T)^2) v|| - ln ||v||. Paths through the weights add to it or cancel
it: two norms of the same size need not be the same gradient.

`log_theory` is what can be said beforehand. Cells without gates: the upper bound k ln sigma_max(W_hh) of Pascanu,
Mikolov and Bengio 2013, eq. 6-7 (the slope of tanh and ReLU is at most 1). LSTM and GRU: the path through the gates
alone at a pre-activation of their bias b_i, ln of the root mean square over units of sigmoid(b_i)^k; the paths through
the weights are left out, so it is no bound. A cell with gates of which none keeps memory has no such line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from pydantic import Field

from rnnbench import arithmetic
from rnnbench.layer import Layer
from rnnbench.probes._gates import gates_only
from rnnbench.probes._parameters import TaskName
from rnnbench.probes._path import Path, log_delta_norms
from rnnbench.probes._studied import StudiedParameters, studied_layer
from rnnbench.probes.base import Diverged, Measurement, Probe, ProbeParameters, Seeds

FIRST_FITTED_LAG = 20
LAST_FITTED_LAG = 200
SMALLEST_SLOPE = 1e-9
"""Nats a step: a gradient that falls by less keeps its norm but for rounding, and has no half-life."""
STRETCH = 10
"""Steps between rescalings: float32 reaches down to e^-87, so a fall by e^-8 a step is still measured."""


class GradientDecayParameters(StudiedParameters):
    """Axes of the probe gradient_decay."""

    data: TaskName = Field(default="sequential_digits", description="the task whose inputs are fed in")
    length: int = Field(default=64, ge=FIRST_FITTED_LAG + 4, description="steps T")


class GradientDecay(Probe):
    """Norm of the gradient by lag, its slope and half-life, the path through the gates alone, and the theory's line."""

    name = "gradient_decay"
    Parameters = GradientDecayParameters

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield the curves, their fits and the theory."""
        assert isinstance(parameters, GradientDecayParameters)
        p = parameters
        layer, x, learned = studied_layer(p, seeds)
        yield from learned
        direction = seeds.generator("direction").standard_normal((p.batch, p.hidden))
        start = {name: np.zeros_like(direction) for name in layer.cell.states} | {"h": direction}
        logs = log_delta_norms(Path(layer, x, STRETCH), start)
        logs = {name: value - logs[""][0] for name, value in logs.items()}
        yield from curve_rows(logs)
        curve = np.median(logs[""], axis=1)
        if np.isnan(curve).any() or np.isposinf(curve).any():
            lag = int(np.flatnonzero(~np.isfinite(curve))[0])
            raise Diverged(f"the gradient's norm is {np.exp(curve[lag]):g} at lag {lag}")
        if np.isneginf(curve).any():
            yield Measurement("vanished_at_lag", int(np.argmax(np.isneginf(curve))), "step")
        else:
            yield from fitted_line(curve)
        if layer.cell.memory_gate in layer.cell.saved:
            alone = np.median(gates_only(layer, x, direction), axis=1)
            for lag, value in enumerate(alone):
                yield Measurement("log_gates_only", value, "nat", lag)
            for row in list(fitted_line(alone))[:2]:
                yield row._replace(quantity=f"gates_only_{row.quantity}")
        for lag, value in enumerate(theory(layer, p.length)):
            yield Measurement("log_theory", value, "nat", lag)


def curve_rows(logs: dict[str, np.ndarray]) -> Iterator[Measurement]:
    """Yield the rows of the curves: logs (T, B) by lag of the whole state, under "", and of each state by name."""
    for lag, values in enumerate(logs[""]):
        with np.errstate(invalid="ignore"):  # between two values of -inf
            low, middle, high = np.nan_to_num(np.quantile(values, [0.25, 0.5, 0.75]), nan=-np.inf, neginf=-np.inf)
        yield Measurement("log_gradient_norm", middle, "nat", lag)
        yield Measurement("log_gradient_norm_lower_quartile", low, "nat", lag)
        yield Measurement("log_gradient_norm_upper_quartile", high, "nat", lag)
    if len(logs) > 2:
        for name in (name for name in logs if name):
            for lag, values in enumerate(logs[name]):
                if np.isfinite(values).all():
                    yield Measurement(f"log_gradient_norm_{name}", np.median(values), "nat", lag)


def fitted_line(curve: np.ndarray) -> Iterator[Measurement]:
    """Yield slope, half-life and R^2 of the least-squares line through the fitted lags of a curve by lag."""
    lags = np.arange(FIRST_FITTED_LAG, min(len(curve) - 1, LAST_FITTED_LAG) + 1)
    slope, intercept = np.polyfit(lags, curve[lags], 1)
    spread = np.square(curve[lags] - curve[lags].mean()).sum()
    unexplained = np.square(curve[lags] - slope * lags - intercept).sum()
    yield Measurement("decay_slope", slope, "nat/step")
    yield Measurement("half_life", -math.log(2) / slope if slope < -SMALLEST_SLOPE else math.nan, "step")
    yield Measurement("fit_r2", 1 - unexplained / spread if spread > 0 else math.nan, "1")
    yield Measurement("fit_first_lag", lags[0], "step")
    yield Measurement("fit_last_lag", lags[-1], "step")


def theory(layer: Layer, steps: int) -> np.ndarray:
    """Return the theory's line (T,) in nats by lag, or none, (0,); see the module."""
    lags = np.arange(steps)
    if layer.cell.memory_gate is None and len(layer.cell.gates) > 1:
        return np.empty(0)
    if layer.cell.memory_gate is None:
        return lags * math.log(np.linalg.norm(layer.params["W_hh"], 2))
    gate = layer.cell.gates.index(layer.cell.memory_gate)
    biases = np.asarray(layer.params["b_h"].reshape(-1, layer.hidden_size)[gate], np.float64)
    logs = 2 * np.log(arithmetic.sigmoid(biases))
    return 0.5 * (np.logaddexp.reduce(lags[:, None] * logs, axis=1) - math.log(layer.hidden_size))
