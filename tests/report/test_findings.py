"""Every claim is judged by its stated rule: supported, not supported, cannot tell, and no rows without its rows."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import pandas as pd
import pytest
from made_up_claims import ADDERS, add_claim, add_counts, add_longest_step, add_skill, add_slope, add_time
from scipy import stats

from rnnbench import probes
from rnnbench.report import findings, page
from rnnbench.report.document import compose
from rnnbench.report.findings.base import CANNOT_TELL, NO_ROWS, NOT_SUPPORTED, SUPPORTED, Judged, Region, verdict
from rnnbench.report.rows import Rows

EVERY_CLAIM = pytest.mark.parametrize("name", ADDERS)


def judged(run, name):
    claim = findings.entries()[name]
    return Judged(claim, claim.findings(Rows.of(run.results(), claim.probe)))


def inside(region, depth):
    """An effect as far within the region as it is wide, or by `depth` where it has one end."""
    if math.isinf(region.high):
        return region.low + depth
    return region.high - depth if math.isinf(region.low) else (region.low + region.high) / 2


def outside(region, depth):
    return region.high + depth if math.isinf(region.low) else region.low - depth


@pytest.mark.parametrize("claim", findings.entries().values(), ids=findings.entries())
def test_a_claim_says_what_it_claims_and_what_it_expects(claim):
    assert claim.hypothesis.endswith(".")
    assert claim.experiment.endswith(".")
    assert claim.group
    assert claim.effect_name
    assert any(math.isfinite(end) for end in claim.expected), "what expects everything tells nothing"
    assert claim.expected.low <= claim.expected.high
    assert claim.probe in probes.entries()
    assert claim.quantities
    ranks = [other.rank for other in findings.entries().values()]
    assert ranks.count(claim.rank) == 1
    groups = {other.rank[0]: other.group for other in findings.entries().values()}
    assert groups[claim.rank[0]] == claim.group


def test_made_up_rows_are_of_claims_that_there_are():
    assert set(ADDERS) <= set(findings.entries())


@EVERY_CLAIM
def test_all_three_verdicts_can_be_reached(name, run_factory):
    """Four seeds ±s apart have an interval of ±3.18 · s · √(4/3) / 2 = ±1.84 s around their mean."""
    region = findings.entries()[name].expected
    ends = [end for end in region if math.isfinite(end)]
    depth = 0.5 * (region.high - region.low) if len(ends) == 2 else 0.2
    for effect, spread, expected in (
        (inside(region, depth), 0.1 * depth, SUPPORTED),
        (outside(region, depth), 0.1 * depth, NOT_SUPPORTED),
        (ends[0], 0.1 * depth, CANNOT_TELL),
    ):
        run = run_factory()
        add_claim(run, name, effect, spread)
        (finding,) = judged(run, name).findings
        assert finding.verdict == expected
        assert finding.mean == pytest.approx(effect, abs=1e-9)


@EVERY_CLAIM
def test_one_seed_cannot_tell(name, run_factory):
    run = run_factory()
    add_claim(run, name, inside(findings.entries()[name].expected, 0.2), seeds=1)
    (finding,) = judged(run, name).findings
    assert finding.verdict == CANNOT_TELL
    assert finding.interval_text == "one seed"
    assert "no interval from one seed" in finding.sentence


@EVERY_CLAIM
def test_no_rows_no_verdict(name, run_factory):
    """Rows of another claim, of another probe where there is one, do not speak for this one."""
    run = run_factory()
    other = "gru_is_cheaper" if name != "gru_is_cheaper" else "carousel_keeps_all"
    add_claim(run, other, 0.5)
    assert judged(run, name).findings == []
    (card,) = [card for card in findings.cards(findings.judge(run.results())) if card.claim.name == name]
    assert card.verdicts == [(NO_ROWS, 0)]
    assert card.drawing is None


@pytest.mark.parametrize("drop", ["largest_exponent", "log_spectral_radius"])
def test_a_missing_quantity_is_a_missing_row(empty_run, drop):
    add_claim(empty_run, "vanishes_below_radius_one", -0.2)
    empty_run.rows = [row for row in empty_run.rows if row[1] != drop]
    assert judged(empty_run, "vanishes_below_radius_one").findings == []


@pytest.mark.parametrize(
    ("low", "high", "region", "expected"),
    [
        (0.1, 0.2, Region(low=0.1), SUPPORTED),
        (0.05, 0.2, Region(low=0.1), CANNOT_TELL),
        (0.0, 0.05, Region(low=0.1), NOT_SUPPORTED),
        (-0.2, -0.1, Region(-0.1, 0.1), CANNOT_TELL),
        (-0.2, -0.15, Region(-0.1, 0.1), NOT_SUPPORTED),
        (0.11, 0.12, Region(-0.1, 0.1), NOT_SUPPORTED),
        (-0.2, 0.2, Region(-0.1, 0.1), CANNOT_TELL),
        (-0.1, 0.1, Region(-0.1, 0.1), SUPPORTED),
        (math.nan, math.nan, Region(low=0.1), CANNOT_TELL),
    ],
)
def test_the_rule(low, high, region, expected):
    assert verdict(low, high, region) == expected


def test_the_interval_is_students(empty_run):
    slopes = [0.01, 0.05, -0.02, 0.03]
    for seed, slope in enumerate(slopes):
        add_slope(empty_run, seed, "lstm_no_forget", None, slope)
    (finding,) = judged(empty_run, "carousel_keeps_all").findings
    expected = stats.ttest_1samp(slopes, 0).confidence_interval(0.95)
    assert finding.interval == pytest.approx((expected.low, expected.high))
    assert finding.sentence == "adding, orthogonal: effect 0.0175 nat/step (95 % −0.030 to 0.065, 4 seeds)."


def test_seeds_are_pairs_and_a_seed_without_its_pair_does_not_count(empty_run):
    """Seeds differ by far more than the cells of one seed do."""
    for seed, slope in enumerate((-0.5, -0.1, -0.3)):
        add_slope(empty_run, seed, "rnn", None, slope)
        if seed < 2:
            add_slope(empty_run, seed, "lstm", 1.0, slope + 0.05 + 0.002 * seed)
    (finding,) = judged(empty_run, "lstm_carries_further").findings
    assert finding.effects.to_dict() == pytest.approx({0: 0.05, 1: 0.052})
    assert finding.means == "LSTM −0.249, RNN −0.300"
    assert set(finding.rows["seed"]) == {0, 1}


def test_settings_are_judged_apart_and_only_where_both_arms_are(empty_run):
    for seed in range(3):
        for task, effect in (("adding", 0.4), ("parity", 0.0)):
            add_skill(empty_run, seed, 0.5 + effect, task=task, cell="lstm")
            add_skill(empty_run, seed, 0.5, task=task, cell="lstm_no_input")
        add_skill(empty_run, seed, 0.9, task="dyck_1", cell="lstm")
    found = judged(empty_run, "input_gate_matters").findings
    assert [(finding.where, finding.verdict) for finding in found] == [
        ("adding", SUPPORTED),
        ("parity", NOT_SUPPORTED),
    ]


def test_what_else_varies_is_held_at_what_most_trials_have_and_told(empty_run):
    for seed in range(4):
        for cell, skill in (("lstm", 0.9), ("gru", 0.85)):
            add_skill(empty_run, seed, skill, cell=cell, hidden=32)
            if seed < 2:
                add_skill(empty_run, seed, skill - 0.5 * (cell == "gru"), cell=cell, hidden=64)
    add_skill(empty_run, 0, 0.9, cell="lstm", hidden=128)
    (finding,) = judged(empty_run, "gru_is_as_good").findings
    assert finding.where == "adding, hidden 32"
    assert len(finding.effects) == 4


def test_what_differs_between_cells_alone_is_part_of_them(empty_run):
    for seed in range(3):
        add_skill(empty_run, seed, 0.9, cell="lstm", learning_rate=0.01)
        add_skill(empty_run, seed, 0.9, cell="gru", learning_rate=0.003)
    assert len(judged(empty_run, "gru_is_as_good").findings) == 1


def test_two_cells_that_learn_nothing_are_not_said_to_learn_as_well(empty_run):
    for seed in range(3):
        for cell in ("lstm", "gru"):
            add_skill(empty_run, seed, 0.02, cell=cell, length=200)
            add_skill(empty_run, seed, 0.9 if seed else 0.03, cell=cell, length=50)
    (finding,) = judged(empty_run, "gru_is_as_good").findings
    assert "length 50" in finding.where
    assert set(finding.effects.index) == {1, 2}, "in seed 0 neither has learned"


def test_who_diverged_has_learned_nothing_and_who_timed_out_is_left_out(empty_run):
    for seed, status in enumerate(("ok", "diverged", "timeout")):
        add_skill(empty_run, seed, 0.9, cell="lstm")
        add_skill(empty_run, seed, 0.8, status, cell="lstm_no_input")
    (finding,) = judged(empty_run, "input_gate_matters").findings
    assert finding.effects.to_dict() == pytest.approx({0: 0.1, 1: 0.9})


def test_who_is_worse_than_the_baseline_has_learned_nothing(empty_run):
    for seed in range(2):
        add_skill(empty_run, seed, 0.5, cell="lstm")
        add_skill(empty_run, seed, -0.7, cell="lstm_no_input")
    (finding,) = judged(empty_run, "input_gate_matters").findings
    assert finding.mean == pytest.approx(0.5)


def test_a_lower_score_that_is_better_is_a_skill_too(empty_run):
    key = add_skill(empty_run, 0, 0.0, cell="gru", task="digit_images")
    values = {"baseline_score": 4.0, "score_higher_is_better": 0.0, "final_score": 1.0}
    empty_run.rows = [(key, name, None, value, "1") for name, value in values.items()]
    (finding,) = judged(empty_run, "wiring_learns_its_use").findings
    assert finding.mean == pytest.approx(0.75)


def test_a_step_that_is_no_number_counts_as_the_largest(empty_run):
    for seed in range(3):
        add_longest_step(empty_run, seed, 0.0, math.inf if seed else 2e10)
        add_longest_step(empty_run, seed, 1.0, 2.0)
    (finding,) = judged(empty_run, "clipping_stops_explosions").findings
    most = math.log10(np.finfo(np.float32).max / 2)
    assert finding.effects.tolist() == pytest.approx([10, most, most])


def test_the_parameter_count_of_the_longest_and_the_shortest_sequences(empty_run):
    for seed in range(2):
        add_counts(empty_run, seed, {("rnn", 5): 100, ("rnn", 10): 7, ("rnn", 50): 1000})
    (finding,) = judged(empty_run, "parameters_do_not_grow").findings
    assert finding.effects.tolist() == pytest.approx([1, 1])
    assert finding.verdict == NOT_SUPPORTED


def test_times_are_compared_as_ratios(empty_run):
    for seed in range(3):
        add_time(empty_run, seed, "lstm", 0.02 * (1 + seed))
        add_time(empty_run, seed, "gru", 0.015 * (1 + seed))
    (finding,) = judged(empty_run, "gru_is_cheaper").findings
    assert finding.effects.tolist() == pytest.approx([0.75] * 3)


@pytest.fixture
def every_claim(empty_run):
    for name in ("gru_is_cheaper", "carousel_keeps_all", "gradient_is_a_sum", "clipping_stops_explosions"):
        add_claim(empty_run, name, inside(findings.entries()[name].expected, 0.3), 0.01)
    add_claim(empty_run, "both_directions_tag", -0.3, 0.02)
    add_claim(empty_run, "vanishes_below_radius_one", 0.0, 0.02)
    return empty_run.results()


def test_the_page_has_every_hypothesis_its_verdict_its_figure_and_its_rows(every_claim):
    document = compose(every_claim)
    html = page.render(document)
    verdicts = set()
    for card in document.cards:
        hypothesis = card.claim.hypothesis.replace(chr(39), "&#39;")
        tag = "article" if card.findings else "li"
        article = html.partition(f'<{tag} id="{card.anchor}">')[2].partition(f"</{tag}>")[0]
        assert hypothesis in article
        assert f"Expected: {card.expected}." in article
        verdicts |= {verdict for verdict, _ in card.verdicts}
        for verdict_given, _ in card.verdicts:
            assert f"{findings.SIGNS[verdict_given]} {verdict_given}</span>" in article
        if not card.findings:
            assert "<svg" not in article
            continue
        assert f'<a href="#{card.anchor}">{hypothesis}</a>' in html
        assert article.count("<svg") == 1
        first, _, rest = article.partition("<svg")
        assert all(finding.sentence in first for finding in card.findings), "the finding stands before the figure"
        assert f'download="{card.claim.name}.csv"' in rest
    assert verdicts == set(findings.SIGNS)
    without = sum(not card.findings for card in document.cards)
    assert f"{without} more hypotheses, of which no rows of this run can tell</summary>" in html


def test_the_rows_behind_a_finding_give_its_effect_again(every_claim):
    (card,) = [card for card in compose(every_claim).cards if card.claim.name == "both_directions_tag"]
    head, _, content = card.download.partition("base64,")
    assert head == "data:text/csv;charset=utf-8;"
    rows = pd.read_csv(io.BytesIO(base64.b64decode(content)))
    assert list(rows.columns) == ["where", "arm", "seed", "key", "quantity", "value", "unit"]
    assert set(rows["key"]) <= set(every_claim.trials["key"])
    table = rows.pivot(index=["seed", "arm"], columns="quantity", values="value")
    skill = 1 - (1 - table["final_score"]) / (1 - table["baseline_score"])
    effects = skill.unstack()["both directions"] - skill.unstack()["forward"]
    np.testing.assert_allclose(effects, card.findings[0].effects)


def test_nothing_from_outside_is_taken_for_markup(empty_run):
    nasty = "<script>alert('x')</script>"
    for seed in range(2):
        add_skill(empty_run, seed, 0.9, task=nasty, cell="lstm", hidden=nasty)
        add_skill(empty_run, seed, 0.1, task=nasty, cell="lstm_no_forget", hidden=nasty)
    document = compose(empty_run.results())
    assert any(nasty in finding.where for card in document.cards for finding in card.findings)
    html = page.render(document)
    assert html.count("<script") == 1  # the page's own
    assert "&lt;script&gt;" in html


def test_a_run_that_speaks_of_no_claim_has_no_such_section(empty_run):
    empty_run.trial("null", seed=0)
    document = compose(empty_run.results())
    assert document.cards == []
    assert 'id="hypotheses"' not in page.render(document)


def test_the_table_has_a_row_for_every_finding_and_every_claim_without(every_claim):
    cards = compose(every_claim).cards
    table = findings.table(cards)
    assert len(table.rows) == sum(max(1, len(card.findings)) for card in cards)
    assert {row[-1] for row in table.rows} == {SUPPORTED, NOT_SUPPORTED, CANNOT_TELL, NO_ROWS}
    tagging = next(row for row in table.rows if row[0].startswith("Tagging"))
    assert tagging[1:3] == ["named entities, GRU", "−0.300"]
    assert tagging[4:] == ["at least 0.05", "not supported"]
