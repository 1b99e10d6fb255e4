"""Singular values of long products: against powers whose singular values are known, and against determinants."""

from __future__ import annotations

import numpy as np
import pytest

from rnnbench.probes._graded import GradedProduct


def power(matrix: np.ndarray, k: int) -> np.ndarray:
    """Return ln of the singular values of matrix^k."""
    product = GradedProduct(np.linalg.qr(np.random.default_rng(1).standard_normal(matrix.shape))[0])
    for _ in range(k):
        product.extend(matrix @ product.basis)
    return product.log_singular_values()


@pytest.mark.parametrize("k", [1, 7, 50, 1000])
def test_powers_of_a_symmetric_matrix_have_powers_of_its_eigenvalues(k: int) -> None:
    """Down to 0.01^1000 = 10^-2000, beside 1.1^1000."""
    rng = np.random.default_rng(0)
    moduli = np.array([1.1, 1.0, 0.93, 0.7, 0.5, 0.2, 0.05, 0.01])
    q = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    found = power(q * (moduli * rng.choice([-1, 1], 8)) @ q.T, k)
    np.testing.assert_allclose(found, k * np.log(moduli), rtol=1e-9, atol=1e-9 * k)


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_short_products_agree_with_an_ordinary_decomposition(k: int) -> None:
    matrix = np.random.default_rng(2).standard_normal((6, 6)) / np.sqrt(6)
    expected = np.linalg.svd(np.linalg.matrix_power(matrix, k), compute_uv=False)
    np.testing.assert_allclose(np.exp(power(matrix, k)), expected, rtol=1e-6)


@pytest.mark.parametrize("gain", [0.3, 1.0, 1.7])
def test_a_scaled_rotation_keeps_all_singular_values_equal(gain: float) -> None:
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((7, 7)))[0]
    np.testing.assert_allclose(power(gain * rotation, 2000), 2000 * np.log(gain), rtol=1e-12, atol=1e-9)


def test_logarithms_add_up_to_that_of_the_determinant() -> None:
    """Whatever the matrices: |det| of a product is the product of the |det|, and of the singular values."""
    rng = np.random.default_rng(4)
    product, total = GradedProduct(np.eye(9)), 0.0
    for _ in range(300):
        matrix = rng.standard_normal((9, 9)) * np.geomspace(1, 1e-4, 9)
        product.extend(matrix @ product.basis)
        total += np.linalg.slogdet(matrix)[1]
    values = product.log_singular_values()
    assert (np.diff(values) <= 0).all()
    assert values[0] - values[-1] > 1400, "more than float64 spans"
    assert values.sum() == pytest.approx(total, rel=1e-10)


def test_a_singular_factor_leaves_the_other_singular_values_alone() -> None:
    moduli = np.array([1.0, 0.5, 0.0])
    found = power(np.diag(moduli), 20)
    np.testing.assert_allclose(found[:2], [0, 20 * np.log(0.5)], atol=1e-9)
    assert found[2] < -10_000
