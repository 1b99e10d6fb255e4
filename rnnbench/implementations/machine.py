"""What the machine can do: its rates of arithmetic and of reading, measured beside what is timed.

Arithmetic is a large matrix product by NumPy's BLAS. Reading is a compiled loop that combines the words of an array by
exclusive or: no rate of a BLAS function comes near, since all of them compute with what they read (a dot product of
an array with itself loads each number twice, and a sum waits for its own last addition).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from numba.core import config

from rnnbench.backends.cpu.compilation import kernel
from rnnbench.implementations.timing import Sampler, settle

MATRIX_SIZE = 1024
CACHES = "/sys/devices/system/cpu/cpu0/cache"
ASSUMED_CACHE_BYTES = 64 << 20
"""Where the system does not tell."""
SHORTEST_SAMPLE_S = 10e-3
READ_BYTES = 1 << (20 if config.DISABLE_JIT else 26)
"""A call of the loop reads this much, however small the array, so that waking a thread takes no share of it.

Uncompiled, the loop says nothing about the machine, and should be done soon."""

SMALLEST_PART_BYTES = 4096
"""What a thread reads in one pass at least; of less, the loop's own beginning and end would be measured."""


class Rates(NamedTuple):
    """What the machine did in one round."""

    flops: float
    """floating-point operations a second, in the matrix product"""
    memory: float
    """bytes a second, of an array far larger than every cache"""
    weights: float
    """bytes a second, again and again from an array of the size of the recurrent weights"""


class Machine:
    """Measures its rates; lives in a process of its own."""

    def prepare(self, dtype: str, threads: int, weights_bytes: int) -> None:
        """Make the arrays, warm up and fix the calls of a sample, roughly: others may be starting meanwhile."""
        rng = np.random.default_rng(0)
        a, b = (rng.standard_normal((MATRIX_SIZE, MATRIX_SIZE)).astype(dtype) for _ in range(2))
        memory = Reading(memory_bytes(), threads)
        weights = Reading(weights_bytes, threads)
        works: list[tuple[Callable[[], object], float]] = [
            (lambda: np.matmul(a, b), 2.0 * MATRIX_SIZE**3),
            (memory, memory.bytes_a_call),
            (weights, weights.bytes_a_call),
        ]
        self.samplers = [(Sampler(call, shortest_s=SHORTEST_SAMPLE_S), work) for call, work in works]
        for sampler, _ in self.samplers:
            sampler.calibrate()
        settle()

    def sample(self) -> Rates:
        """Measure each rate once, each after the threads of the one before have come to rest."""
        rates = []
        for sampler, work in self.samplers:
            rates.append(work / sampler.sample())
            sampler.rest()
        return Rates(*rates)

    def unsettled(self) -> int:
        """Return the samples after which threads did not come to rest, until now."""
        return sum(sampler.unsettled for sampler, _ in self.samplers)


class Reading:
    """Reads an array of a given size; each thread reads a part of it, the same one every time."""

    def __init__(self, size_bytes: int, threads: int) -> None:
        words = max(size_bytes // threads, SMALLEST_PART_BYTES) // 8
        self.parts = [np.ones(words, np.int64) for _ in range(threads)]
        self.times = max(1, READ_BYTES // (8 * words))
        self.bytes_a_call = 8.0 * words * threads * self.times
        self.others = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def __call__(self) -> None:
        """Read it, `times` times over."""
        waiting = [self.others.submit(read, part, self.times) for part in self.parts[1:]] if self.others else []
        read(self.parts[0], self.times)
        for other in waiting:
            other.result()


@kernel
def read(words: Any, times: Any) -> Any:
    """Read all words, `times` times over, as two streams; what is returned depends on every pass."""
    half = words.size // 2
    first, second = words[:half], words[half : 2 * half]
    total = 0
    for _ in range(times):
        a = b = total
        for i in range(half):
            a ^= first[i]
            b ^= second[i]
        total = a ^ (b >> 1)  # no sum, which could overflow; and not a ^ b, which would not depend on the pass before
    return total


def memory_bytes() -> int:
    """Return the size of an array that no cache holds: four times the largest, at most a quarter of what is free."""
    if config.DISABLE_JIT:
        return READ_BYTES
    return min(4 * largest_cache_bytes(), psutil.virtual_memory().available // 4)


def largest_cache_bytes(folder: str = CACHES) -> int:
    """Return the size of the largest cache of this machine's first core, an assumed one where the system is silent."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    texts = [path.read_text().strip() for path in Path(folder).glob("index*/size")]
    return max((int(text[:-1]) * units[text[-1]] for text in texts if text[-1:] in units), default=ASSUMED_CACHE_BYTES)
