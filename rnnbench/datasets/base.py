"""What a dataset is: named arrays with a licence, a source and a checksum, loaded once per process."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from functools import cache
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np

from rnnbench.errors import InputError

Arrays = TypeVar("Arrays", bound=tuple[np.ndarray, ...], covariant=True)


class MissingData(InputError):
    """Data are not on this machine; the message says what to install, or where to put which file."""


class Dataset(ABC, Generic[Arrays]):
    """Real data. A subclass in its own file is found by name; the docstring's first line is its help.

    A dataset's arrays are a NamedTuple of NumPy arrays. They are shared by everyone in the process and
    therefore read-only.
    """

    name: ClassVar[str]
    licence: ClassVar[str]
    source: ClassVar[str]
    sha256: ClassVar[str | None]
    """The fingerprint the data must have; None where the data legitimately differs between machines."""

    @classmethod
    @abstractmethod
    def read(cls) -> Arrays:
        """Read the arrays from where they live; MissingData says what to install when they are not there."""

    @classmethod
    def load(cls) -> Arrays:
        """Return the arrays, read once per process; InputError if they do not have the expected checksum."""
        return _load(cls)

    @classmethod
    def fingerprint(cls) -> str:
        """Return the SHA-256 of the data in use, which tells apart what different installations hold."""
        return sha256(cls.load())


@cache
def _load(dataset: type[Dataset[Any]]) -> Any:
    arrays = dataset.read()
    found = sha256(arrays)
    if dataset.sha256 not in (None, found):
        raise InputError(
            f"dataset '{dataset.name}': the data from {dataset.source} has sha256 {found}, "
            f"expected {dataset.sha256}; results would not be comparable"
        )
    for array in arrays:
        array.flags.writeable = False
    return arrays


def sha256(arrays: tuple[np.ndarray, ...]) -> str:
    """Return the SHA-256, in hexadecimal, of the arrays' bytes in order (little-endian, C order)."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


class Split(NamedTuple):
    """Indices of the examples to train on and of those that are only ever evaluated."""

    training: np.ndarray
    held_out: np.ndarray


def stratified_split(labels: np.ndarray, every: int) -> Split:
    """Hold out every `every`-th example of each class, in the order of the data.

    It draws no random number, so the split is the same for every seed and every version of NumPy.
    labels (N,) integers; the indices of both parts are sorted.
    """
    rank_in_class = np.empty(labels.size, dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank_in_class[members] = np.arange(members.size)
    held_out = rank_in_class % every == every - 1
    return Split(training=np.flatnonzero(~held_out), held_out=np.flatnonzero(held_out))
