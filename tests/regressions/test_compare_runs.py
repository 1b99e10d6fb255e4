"""Comparisons of stored runs: what is joined, what is told of it, what is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from made_up_runs import MACHINE, MakeRun, throughput, timed, trial, with_provenance

from rnnbench.errors import InputError
from rnnbench.probes.base import Measurement
from rnnbench.regressions import terminal
from rnnbench.regressions.compare import compare
from rnnbench.regressions.statistics import CANNOT_TELL, FASTER, SAME, SLOWER
from rnnbench.sweeps.trial import Trial

SIZES = dict.fromkeys([16, 32, 64, 128], 1.0)


def test_a_slowdown_of_10_per_cent_is_found_and_nothing_else(make_run: MakeRun) -> None:
    a = make_run("a", throughput(SIZES, seed=1))
    b = make_run("b", throughput(SIZES | {64: 1.1}, seed=2))
    points = compare(a, b).points
    assert points["hidden"].iloc[0] == 64, "the largest ratio comes first"
    assert points["verdict"].tolist() == [SLOWER, SAME, SAME, SAME]
    assert points["ratio"].is_monotonic_decreasing
    slow = points.iloc[0]
    assert slow["ratio_low"] < 1.1 < slow["ratio_high"]
    assert slow["time_b_s"] / slow["time_a_s"] == pytest.approx(slow["ratio"])
    assert compare(b, a).points["verdict"].tolist() == [SAME, SAME, SAME, FASTER]
    assert compare(a, b, threshold=0.2).points["verdict"].tolist() == [SAME] * 4


def test_seeds_are_processes_and_pairs(make_run: MakeRun) -> None:
    a = make_run("a", throughput({32: 1.0, 64: 1.0}, seed=1, seeds=4))
    b = make_run("b", throughput({32: 1.0, 64: 1.1}, seed=2, seeds=6))
    comparison = compare(a, b)
    assert comparison.points["processes"].tolist() == [4, 4]
    assert comparison.points[["samples_a", "samples_b"]].to_numpy().tolist() == [[44, 44], [44, 44]]
    assert comparison.points["verdict"].tolist() == [SLOWER, SAME]
    assert "4 trials with a seed that only b has." in comparison.notes
    assert not any("one process" in note for note in comparison.notes)


def test_every_timed_quantity_is_a_point_of_its_own(make_run: MakeRun) -> None:
    rng = np.random.default_rng(0)

    def rows(factor: float) -> list[Measurement]:
        ours, theirs = (1e-3 * np.exp(0.01 * rng.standard_normal(11)) for _ in range(2))
        scalars = [Measurement("median_time", 1.0, "s"), Measurement("ratio", rng.random(), "1")]
        return [*timed(factor * ours), *timed(theirs, "peer_time"), *scalars]

    a, b = (
        make_run(name, [trial("comparison", rows(f), implementation="torch")]) for name, f in (("a", 1), ("b", 0.5))
    )
    comparison = compare(a, b)
    assert comparison.points.set_index("quantity")["verdict"].to_dict() == {"time": FASTER, "peer_time": SAME}
    assert comparison.values.empty, "what a probe of times says hangs on the machine"
    assert len(terminal.summary(comparison)) == 2


def test_how_often_is_timed_and_what_one_probe_knows_is_no_other_point(make_run: MakeRun) -> None:
    a = make_run("a", throughput(SIZES, seed=1, repeats=11, grid=""))
    b = make_run("b", throughput(SIZES, seed=2, samples=7, repeats=7, backend="cpu", hidden_scale=1))
    comparison = compare(a, b)
    assert len(comparison.points) == 4
    assert set(comparison.points["samples_b"]) == {7}
    assert "Only b has the parameter backend of throughput (cpu); joined without it." in comparison.notes
    assert comparison.parameters == ("cell", "hidden", "length")


def test_a_parameter_without_a_value_joins_with_its_like(make_run: MakeRun) -> None:
    """An RNN has no gate bias, an LSTM has two: three points, whole numbers or not."""
    a, b = (
        make_run(
            name,
            [
                *throughput({16: 1.0}, seed, cell="rnn", gate_bias=None),
                *throughput({16: 1.0}, seed, gate_bias=kind(1)),
                *throughput({16: 1.0}, seed, gate_bias=2.5),
            ],
        )
        for name, seed, kind in (("a", 1, float), ("b", 2, int))
    )
    points = compare(a, b).points
    assert sorted(points["gate_bias"].fillna(0)) == [0, 1, 2.5]


def test_too_few_samples_are_told_from_the_same(make_run: MakeRun) -> None:
    a, b = (make_run(name, throughput(SIZES, seed, samples=3)) for name, seed in (("a", 1), ("b", 2)))
    points = compare(a, b).points
    assert set(points["verdict"]) == {CANNOT_TELL}
    assert set(points["reason"]) == {"too few samples"}
    assert points["ratio_low"].isna().all()


def test_values_that_do_not_hang_on_speed_are_compared_bit_by_bit(make_run: MakeRun) -> None:
    def rows(score: float, half_life: float, steps: int) -> list[Measurement]:
        losses = [Measurement("loss", 1.0 / step, "nat", step) for step in range(1, steps + 1)]
        return [*losses, Measurement("score", score, "1"), Measurement("half_life", half_life, "step")]

    a = make_run("a", [trial("training", rows(0.5, np.nan, 9), cell=cell) for cell in ("rnn", "lstm", "gru")])
    b = make_run(
        "b",
        [
            trial("training", rows(0.5, np.nan, 9), cell="rnn"),
            trial("training", rows(0.5 * (1 + 1e-6), np.nan, 9), cell="lstm"),
            trial("training", [*rows(0.5, 3.0, 7), Measurement("speed", 3.0, "step/s")], cell="gru"),
        ],
    )
    values = compare(a, b).values.set_index("quantity")
    assert values[["both", "identical", "only_a", "only_b"]].to_dict("index") == {
        "loss": {"both": 25, "identical": 25, "only_a": 2, "only_b": 0},
        "score": {"both": 3, "identical": 2, "only_a": 0, "only_b": 0},
        "half_life": {"both": 3, "identical": 2, "only_a": 0, "only_b": 0},
    }
    differences = values["largest_relative_difference"]
    assert (differences["loss"], differences["half_life"]) == (0, np.inf)
    assert differences["score"] == pytest.approx(1e-6, rel=1e-3)
    assert (values.loc["score", "where"], values.loc["half_life", "where"]) == ("LSTM", "GRU")
    assert compare(a, b).points.empty


def test_what_is_not_ok_or_not_run_is_left_out_and_told(make_run: MakeRun) -> None:
    failed = [trial("throughput", [], status, cell="lstm", hidden=h) for h, status in ((1, "error"), (2, "timeout"))]
    a = make_run("a", throughput(SIZES | {256: 1.0, 512: 1.0}, seed=1))
    b = make_run("b", [*throughput(SIZES, seed=2), *failed], missing=[Trial("throughput", {"hidden": 999})])
    comparison = compare(a, b)
    assert len(comparison.points) == 4
    assert "b: of 7 trials, 1 error, 1 timeout and 1 not run yet; left out." in comparison.notes
    assert "2 points only in a." in comparison.notes


def test_the_machine_s_own_rate_is_told(make_run: MakeRun) -> None:
    a, b = make_run("a", throughput(SIZES, 1, rate=250.0)), make_run("b", throughput(SIZES, 2, rate=200.0))
    comparison = compare(a, b)
    assert comparison.points["machine_ratio"].tolist() == pytest.approx([1.25] * 4)
    (note,) = (note for note in comparison.notes if "matrix product" in note)
    assert note == "The machine's own matrix product took 1.25 times A's time in B (median of 4 trials, 1.25)."


def test_a_change_that_the_machine_shares_is_not_told_as_one(make_run: MakeRun) -> None:
    a = make_run("a", throughput({16: 1.0, 32: 1.0, 64: 1.0}, 1, rate=250.0))
    b = make_run("b", throughput({16: 1.24, 32: 1.4, 64: 0.7}, 2, rate=200.0))
    points = compare(a, b).points.set_index("hidden")
    assert points["verdict"].to_dict() == {16: CANNOT_TELL, 32: SLOWER, 64: FASTER}
    assert points.loc[16, "reason"] == "the machine changed as much"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"machine": {"cpu": "Other CPU"}}, "cpu: Example CPU in a, Other CPU in b"),
        ({"machine": {"available_cores": 4}}, "available cores: 2 in a, 4 in b"),
        ({"thread_variables": {"RNNBENCH_THREADS": "1"}}, "threads: all cores in a, RNNBENCH_THREADS=1 in b"),
        (
            {"earlier_runs": [{"machine": {**MACHINE, "cpu": "Older CPU"}}]},
            "cpu: Example CPU in a, Example CPU and Older CPU in b",
        ),
    ],
)
def test_times_of_different_machines_are_refused(make_run: MakeRun, changes: dict[str, Any], told: str) -> None:
    a = make_run("a", throughput(SIZES, seed=1))
    b = with_provenance(make_run("b", throughput(SIZES, seed=2)), **changes)
    with pytest.raises(InputError, match=re.escape(told)) as refused:
        compare(a, b)
    assert "--different-machines" in str(refused.value)
    assert len(compare(a, b, different_machines=True).points) == 4


def test_other_values_of_different_machines_are_compared(make_run: MakeRun) -> None:
    trials = [trial("training", [Measurement("score", 0.5, "1")])]
    a, b = make_run("a", trials), with_provenance(make_run("b", trials), machine={"cpu": "Other CPU"})
    assert compare(a, b).values["identical"].tolist() == [1]


@pytest.mark.parametrize(
    ("trials", "told"),
    [
        (
            throughput({256: 1.0}, seed=1),
            "a and b have no trial in common: throughput: hidden is 16, 32, 64, 128 in a, 256 in b",
        ),
        (
            throughput({16: 1.0}, seed=1, cell="gru"),
            "a and b have no trial in common: throughput: cell is LSTM in a, GRU in b",
        ),
        (
            [trial("throughput", timed([1.0] * 5), cell="lstm", hidden=16, length=64, seed=7)],
            "throughput: seed is 0 in a, 7 in b",
        ),
        (
            [trial("throughputs", timed([1.0] * 5))],
            "b has none of the probes of a: unknown probe 'throughput': did you mean 'throughputs'?",
        ),
        ([trial("throughput", [], "error")], "b: no trial of it is ok; there is nothing to compare"),
        (
            [trial("throughput", [Measurement("size", 1.0, "1")], cell="lstm", hidden=16, length=64)],
            "a and b have trials in common, but no quantity that both have measured",
        ),
    ],
)
def test_runs_with_nothing_in_common_are_told_apart(make_run: MakeRun, trials: list, told: str) -> None:
    a, b = make_run("a", throughput(SIZES, seed=1)), make_run("b", trials)
    with pytest.raises(InputError, match=re.escape(told)):
        compare(a, b)


@pytest.mark.parametrize("threshold", [-0.01, 1.0, float("nan")])
def test_a_threshold_out_of_range_is_refused(make_run: MakeRun, threshold: float) -> None:
    a = make_run("a", throughput(SIZES, seed=1))
    with pytest.raises(InputError, match=r"threshold is .*; expected 0 or more, and less than 1"):
        compare(a, a, threshold)


def test_a_parameter_may_have_the_name_of_a_column(make_run: MakeRun) -> None:
    a = make_run("a", [trial("throughput", timed(np.arange(1, 8)), ratio=n, verdict="so") for n in (1, 2)])
    comparison = compare(a, a)
    assert comparison.points["ratio parameter"].tolist() == [1, 2]
    assert comparison.varying == ["ratio parameter"]
    assert comparison.points["ratio"].tolist() == [1.0, 1.0]
