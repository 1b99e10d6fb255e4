"""What a gate found: one row a benchmark, one answer, one exit code."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench.regressions.gate.builds import BASE, HEAD, NothingMeasured
from rnnbench.regressions.gate.evidence import CONFIDENCE, Evidence, reachable
from rnnbench.regressions.gate.sequential import NOT_SLOWER, PASSING, detectable
from rnnbench.regressions.gate.signed_rank import centre, interval
from rnnbench.regressions.statistics import CANNOT_TELL, FASTER, SAME, SLOWER

if TYPE_CHECKING:
    from rnnbench.regressions.gate.run import Settings

BROKEN, NEW, SKIPPED = "broken", "new", "skipped"
"""Runs in the base and not in the head; runs in the head only; neither commit can do it yet."""
VERDICTS = (BROKEN, SLOWER, CANNOT_TELL, FASTER, NOT_SLOWER, SAME, NEW, SKIPPED)
EXIT_SAME, EXIT_REGRESSED, EXIT_INPUT, EXIT_CANNOT_TELL, EXIT_NOTHING = range(5)
ANSWERS = {EXIT_SAME: "not slower", EXIT_REGRESSED: "regressed", EXIT_CANNOT_TELL: "cannot tell"}
POWER = 0.9


@dataclass(frozen=True)
class Row:
    """One benchmark; NaN where a number is not known."""

    name: str
    verdict: str
    reason: str = ""
    rounds: int = 0
    base_s: float = math.nan
    head_s: float = math.nan
    ratio: float = math.nan
    """head over base"""
    ratio_low: float = math.nan
    ratio_high: float = math.nan
    control_low: float = math.nan
    """the interval of a second build of the base over the base"""
    control_high: float = math.nan
    detectable: float = math.nan
    """the slowdown, as a ratio less 1, that is called slower with a power of 90 % in the time given"""
    instruction_ratio: float = math.nan


@dataclass(frozen=True)
class Result:
    """The answer of a gate."""

    base: str
    head: str
    base_reference: str
    head_reference: str
    threshold: float
    tolerance: float
    """as a ratio less 1"""
    false_alarm_rate: float
    miss_rate: float
    rounds: int
    measured_s: float
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    folder: Path

    @property
    def exit_code(self) -> int:
        """Return 0 if every benchmark passes, 1 if any is slower or broken, 3 if any cannot be told."""
        verdicts = {row.verdict for row in self.rows} - {NEW, SKIPPED}
        if verdicts & {SLOWER, BROKEN}:
            return EXIT_REGRESSED
        return EXIT_SAME if verdicts and verdicts <= PASSING else EXIT_CANNOT_TELL

    @property
    def answer(self) -> str:
        """Return the answer in a word or two."""
        all_same = {row.verdict for row in self.rows} - {NEW, SKIPPED} == {SAME}
        return SAME if all_same else ANSWERS[self.exit_code]

    def to_json(self) -> str:
        """Return everything as JSON; what is not known is null."""

        def known(value: Any) -> Any:
            return None if isinstance(value, float) and not math.isfinite(value) else value

        rows = [{name: known(value) for name, value in dataclasses.asdict(row).items()} for row in self.rows]
        whole = dataclasses.asdict(self) | {"rows": rows, "folder": str(self.folder)}
        return json.dumps({"answer": self.answer, "exit_code": self.exit_code, **whole}, indent=2) + "\n"


def conclude(
    evidence: Evidence, settings: Settings, commits: tuple[str, str], notes: Sequence[str], folder: Path
) -> Result:
    """Return the result of what was measured; NothingMeasured where that is nothing."""
    rows = [_row(evidence, identifier, settings.minutes * 60) for identifier in evidence.names]
    rows.sort(key=lambda row: (VERDICTS.index(row.verdict), -row.ratio if math.isfinite(row.ratio) else 0.0))
    if not any(row.rounds or row.verdict == BROKEN for row in rows):
        reasons = "; ".join(f"{row.name}: {row.reason}" for row in rows[:3])
        raise NothingMeasured(f"none of {len(rows)} benchmarks was measured in both commits: {reasons}")
    plan = evidence.plan
    return Result(
        base=commits[0],
        head=commits[1],
        base_reference=settings.base,
        head_reference=settings.head,
        threshold=plan.threshold,
        tolerance=math.expm1(plan.tolerance),
        false_alarm_rate=plan.false_alarm_rate,
        miss_rate=plan.miss_rate,
        rounds=evidence.rounds,
        measured_s=evidence.measured_s,
        rows=tuple(rows),
        notes=tuple(notes),
        folder=folder,
    )


def _row(evidence: Evidence, identifier: str, limit_s: float) -> Row:
    name, plan = evidence.names[identifier], evidence.plan
    if identifier not in evidence.able:
        return _unable(name, {side: reasons.get(identifier) for side, reasons in evidence.unable.items()})
    verdict, reason = evidence.state.verdict(identifier), ""
    control = np.array(evidence.controls.get(identifier, []))
    if identifier in evidence.failing:
        side, why = evidence.failing[identifier]
        verdict, reason = (BROKEN if side == HEAD else CANNOT_TELL), f"fails in {side}: {why}"
    elif identifier in evidence.biased:
        verdict = CANNOT_TELL
        reason = f"two builds of the base differ by {100 * math.expm1(abs(centre(control))):.1f} %"
    elif verdict == CANNOT_TELL:
        reason = "time ran out" if evidence.out_of_time else "rounds ran out"
    values = np.array(evidence.changes.get(identifier, []))
    if not len(values):
        return Row(name, verdict, reason)
    last = reachable(plan.looks, evidence.rounds, evidence.round_s, limit_s - evidence.measured_s)
    noise = float(np.std(control, ddof=1)) if len(control) > 1 else math.nan
    low, high = interval(values, CONFIDENCE)
    control_low, control_high = evidence.control_interval(identifier)
    counts = [np.median(evidence.counts[side].get(identifier, [math.nan])) for side in (BASE, HEAD)]
    return Row(
        name,
        verdict,
        reason,
        rounds=len(values),
        base_s=float(np.median(evidence.medians[BASE][identifier])),
        head_s=float(np.median(evidence.medians[HEAD][identifier])),
        ratio=math.exp(centre(values)),
        ratio_low=math.exp(low),
        ratio_high=math.exp(high),
        control_low=math.exp(control_low),
        control_high=math.exp(control_high),
        detectable=detectable(plan, noise, last, POWER),
        instruction_ratio=float(counts[1] / counts[0]),
    )


def _unable(name: str, reasons: dict[str, str | None]) -> Row:
    """Return the row of a benchmark that does not run on every side."""
    in_base, in_head = reasons[BASE], reasons[HEAD]
    if in_head and not in_base:
        return Row(name, BROKEN, f"runs in {BASE}, not in {HEAD}: {in_head}")
    if in_base and not in_head:
        return Row(name, NEW, f"does not run in {BASE}: {in_base}")
    if in_base == in_head == "skipped":
        return Row(name, SKIPPED, "neither commit can do it")
    why = f"{BASE}: {in_base}; {HEAD}: {in_head}" if in_base else "runs in one of two builds of the base only"
    return Row(name, CANNOT_TELL, why)
