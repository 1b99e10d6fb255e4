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


@pytest.mark.parametrize("task", ["adding", "copy_memory"])
@pytest.mark.parametrize(("cell", "layers", "bidirectional"), [("rnn", 1, False), ("lstm", 2, False), ("gru", 1, True)])
def test_parameters_pick_the_hidden_size_that_is_nearest(task, cell, layers, bidirectional):
    parameters = probes.get("training").Parameters
    shape = {"task": task, "length": 10, "cell": cell, "layers": layers, "bidirectional": bidirectional}
    picked = parameters(**shape, parameters=3_000).hidden

    def size(hidden):
        rows = measure(**shape, hidden=hidden, steps=1, batch=1, evaluation_size=1)
        return next(row.value for row in rows if row.quantity == "parameter_count")

    distances = [abs(size(hidden) - 3_000) for hidden in (picked - 1, picked, picked + 1)]
    assert min(distances) == distances[1]


def test_a_hidden_size_and_a_number_of_parameters_are_one_too_many():
    parameters = probes.get("training").Parameters
    picked = parameters(cell="lstm", parameters=20_000)
    assert parameters(**picked.model_dump()) == picked  # what a sweep stores can be run again
    assert parameters(cell="lstm").hidden == 64
    with pytest.raises(ValueError, match="hidden is 64, parameters 20000; expected one of the two"):
        parameters(cell="lstm", hidden=64, parameters=20_000)
    with pytest.raises(ValueError, match=r"expected at most .* those of 2048 units"):
        parameters(cell="rnn", parameters=10**9)


def test_what_solves_the_task_is_confirmed_in_the_rows():
    rows = list(measure(task="temporal_order", length=10, cell="gru", hidden=16, steps=400, learning_rate=0.02))
    confirmed = {row.index: row.value for row in rows if row.quantity == "confirmation_score"}
    scalars = {row.quantity: row.value for row in rows if row.index is None}
    assert scalars["solved"] == 1
    assert confirmed[scalars["steps_to_solve"]] > 0.99
    assert scalars["baseline_loss"] == pytest.approx(math.log(4))


def test_chrono_takes_the_place_of_the_gate_bias():
    parameters = probes.get("training").Parameters
    assert parameters(cell="gru", chrono=50, gate_bias=1.0) == parameters(cell="gru", chrono=50, gate_bias=3.0)
    assert parameters(cell="rnn", chrono=50) == parameters(cell="rnn")


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
