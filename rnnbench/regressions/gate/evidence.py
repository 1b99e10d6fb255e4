"""What the rounds so far say of each benchmark: ratios, failures, and what has been decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnbench.regressions.gate.builds import AGAIN, BASE, HEAD
from rnnbench.regressions.gate.sequential import LOOKS, Plan, State
from rnnbench.regressions.gate.signed_rank import interval

CONFIDENCE = 0.95
MOST_FAILURES = 2
"""A benchmark that has failed so often on a side is timed no more; once may be bad luck."""


@dataclass
class Evidence:
    """All that is known of one gate; rounds are taken in one by one, stored ones as well as new ones."""

    names: Mapping[str, str]
    """{identifier: name} of everything selected"""
    unable: Mapping[str, Mapping[str, str]]
    """{side: {identifier: why it cannot run there}}"""
    plan: Plan
    state: State
    rounds: int = 0
    measured_s: float = 0.0
    round_s: float = 0.0
    """how long the last round took"""
    out_of_time: bool = False
    changes: dict[str, list[float]] = field(default_factory=dict)
    """log(head / base) of each round"""
    controls: dict[str, list[float]] = field(default_factory=dict)
    """log(again / base) of each round in which the base ran twice"""
    medians: dict[str, dict[str, list[float]]] = field(default_factory=lambda: {side: {} for side in (BASE, HEAD)})
    counts: dict[str, dict[str, list[float]]] = field(default_factory=lambda: {side: {} for side in (BASE, HEAD)})
    failures: dict[str, dict[str, list[str]]] = field(
        default_factory=lambda: {side: {} for side in (BASE, AGAIN, HEAD)}
    )
    biased: set[str] = field(default_factory=set)
    """benchmarks that tell two builds of the base apart"""

    @classmethod
    def start(
        cls,
        names: Mapping[str, str],
        unable: Mapping[str, Mapping[str, str]],
        threshold: float,
        looks: tuple[int, ...] = LOOKS,
    ) -> Evidence:
        """Return what is known before the first round."""
        able = sum(all(identifier not in reasons for reasons in unable.values()) for identifier in names)
        plan = Plan(max(1, able), threshold, looks=looks)
        return cls(names, unable, plan, State(plan))

    @property
    def able(self) -> list[str]:
        """Return the benchmarks that run on all sides."""
        return [name for name in self.names if all(name not in reasons for reasons in self.unable.values())]

    @property
    def open(self) -> list[str]:
        """Return the benchmarks that are still to be timed."""
        done = self.state.verdicts.keys() | self.biased | self.failing.keys()
        return [identifier for identifier in self.able if identifier not in done]

    @property
    def failing(self) -> dict[str, tuple[str, str]]:
        """Return {identifier: (side, reason)} of the benchmarks that failed too often while they were timed."""
        return {
            identifier: (side, reasons[-1])
            for side, failures in self.failures.items()
            for identifier, reasons in failures.items()
            if len(reasons) >= MOST_FAILURES
        }

    def take(self, line: Mapping[str, Any]) -> None:
        """Take one round into account, and look where the plan says so."""
        open_ones = self.open
        for side, failed in line["failed"].items():
            for identifier, reason in failed.items():
                self.failures[side].setdefault(identifier, []).append(reason)
        self.measured_s += line["seconds"]
        medians = line["medians"]
        if not medians:
            return  # a benchmark took its process down, and the round with it
        self.rounds += 1
        self.round_s = line["seconds"]
        for identifier in open_ones:
            times = {side: own[identifier] for side, own in medians.items() if identifier in own}
            if BASE in times and HEAD in times:
                self.changes.setdefault(identifier, []).append(float(np.log(times[HEAD] / times[BASE])))
                self._keep(self.medians, identifier, times)
                self._keep(self.counts, identifier, {side: own.get(identifier) for side, own in line["counts"].items()})
            if BASE in times and AGAIN in times:
                self.controls.setdefault(identifier, []).append(float(np.log(times[AGAIN] / times[BASE])))
        if self.rounds == self.plan.looks[0]:
            self.biased = {identifier for identifier in self.open if self._tells_builds_apart(identifier)}
        if self.rounds in self.plan.looks:
            self.state.look(self.rounds, {each: np.array(self.changes.get(each, [])) for each in self.open})

    def progress(self, seconds: float) -> str:
        """Return a line on how far the gate is."""
        following = next((look for look in self.plan.looks if look > self.rounds), None)
        ahead = f"next look after round {following}" if following else "the last look"
        decided = len(self.able) - len(self.open)
        return f"round {self.rounds}: {seconds:.1f} s; {decided} of {len(self.able)} benchmarks decided; {ahead}"

    def control_interval(self, identifier: str) -> tuple[float, float]:
        """Return the 95 % interval of log(again / base)."""
        return interval(np.array(self.controls.get(identifier, [])), CONFIDENCE)

    def _tells_builds_apart(self, identifier: str) -> bool:
        low, high = self.control_interval(identifier)
        return low > self.plan.tolerance or high < -self.plan.tolerance

    @staticmethod
    def _keep(store: dict[str, dict[str, list[float]]], identifier: str, values: Mapping[str, float | None]) -> None:
        for side in (BASE, HEAD):
            value = values.get(side)
            if value is not None:
                store[side].setdefault(identifier, []).append(value)


def reachable(looks: Iterable[int], rounds: int, round_s: float, seconds_left: float) -> int:
    """Return the last look that can be reached in the time left, at the pace of the last round; 0 where none can."""
    last = rounds + (seconds_left / round_s if round_s > 0 else 0)
    return max((look for look in looks if look <= max(last, rounds)), default=0)
