"""The Lyapunov spectrum: at which rates differences of states, and gradients, grow or shrink in the long run.

    J_t^T Q_t = Q_{t-1} R_t,   lambda_i = mean over t of ln |(R_t)_ii|       nats a step, i = 1 ... n = S H, descending

by cotangents pulled back through one step at a time and made orthogonal by QR (Benettin et al. 1980). The transposed
Jacobians, taken backward in time, have the exponents of the Jacobians taken forward. `burn_in` steps at either end are
left out: there the frame has not turned into place yet, here the states still come from zero. Exponents are means over
the batch. For a cell with one gate `log_eigenvalue` is ln |eig(W_hh)| in descending order: the exponents that the
layer has where its nonlinearity has slope 1, those of a linear layer exactly; `log_spectral_radius` is the first.

`largest_exponent` > 0: gradients explode, and of a layer whose states stay bounded (not a linear one) the motion is
chaotic. An exponent of 0 keeps a direction for ever. Where a Jacobian is singular, as that of rnn_relu with units at 0,
the least exponents are ln of its rounding, about -36 a step in float64 where -inf would be right: they, and
`mean_exponent` with them, then say no more than that directions are lost at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from rnnbench.probes._path import Path
from rnnbench.probes._studied import StudiedParameters, studied_layer
from rnnbench.probes.base import Diverged, Measurement, Probe, ProbeParameters, Seeds


class LyapunovParameters(StudiedParameters):
    """Axes of the probe lyapunov."""

    hidden: PositiveInt = Field(default=32, description="units H")
    length: PositiveInt = Field(default=1000, description="steps T")
    batch: PositiveInt = Field(default=1, description="sequences B")
    burn_in: NonNegativeInt = Field(default=100, description="steps at either end that do not count")

    @model_validator(mode="after")
    def _steps_are_left(self) -> LyapunovParameters:
        if self.length <= 2 * self.burn_in:
            raise ValueError(f"expected length above 2 burn_in = {2 * self.burn_in}; found {self.length}")
        return self


class Lyapunov(Probe):
    """All Lyapunov exponents of a layer on its inputs, by QR; above 0 gradients explode, below they vanish."""

    name = "lyapunov"
    Parameters = LyapunovParameters

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield the exponents in descending order; Diverged where a Jacobian is not finite."""
        assert isinstance(parameters, LyapunovParameters)
        p = parameters
        layer, x, learned = studied_layer(p, seeds)
        yield from learned
        exponents = lyapunov_exponents(Path(layer, x, stretch=1), seeds.generator("frames"), p.burn_in)
        for place, value in enumerate(exponents, start=1):
            yield Measurement("lyapunov_exponent", value, "nat/step", place)
        yield Measurement("largest_exponent", exponents[0], "nat/step")
        yield Measurement("mean_exponent", exponents.mean(), "nat/step")
        if len(layer.cell.gates) == 1:
            moduli = np.abs(np.linalg.eigvals(np.asarray(layer.params["W_hh"], np.float64)))
            for place, value in enumerate(np.log(np.sort(moduli)[::-1]), start=1):
                yield Measurement("log_eigenvalue", value, "nat/step", place)
            yield Measurement("log_spectral_radius", np.log(moduli.max()), "nat/step")


def lyapunov_exponents(path: Path, rng: np.random.Generator, burn_in: int) -> np.ndarray:
    """Return the exponents (n,) of a path in stretches of one step, descending, the mean over its batch."""
    frames = path.frames(rng)
    total = np.zeros(frames.shape[:2])
    for place in reversed(range(burn_in, len(path))):
        pulled = path.transposed_jacobians_times(place, frames)
        if not np.isfinite(pulled).all():
            raise Diverged(f"the Jacobian of step {place} is not finite")
        frames, r = np.linalg.qr(pulled)
        if place < len(path) - burn_in:
            with np.errstate(divide="ignore"):  # exactly 0 where rounding leaves nothing: -inf
                total += np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
    return np.sort((total / (len(path) - 2 * burn_in)).mean(axis=0))[::-1]
