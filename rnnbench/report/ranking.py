"""Which setting is lowest or highest, without telling apart what the seeds do not tell apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnnbench.report import wording


def name(cell: str, setting: str) -> str:
    """Return how a sentence calls a cell in a setting: "LSTM (gate bias 1)"."""
    return f"{wording.cell_label(cell)} ({setting})" if setting else wording.cell_label(cell)


def lowest(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the entry with the lowest median over seeds and every other whose seeds overlap with its own.

    With one seed there is no overlap to see: the lowest alone, or what is equal to it.
    """
    if not values:
        return {}
    ranked = sorted(values, key=lambda entry: float(np.median(values[entry])))
    top = float(values[ranked[0]].max())
    return {entry: values[entry] for entry in ranked if float(values[entry].min()) <= top}


def highest(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the entry with the highest median and every other whose seeds overlap with its own."""
    return {entry: -found for entry, found in lowest({entry: -found for entry, found in values.items()}).items()}
