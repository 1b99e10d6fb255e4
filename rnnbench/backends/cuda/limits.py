"""What a GPU has, as far as plans depend on it."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Limits of one device."""

    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    shared_bytes: int
    """of shared memory that one block can have, after opting in"""
    l2_bytes: int
    threads: int = 256
    """of a block, at most: with 65,536 registers on a multiprocessor each can then have all 255"""
