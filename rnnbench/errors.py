"""Errors that are the user's to fix: the command line prints them without a traceback and exits with 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The input is wrong; the message names where, what was found and what was expected."""


class ShapeError(InputError):
    """Two shapes that must agree do not; the message gives both."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that no entry has, with the nearest known name first.

    >>> print(unknown_name("cell", "lstn", ["rnn", "lstm", "gru"]))
    unknown cell 'lstn': did you mean 'lstm'? known: gru, lstm, rnn
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return InputError(f"unknown {kind} '{name}': {hint}known: {', '.join(known) or 'none'}")
