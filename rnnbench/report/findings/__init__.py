"""What is said of recurrent networks, judged by the rows of a run: one file a group of claims.

A claim is found by its class; a new file, or a new class in one, is a new claim. It is judged in every run whose rows
it can use, whatever their sweep is called, and says "no rows" where there are none.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from rnnbench import registry
from rnnbench.report.findings._card import RULE, SIGNS, Card, cards, table
from rnnbench.report.findings.base import Claim, Judged
from rnnbench.report.rows import Rows

if TYPE_CHECKING:
    from rnnbench.sweeps.store import Results

__all__ = ["RULE", "SIGNS", "Card", "Claim", "Judged", "cards", "entries", "judge", "table"]


@cache
def entries() -> dict[str, Claim]:
    """Return every claim by name, in the order of an introduction: by group, then as their files have them."""
    found = {name: kind() for name, kind in registry.subclasses(__name__, Claim).items()}
    return dict(sorted(found.items(), key=lambda entry: entry[1].rank))


def judge(run: Results) -> list[Judged]:
    """Return every claim with what the rows of a run say of it; a claim without rows has no findings."""
    rows = {probe: Rows.of(run, probe) for probe in map(str, run.trials["probe"].unique())}
    return [
        Judged(claim, claim.findings(rows[claim.probe]) if claim.probe in rows else []) for claim in entries().values()
    ]
