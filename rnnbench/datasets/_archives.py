"""Arrays in NumPy archives, checked for what they ought to be."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from rnnbench.errors import InputError

Expected: TypeAlias = dict[str, tuple[DTypeLike, tuple[int, ...]]]
"""Names of arrays with their type and shape."""


def read_archive(
    dataset: str,
    path: Path,
    expected: Expected,
    *,
    pickled: bool = False,
) -> dict[str, np.ndarray]:
    """Return arrays of an .npz file by name, each of the expected type and shape.

    `pickled` allows arrays of Python objects, which run code when read: for files held to a checksum alone.
    InputError names the file and the array that is missing or another than expected.
    """
    arrays = {}
    with np.load(path, allow_pickle=pickled) as archive:
        for name, (kind, shape) in expected.items():
            wanted = f"dataset '{dataset}': {path}: {name}, expected {np.dtype(kind)} {shape}"
            if name not in archive:
                raise InputError(f"{wanted}, is not among {', '.join(archive.files)}")
            array = archive[name]
            if array.shape != shape or not np.can_cast(array.dtype, kind, "same_kind"):
                raise InputError(f"{wanted}, is {array.dtype} {array.shape}")
            arrays[name] = array.astype(kind)
    return arrays
