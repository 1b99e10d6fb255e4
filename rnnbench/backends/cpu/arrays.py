"""Memory for kernels: arrays that start at a cache line, and scratch that a thread keeps between calls."""

from __future__ import annotations

import threading

import numpy as np

LINE_BYTES = 64
KEPT_BYTES = 1 << 26
"""Of scratch that a thread keeps for the next call; what is larger is given back."""


def cut(dtype: np.dtype, *counts: int) -> tuple[int, tuple[int, ...]]:
    """Return how many numbers pieces of so many take, each from the start of a cache line on, and where they start."""
    line = LINE_BYTES // dtype.itemsize
    starts, end = [], 0
    for count in counts:
        starts.append(end)
        end += -(-count // line) * line
    return end, tuple(starts)


def aligned(dtype: np.dtype, *counts: int) -> list[np.ndarray]:
    """Return uninitialised flat arrays, cut from one piece of memory."""
    size, starts = cut(dtype, *counts)
    block = _aligned_block(size, dtype)
    return [block[start : start + count] for start, count in zip(starts, counts, strict=True)]


def scratch(purpose: str, dtype: np.dtype, size: int) -> np.ndarray:
    """Return a flat array of that size or more, valid until this thread asks again for the same purpose.

    Memory fresh from the system costs more than many a kernel: every page of it is cleared at its first use.
    """
    block = _kept.blocks.get((purpose, dtype))
    if block is None or block.size < size:
        block = _aligned_block(size, dtype)
        if block.nbytes <= KEPT_BYTES:
            _kept.blocks[purpose, dtype] = block
    return block


def flat(array: np.ndarray) -> np.ndarray:
    """Return a flat, contiguous array, aligned and writeable: kernels are compiled for such, and for no other kind."""
    return array.ravel() if array.flags.behaved else array.flatten()


class _Kept(threading.local):
    def __init__(self) -> None:
        self.blocks: dict[tuple[str, np.dtype], np.ndarray] = {}


_kept = _Kept()


def _aligned_block(count: int, dtype: np.dtype) -> np.ndarray:
    line = LINE_BYTES // dtype.itemsize
    block = np.empty(count + line, dtype)
    start = -(block.__array_interface__["data"][0] // dtype.itemsize) % line
    return block[start : start + count]
