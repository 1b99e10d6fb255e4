import dataclasses

import numpy as np
import pytest

from rnnbench import tasks, training
from rnnbench.errors import InputError
from rnnbench.network import WIRINGS, Architecture
from rnnbench.training import Recipe, clip, evaluate, make_network, train

RECIPE = Recipe(steps=6, batch=4, evaluate_every=3, evaluation_size=8, stop_when_solved=False)


def run(recipe=RECIPE, task=None, architecture=None, seed=0):
    task = task or tasks.get("adding")(10)
    architecture = architecture or Architecture(cell="gru", hidden_size=8)
    rng = np.random.default_rng
    network = make_network(architecture, task, rng(seed))
    return network, list(train(network, task, recipe, rng(seed + 1), rng(seed + 2)))


def test_every_step_is_recorded_and_scored_when_due():
    _, steps = run()
    assert [step.number for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step.score is not None for step in steps] == [False, False, True, False, False, True]
    assert all(step.gradient_norm > 0 for step in steps)


def test_same_seeds_give_the_same_run_and_others_another():
    (first, a), (second, b), (_, c) = run(), run(), run(seed=10)
    assert a == b
    np.testing.assert_array_equal(first.weights, second.weights)
    assert a[0].loss != c[0].loss


def test_training_data_are_fresh_at_every_step():
    drawn = []

    class Spy(tasks.get("adding")):
        def sample(self, rng, batch_size):
            batch = super().sample(rng, batch_size)
            drawn.append(batch.inputs.tobytes())
            return batch

    run(task=Spy(10))
    assert len(set(drawn)) == len(drawn) == RECIPE.steps + 1  # and one evaluation set


@pytest.mark.parametrize("holds", [True, False], ids=["holds", "does not hold"])
def test_solved_is_what_holds_on_fresh_data(holds):
    """The evaluation data are easier than fresh ones, unless it holds."""

    class Lucky(tasks.get("adding")):
        confirmation_size = 30

        def score(self, outputs, batch):
            assert len(batch.targets) in (RECIPE.evaluation_size, self.confirmation_size)
            return 0.0 if holds or len(batch.targets) == RECIPE.evaluation_size else 1.0

    recipe = dataclasses.replace(RECIPE, stop_when_solved=True)
    _, steps = run(recipe, Lucky(10))
    scored = [step for step in steps if step.score is not None]
    assert [step.score for step in scored] == [0.0] * (1 if holds else 2)
    assert [step.confirmation for step in scored] == ([0.0] if holds else [1.0, 1.0])
    assert [step.solved for step in scored] == ([True] if holds else [False, False])


@pytest.mark.parametrize("stop", [True, False])
@pytest.mark.parametrize("scores", [[0.0, 1.0], [1.0, 0.0]], ids=["passes, then fails", "fails, then passes"])
def test_of_data_that_cannot_be_drawn_afresh_the_last_score_decides(scores, stop):
    class Fixed(tasks.get("adding")):
        confirmation_size = 0

        def score(self, outputs, batch):
            return next(given)

    given = iter(scores)
    _, steps = run(dataclasses.replace(RECIPE, stop_when_solved=stop), Fixed(10))
    assert [step.score for step in steps] == [None, None, scores[0], None, None, scores[1]]
    assert [step.confirmation for step in steps] == [None] * 6
    assert [step.solved for step in steps] == [False] * 5 + [scores[1] == 0.0]


def test_the_learning_rate_falls_after_the_given_fraction_of_the_steps():
    rates = [Recipe(steps=8, learning_rate=4.0, decay_after=0.5).rate(step) for step in range(1, 9)]
    assert rates == [4, 4, 4, 4, 4, 3, 2, 1]
    assert {Recipe(steps=8, learning_rate=4.0).rate(step) for step in range(1, 9)} == {4.0}
    assert Recipe(steps=4, learning_rate=4.0, decay_after=0).rate(2) == 3
    with pytest.raises(InputError, match=r"decay_after is 1\.5; expected a fraction"):
        Recipe(decay_after=1.5).rate(1)


def test_a_rate_that_fell_changes_the_weights_less():
    steady, falling = (run(dataclasses.replace(RECIPE, decay_after=after)) for after in (1.0, 0.0))
    assert falling[1][0] == steady[1][0]  # the first step has the whole rate
    assert falling[1][-1].loss != steady[1][-1].loss


@pytest.mark.parametrize("name", ["adding", "adding_1997", "copy_memory", "a_n_b_n"])
def test_many_sequences_score_the_same_in_parts(name, monkeypatch):
    task = tasks.get(name)()
    network = make_network(Architecture(cell="gru", hidden_size=4), task, np.random.default_rng(0))
    batch = task.evaluation(np.random.default_rng(1), 25)
    whole = evaluate(network, task, batch)
    monkeypatch.setattr(training, "AT_ONCE", 10)
    assert evaluate(network, task, batch) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_a_short_memory_is_learned(optimizer):
    """The adding problem over 4 steps, to a tenth of the baseline."""
    rate = {"sgd": 0.05, "rmsprop": 1e-2, "adam": 1e-2}[optimizer]
    recipe = Recipe(
        steps=250, batch=16, optimizer=optimizer, learning_rate=rate, evaluate_every=50, evaluation_size=200
    )
    task = tasks.get("adding")(4)
    _, steps = run(recipe, task)
    assert min(step.score for step in steps if step.score is not None) < task.baseline.value / 10


LEARNED = {  # wiring: (task, its length, cell, units, both directions, batch, steps, a score far above its baseline)
    "one-to-one": ("digit_images", 1, "rnn", 64, False, 32, 200, 0.85),
    "one-to-many": ("digit_captions", 1, "gru", 64, False, 32, 200, 0.75),
    "many-to-one": ("sequential_digits", 8, "gru", 64, False, 32, 200, 0.8),
    "many-to-many": ("named_entities", 12, "gru", 32, True, 32, 150, 0.9),
    "sequence-to-sequence": ("number_translation", 6, "gru", 128, False, 64, 350, 0.9),
}


@pytest.mark.compiled
@pytest.mark.parametrize("wiring", WIRINGS)
def test_every_wiring_learns_its_application(wiring):
    name, length, cell, units, both, batch, steps, score = LEARNED[wiring]
    task = tasks.get(name)(length)
    assert task.wiring == wiring
    assert score > task.baseline.value + 0.2
    recipe = Recipe(steps=steps, batch=batch, evaluate_every=steps, evaluation_size=400)
    _, records = run(recipe, task, Architecture(cell, units, bidirectional=both))
    assert records[-1].score > score


def test_training_stops_when_the_task_is_solved():
    class Easy(tasks.get("adding")):
        solved_threshold = 1e9

    _, steps = run(dataclasses.replace(RECIPE, stop_when_solved=True), Easy(10))
    assert [step.number for step in steps] == [1, 2, 3]


def test_a_network_that_diverges_ends_with_that_record():
    recipe = dataclasses.replace(RECIPE, steps=200, optimizer="sgd", learning_rate=1e6, clip_norm=0.0)
    _, steps = run(recipe, architecture=Architecture(cell="rnn_relu", hidden_size=8))
    assert len(steps) < 200
    assert not np.isfinite(steps[-1].loss) or not np.isfinite(steps[-1].gradient_norm)
    assert all(np.isfinite(step.loss) for step in steps[:-1])


def test_norms_are_recorded_before_clipping():
    gradient = np.array([3.0, 4.0])
    assert clip(gradient, Recipe(clip_norm=1.0)) == (5.0, True)
    np.testing.assert_allclose(gradient, [0.6, 0.8])
    assert clip(gradient, Recipe(clip_norm=1.0)) == (pytest.approx(1.0), False)
    assert clip(gradient, Recipe(clip_norm=0.0)) == (pytest.approx(1.0), False)


def test_clipping_by_value_comes_before_clipping_by_norm():
    gradient = np.array([3.0, 4.0])
    assert clip(gradient, Recipe(clip_norm=1.0, clip_value=1.0)) == (5.0, True)
    np.testing.assert_allclose(gradient, [np.sqrt(0.5)] * 2)
    with pytest.raises(InputError, match="clip_norm is -1"):
        clip(gradient, Recipe(clip_norm=-1.0))


def test_evaluation_scores_the_network_as_the_task_does():
    task = tasks.get("adding")(10)
    network = make_network(Architecture(cell="rnn", hidden_size=4), task, np.random.default_rng(0))
    network.weights[:] = 0
    network.params["b_y"][:] = 1
    batch = task.evaluation(np.random.default_rng(1), 50)
    assert evaluate(network, task, batch) == pytest.approx(np.mean((batch.targets - 1) ** 2))
