"""Numbers, names and units as a reader wants to see them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

import numpy as np

MISSING = "–"
ACRONYMS = frozenset({"rnn", "lstm", "gru"})
IMPLEMENTATIONS = {
    "rnnbench": ("rnnbench", "rnnbench"),
    "torch": ("PyTorch", "PyTorch"),
    "onnxruntime": ("ONNX Runtime", "ORT"),
    "jax": ("JAX", "JAX"),
}
"""Libraries as they write themselves, and a short name for where there is little room."""
_VALUE_WORDS = {"forward_backward": "forward + backward"}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

PARAMETER_MEANINGS = {
    "cell": "recurrent cell",
    "task": "training task",
    "data": "input sequences",
    "hidden": "hidden units",
    "length": "sequence length (steps)",
    "batch": "sequences in a batch",
    "seed": "root of every random number",
    "initialization": "how recurrent weights are drawn",
    "gain": "scale of the recurrent weights",
    "gate_bias": "initial bias of the gate that keeps the state",
    "chrono": "longest time in the biases of the gates that keep the state (steps)",
    "training_steps": "steps of training before the measurement",
    "burn_in": "steps at either end that do not count",
    "lags": "lags at which singular values are taken",
    "regularization": "weight of Pascanu's regulariser",
    "dtype": "floating-point type",
    "direction": "passes that are timed",
    "work": "a layer forward and backward, or steps of training",
    "way": "how a layer runs on a GPU",
    "runs": "equal runs that are compared",
    "repeats": "timed repetitions in a trial",
    "threads": "threads that compute",
    "implementation": "library to compare with",
    "features": "inputs at each step",
    "grid": "published benchmark that the shape is from",
    "pairs": "rounds, in each of which both sides are timed",
    "steps": "training steps",
    "optimizer": "update rule",
    "learning_rate": "step size of the optimizer",
    "evaluation_size": "sequences in the evaluation data",
    "parameters": "parameters of the network, which pick the hidden size",
    "decay_after": "fraction of the steps after which the learning rate falls to 0",
    "layers": "stacked layers",
    "clip_norm": "bound on the global gradient norm",
    "clip_value": "bound on each gradient element",
    "evaluate_every": "training steps between evaluations",
}
"""What the usual parameters mean; any other parameter is shown by its name alone."""


def power_of_ten(exponent: float, digits: int = 2) -> str:
    """Return 10**exponent as text; works far outside the range of float64.

    >>> power_of_ten(-61.5), power_of_ten(0.0), power_of_ten(-12)
    ('3.2×10⁻⁶²', '1.0', '1.0×10⁻¹²')
    """
    if not math.isfinite(exponent):
        return MISSING if math.isnan(exponent) else ("∞" if exponent > 0 else "0")
    if -3 <= exponent < 3:
        return significant(10.0**exponent, digits)
    whole = math.floor(exponent)
    mantissa = round(10.0 ** (exponent - whole), digits - 1)
    if mantissa >= 10.0:
        mantissa, whole = 1.0, whole + 1
    return f"{mantissa:.{digits - 1}f}×10{superscript(whole)}"


def superscript(number: int) -> str:
    """Return a whole number in superscript digits."""
    return str(number).translate(_SUPERSCRIPTS)


def significant(value: float, digits: int = 3) -> str:
    """Return a measured number with its significant digits; a dash stands for NaN.

    >>> significant(0.012345), significant(12345.6), significant(-1.5e-9), significant(float("nan"))
    ('0.0123', '12,346', '−1.50×10⁻⁹', '–')
    """
    value = float(value)
    if math.isnan(value):
        return MISSING
    sign = "−" if value < 0 else ""
    if math.isinf(value):
        return f"{sign}∞"
    if value == 0:
        return "0"
    exponent = int(f"{abs(value):.{digits - 1}e}".partition("e")[2])
    if -4 <= exponent < 7:
        return f"{sign}{abs(value):,.{max(0, digits - 1 - exponent)}f}"
    mantissa, _, exponent_text = f"{abs(value):.{digits - 1}e}".partition("e")
    return f"{sign}{mantissa}×10{superscript(int(exponent_text))}"


ROUNDING = 1e-12
"""A deviation of so small a share of the mean is that of equal numbers: their mean is rounded."""


def mean_and_deviation(mean: float, deviation: float) -> str:
    """Return "mean ± deviation", both to the second digit of the deviation; the mean alone where that is NaN or noise.

    >>> mean_and_deviation(0.98765, 0.0123), mean_and_deviation(2.5e-5, 3.2e-6), mean_and_deviation(0.998, 1.4e-16)
    ('0.988 ± 0.012', '(2.50 ± 0.32)×10⁻⁵', '0.998')
    """
    if not (math.isfinite(mean) and math.isfinite(deviation) and deviation > ROUNDING * abs(mean)):
        return significant(mean)
    shift = math.floor(math.log10(max(abs(mean), deviation)))
    shift = 0 if -4 <= shift < 6 else shift
    mean, deviation = mean / 10.0**shift, deviation / 10.0**shift
    places = max(0, 1 - math.floor(math.log10(deviation)))
    text = f"{mean:,.{places}f} ± {deviation:,.{places}f}".replace("-", "−")
    return f"({text})×10{superscript(shift)}" if shift else text


def interval(low: float, high: float) -> str:
    """Return "low to high", both to the second digit of what lies between them; the one value where that is nothing.

    >>> interval(-0.0123, 0.0456), interval(1234.5, 1299.0), interval(0.75, 0.75)
    ('−0.012 to 0.046', '1,234 to 1,299', '0.750')
    """
    if not high > low:
        return significant(low)
    places = max(0, 1 - math.floor(math.log10(high - low)))
    if places > 6 or max(abs(low), abs(high)) >= 1e6:
        return f"{significant(low)} to {significant(high)}"
    return f"{low:,.{places}f} to {high:,.{places}f}".replace("-", "−")


def measured(text: str, unit: str) -> str:
    """Return a number with its unit behind it; the unit "1" of a pure number is left out."""
    return text if unit in ("", "1") else f"{text} {unit}"


def count(number: int, noun: str) -> str:
    """Return "1 trial", "2 trials"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listing(items: Iterable[str], last: str = "and") -> str:
    """Return "a", "a and b", "a, b and c"."""
    *head, tail = list(items) or [MISSING]
    return f"{', '.join(head)} {last} {tail}" if head else tail


def words(name: str) -> str:
    """Return an identifier as words: gradient_decay -> gradient decay."""
    return name.replace("_", " ").strip()


def heading(name: str) -> str:
    """Return an identifier as a heading: gradient_decay -> Gradient decay; acronyms stay in capitals."""
    text = words(name)
    return text.upper() if text in ACRONYMS else text[:1].upper() + text[1:]


def cell_label(cell: str) -> str:
    """Return RNN, LSTM, GRU in capitals and any other cell under its own name."""
    return cell.upper() if cell in ACRONYMS else cell


def implementation_label(name: str, short: bool = False) -> str:
    """Return PyTorch for torch, "ORT" for onnxruntime in short; a library not known here keeps its own name."""
    return IMPLEMENTATIONS.get(name, (name, name))[short]


def ratio(value: float) -> str:
    """Return a ratio of times: two decimals, two digits below 0.1, three above 10.

    >>> ratio(0.718), ratio(1.004), ratio(12.34), ratio(0.0712), ratio(float("nan"))
    ('0.72×', '1.00×', '12.3×', '0.071×', '–')
    """
    return f"{plain_ratio(value)}×" if math.isfinite(value) else MISSING


def plain_ratio(value: float) -> str:
    """Return a ratio as `ratio` does, without the sign: for columns and axes whose heading has it."""
    return f"{value:.2f}" if 0.0995 <= value < 9.995 else significant(value, 3 if value > 1 else 2)


def value_text(value: object) -> str:
    """Return a parameter's value: whole numbers without a point, no trailing zeros, words for identifiers."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, str):
        return _VALUE_WORDS.get(value) or (value.upper() if value in ACRONYMS else words(value)) or MISSING
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return MISSING
    return MISSING if math.isnan(number) else f"{number:.6g}".replace("-", "−")


def setting(values: Mapping[str, object]) -> str:
    """Return a setting in words: {"initialization": "orthogonal", "gain": 0.9}: "orthogonal, gain 0.9"."""
    parts = [
        value_text(value) if isinstance(value, str) else f"{words(name)} {value_text(value)}"
        for name, value in values.items()
        if value_text(value) != MISSING
    ]
    return ", ".join(parts)


def wrapped(text: str, width: int = 24) -> str:
    """Return text broken at commas into lines of about `width` characters, for the labels of a figure."""
    lines = [""]
    for part in text.split(", "):
        if lines[-1] and len(lines[-1]) + len(part) + 2 > width:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] += f", {part}" if lines[-1] else part
    return "\n".join(lines)


def span(values: Iterable[float], digits: int = 3) -> str:
    """Return "lowest to highest", or the one value; what is not finite does not count.

    >>> span([0.5, 2.0, 1.0]), span([3.0, float("nan")]), span([])
    ('0.500 to 2.00', '3.00', '–')
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return MISSING
    ends = list(dict.fromkeys(significant(end, digits) for end in (min(finite), max(finite))))
    return " to ".join(ends)


def with_unit(name: str, unit: str) -> str:
    """Return "name (unit)"; the unit "1" of a pure number is left out."""
    return name if unit in ("", "1") else f"{name} ({unit})"


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it: 0.4 s, 75 s, 12 min, 3.4 h."""
    if math.isnan(seconds):
        return MISSING
    if seconds < 120:
        return f"{significant(seconds, 2)} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def slug(text: str) -> str:
    """Return text as a safe file name and HTML id: ASCII letters, digits, '_' and '-'."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")
