"""`--set key=value`: change a sweep without editing its file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from rnnbench.errors import InputError, unknown_name
from rnnbench.sweeps import plugins

TABLES = ("axes", "together", "fixed")
_TOP_LEVEL = ("name", "title", "description", "cost")


def apply(data: dict[str, Any], assignments: Iterable[str]) -> None:
    """Apply `key=value` texts to the sweep data in place, in order.

    A bare key is the sweep's own (`name`) or a parameter, which is set in every [[sweep]] whose probe has it; a
    dotted path such as `sweep.0.axes.hidden` is one place. InputError for a key that is nowhere.
    """
    for text in assignments:
        key, value = _parse(text)
        if "." in key:
            _set_path(data, key.split("."), value, text)
        elif key in _TOP_LEVEL:
            data[key] = value
        else:
            _set_everywhere(data, key, value, text)


def _parse(text: str) -> tuple[str, Any]:
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise InputError(f"--set {text}: expected key=value, for example --set 'hidden=[16, 32]'")
    if re.fullmatch(r"(?!true$|false$|inf$|nan$)[A-Za-z][A-Za-z0-9_-]*", value):
        return key, value  # a bare word, so that a shell needs no second pair of quotes
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        raise InputError(
            f"--set {text}: {value!r} is not a TOML value; expected a number, a word, true, false or a list "
            "such as [16, 32] or ['rnn', 'lstm']"
        ) from None


def _set_everywhere(data: dict[str, Any], name: str, value: Any, text: str) -> None:
    known: set[str] = {"timeout_s"}
    hit = False
    for section in _sections(data):
        if name == "timeout_s":
            section[name], hit = value, True
            continue
        probe = plugins.entries().get(str(section.get("probe")))
        if probe is None:
            return  # the file itself is refused for it, which says more than this override could
        parameters = probe.Parameters.model_fields
        known |= set(parameters)
        if name in parameters:
            _place(section, _table_for(section, name, value), name, value)
            hit = True
    if not hit:
        raise InputError(f"--set {text}: {unknown_name('key', name, known | set(_TOP_LEVEL))}")


def _table_for(section: Mapping[str, Any], name: str, value: Any) -> str:
    """Return where a new value belongs: a list is an axis, unless the name already advances together."""
    if not isinstance(value, list | Mapping):
        return "fixed"
    return "together" if name in section.get("together", {}) else "axes"


def _set_path(data: dict[str, Any], path: list[str], value: Any, text: str) -> None:
    sections = _sections(data)
    if path[0] != "sweep" or len(path) not in (3, 4) or not (path[1].isascii() and path[1].isdecimal()):
        raise InputError(
            f"--set {text}: expected a path such as sweep.0.axes.hidden, sweep.0.fixed.steps or sweep.0.timeout_s"
        )
    if int(path[1]) >= len(sections):
        raise InputError(f"--set {text}: there is no sweep.{path[1]}; the last is sweep.{len(sections) - 1}")
    section = sections[int(path[1])]
    if len(path) == 3:
        section[path[2]] = value
    elif path[2] not in TABLES:
        raise InputError(f"--set {text}: {unknown_name('table', path[2], TABLES)}")
    else:
        _place(section, path[2], path[3], value)


def _place(section: dict[str, Any], table: str, name: str, value: Any) -> None:
    """Put a parameter into one table of a section and take it out of the others: the override wins."""
    for other in TABLES:
        if isinstance(section.get(other), dict) and other != table:
            section[other].pop(name, None)
    section.setdefault(table, {})[name] = value


def _sections(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    sections = data.get("sweep")
    return [part for part in sections if isinstance(part, dict)] if isinstance(sections, list) else []
