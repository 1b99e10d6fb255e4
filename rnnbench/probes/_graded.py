"""Long products of matrices, and their singular values, where these differ by more than float64 can hold.

A product is kept as U diag(e^d) T with U orthogonal, d in nats and T a product of triangular matrices whose rows are
scaled to 1 on the diagonal: what is large and what is small never meet in one sum, as it does in the product itself,
whose small singular values drown in rounding once they are 10^-16 of the largest.

Source: the UDT decomposition of Loh et al. 1989, "Stable matrix-multiplication algorithms for low-temperature numerical
simulations of fermions", with the columns ordered beforehand as in Bai et al. 2011, "Stable solutions of linear systems
involving long chain of matrix multiplications".
"""

from __future__ import annotations

import numpy as np

MILD_SPREAD = 20.0
"""Nats between the largest and the smallest scale up to which an ordinary decomposition is right to 10^-7 or so."""
MOST_SWEEPS = 60
TINY = 1e-300
"""What counts as 0 on a diagonal: a singular matrix makes the product's least singular values this small a factor."""


def graded_qr(w: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (Q, e, S, order) with W diag(e^d) = Q diag(e^e) S, the columns of S taken in that order; W is (n, n).

    S is upper triangular with ones on its diagonal.
    """
    norms = np.linalg.norm(w, axis=0)
    order = np.argsort(-(d + np.log(np.maximum(norms, TINY))), kind="stable")
    q, r = np.linalg.qr(w[:, order])
    diagonal = np.diag(r).copy()
    diagonal[np.abs(diagonal) < TINY] = TINY
    d = d[order]
    with np.errstate(over="ignore"):
        ratios = np.exp(np.minimum(d[None, :] - d[:, None], 600.0))
    s = np.triu(r, 1) / diagonal[:, None] * ratios + np.eye(len(d))
    return q * np.sign(diagonal), d + np.log(np.abs(diagonal)), s, order


class GradedProduct:
    """A_k ... A_2 A_1 Q_0, for an orthogonal Q_0 that changes no singular value; `basis` is U, (n, n)."""

    def __init__(self, q_0: np.ndarray) -> None:
        self.basis = q_0
        self.d = np.zeros(len(q_0))
        self.t = np.eye(len(q_0))

    def extend(self, a_times_basis: np.ndarray) -> None:
        """Multiply by another matrix A from the left, given A U."""
        self.basis, self.d, s, order = graded_qr(a_times_basis, self.d)
        self.t = s @ self.t[order]

    def log_singular_values(self) -> np.ndarray:
        """Return ln of the singular values in descending order, (n,).

        QR steps on the product and its transpose in turn, as in the implicit zero-shift algorithm of Demmel and Kahan
        1990, separate the scales; once they are mild, an ordinary decomposition does the rest.
        """
        d, t = self.d, self.t
        for _ in range(MOST_SWEEPS):
            if np.ptp(d) < MILD_SPREAD:
                with np.errstate(divide="ignore"):
                    values = np.log(np.linalg.svd(np.exp(d - d.max())[:, None] * t, compute_uv=False))
                return values + d.max()
            _, d, s, _ = graded_qr(t.T, d)
            t = s
            if np.abs(t - np.eye(len(d))).max() < 1e-12:
                break
        return np.sort(d)[::-1]
