"""Which trials may be compared: those of one seed that differ by what the comparison is about, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rnnbench.report import wording
from rnnbench.report.rows import settings


class Arm:
    """One side of a comparison: Arm("LSTM", cell="lstm", gate_bias=0.0); None for a parameter that is missing."""

    def __init__(self, label: str, **where: Any) -> None:
        self.label = label
        self.where: Mapping[str, Any] = where

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the trials that fit, with the label as column `arm`."""
        fits = pd.Series(True, frame.index)
        for name, value in self.where.items():
            column = frame[name] if name in frame else pd.Series(None, frame.index, dtype=object)
            fits &= column.isna() if value is None else (column == value).fillna(False).astype(bool)
        return frame[fits].assign(arm=self.label)


@dataclass(frozen=True)
class Match:
    """Trials that are compared in one setting."""

    where: str
    values: pd.DataFrame
    """One row a seed that all arms have, one column an arm."""
    trials: pd.DataFrame
    """The trials themselves, one row each: key, seed, arm, parameters."""


def matches(
    frame: pd.DataFrame, parameters: Sequence[str], arms: Sequence[Arm], shown: Sequence[str]
) -> Iterator[Match]:
    """Yield one match for each setting of the parameters `shown` in which all arms have a seed in common.

    `frame` has one row a trial with what is compared in the column `value`. Parameters that vary within an arm tell
    settings apart if they are shown, and are held otherwise: at the value most trials of all arms have, the largest of
    equals. What differs between arms alone, such as a learning rate for each cell, is part of the arm.
    """
    parts = [arm.of(frame) for arm in arms]
    if not parts or any(part.empty for part in parts):
        return
    together = pd.concat(parts, ignore_index=True)
    if "seed" not in together:
        together["seed"] = 0
    compared = {name for arm in arms for name in arm.where}
    found = _complete(together, [name for name in shown if name in parameters and name not in compared], arms)
    apart = _varying(pd.concat([part for _, part in found]), shown) if found else []
    for values, part in found:
        own = {*compared, *shown, "seed"}
        kept, held = _held(part, _varying(part, [name for name in parameters if name not in own]), arms)
        table = kept.drop_duplicates(["seed", "arm"]).pivot(index="seed", columns="arm", values="value")
        table = table.reindex(columns=[arm.label for arm in arms]).dropna()
        if len(table):
            told = {name: value for name, value in values.items() if isinstance(value, str) or name in apart}
            yield Match(wording.setting(told | held), table, kept[kept["seed"].isin(table.index)])


def _varying(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the parameters that take more than one value within an arm."""
    known = [name for name in names if name in frame and frame[name].nunique(dropna=False) > 1]
    counts = frame.groupby("arm", sort=False)[known].nunique(dropna=False)
    return [name for name in known if (counts[name] > 1).any()]


def _complete(
    frame: pd.DataFrame, names: Sequence[str], arms: Sequence[Arm]
) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """Return the settings in which every arm has a trial."""
    found = settings(frame, names)
    return [(values, part) for values, part in found if part["arm"].nunique() == len({arm.label for arm in arms})]


def _held(frame: pd.DataFrame, names: Sequence[str], arms: Sequence[Arm]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the trials at one value of each named parameter, the last of those that most trials have, and which."""
    held: dict[str, Any] = {}
    for name in names:
        found = _complete(frame, [name], arms)
        if not found:
            return frame.iloc[:0], held
        values, kept = max(reversed(found), key=lambda setting: len(setting[1]))
        held |= values if len(kept) < len(frame) else {}
        frame = kept
    return frame, held
