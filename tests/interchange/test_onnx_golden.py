"""from_onnx on graphs that PyTorch's exporters wrote, from a file: PyTorch is not needed. See golden/make_onnx.py."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from golden.make_onnx import CASES, FILE, NAMES, make
from oracles.problems import largest_error

import rnnbench
from rnnbench.layer import Layer

pytest.importorskip("onnx", reason="onnx is not installed; see the extra onnx")


@cache
def golden(case: str, writer: str) -> dict[str, np.ndarray]:
    prefix = f"{case}_{writer}/"
    with np.load(FILE) as file:
        return {name.removeprefix(prefix): file[name] for name in file if name.startswith(prefix)}


def outputs(arrays: dict[str, np.ndarray], backend: str = "reference") -> np.ndarray:
    """Return h as we compute it from the graph."""
    ours = rnnbench.from_onnx(arrays["model"].tobytes(), backend)
    assert not isinstance(ours, Layer) or "state_h" not in arrays
    state = {name: arrays[f"state_{name}"] for name in ours.cell.states if f"state_{name}" in arrays}
    return ours.forward(arrays["x"], state or None).h


@pytest.mark.parametrize("backend", ["reference", pytest.param("cpu", marks=pytest.mark.compiled)])
@pytest.mark.parametrize(("case", "writer"), NAMES)
def test_it_computes_what_pytorch_computes(case: str, writer: str, backend: str) -> None:
    arrays = golden(case, writer)
    assert largest_error({"h": outputs(arrays, backend)}, {"h": arrays["h"]}) <= 1e-5


def test_the_file_has_both_writers_and_both_kinds_of_axes() -> None:
    assert {writer for _, writer in NAMES} == {"traced", "exported"}
    assert {free for *_, free in CASES.values()} == {True, False}


@pytest.mark.parametrize(("case", "writer"), NAMES)
def test_the_file_is_what_the_script_makes(case: str, writer: str) -> None:
    pytest.importorskip("torch", reason="PyTorch, which makes the file, is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript, with which PyTorch writes graphs, is not installed")
    found, expected = make(case, writer), golden(case, writer)
    assert found.keys() == expected.keys()
    assert largest_error({"h": outputs(found)}, {"h": expected["h"]}) <= 1e-5
