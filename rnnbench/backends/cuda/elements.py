"""A cell's functions as device functions: numbers of one dtype throughout, results left in small arrays of registers.

A literal such as 1.0 is float64 to Numba, and float64 arithmetic costs up to 64 times as much as float32 on a GPU. So
each function, and all that it calls, is copied with its constants as numbers of the dtype.

Each adapter takes arrays that hold one unit's numbers (z and states from an index on, for a thread has several units),
and writes what the cell's function returns:

    forward(z, at_z, state, at_state, next_state, saved, at_saved)
    backward(d_state, state, previous, at_state, saved, at_saved, d_z, at_z, d_previous)
    operand(z, at_z, state, at_state)                              returns the operand
    operand_backward(d_operand, previous, at_state, saved, at_saved, d_z, at_z, d_previous)
                                                                   returns the operand, adds to d_z and d_previous

A compiler of Numba's kind has no tuple whose length it learns from a variable. The adapters are therefore written out,
for as many numbers as the cell has.
"""

from __future__ import annotations

import dis
from collections.abc import Callable
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np

from rnnbench import arithmetic
from rnnbench.backends.functions import called_functions, outside_names, with_names
from rnnbench.cells.base import Cell

Decorator = Callable[[Callable], Any]
LARGEST_ARGUMENT = 255
"""Of an instruction of Python's bytecode without a prefix."""


class Elements(NamedTuple):
    """The adapters of one cell; the last two are None for a cell without late gates."""

    forward: Any
    backward: Any
    operand: Any
    operand_backward: Any


def elements(cell: Cell, dtype: np.dtype, tools: Any, fast: bool = False) -> Elements:
    """Return the adapters as device functions.

    fast    let the compiler take tanh.approx.f32 for tanh, and for sigmoid x = tanh(x / 2) / 2 + 1/2, in the place of
            the CUDA library's functions, which are within 2 units in the last place. Its relative error is at most
            2^-11 (PTX ISA, the instruction tanh); float64 has no such instruction, and stays as it is.
    """
    inline, implementations = tools.inline, nonlinearities(dtype, tools, fast)
    own = {
        name: typed(getattr(cell, name), dtype, implementations, inline)
        for name in ("forward_element", "backward_element", "operand_element", "operand_backward_element")
        if getattr(cell, name) is not None
    }
    states, saved, count = len(cell.states), len(cell.saved), len(cell.preactivations)
    z, state = _read("z", count, "at_z"), _read("state", states, "at_state")
    previous, kept = _read("previous", states, "at_state"), _read("saved", saved, "at_saved")
    forward = _function(
        "z, at_z, state, at_state, next_state, saved, at_saved",
        f"next_values, kept = element({z}, {state})",
        *_write("next_state", "next_values", states),
        *_write("saved", "kept", saved, at="at_saved"),
    )
    delta = _read("d_state", states, "at_state")
    backward = _function(
        "d_state, state, previous, at_state, saved, at_saved, d_z, at_z, d_previous",
        f"by_z, by_previous = element({delta}, {state}, {previous}, {kept})",
        *_write("d_z", "by_z", count, at="at_z"),
        *_write("d_previous", "by_previous", states, at="at_state"),
    )
    operand = _function("z, at_z, state, at_state", f"return element({z}, {state})")
    operand_backward = _function(
        "d_operand, previous, at_state, saved, at_saved, d_z, at_z, d_previous",
        f"operand, by_z, by_previous = element(d_operand, {previous}, {kept})",
        *_write("d_z", "by_z", count, "+=", "at_z"),
        *_write("d_previous", "by_previous", states, "+=", "at_state"),
        "return operand",
    )
    made = {
        "forward_element": forward,
        "backward_element": backward,
        "operand_element": operand,
        "operand_backward_element": operand_backward,
    }
    return Elements(
        *(inline(make(own[name], f"{cell.name}_{name}")) if name in own else None for name, make in made.items())
    )


def update_element(element: Callable, slots: int, constants: int, dtype: np.dtype, tools: Any) -> Any:
    """Return an optimizer's function of one weight as a device function, of numbers kept `size` after each other:

    update(weight, gradient, state, at, size, constants, first) changes state[at + slot * size], returns the weight
    """
    made = _function(
        "weight, gradient, state, at, size, constants, first",
        f"weight, kept = element(weight, gradient, {_read('state', slots, 'at', ' * size')}, "
        f"{_read('constants', constants, 'first')})",
        *(f"state[at + {k} * size] = kept[{k}]" for k in range(slots)),
        "return weight",
    )
    return tools.inline(made(typed(element, dtype, {}, tools.inline), "update_element"))


def nonlinearities(dtype: np.dtype, tools: Any, fast: bool) -> dict[Any, Any]:
    """Return {function of rnnbench.arithmetic: device function} for where, tanh and sigmoid."""
    one, half, library_exp, library_tanh = dtype.type(1), dtype.type(0.5), tools.exp, tools.tanh

    def where(condition, a, b):
        return a if condition else b

    def tanh(x):
        return library_tanh(x)

    chosen_tanh = (tools.approximate if fast else tools.inline)(tanh)

    def sigmoid(x):
        return one / (one + library_exp(-x))

    def sigmoid_by_tanh(x):
        return half * chosen_tanh(half * x) + half

    return {
        arithmetic.where: tools.inline(where),
        arithmetic.tanh: chosen_tanh,
        arithmetic.sigmoid: tools.inline(sigmoid_by_tanh if fast else sigmoid),
    }


def typed(function: Callable, dtype: np.dtype, implementations: dict[Any, Any], inline: Decorator) -> Any:
    """Return a device function: a copy whose constants, and those of all that it calls, are of the dtype."""
    assert isinstance(function, FunctionType)
    names = {name: _typed_number(value, dtype) for name, value in outside_names(function).items() if _is_float(value)}
    names |= {
        name: implementations.get(called) or typed(called, dtype, implementations, inline)
        for name, called in called_functions(function)
    }
    copy = with_names(function, names, str(dtype))
    copy.__code__ = typed_constants(copy.__code__, dtype)
    return inline(copy)


def typed_constants(code: CodeType, dtype: np.dtype) -> CodeType:
    """Return the code with its float constants as numbers of the dtype, and whole ones where they are no subscript.

    >>> halved = (lambda z: z[1] / 2).__code__
    >>> [type(c).__name__ for c in typed_constants(halved, np.dtype("float32")).co_consts if c is not None]
    ['int', 'int', 'float32']
    """
    constants = [_typed_number(value, dtype) for value in code.co_consts]
    raw = bytearray(code.co_code)
    for this, following in pairwise(dis.get_instructions(code)):
        whole = this.opname == "LOAD_CONST" and type(this.argval) is int and following.opname != "BINARY_SUBSCR"
        if whole and len(constants) <= LARGEST_ARGUMENT:
            raw[this.offset + 1] = len(constants)
            constants.append(dtype.type(this.argval))
    return code.replace(co_code=bytes(raw), co_consts=tuple(constants))


def _typed_number(value: Any, dtype: np.dtype) -> Any:
    if isinstance(value, tuple):
        return tuple(_typed_number(each, dtype) for each in value)
    return dtype.type(value) if _is_float(value) else value


def _is_float(value: Any) -> bool:
    return isinstance(value, float | np.floating)


def _read(array: str, count: int, at: str = "", times: str = "") -> str:
    """Return the text of a tuple of an array's numbers from `at` on, next to each other or `times` something."""
    return "(" + "".join(f"{array}[{at + ' + ' if at else ''}{k}{times}], " for k in range(count)) + ")"


def _write(array: str, values: str, count: int, sign: str = "=", at: str = "") -> list[str]:
    """Return statements that put a tuple's numbers into an array from `at` on, or add them."""
    return [f"{array}[{at + ' + ' if at else ''}{k}] {sign} {values}[{k}]" for k in range(count)]


def _function(arguments: str, *statements: str) -> Callable[[Any, str], Callable]:
    """Return what makes a function of these statements, given the device function `element` and a name."""
    text = f"def adapter({arguments}):\n" + "".join(f"    {statement}\n" for statement in statements)

    def made(element: Any, name: str) -> Callable:
        names: dict[str, Any] = {"element": element, "__name__": __name__}
        exec(text, names)
        names["adapter"].__name__ = names["adapter"].__qualname__ = name
        return names["adapter"]

    return made
