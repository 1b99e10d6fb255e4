"""The backward functions of a cell, derived from its forward ones by SymPy.

The forward function is run once on symbols. Every value of tanh and sigmoid in it becomes a symbol of its own, whose
slope is a polynomial of that value, 1 - y^2 and y (1 - y): the derivative then needs no function at all, and what is
saved for it are those values, as in a cell written by hand. The docstring of each function is its text.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import sympy

from rnnbench import arithmetic
from rnnbench.errors import InputError

HALF = sympy.Rational(1, 2)


class tanh(sympy.Function):
    """The hyperbolic tangent, whose slope is told by its value."""

    def fdiff(self, argindex: int = 1) -> Any:
        """Return 1 - tanh^2."""
        return 1 - self**2


class sigmoid(sympy.Function):
    """The logistic function, whose slope is told by its value."""

    def fdiff(self, argindex: int = 1) -> Any:
        """Return sigmoid (1 - sigmoid)."""
        return self * (1 - self)


def _tanh(x: Any) -> Any:
    """Return tanh(x), by way of sigmoid where it is half of one: tanh(y/2) = 2 sigmoid(y) - 1."""
    return 2 * sigmoid(2 * x) - 1 if x.as_content_primitive()[0] == HALF else tanh(x)


_UFUNCS: dict[Any, Callable] = {
    np.tanh: _tanh,
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.divide: operator.truediv,
}


class Traced:
    """A symbolic number as a cell's functions see it: operators, comparisons, and NumPy's tanh and where."""

    def __init__(self, expression: Any) -> None:
        self.expression = expression

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Take NumPy's functions that cells are made of; they come with NumPy's numbers, too."""
        if method != "__call__" or options or function not in _UFUNCS:
            return NotImplemented
        return Traced(_UFUNCS[function](*map(_expression, inputs)))

    def __array_function__(self, function: Any, kinds: Any, arguments: Any, options: Any) -> Any:
        """Take numpy.where."""
        if function is not np.where:
            return NotImplemented
        condition, a, b = map(_expression, arguments)
        return Traced(sympy.Piecewise((a, condition), (b, True)))

    def __bool__(self) -> bool:
        """No condition is known while symbols stand for numbers."""
        raise TypeError("a condition decides a branch; expected where(condition, a, b)")

    def __neg__(self) -> Traced:
        return Traced(-self.expression)


def _expression(value: Any) -> Any:
    """Return the expression of a symbolic number, or of a plain one, exactly."""
    if isinstance(value, Traced):
        return value.expression
    return sympy.Rational(value) if isinstance(value, int | float | np.number) else sympy.sympify(value, strict=True)


def _define(name: str, function: Callable) -> None:
    setattr(Traced, f"__{name}__", lambda self, other: Traced(function(self.expression, _expression(other))))


def _define_reflected(name: str, function: Callable) -> None:
    setattr(Traced, f"__r{name}__", lambda self, other: Traced(function(_expression(other), self.expression)))


for _name in ("add", "sub", "mul", "truediv"):
    _define(_name, getattr(operator, _name))
    _define_reflected(_name, getattr(operator, _name))
for _name, _relation in (("lt", sympy.Lt), ("le", sympy.Le), ("gt", sympy.Gt), ("ge", sympy.Ge)):
    _define(_name, _relation)


class Derived(NamedTuple):
    """What a cell without backward functions gets."""

    forward_element: Callable
    backward_element: Callable
    operand_backward_element: Callable | None
    saved: tuple[str, ...]


def derive(
    name: str, preactivations: Sequence[str], states: Sequence[str], forward: Callable, operand: Callable | None
) -> Derived:
    """Return a cell's functions: its own forward one with what backward needs saved, and the derivatives.

    InputError, with the cell's name, where a forward function uses what a cell cannot: anything but + - * /,
    comparisons in `where`, numbers, and the functions of rnnbench.arithmetic.
    """
    z, previous = _symbols("z", len(preactivations)), _symbols("previous", len(states))
    arguments = tuple(map(Traced, z)), tuple(map(Traced, previous))
    try:
        following = [_expression(value) for value in forward(*arguments)[0]]
        product = _expression(operand(*arguments)) if operand else sympy.Integer(0)
    except (TypeError, ValueError, AttributeError, IndexError, sympy.SympifyError) as error:
        raise InputError(f"cell '{name}': its backward function cannot be derived: {error}") from error
    if len(following) != len(states):
        raise InputError(f"cell '{name}': forward_element returns {len(following)} states; expected {len(states)}")

    d_operand = sympy.Symbol("d_operand", real=True)
    loss = sum(map(operator.mul, _symbols("d_state", len(states)), following))
    backward = [sympy.diff(loss, each) for each in (*z, *previous)]
    by_operand = [product, *(sympy.diff(d_operand * product, each) for each in (*z, *previous))]

    # A next state that is such a value itself need not be saved: backward_element is given it.
    state = zip(following, _symbols("state", len(states)), strict=True)
    at_hand = {value: symbol for value, symbol in state if isinstance(value, tanh | sigmoid)}
    read = (_leaves(backward) - at_hand.keys()) | _leaves(by_operand)
    saved = sorted((leaf for leaf in read if leaf in z or not leaf.is_Symbol), key=sympy.default_sort_key)
    values = dict(zip(saved, _symbols("saved", len(saved)), strict=True))
    backward = [each.xreplace(values | at_hand) for each in backward]
    by_operand = [each.xreplace(values) for each in by_operand]
    count = len(z)
    return Derived(
        _function(
            "def forward_element(z, previous):\n{}    return forward(z, previous)[0], {}\n", [saved], forward=forward
        ),
        _function(
            "def backward_element(d_state, state, previous, saved):\n{}    return {}, {}\n",
            [backward[:count], backward[count:]],
        ),
        _function(
            "def operand_backward_element(d_operand, previous, saved):\n{}    return {}, {}, {}\n",
            [by_operand[0], by_operand[1 : count + 1], by_operand[count + 1 :]],
        )
        if operand
        else None,
        tuple(_saved_names(saved, dict(zip(z, preactivations, strict=True)))),
    )


def _symbols(name: str, count: int) -> list[Any]:
    return [sympy.Symbol(f"{name}{k}", real=True) for k in range(count)]


def _leaves(expressions: Iterable[Any]) -> set[Any]:
    """Return the symbols and values of functions that expressions are made of, not what is within those values."""
    found: set[Any] = set()
    for each in expressions:
        found |= {each} if isinstance(each, tanh | sigmoid | sympy.Symbol) else _leaves(each.args)
    return found


def _saved_names(saved: Sequence[Any], gates: dict[Any, str]) -> Iterable[str]:
    """Yield the gate's name for a gate's value, and other names for what is none."""
    counts: dict[str, int] = {}
    for each in saved:
        name = f"{gates[each]}_preactivation" if each in gates else gates.get(each.args[0], type(each).__name__)
        counts[name] = counts.get(name, 0) + 1
        yield name if counts[name] == 1 else f"{name}_{counts[name]}"


def _function(template: str, results: Sequence[Any], **names: Any) -> Callable:
    """Return the function that a template becomes with assignments, and results, single ones or tuples of them."""
    flat = [each for result in results for each in (result if isinstance(result, list) else [result])]
    assigned, reduced = sympy.cse(flat, symbols=sympy.numbered_symbols("t"))
    texts = iter(map(_text, reduced))
    written = [
        "(" + "".join(f"{next(texts)}, " for _ in result).rstrip() + ")" if isinstance(result, list) else next(texts)
        for result in results
    ]
    source = template.format("".join(f"    {name} = {_text(value)}\n" for name, value in assigned), *written)
    language = {each.__name__: each for each in (arithmetic.tanh, arithmetic.sigmoid, arithmetic.where)}
    space: dict[str, Any] = {**language, **names, "__name__": __name__}
    exec(source, space)
    function: Callable = space[source.removeprefix("def ").partition("(")[0]]
    function.__doc__ = source
    return function


def _text(e: Any) -> str:
    """Return an expression as a cell would write it: operators, literals, where, tanh and sigmoid."""
    if e.is_Symbol:
        return re.sub(r"^(z|previous|d_state|state|saved)(\d+)$", r"\1[\2]", e.name)
    if e.is_Number:
        return repr(float(e))
    if e.is_Add:
        return "(" + " + ".join(map(_text, e.args)) + ")"
    if e.is_Mul or e.is_Pow:
        return _product_text(e)
    if e.is_Piecewise:
        text = _text(e.args[-1].expr)
        for value, condition in reversed(e.args[:-1]):
            text = f"where({_text(condition)}, {_text(value)}, {text})"
        return text
    if e.is_Relational:
        return f"({_text(e.lhs)} {e.rel_op} {_text(e.rhs)})"
    if isinstance(e, tanh | sigmoid):
        return f"{type(e).__name__}({_text(e.args[0])})"
    raise InputError(f"the derivative has {e}, which a cell cannot compute")


def _product_text(e: Any) -> str:
    """Return a product or whole power as products and one division."""
    above: list[str] = []
    below: list[str] = []
    for factor in sympy.Mul.make_args(e):
        base, exponent = factor.as_base_exp()
        if not exponent.is_Integer:
            raise InputError(f"the derivative has {factor}, which a cell cannot compute")
        (above if exponent > 0 else below).extend([_text(base)] * abs(int(exponent)))
    text = " * ".join(above) or "1.0"
    return f"({text} / ({' * '.join(below)}))" if below else f"({text})" if len(above) > 1 else text
