import math

import pytest

from rnnbench import probes, tasks
from rnnbench.datasets.base import MissingData
from rnnbench.probes.base import Diverged, Seeds


def measure(**parameters):
    probe = probes.get("training")
    return probe.measure(probe.Parameters(**parameters), Seeds(0, "a trial"))


def test_rows_tell_how_training_went():
    rows = list(
        measure(task="adding", length=4, cell="gru", hidden=8, steps=300, learning_rate=0.02, evaluate_every=50)
    )
    scalars = {row.quantity: row.value for row in rows if row.index is None}
    scores = {row.index: row.value for row in rows if row.quantity == "evaluation_score"}
    assert scalars["baseline_score"] == pytest.approx(1 / 6)
    assert scalars["solved_threshold"] == pytest.approx(1 / 600)
    assert scalars["score_higher_is_better"] == 0
    assert scalars["final_score"] == scores[max(scores)] < 1 / 60
    assert 0 <= scalars["fraction_clipped"] <= 1
    assert scalars["parameter_count"] == 3 * 8 * (8 + 2 + 1) + 8 + 8 + 1
    solved = [step for step, score in scores.items() if score <= 1 / 600]
    assert scalars["solved"] == bool(solved)
    assert scalars["steps_to_solve"] == min(solved) if solved else math.isnan(scalars["steps_to_solve"])


def test_a_diverging_trial_keeps_its_rows_and_says_where():
    rows = []
    with pytest.raises(Diverged, match=r"at step \d+"):  # noqa: PT012 - the rows before the error are the point
        for row in measure(
            task="adding", length=20, cell="rnn_relu", hidden=8, optimizer="sgd", learning_rate=1e6, clip_norm=0.0
        ):
            rows.append(row)
    losses = [row.value for row in rows if row.quantity == "training_loss"]
    assert len(losses) > 1
    assert math.isfinite(losses[0])


def test_length_defaults_to_the_tasks_own():
    parameters = probes.get("training").Parameters
    assert parameters(task="sequential_digits").length == 64
    assert parameters(task="adding").length == 100


def test_other_simple_predictors_are_beside_the_baseline():
    rows = {row.quantity: row.value for row in measure(task="character_prose", length=20, hidden=4, steps=1)}
    assert rows["solved_threshold"] == rows["reference_score_bigram"] < rows["baseline_score"]


def test_a_network_that_learned_a_text_writes_on_and_a_bidirectional_one_does_not():
    rows = list(measure(task="character_prose", length=20, cell="gru", hidden=4, steps=1))
    alphabet = {ord(character) for character in tasks.get("character_prose")().alphabet}
    for name, count in (("prompt_character", 20), ("written_character", 400)):
        characters = [row for row in rows if row.quantity == name]
        assert [row.index for row in characters] == list(range(count))
        assert {row.value for row in characters} <= alphabet
    both = measure(task="character_prose", length=20, cell="gru", hidden=4, steps=1, bidirectional=True)
    assert not any(row.quantity == "written_character" for row in both)


def test_missing_data_stop_the_trial_and_not_the_sweep(monkeypatch):
    def absent():
        raise MissingData("dataset 'digits' needs scikit-learn")

    monkeypatch.setattr(tasks.get("digit_images").data[0], "load", absent)
    with pytest.raises(MissingData, match="scikit-learn"):
        list(measure(task="digit_images"))
