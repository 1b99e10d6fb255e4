"""The vector registers of the CPU that Numba compiles for, and the tile shapes that fill them."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm
import numpy as np
from numba.core import config

from rnnbench.errors import InputError

VECTOR_BYTES = (16, 32, 64)


@dataclass(frozen=True)
class Target:
    """Vectors of `lanes` numbers, and the GEMM tile for panels of 1, 2, ... vectors."""

    lanes: int
    registers: int

    def tile_rows(self, vectors: int) -> int:
        """Return the rows of the tile of that many vectors: accumulators, one row of B and one of A fit registers.

        Wide tiles read each number of A for several products, high ones each vector of B: the best are both.
        """
        return {16: {3: 4, 2: 6, 1: 6}, 32: {4: 6, 3: 8, 2: 12, 1: 12}}[self.registers][vectors]

    def panel_vectors(self, vectors: int | None = None) -> int:
        """Return the widest panel, in vectors, that divides a row of that many; of any row, what suits most."""
        if vectors is None:
            return 2 if self.registers == 16 else 4
        widest = 3 if self.registers == 16 else 4
        return next(v for v in range(widest, 0, -1) if vectors % v == 0)


@cache
def target(dtype: np.dtype) -> Target:
    """Return the target for a dtype; RNNBENCH_VECTOR_BYTES forces another vector width."""
    size = vector_bytes()
    has_32_registers = size == 64 or platform.machine().lower() in ("arm64", "aarch64")
    return Target(lanes=size // np.dtype(dtype).itemsize, registers=32 if has_32_registers else 16)


def vector_bytes() -> int:
    """Return the width of the vectors to use: what is forced, else the widest that the CPU has."""
    forced = os.environ.get("RNNBENCH_VECTOR_BYTES", "")
    if forced:
        if forced not in map(str, VECTOR_BYTES):
            raise InputError(f"environment variable RNNBENCH_VECTOR_BYTES is {forced!r}; expected {VECTOR_BYTES}")
        return int(forced)
    if config.CPU_FEATURES is not None:
        named = config.CPU_FEATURES.split(",")
        has = {feature.lstrip("+") for feature in named if feature.startswith("+")}
    elif config.CPU_NAME == "generic":
        has = set()
    else:
        has = {feature for feature, present in llvm.get_host_cpu_features().items() if present}
    return 64 if "avx512f" in has else 32 if "avx" in has else 16
