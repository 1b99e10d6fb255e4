"""The tiled product on a simulated GPU: any strides, any sizes, depth shared by blocks."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnbench.backends.cuda import gemm
from rnnbench.backends.cuda.gemm import Matrix, Tiled
from rnnbench.backends.cuda.simulator import Simulator

SHAPES = [(1, 1, 1), (9, 5, 17), (8, 4, 8), (3, 13, 2)]


@pytest.fixture(params=["float32", "float64"])
def tiled(request: pytest.FixtureRequest) -> Tiled:
    return Tiled(Simulator(), np.dtype(request.param))


@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_multiplies_parts_of_arrays(shape: tuple[int, int, int], transposed: tuple[bool, bool], tiled: Tiled) -> None:
    rows, depth, columns = shape
    rng = np.random.default_rng(0)

    def part(rows: int, columns: int, transposed: bool) -> tuple[Matrix, np.ndarray]:
        if transposed:
            matrix, values = part(columns, rows, False)
            return matrix.transposed, values.T
        whole = rng.standard_normal((rows, columns + 3)).astype(tiled.dtype)
        return Matrix(whole.reshape(-1), rows, columns, columns + 3, 1, 2), whole[:, 2 : 2 + columns]

    (a, left), (b, right) = part(rows, depth, transposed[0]), part(depth, columns, transposed[1])
    found = tiled.multiply(a, b).reshape(rows, columns)
    np.testing.assert_allclose(found, left @ right, rtol=1e-5, atol=1e-6)


def test_a_deep_product_is_shared_by_blocks_and_added_up_in_order(
    tiled: Tiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gemm, "SPLIT_DEPTH", 4)
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal(shape).astype(tiled.dtype) for shape in ((3, 22), (22, 5)))
    a, b = Matrix(left.reshape(-1), 3, 22, 22), Matrix(right.reshape(-1), 22, 5, 5)
    found = [tiled.multiply(a, b).reshape(3, 5) for _ in range(2)]
    np.testing.assert_allclose(found[0], left @ right, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[0], found[1])


def test_a_stride_of_zero_sums_columns(tiled: Tiled) -> None:
    values = np.arange(12, dtype=tiled.dtype)
    ones = Matrix(np.ones(1, tiled.dtype), 1, 4, 0, 0)
    np.testing.assert_array_equal(tiled.multiply(ones, Matrix(values, 4, 3, 3)), values.reshape(4, 3).sum(axis=0))


class Gpu:
    simulated = False


@pytest.mark.parametrize("fault", ["ImportError('libcublas.so.13')", "RuntimeError('no kernel image')"])
def test_a_cupy_that_does_not_work_is_told_of(fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its own import may fail for a library of CUDA's that is not there: that is not the same as no CuPy."""
    (tmp_path / "cupy.py").write_text(f"raise {fault}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(gemm, "Tiled", lambda device, dtype: "tiled")
    with pytest.warns(UserWarning, match=re.escape(fault.split("'")[1])):
        assert gemm.products(Gpu(), np.dtype("float32")) == "tiled"
