"""Memory for kernels: arrays that start at a cache line, and scratch that a thread keeps between calls."""

from __future__ import annotations

import threading

import numpy as np

LINE_BYTES = 64
KEPT_BYTES = 1 << 26
"""Of scratch that a thread keeps for the next call; what is larger is given back."""


def aligned(dtype: np.dtype, *counts: int) -> list[np.ndarray]:
    """Return uninitialised flat arrays, cut from one piece of memory, each from the start of a cache line on."""
    line = LINE_BYTES // dtype.itemsize
    return _cut(_aligned_block(sum(-(-count // line) for count in counts) * line, dtype), line, counts)


def scratch(purpose: str, dtype: np.dtype, *counts: int) -> list[np.ndarray]:
    """Return arrays as `aligned` does, valid until this thread asks again for the same purpose.

    Memory fresh from the system costs more than many a kernel: every page of it is cleared at its first use.
    """
    line = LINE_BYTES // dtype.itemsize
    needed = sum(-(-count // line) for count in counts) * line
    block = _kept.blocks.get((purpose, dtype))
    if block is None or block.size < needed:
        block = _aligned_block(needed, dtype)
        if block.nbytes <= KEPT_BYTES:
            _kept.blocks[purpose, dtype] = block
    return _cut(block, line, counts)


def flat(array: np.ndarray) -> np.ndarray:
    """Return a flat, contiguous array that may be written: kernels are compiled for such, and for no other kind."""
    return array.ravel() if array.flags.writeable else array.flatten()


class _Kept(threading.local):
    def __init__(self) -> None:
        self.blocks: dict[tuple[str, np.dtype], np.ndarray] = {}


_kept = _Kept()


def _aligned_block(count: int, dtype: np.dtype) -> np.ndarray:
    line = LINE_BYTES // dtype.itemsize
    block = np.empty(count + line, dtype)
    start = -(block.__array_interface__["data"][0] // dtype.itemsize) % line
    return block[start : start + count]


def _cut(block: np.ndarray, line: int, counts: tuple[int, ...]) -> list[np.ndarray]:
    pieces, at = [], 0
    for count in counts:
        pieces.append(block[at : at + count])
        at += -(-count // line) * line
    return pieces
