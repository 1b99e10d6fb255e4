"""English technical prose that comes with every CPython: the language reference as pydoc shows it."""

from __future__ import annotations

import platform
from typing import NamedTuple

import numpy as np

from rnnbench.datasets.base import Dataset

KNOWN_SHA256 = {
    "3.11.2": "0bf1558df1860f44241b719b381e3b17ac787b6dfee48ceff9a038089166f287",
    "3.11.7": "18e2b8a0e95a528d8b446b83e40c7e7eeb8b4635fc0cc6c396a0777ef85aef3e",
    "3.12.1": "686dd31c3725ab57a72e0e62858233f6b5750746d62ad90d4fbe432c8564386c",
    "3.13.0": "e605e67ae3823cf340a311bd4fa3429026df56d4c03271f1923b998ec86ff025",
}
"""Fingerprints by Python release. A record, not a demand: distributors may ship a text of their own."""


class Text(NamedTuple):
    """One long text."""

    code_points: np.ndarray
    """uint32 (N,): the Unicode code point of each character"""


class Prose(Dataset[Text]):
    """The Python language reference as plain text, from the running interpreter (pydoc_data.topics).

    The topics in alphabetical order, a blank line between paragraphs. The documentation repeats whole
    sections under several topics ("try" is also part of "compound"); a paragraph is kept where it first
    occurs and nowhere else, for otherwise a held-out part would repeat what was trained on.

    The text is part of CPython and changes with its patch releases, so no single checksum can be
    demanded: `fingerprint()` tells which text was used, and bits per character compare only where it is
    the same. `KNOWN_SHA256` holds those of the releases it was read from.
    """

    name = "prose"
    licence = "PSF-2.0"
    source = f"pydoc_data.topics of Python {platform.python_version()}"
    sha256 = None

    @classmethod
    def read(cls) -> Text:
        """Read the topics from the standard library."""
        from pydoc_data.topics import topics

        paragraphs = "\n\n".join(topics[name].strip() for name in sorted(topics)).split("\n\n")
        text = "\n\n".join(dict.fromkeys(paragraphs))
        return Text(code_points=np.frombuffer(text.encode("utf-32-le"), dtype="<u4").copy())
