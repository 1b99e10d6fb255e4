"""Write TOML: the standard library only reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def dumps(data: Mapping[str, Any]) -> str:
    """Return a mapping as TOML: plain values first, then tables, then arrays of tables.

    >>> print(dumps({"name": "one", "sweep": [{"axes": {"hidden": [16, 32]}}]}), end="")
    name = "one"
    <BLANKLINE>
    [[sweep]]
    <BLANKLINE>
    [sweep.axes]
    hidden = [16, 32]
    """
    return "\n".join(_table(data, ())).lstrip("\n") + "\n"


def value(item: Any) -> str:
    """Return one value as TOML writes it: strings quoted, mappings as inline tables."""
    if isinstance(item, str):
        # A JSON string is a TOML string, but for the one control character that JSON leaves bare.
        return json.dumps(item, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {value(part)}" for name, part in item.items()) + "}"
    if isinstance(item, list | tuple):
        return "[" + ", ".join(map(value, item)) + "]"
    return str(item)  # numbers (inf and nan among them), dates and times read as they print


def _table(data: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"{_key(name)} = {value(item)}" for name, item in data.items() if not _is_table(item)]
    for name, item in data.items():
        if not _is_table(item):
            continue
        here = (*path, _key(name))
        mark = "[{}]" if isinstance(item, Mapping) else "[[{}]]"
        for table in [item] if isinstance(item, Mapping) else item:
            lines += ["", mark.format(".".join(here)), *_table(table, here)]
    return lines


def _is_table(item: Any) -> bool:
    return isinstance(item, Mapping) or (
        isinstance(item, list) and bool(item) and all(isinstance(part, Mapping) for part in item)
    )


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else value(name)
