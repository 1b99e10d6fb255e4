"""Cells of a user's own: checked when they are registered, known by name from then on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles.problems import CELLS

from rnnbench import cells
from rnnbench.arithmetic import sigmoid_slope, tanh, tanh_slope
from rnnbench.cells._check import check
from rnnbench.cells.base import Cell, Scalars
from rnnbench.errors import InputError
from rnnbench.layer import Layer


def forward(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    n = tanh(z[0])
    return (state[0] + 0.5 * (n - state[0]),), (n,)


def backward(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    return (0.5 * d_state[0] * tanh_slope(saved[0]),), (0.5 * d_state[0],)


LEAKY = Cell("leaky", "h' = (h + tanh(z)) / 2", ("hidden",), forward, backward, saved=("candidate",))


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what a test registers."""
    monkeypatch.setattr(cells, "_registered", {})
    yield
    cells._installed.cache_clear()


def test_a_registered_cell_is_known_by_its_name() -> None:
    assert cells.register(LEAKY) is LEAKY
    assert cells.get("leaky") is LEAKY
    assert cells.entries().keys() == {*CELLS, "leaky"}
    layer = Layer("leaky", 2, 3, backend="reference")
    assert layer.forward(np.ones((2, 1, 2))).h.shape == (2, 1, 3)


def test_registered_again_it_gives_way() -> None:
    cells.register(LEAKY)
    newer = replace(LEAKY, summary="the same")
    cells.register(newer)
    assert cells.get("leaky") is newer


def test_no_cell_takes_the_place_of_one_of_rnnbenchs() -> None:
    with pytest.raises(InputError, match="cell 'gru': rnnbench has a cell of that name; expected another"):
        cells.register(replace(LEAKY, name="gru"))


@pytest.mark.parametrize("name", CELLS)
def test_every_shipped_cell_passes_the_check(name: str) -> None:
    check(cells.get(name))


def without_half(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    return (d_state[0] * tanh_slope(saved[0]),), (0.5 * d_state[0],)


def other_slope(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    return (0.5 * d_state[0] * sigmoid_slope(saved[0]),), (0.5 * d_state[0],)


def no_state(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    return (0.5 * d_state[0] * tanh_slope(saved[0]),), (0.0,)


def slightly_off(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    return (0.5000001 * d_state[0] * tanh_slope(saved[0]),), (0.5 * d_state[0],)


def not_a_number(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    return (d_state[0] * float("nan"),), (0.5 * d_state[0],)


def too_many(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    return (d_state[0], d_state[0]), (0.5 * d_state[0],)


def failing(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    return (saved[1],), ()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"backward_element": without_half}, r"'leaky': the gradient by the z of hidden is off by 1 of its largest"),
        ({"backward_element": other_slope}, r"'leaky': the gradient by the z of hidden is off by \S+ of its largest"),
        ({"backward_element": no_state}, r"'leaky': the gradient by the state h is off by 1 of its largest value"),
        ({"backward_element": slightly_off}, r"by the z of hidden is off by 2e-07 of .*; expected at most 1e-09"),
        ({"backward_element": not_a_number}, r"by the z of hidden is off by nan"),
        ({"backward_element": too_many}, r"backward_element returns tuples of \[2, 1\] values; expected \[1, 1\]"),
        ({"backward_element": failing}, r"'leaky': backward_element raises IndexError"),
        ({"saved": ()}, r"'leaky': forward_element returns tuples of \[1, 1\] values; expected \[1, 0\]"),
        ({"states": ("s",)}, r"'leaky': states is \('s',\); expected 'h' first"),
        ({"gates": ("a", "a")}, r"gates is \('a', 'a'\); expected names that differ"),
        ({"memory_gate": "forget"}, r"memory_gate is 'forget'; expected one of \('hidden',\)"),
        ({"write_gate": "input"}, r"write_gate is 'input'; expected one of \('hidden',\)"),
        ({"separate": ("hidden",)}, r"separate_bias is ''; expected a name with such gates"),
        ({"separate": ("other",), "separate_bias": "b"}, r"separate is \('other',\); expected gates of"),
        ({"late": ("hidden",)}, r"operand_element is None; expected one with late gates"),
        ({"late": ("other",), "operand_element": forward}, r"late is \('other',\); expected the last gates"),
        ({"late": ("hidden",), "operand_element": lambda z, state: state[0]}, r"operand_backward_element is None"),
    ],
)
def test_a_wrong_cell_is_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cells.register(replace(LEAKY, **wrong))
    assert "leaky" not in cells.entries()


def test_a_wrong_operand_gradient_is_found() -> None:
    before = cells.get("gru_reset_before")

    def operand_backward(d_operand: Any, previous: Scalars, saved: Scalars) -> tuple:
        operand, d_z, d_previous = before.operand_backward_element(d_operand, previous, saved)
        return operand, (2 * d_z[0], *d_z[1:]), d_previous

    def another_operand(d_operand: Any, previous: Scalars, saved: Scalars) -> tuple:
        _, d_z, d_previous = before.operand_backward_element(d_operand, previous, saved)
        return previous[0], d_z, d_previous

    with pytest.raises(InputError, match="cell 'mine': the gradient by the z of reset is off by 1"):
        cells.register(replace(before, name="mine", operand_backward_element=operand_backward))
    with pytest.raises(InputError, match="operand_backward_element returns another operand"):
        cells.register(replace(before, name="mine", operand_backward_element=another_operand))


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, group: str, target: str) -> None:
    """Put a package with one entry point into a folder, and the folder on the path."""
    (folder / "own_package.py").write_text(module)
    information = folder / "own_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{group}]\nown = {target}\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "own_package", raising=False)
    cells._installed.cache_clear()


MODULE = """
from rnnbench.arithmetic import tanh, tanh_slope
from rnnbench.cells.base import Cell
def forward(z, state): return (tanh(z[0]),), ()
def backward(d_state, state, previous, saved): return (FACTOR * d_state[0] * tanh_slope(state[0]),), (0.0,)
OWN = Cell("own_rnn", "h' = tanh(z)", ("hidden",), forward, backward)
"""


def test_an_installed_cell_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, MODULE.replace("FACTOR", "1.0"), "rnnbench.cells", "own_package:OWN")
    assert cells.get("own_rnn").summary == "h' = tanh(z)"


@pytest.mark.parametrize(
    ("module", "target", "message"),
    [
        (
            MODULE.replace("FACTOR", "2.0"),
            "own_package:OWN",
            "cell 'own_rnn': the gradient by the z of hidden is off by",
        ),
        (MODULE, "own_package:forward", r"entry point own = own_package:forward: expected a Cell"),
        ("1 / 0", "own_package:OWN", r"entry point own = own_package:OWN: ZeroDivisionError: division by zero"),
    ],
)
def test_an_installed_cell_that_is_wrong_is_refused(
    module: str, target: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, module, "rnnbench.cells", target)
    with pytest.raises(InputError, match=message):
        cells.get("own_rnn")
