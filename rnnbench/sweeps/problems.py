"""Mistakes in a sweep file, told one a line: file, key, value, and what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from rnnbench.errors import InputError, unknown_name
from rnnbench.sweeps import toml

Location = tuple[str | int, ...]

SHOWN = 10
"""The first so many mistakes are told."""


class Problems:
    """Mistakes found so far, one line each."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: dict[str, None] = {}

    def add(self, path: str, message: str, value: Any = ...) -> None:
        """Add the mistake at a dotted path; the value is shown unless left out."""
        shown = "" if value is ... else f" = {_shorten(toml.value(value))}"
        self.lines[f"{self.source}: {path}{shown}: {message}"] = None

    def add_validation(self, error: ValidationError, known: Callable[[Location], Iterable[str]]) -> None:
        """Add what pydantic found; `known` returns the keys that could be where an unknown one is."""
        for detail in error.errors(include_url=False):
            location, value = detail["loc"], detail["input"]
            path = ".".join(map(str, location))
            if detail["type"] == "extra_forbidden":
                self.add(path, str(unknown_name("key", str(location[-1]), known(location))), value)
            elif detail["type"] == "missing":
                self.add(path, "missing; expected a value")
            elif location == ("sweep",):
                self.add(path, "expected tables, each begun by [[sweep]]", ... if value else value)
            else:
                self.add(path, expectation(detail), ... if isinstance(value, Mapping) else value)

    @property
    def full(self) -> bool:
        """Whether more mistakes would not be told."""
        return len(self.lines) >= SHOWN

    def error(self) -> InputError:
        """Return all of them as one error."""
        return InputError("\n".join(list(self.lines)[:SHOWN]))

    def raise_any(self) -> None:
        """Raise them, if there are any."""
        if self.lines:
            raise self.error()


_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a string",
    "bool_type": "true or false",
    "dict_type": "a table",
    "model_type": "a table",
}


def expectation(detail: Any) -> str:
    """Return what a parameter should have been: a validator's own words, or pydantic's in ours."""
    if "error" in detail.get("ctx", {}):
        return str(detail["ctx"]["error"])
    if detail["type"] in _EXPECTED:
        return f"expected {_EXPECTED[detail['type']]}"
    message = str(detail["msg"]).replace("Input should be ", "expected ")
    return re.sub("^expected (greater|less)", r"expected a value \1", message)


def _shorten(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
