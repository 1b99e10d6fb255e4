"""The shipped sweep of claims, small enough for a test: every claim is judged by rows that its probes gave."""

from __future__ import annotations

from pathlib import Path

import pytest

import rnnbench
from rnnbench.report import findings, page
from rnnbench.report.document import compose
from rnnbench.report.findings.base import VERDICTS, Claim
from rnnbench.report.findings.gru import GruIsAsGood
from rnnbench.sweeps import spec

SWEEP = Path(__file__).parents[2] / "experiments" / "concepts.toml"
SMALL = ["backend=reference", "seed=[0, 1]", "hidden=5", "batch=4", "steps=3", "repeats=3", "burn_in=5"]
SMALL += ["evaluation_size=20", "evaluate_every=3", "sweep.1.fixed.length=40", "sweep.2.fixed.length=40"]
"""A few steps teach nothing: what is tested is that every claim finds its rows, not what they say."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> rnnbench.Results:
    out = tmp_path_factory.mktemp("results")
    return rnnbench.run(SWEEP, out=out, jobs=0, progress=False, set=SMALL)


def test_every_trial_of_the_sweep_ends_well(run: rnnbench.Results) -> None:
    assert set(run.trials["status"]) == {"ok"}, run.trials["reason"].unique()
    assert len(run.trials) == len(spec.load(SWEEP, SMALL).trials)


def test_every_claim_is_judged(run: rnnbench.Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GruIsAsGood, "effects", Claim.effects)  # which else says nothing of cells that learned nothing
    judged = {each.claim.name: each.findings for each in findings.judge(run)}
    assert [name for name, found in judged.items() if not found] == []
    assert {finding.verdict for found in judged.values() for finding in found} <= set(VERDICTS)
    assert all(len(finding.effects) == 2 for found in judged.values() for finding in found)


def test_what_holds_by_construction_is_supported(run: rnnbench.Results) -> None:
    verdicts = {each.claim.name: {finding.verdict for finding in each.findings} for each in findings.judge(run)}
    for name in ("parameters_do_not_grow", "gradient_is_a_sum", "linear_rate_is_the_radius"):
        assert verdicts[name] == {"supported"}


def test_the_report_names_every_wiring(run: rnnbench.Results) -> None:
    html = page.render(compose(run))
    for wiring in ("one-to-one", "one-to-many", "many-to-one", "many-to-many", "sequence-to-sequence"):
        assert f"{wiring}: " in html
