"""Products of Jacobians: what k steps back do to any gradient, not to one direction alone.

    P_k = J_T J_{T-1} ... J_{T-k+1},   J_t = ds_t / ds_{t-1},   s = h, or [h; c] for an LSTM

`log_largest_singular_value`, `log_median_singular_value` and `log_smallest_singular_value` of P_k against the lag k,
and `log_condition`, the first less the last, in nats: medians over the batch. A product is a batch of n = S H
cotangents through the ordinary backward pass; it is kept factored, so that its smallest singular value is not lost in
rounding. What remains is that of one step: singular values below 10^-16 of the largest of a single J_t are not told
from 0.

Bounds on the largest: `log_trajectory_bound` is the sum of ln ||J_t||, the tightest that norms alone can give, and
`log_theory` for a cell without gates k ln sigma_max(W_hh) (Pascanu, Mikolov and Bengio 2013, eq. 6-7, with
gamma = 1): below 0 gradients must vanish, above 0 they can explode but need not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from pydantic import Field, PositiveInt

from rnnbench.probes._graded import GradedProduct
from rnnbench.probes._path import Path
from rnnbench.probes._studied import StudiedParameters, studied_layer
from rnnbench.probes.base import Diverged, Measurement, Probe, ProbeParameters, Seeds


class JacobianProductsParameters(StudiedParameters):
    """Axes of the probe jacobian_products."""

    hidden: PositiveInt = Field(default=32, description="units H")
    batch: PositiveInt = Field(default=2, description="sequences B")
    lags: PositiveInt = Field(default=24, description="lags at which singular values are taken, about evenly by ratio")


class JacobianProducts(Probe):
    """Largest, median and smallest singular value of the product of Jacobians over k steps, and its condition."""

    name = "jacobian_products"
    Parameters = JacobianProductsParameters

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield the singular values and bounds by lag; Diverged where a Jacobian is not finite."""
        assert isinstance(parameters, JacobianProductsParameters)
        p = parameters
        layer, x, learned = studied_layer(p, seeds)
        yield from learned
        path = Path(layer, x, stretch=1)
        products = [GradedProduct(frame) for frame in path.frames(seeds.generator("frames"))]
        wanted = set(np.geomspace(1, p.length, p.lags).round().astype(int).tolist())
        bound = np.zeros(p.batch)
        for lag in range(1, p.length + 1):
            pulled = path.transposed_jacobians_times(p.length - lag, np.stack([each.basis for each in products]))
            if not np.isfinite(pulled).all():
                raise Diverged(f"a Jacobian {lag} steps back is not finite")
            bound += np.log(np.linalg.norm(pulled, 2, axis=(1, 2)))
            for product, matrix in zip(products, pulled, strict=True):
                product.extend(matrix)
            if lag in wanted:
                values = np.array([product.log_singular_values() for product in products])
                yield from singular_value_rows(values, lag)
                yield Measurement("log_trajectory_bound", np.median(bound), "nat", lag)
                if len(layer.cell.gates) == 1:
                    theory = lag * math.log(np.linalg.norm(layer.params["W_hh"], 2))
                    yield Measurement("log_theory", theory, "nat", lag)


def singular_value_rows(values: np.ndarray, lag: int) -> Iterator[Measurement]:
    """Yield the rows of one lag, given ln of the singular values (B, n) in descending order."""
    quantities = {
        "log_largest_singular_value": values[:, 0],
        "log_median_singular_value": np.median(values, axis=1),
        "log_smallest_singular_value": values[:, -1],
        "log_condition": values[:, 0] - values[:, -1],
    }
    for name, of_batch in quantities.items():
        yield Measurement(name, np.median(of_batch), "nat", lag)
