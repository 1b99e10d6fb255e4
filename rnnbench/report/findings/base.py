"""What a claim is: a hypothesis, the trials that can tell, an effect with its interval, and a verdict by one rule.

An effect is computed for each seed, from trials that are the same in all but what the claim is about. The interval is
Student's, at 95 %, of its mean over seeds. Beforehand a claim says which effects it expects, a region with its ends:

    supported        the whole interval lies in the region
    not supported    the whole interval lies outside of it
    cannot tell      the interval has a part in both, or there is none, as there is one seed alone

An effect that is real but too small to matter is not supported, and one that too few seeds blur cannot be told.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd

from rnnbench.report import wording
from rnnbench.report.findings._matching import Arm, matches
from rnnbench.report.rows import Rows
from rnnbench.report.statistics import mean_interval

SUPPORTED, NOT_SUPPORTED, CANNOT_TELL = VERDICTS = ("supported", "not supported", "cannot tell")
NO_ROWS = "no rows"


class Region(NamedTuple):
    """The effects that a hypothesis expects, both ends included."""

    low: float = -math.inf
    high: float = math.inf

    def words(self, unit: str) -> str:
        """Return the region in words: "at least 0.05", "−0.1 to 0.1"."""
        low, high = (f"{end:g}".replace("-", "−") for end in self)
        if math.isinf(self.high):
            return wording.measured(f"at least {low}", unit)
        if math.isinf(self.low):
            return wording.measured(f"at most {high}", unit)
        return wording.measured(f"{low} to {high}", unit)


def verdict(low: float, high: float, expected: Region) -> str:
    """Return the verdict for an interval; NaN, no interval, cannot tell."""
    if expected.low <= low and high <= expected.high:
        return SUPPORTED
    if high < expected.low or expected.high < low:
        return NOT_SUPPORTED
    return CANNOT_TELL


class Comparison(NamedTuple):
    """Which trials are set against each other, and what tells this comparison from others of the claim."""

    arms: Sequence[Arm]
    where: str = ""


@dataclass(frozen=True)
class Finding:
    """What the rows say of a claim in one setting."""

    where: str
    """The setting: "adding, length 50"."""
    means: str
    """What the arms came to: "LSTM −0.05, RNN −0.06"."""
    effects: pd.Series
    """One value a seed."""
    unit: str
    expected: Region
    rows: pd.DataFrame
    """The measurements that the effects were computed from: where, arm, seed, key, quantity, value, unit."""

    @property
    def mean(self) -> float:
        """The effect: its mean over seeds."""
        return float(self.effects.mean())

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Student's 95 % interval of the effect; NaN for one seed."""
        return mean_interval(self.effects.to_numpy(float))

    @property
    def verdict(self) -> str:
        """What follows, by the rule of the module."""
        return verdict(*self.interval, self.expected)

    @property
    def effect_text(self) -> str:
        """The effect in its unit."""
        return wording.measured(wording.significant(self.mean), self.unit)

    @property
    def interval_text(self) -> str:
        """The interval, both ends to the same digit; why there is none for one seed."""
        low, high = self.interval
        if math.isnan(low):
            return "one seed"
        return wording.interval(low, high) if low < high else "all seeds alike"

    @property
    def sentence(self) -> str:
        """Arms, effect, interval and seeds."""
        low, high = self.interval
        within = "no interval from one seed" if math.isnan(low) else f"the same in {len(self.effects)} seeds"
        if low < high:
            within = f"95 % {self.interval_text}, {len(self.effects)} seeds"
        said = [self.means, f"effect {self.effect_text} ({within})"]
        return f"{self.where}: {'; '.join(filter(None, said))}." if self.where else f"{'; '.join(filter(None, said))}."


class Claim(ABC):
    """A sentence of an introduction to recurrent networks that rows of one probe can speak for or against.

    A subclass in this package is found by name. It names the arms that are compared, trials that are then paired by
    seed and agree in all other parameters, and how an effect comes of their values.
    """

    name: ClassVar[str]
    rank: ClassVar[tuple[int, int]]
    """Place of its group, and its own in the group."""
    group: ClassVar[str]
    hypothesis: ClassVar[str]
    """The claim, one sentence."""
    experiment: ClassVar[str]
    """What is measured on what, in sentences."""
    effect_name: ClassVar[str]
    unit: ClassVar[str] = ""
    expected: ClassVar[Region]
    probe: ClassVar[str]
    quantities: ClassVar[Sequence[str]]
    """The measured quantities that the effect is made of; rows of all of them are needed."""
    value_unit: ClassVar[str] = ""
    """The unit of what the arms came to, where a reader would miss it."""
    parameters: ClassVar[Sequence[str]] = ("cell",)
    """The parameters that tell its arms apart; trials of all of them are needed."""
    settings: ClassVar[Sequence[str]] = ()
    """The parameters whose values are judged apart; all others are held where most trials are."""

    def frame(self, rows: Rows) -> pd.DataFrame:
        """Return one row a trial, parameters and scalar quantities, with what is compared as column `value`."""
        frame = rows.wide()
        return frame.assign(value=frame[self.quantities[0]])

    @abstractmethod
    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield what is to be compared, given one row a trial."""

    def effects(self, values: pd.DataFrame, arms: Sequence[Arm]) -> pd.Series:
        """Return the effect of every seed from values (seeds, arms): the first arm's less the second's."""
        return values.iloc[:, 0] - values.iloc[:, 1]

    def findings(self, rows: Rows) -> list[Finding]:
        """Return what the rows of the claim's probe say, a finding a setting; none where rows are missing."""
        if not set(self.quantities) <= set(rows.scalars()) or not set(self.parameters) <= set(rows.parameters):
            return []
        frame = self.frame(rows)
        found = []
        for comparison in self.comparisons(frame):
            for match in matches(frame, rows.parameters, comparison.arms, self.settings):
                effects = self.effects(match.values, comparison.arms)
                effects = effects[np.isfinite(effects)]
                if len(effects):
                    where = ", ".join(filter(None, [comparison.where, match.where]))
                    found.append(self._finding(rows, where, effects, match.values, match.trials))
        return found

    def _finding(
        self, rows: Rows, where: str, effects: pd.Series, values: pd.DataFrame, trials: pd.DataFrame
    ) -> Finding:
        kept = values.loc[effects.index]
        told = [wording.measured(wording.significant(kept[arm].mean()), self.value_unit) for arm in kept]
        means = ", ".join(f"{arm} {value}" for arm, value in zip(kept, told, strict=True)) if len(told) > 1 else ""
        measured = rows.measurements[rows.measurements["quantity"].isin(self.quantities)]
        measured = measured[["key", "quantity", "value", "unit"]].merge(trials[["key", "arm", "seed"]], on="key")
        measured.insert(0, "where", where)
        own = measured[["where", "arm", "seed", "key", "quantity", "value", "unit"]]
        own = own[own["seed"].isin(effects.index)].drop_duplicates(["key", "arm", "quantity"])
        return Finding(where, means, effects, self.unit, self.expected, own.sort_values(["seed", "arm", "quantity"]))


@dataclass(frozen=True)
class Judged:
    """A claim and what a run says of it."""

    claim: Claim
    findings: Sequence[Finding]

    @property
    def anchor(self) -> str:
        """Where it stands in the page."""
        return f"claim-{wording.slug(self.claim.name)}"
