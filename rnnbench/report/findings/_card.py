"""A claim as it is shown: its findings in words, its figure, and the rows behind it as a file to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from rnnbench.report import values, wording
from rnnbench.report.figures.base import Drawing
from rnnbench.report.findings import _strips
from rnnbench.report.findings.base import CANNOT_TELL, NO_ROWS, NOT_SUPPORTED, SUPPORTED, Claim, Finding, Judged
from rnnbench.report.tables import Column, Table

RULE = (
    "An effect is computed for each seed, from trials that differ by what the hypothesis is about alone; its interval "
    "is Student's, at 95 %, of the mean over seeds. Supported: the whole interval lies where the hypothesis expects "
    "it. Not supported: the whole interval lies outside. Cannot tell: it has a part in both, or there is one "
    "seed alone."
)
SIGNS = {SUPPORTED: "✓", NOT_SUPPORTED: "✗", CANNOT_TELL: "?", NO_ROWS: "–"}
"""Verdicts are told apart without colour too."""


@dataclass(frozen=True)
class Card:
    """One claim of the report."""

    claim: Claim
    findings: Sequence[Finding]
    anchor: str
    drawing: Drawing | None
    """None where there are no rows."""

    @property
    def expected(self) -> str:
        """The effects that the hypothesis expects."""
        return self.claim.expected.words(self.claim.unit)

    @cached_property
    def verdicts(self) -> list[tuple[str, int]]:
        """Each verdict with the number of settings it was given in; "no rows" where there is none."""
        if not self.findings:
            return [(NO_ROWS, 0)]
        given = [finding.verdict for finding in self.findings]
        return [(verdict, given.count(verdict)) for verdict in SIGNS if verdict in given]

    @property
    def rows(self) -> pd.DataFrame:
        """The measurements behind all findings."""
        return pd.concat([finding.rows for finding in self.findings], ignore_index=True)

    @property
    def file_name(self) -> str:
        """Under which the rows are kept."""
        return f"{wording.slug(self.claim.name)}.csv"

    @property
    def download(self) -> str:
        """The rows as a CSV file within a link, so that a page stays one file."""
        return values.download(self.rows.to_csv(index=False).encode())

    @property
    def seeds(self) -> Table:
        """The effect of every seed in every setting."""
        columns = [
            Column("measured in", numeric=False),
            Column("seed"),
            Column(self.claim.effect_name, self.claim.unit),
        ]
        body = [
            [finding.where or wording.MISSING, wording.value_text(seed), wording.significant(effect)]
            for finding in self.findings
            for seed, effect in finding.effects.items()
        ]
        return Table(f"Effect by seed: {self.claim.hypothesis}", columns, body)


def cards(judged: Sequence[Judged]) -> list[Card]:
    """Return a card a claim, or none at all where no claim has rows."""
    if not any(each.findings for each in judged):
        return []
    return [
        Card(each.claim, each.findings, each.anchor, _strips.drawing(each) if each.findings else None)
        for each in judged
    ]


def table(cards: Sequence[Card]) -> Table:
    """Return the verdicts of all claims, a row a setting."""
    titles = ("hypothesis", "measured in", "effect", "95 % interval", "expected", "verdict")
    body = []
    for card in cards:
        for finding in card.findings:
            effect, interval = finding.effect_text, finding.interval_text
            where = finding.where or wording.MISSING
            body.append([card.claim.hypothesis, where, effect, interval, card.expected, finding.verdict])
        if not card.findings:
            body.append([card.claim.hypothesis, *[wording.MISSING] * 3, card.expected, NO_ROWS])
    return Table("Hypotheses and verdicts.", [Column(title, numeric=False) for title in titles], body)
