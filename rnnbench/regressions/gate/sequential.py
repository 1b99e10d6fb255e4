"""When to stop timing two builds, and what to say then: a group sequential test with error rates that hold.

A round times every benchmark once in a fresh process of each build; d = log(time / time of the base) of a round is what
is tested, by the signed rank test. Two bounds leave room between them, so that every true change has a right answer:

    tolerance   half the threshold (on the log scale)   a change up to this is nobody's fault: no alarm
    threshold   5 % by default                          a change from this on must not pass as "same"

    slower        refuses "at most the tolerance slower"; faster likewise
    not slower    refuses "the threshold or more slower"
    same          not slower, and refuses "the threshold or more faster"
    cannot tell   none of these when rounds or time have run out

What is promised, whatever the noise and however the benchmarks hang together:

    false alarms   P(any benchmark is called slower that is not slower by more than the tolerance) <= 1 %. Holm's
                   procedure over benchmarks (Holm 1979), and the rate divided among the looks: a union bound, which
                   needs no independence and allows stopping at any look, for any reason.
    misses         P(all benchmarks pass, one of them being slower by the threshold or more) <= 1 %. All have to pass,
                   so each is tested at the whole rate (an intersection-union test, Berger 1982).

Data are looked at after fixed numbers of rounds. A build's own luck (its place in memory, the order of its machine
code) is drawn once, not once a round; the tolerance has to cover it, and rounds of the base against a second build of
itself show how large it is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rnnbench.errors import InputError
from rnnbench.regressions.gate.signed_rank import p_above, p_below
from rnnbench.regressions.statistics import CANNOT_TELL, FASTER, SAME, SLOWER

NOT_SLOWER = "not slower"
PASSING = frozenset({SAME, FASTER, NOT_SLOWER})
LOOKS = (12, 16, 24, 36, 54, 80)
"""Rounds after which the data are looked at, half as many again from one to the next."""


@dataclass(frozen=True)
class Plan:
    """What is promised, and when the data are looked at; fixed before the first round.

    >>> plan = Plan(benchmarks=6)
    >>> f"{plan.tolerance:.4f} {plan.bound:.4f}"  # logarithms of 1.0247 and 1.05
    '0.0244 0.0488'
    """

    benchmarks: int
    threshold: float = 0.05
    false_alarm_rate: float = 0.01
    miss_rate: float = 0.01
    looks: tuple[int, ...] = LOOKS

    def __post_init__(self) -> None:
        for name, low, high in (("threshold", 0, 1), ("false_alarm_rate", 0, 0.5), ("miss_rate", 0, 0.5)):
            if not low < getattr(self, name) < high:
                raise InputError(f"{name} is {getattr(self, name):g}; expected more than {low} and less than {high:g}")

    @property
    def bound(self) -> float:
        """Return the threshold as a logarithm."""
        return math.log1p(self.threshold)

    @property
    def tolerance(self) -> float:
        """Return half the threshold as a logarithm: what an alarm has to exceed."""
        return self.bound / 2

    @property
    def alarm_looks(self) -> tuple[int, ...]:
        """Return the looks that can raise an alarm.

        They share the rate in equal parts; those so early that not even rounds all on one side reach a part have none.
        """
        looks = self.looks
        while looks and 0.5 ** looks[0] > self.false_alarm_rate / self.benchmarks / len(looks):
            looks = looks[1:]
        return looks

    def alarm_level(self, rounds: int) -> float:
        """Return the rate of the look after so many rounds, benchmarks together."""
        looks = self.alarm_looks
        return self.false_alarm_rate / len(looks) if rounds in looks else 0.0

    @property
    def pass_level(self) -> float:
        """Return the rate of one benchmark at one look, to be called not slower."""
        return self.miss_rate / len(self.looks)


@dataclass
class State:
    """What is known of each benchmark after the looks so far."""

    plan: Plan
    verdicts: dict[str, str] = field(default_factory=dict)
    """slower, faster or same; a benchmark that is still open is missing"""
    not_slower: set[str] = field(default_factory=set)
    not_faster: set[str] = field(default_factory=set)

    def look(self, rounds: int, differences: Mapping[str, np.ndarray]) -> None:
        """Take the log ratios so far of every open benchmark into account; call it once a look, after its rounds."""
        open_ones = {name: values for name, values in differences.items() if name not in self.verdicts}
        self.verdicts |= self._changed(self.plan.alarm_level(rounds), open_ones)
        for name, values in open_ones.items():
            if p_below(values, self.plan.bound) <= self.plan.pass_level:
                self.not_slower.add(name)
            if p_above(values, -self.plan.bound) <= self.plan.pass_level:
                self.not_faster.add(name)
            if name in self.not_slower & self.not_faster:
                self.verdicts.setdefault(name, SAME)

    def _changed(self, level: float, open_ones: Mapping[str, np.ndarray]) -> dict[str, str]:
        """Return what Holm's procedure finds slower, and what it finds faster, each direction at the full rate.

        What an earlier look has found counts as found: then at least as many of the others may be true nulls as the
        level is divided by, and the first false alarm of all looks together stays within the rate.
        """
        found: dict[str, str] = {}
        tests = (
            (SLOWER, {name: p_above(values, self.plan.tolerance) for name, values in open_ones.items()}),
            (FASTER, {name: p_below(values, -self.plan.tolerance) for name, values in open_ones.items()}),
        )
        for verdict, p_values in tests:
            left = self.plan.benchmarks - sum(each == verdict for each in self.verdicts.values())
            for name in sorted(p_values, key=p_values.__getitem__):
                if p_values[name] > level / left:
                    break
                found[name] = verdict
                left -= 1
        return found

    def verdict(self, name: str) -> str:
        """Return the verdict on a benchmark if nothing more is measured."""
        if name in self.verdicts:
            return self.verdicts[name]
        return NOT_SLOWER if name in self.not_slower else CANNOT_TELL


def detectable(plan: Plan, noise: float, rounds: int, power: float = 0.9) -> float:
    """Return the smallest slowdown, as a ratio less 1, from which on gates of so many rounds call it slower.

    They do with the power asked for. `noise` is the standard deviation of a round's log ratio; normal noise is assumed,
    of which outliers make less. What counts is the last look up to `rounds`, at the level of the first alarm (Holm's
    first step). Nothing below the threshold is promised: an early look may have called it the same by then. Infinite
    where no look comes so early.

    >>> [f"{detectable(Plan(benchmarks=6), noise, rounds=24):.3f}" for noise in (0.02, 0.05)]
    ['0.050', '0.085']
    """
    last = max((look for look in plan.alarm_looks if look <= rounds), default=0)
    if not last or not math.isfinite(noise):
        return math.inf
    level = plan.alarm_level(last) / plan.benchmarks
    shift = _shift_caught(level, last, power + plan.miss_rate)  # of those, some will have passed before
    return max(plan.threshold, math.expm1(plan.tolerance + shift * noise))


@functools.cache
def _shift_caught(level: float, rounds: int, power: float, draws: int = 1000) -> float:
    """Return the shift, in standard deviations of normal noise, that the test finds with the power; simulated."""
    standard = np.random.default_rng(0).standard_normal((draws, rounds))
    low, high = 0.0, 8.0  # a shift of 8 leaves no round on the other side
    while high - low > 0.01:
        middle = (low + high) / 2
        caught = np.mean([p_above(values, -middle) <= level for values in standard])
        low, high = (low, middle) if caught >= power else (middle, high)
    return high
