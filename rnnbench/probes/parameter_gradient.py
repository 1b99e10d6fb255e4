"""Which steps the gradient of a parameter comes from: the same weights act at every step, and every step has a share.

    dL/dW = sum over t of g_t,   g_t the share of step t: dL/ds_t times the derivative of s_t by W at that step alone

The loss is at the last step, a random direction on h_T summed over the batch. For each parameter W the rows
`log_gradient_share_W` are ln ||g_{T-k}|| - ln ||dL/dW|| against the lag k, in nats. Shares are computed one step at a
time and rescaled, so that they are measured where their sum has long ceased to feel them: a share below
ln(machine epsilon) is below the resolution of the norm of dL/dW. Single entries, as the row of a rare symbol in W_xh,
may be much smaller than that norm and still feel it.

That they add up is measured too: `sum_of_shares_error_W` is ||sum of g_t - dL/dW|| / ||dL/dW||, with dL/dW from one
backward pass over the whole sequence, NaN where that leaves the range of the floating-point type. `parameter_count` is
the number of weights and biases of the layer, which its length has no part in.

`steps_that_count_W` is the lag from which on all earlier steps together, in the order of the sum, add less than 1 % of
its norm: how long truncated backpropagation has to be for this parameter.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field, PositiveInt

from rnnbench.backends.base import Arrays
from rnnbench.probes._path import Path, rescaled_backwards
from rnnbench.probes._studied import StudiedParameters, studied_layer
from rnnbench.probes.base import Diverged, Measurement, Probe, ProbeParameters, Seeds

COUNTS_FROM = 0.01


class ParameterGradientParameters(StudiedParameters):
    """Axes of the probe parameter_gradient."""

    hidden: PositiveInt = Field(default=32, description="units H")


class ParameterGradient(Probe):
    """Share of every step in the gradient of each parameter, by lag."""

    name = "parameter_gradient"
    Parameters = ParameterGradientParameters

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield the shares by lag and how many steps count; Diverged where a gradient is not finite."""
        assert isinstance(parameters, ParameterGradientParameters)
        p = parameters
        layer, x, learned = studied_layer(p, seeds)
        yield from learned
        direction = seeds.generator("direction").standard_normal((p.batch, p.hidden))
        start = {name: np.zeros_like(direction) for name in layer.cell.states} | {"h": direction}
        shares, scales = parameter_shares(Path(layer, x, stretch=1), start)
        whole = layer.backward(layer.forward(x), d_state=start, input_gradient=False).params
        yield Measurement("parameter_count", sum(value.size for value in layer.params.values()), "1")
        for name, of_steps in shares.items():
            if not np.isfinite(of_steps).all():
                raise Diverged(f"the gradient by {name} is not finite")
            log_norms, remaining = log_shares(of_steps, scales)
            for lag, value in enumerate(log_norms):
                yield Measurement(f"log_gradient_share_{name}", value, "nat", lag)
            yield Measurement(f"sum_of_shares_error_{name}", sum_error(of_steps, scales, whole[name].ravel()), "1")
            yield Measurement(f"steps_that_count_{name}", int(np.argmax(remaining < COUNTS_FROM)), "step")


def parameter_shares(path: Path, cotangents: Arrays) -> tuple[Arrays, np.ndarray]:
    """Return (g, s): by name the shares (T, size), lag 0 first, and scales (T,): the true shares are e^s g."""
    found = list(rescaled_backwards(path, cotangents))
    names = path.layer.params
    shares = {name: np.array([each.params[name].ravel() for each, _ in found], np.float64) for name in names}
    return shares, np.array([scale for _, scale in found])


def log_shares(shares: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ln ||g_k|| - ln ||sum|| (T,) by lag, and ||sum of g_j, j >= k|| / ||sum|| (T + 1,), its last entry 0."""
    reference = scales.max()
    parts = shares * np.exp(scales - reference)[:, None]
    remaining = np.concatenate([np.cumsum(parts[::-1], axis=0)[::-1], np.zeros_like(parts[:1])])
    norms = np.linalg.norm(remaining, axis=1)
    with np.errstate(divide="ignore"):  # a share of 0, as that of W_hh at the first step, is -inf
        log_norms = np.log(np.linalg.norm(shares, axis=1)) + scales - reference - np.log(norms[0])
    return log_norms, norms / norms[0]


def sum_error(shares: np.ndarray, scales: np.ndarray, gradient: np.ndarray) -> float:
    """Return ||sum of the true shares - gradient|| / ||gradient||; NaN where that norm is 0 or not finite."""
    norm = np.linalg.norm(np.asarray(gradient, np.float64))
    if not 0 < norm < np.inf:
        return np.nan
    total = (shares * np.exp(scales)[:, None]).sum(axis=0)
    return float(np.linalg.norm(total - gradient) / norm)
