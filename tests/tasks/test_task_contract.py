"""What every task must be, whatever is to be learned."""

import math

import numpy as np
import pytest

from rnnbench import tasks
from rnnbench.datasets.base import MissingData
from rnnbench.errors import InputError, ShapeError
from rnnbench.network import WIRINGS

APPLICATIONS = {
    "character_prose": "text generation",
    "co2_forecast": "weather forecasting",
    "date_translation": "machine translation",
    "digit_captions": "image captioning",
    "digit_images": "image classification",
    "gesture_recognition": "activity recognition from video",
    "named_entities": "named entity recognition",
    "number_translation": "machine translation",
    "sentiment": "sentiment analysis",
    "speaker_identification": "speech",
    "stock_returns": "stock prices",
    "temperature_forecast": "weather forecasting",
}
EVALUATION_SIZE = 2_000  # more than any held-out part: tasks on real data return all of it

every_task = pytest.mark.parametrize("kind", tasks.entries().values(), ids=tasks.entries())


@pytest.fixture(autouse=True)
def _data_at_hand(request):
    """Skip, with the reason, the tests of a task whose data are not on this machine."""
    kind = request.node.callspec.params.get("kind") if hasattr(request.node, "callspec") else None
    try:
        if kind is not None:
            kind()
    except MissingData as error:
        pytest.skip(str(error))


def generator(seed=0):
    return np.random.default_rng(seed)


def perfect_outputs(task, batch):
    if task.loss == "mse":
        return batch.targets
    return 50 * np.eye(task.output_size, dtype=np.float32)[batch.targets]


def mean_loss(task, outputs, batch):
    """The loss as it is defined, written a second time."""
    if task.loss == "mse":
        errors = (outputs.astype(float) - batch.targets) ** 2
    else:
        logits = outputs.reshape(-1, task.output_size).astype(float)
        right = logits[np.arange(len(logits)), batch.targets.ravel()]
        errors = (np.logaddexp.reduce(logits, axis=1) - right).reshape(batch.targets.shape)
    return errors.mean() if batch.mask is None else errors[batch.mask].mean()


def construct(kind, length):
    try:
        return kind(length), ""
    except InputError as error:
        return None, str(error)


def assert_well_formed(task, batch, size, steps=None):
    steps = (steps or task.steps, size)
    if batch.inputs.dtype == np.int64:
        assert batch.inputs.shape == steps
        assert batch.inputs.min() >= 0
        assert batch.inputs.max() < task.input_size
    else:
        assert batch.inputs.dtype == np.float32
        assert batch.inputs.shape == (*steps, task.input_size)
        assert batch.inputs.flags.c_contiguous
    many = steps[0] if task.wiring == "many-to-many" else task.answer_steps
    answers = (size,) if WIRINGS[task.wiring].answers_once else (many, size)
    if task.loss == "mse":
        assert batch.targets.dtype == np.float32
        assert batch.targets.shape == (*answers, task.output_size)
    else:
        assert batch.targets.dtype == np.int64
        assert batch.targets.shape == answers
        assert batch.targets.min() >= 0
        assert batch.targets.max() < task.output_size
    assert_mask_and_lengths_agree(task, batch, steps[0])


def assert_mask_and_lengths_agree(task, batch, steps):
    if batch.mask is not None:
        assert not WIRINGS[task.wiring].answers_once
        assert batch.mask.dtype == np.bool_
        assert batch.mask.any(axis=0).all(), "a sequence without an answer that counts"
    if batch.lengths is not None:
        assert batch.lengths.dtype == np.int64
        assert batch.lengths.min() >= 1
        assert batch.lengths.max() <= steps
        if task.wiring == "many-to-many":
            padding = np.arange(steps)[:, None] >= batch.lengths
            assert not batch.mask[padding].any()


def same(one, other):
    return np.array_equal(one.inputs, other.inputs) and np.array_equal(one.targets, other.targets)


def test_the_shipped_tasks_are_registered():
    shipped = {"adding", "adding_1997", "multiplication_1997", "temporal_order", "copy_memory", "copy_memory_bai"}
    shipped |= {"selective_copy", "sequential_digits", "permuted_digits", "parity", "dyck_1", "a_n_b_n"}
    shipped |= {"embedded_reber", "associative_recall", "character_prose"}
    assert shipped | set(APPLICATIONS) <= set(tasks.entries())


def test_unknown_name_names_the_nearest():
    with pytest.raises(InputError, match="unknown task 'copy_memori': did you mean 'copy_memory'"):
        tasks.get("copy_memori")


@every_task
def test_says_what_it_is(kind):
    assert tasks.get(kind.name) is kind
    assert kind.__module__ == f"rnnbench.tasks.{kind.name}"
    assert kind.__doc__.splitlines()[0].endswith(".")
    for part in ("Encoding:", "Target:", "Loss:", "Baseline:", "Solved:", "Source:"):
        assert part in kind.__doc__
    assert kind.wiring in WIRINGS
    assert kind.loss in {"mse", "cross_entropy"}
    assert kind.metric
    assert kind.metric_unit
    assert kind().length == kind.default_length


@every_task
def test_an_application_says_whose_data_it_uses_and_what_its_baseline_is(kind):
    assert kind.application == APPLICATIONS.get(kind.name, "")
    if kind.data:
        assert "Data:" in kind.__doc__
        assert all(data.name in kind.__doc__ for data in kind.data)
    assert kind.synthetic == ("synthetic" in kind.__doc__.lower())
    if kind.application:
        assert kind.data or kind.synthetic
        assert kind().baseline.name == kind.baseline_name


@every_task
def test_other_simple_predictors_are_scored_in_the_tasks_metric(kind):
    task = kind()
    for name, score in task.references.items():
        assert name.isidentifier()
        assert not task.solved(score) or kind.name == "gesture_recognition", "its nearest neighbour is hard to beat"
        assert math.isfinite(score)


@every_task
@pytest.mark.parametrize("size", [1, 7])
def test_batches_are_well_formed(kind, size):
    task = kind()
    assert_well_formed(task, task.sample(generator(), size), size, task.training_steps)
    assert_well_formed(task, task.evaluation(generator(), size), size)


@every_task
def test_every_length_works_or_is_refused_with_the_lengths_that_do(kind):
    accepted = []
    for length in (-3, 0, *range(1, 13), 64, 65, 2_000, 10**9, kind.default_length):
        task, message = construct(kind, length)
        if task is None:
            assert message.startswith(f"task '{kind.name}': length = {length}, expected ")
            continue
        accepted.append(length)
        if length <= 2_000:
            assert_well_formed(task, task.evaluation(generator(), 2), 2)
    assert accepted
    assert min(accepted) >= 1


@every_task
@pytest.mark.parametrize("length", [64.0, "64", float("nan")])
def test_a_length_that_is_no_integer_is_refused(kind, length):
    with pytest.raises(InputError, match=f"task '{kind.name}': length = .*, expected an integer"):
        kind(length)


@every_task
@pytest.mark.parametrize("method", ["sample", "evaluation"])
def test_the_seed_decides_the_data(kind, method):
    draw = getattr(kind(), method)
    assert same(draw(generator(1), 16), getattr(kind(), method)(generator(1), 16))
    assert not same(draw(generator(1), 16), draw(generator(2), 16))


@every_task
def test_training_data_are_fresh_at_every_call(kind):
    task, rng = kind(), generator()
    assert not same(task.sample(rng, 16), task.sample(rng, 16))


@every_task
def test_the_right_answers_score_best_and_solve_the_task(kind):
    task = kind()
    batch = task.evaluation(generator(), 200)
    perfect = task.score(perfect_outputs(task, batch), batch)
    assert perfect == (1 if task.higher_is_better else 0)
    assert task.solved(perfect)
    assert not task.solved(task.baseline.value)
    assert (perfect > task.baseline.value) == task.higher_is_better


@every_task
def test_answers_to_other_sequences_do_not_solve_the_task(kind):
    task = kind()
    batch = task.evaluation(generator(), 200)
    answers = perfect_outputs(task, batch)
    others = np.roll(answers, 1, axis=answers.ndim - 2)
    assert not task.solved(task.score(others, batch))


@every_task
def test_nan_is_not_a_score_that_solves(kind):
    task = kind()
    batch = task.evaluation(generator(), 20)
    outputs = np.full_like(task.baseline_outputs(batch), np.nan)
    assert math.isnan(task.score(outputs, batch))
    assert not task.solved(math.nan)


@every_task
def test_outputs_of_another_shape_are_refused(kind):
    task = kind()
    batch = task.evaluation(generator(), 20)
    outputs = np.array(task.baseline_outputs(batch))
    for wrong in (outputs[..., 0], outputs[:-1], outputs[None]):
        with pytest.raises(ShapeError):
            task.score(wrong, batch)


@every_task
def test_the_trivial_predictor_earns_the_stated_baseline(kind):
    """Over 10 draws of 2,000 sequences: within 4 standard errors, themselves at most 2.5 % of the baseline.

    Tasks on real data return their whole held-out part each time, the standard error is 0, and what
    remains is the rounding of float32 outputs.
    """
    task, rng = kind(), generator()
    scores, losses = [], []
    for _ in range(10):
        batch = task.evaluation(rng, EVALUATION_SIZE)
        outputs = task.baseline_outputs(batch)
        scores.append(task.score(outputs, batch))
        losses.append(mean_loss(task, outputs, batch))
        assert outputs.shape == perfect_outputs(task, batch).shape
    for stated, measured in ((task.baseline.value, scores), (task.baseline.loss, losses)):
        standard_error = np.std(measured, ddof=1) / math.sqrt(len(measured))
        assert standard_error <= 0.025 * stated
        assert np.mean(measured) == pytest.approx(stated, abs=4 * standard_error + 1e-6)
