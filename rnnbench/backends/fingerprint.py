"""A hash of everything that decides what the compiled kernels compute: results and caches are keyed by it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
COMPILED_SOURCES = ("arithmetic.py", "cells/**/*.py", "backends/**/*.py", "losses.py", "optimizers.py")
"""Everything under rnnbench/ that can be compiled, as globs below the package."""


@cache
def kernel_source_hash() -> str:
    """Return 16 hex digits over the names and texts of all files that can be compiled."""
    return _hash({path for pattern in COMPILED_SOURCES for path in PACKAGE.glob(pattern)})


def _hash(paths: set[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
