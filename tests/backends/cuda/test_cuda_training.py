"""Training on a simulated GPU: the same losses, norms and weights as on the host, for every optimizer and wiring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from rnnbench import training
from rnnbench.backends.cuda import training as device_training
from rnnbench.backends.cuda.simulator import Simulator
from rnnbench.network import Architecture, Network
from rnnbench.optimizers import OPTIMIZERS, make
from rnnbench.tasks.base import Baseline, Batch, Task
from rnnbench.training import Recipe, Step, make_network, train

STEPS, FEATURES, ANSWERS, BATCH = 4, 3, 2, 3


class Sequences(Task):
    """Random sequences of random lengths; nothing can be learned but by heart."""

    name, metric, metric_unit, higher_is_better, default_length = "sequences", "mse", "1", False, STEPS
    input_size, output_size, solved_threshold, confirmation_size = FEATURES, ANSWERS, -1.0, 0
    baseline = Baseline("none", 1.0, 1.0)

    def __init__(self, wiring: str, loss: str) -> None:
        super().__init__(STEPS)
        self.wiring, self.loss = wiring, loss

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        lengths = rng.integers(1, STEPS + 1, batch_size)
        mask = np.arange(STEPS)[:, None] < lengths
        inputs = np.where(mask[:, :, None], rng.standard_normal((STEPS, batch_size, FEATURES)), np.nan)
        once = self.wiring == "many-to-one"
        shape = (batch_size,) if once else (STEPS, batch_size)
        numbers = rng.standard_normal((*shape, ANSWERS))
        targets = numbers if self.loss == "mse" else numbers.argmax(axis=-1)
        return Batch(np.nan_to_num(inputs), targets, None if once else mask, lengths)

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        return np.zeros((*batch.targets.shape[: 1 if self.wiring == "many-to-one" else 2], ANSWERS))

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        return float(np.abs(outputs).mean())


def trained(
    backend: str, task: Task, recipe: Recipe, dtype: str = "float64", **architecture: object
) -> tuple[list[Step], Network]:
    made = Architecture(**{"cell": "lstm", "hidden_size": 3, "dtype": dtype, "backend": backend, **architecture})
    network = make_network(made, task, np.random.default_rng(0))
    return list(train(network, task, recipe, *map(np.random.default_rng, (1, 2)))), network


def agree(task: Task, recipe: Recipe, tolerance: float, **options: object) -> list[Step]:
    """Compare whole trainings: records of every step, and the weights at the end."""
    (found, network), (expected, other) = (
        trained(backend, task, recipe, **options) for backend in ("cuda", "reference")
    )
    assert len(found) == len(expected)
    for one, another in zip(found, expected, strict=True):
        assert (one.number, one.clipped, one.score is None) == (another.number, another.clipped, another.score is None)
        numbers = [(step.loss, step.gradient_norm, step.score or 0.0) for step in (one, another)]
        np.testing.assert_allclose(*numbers, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(network.weights, other.weights, rtol=tolerance, atol=tolerance)
    return found


RECIPE = Recipe(steps=5, batch=BATCH, evaluate_every=3, evaluation_size=2, learning_rate=0.05, clip_norm=0.0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_trains_as_on_the_host(optimizer: str, simulate: Callable) -> None:
    simulate("independent", "lstm", 3, BATCH)
    agree(Sequences("many-to-one", "mse"), replace(RECIPE, optimizer=optimizer), 1e-10)


@pytest.mark.parametrize(("wiring", "cell"), [("many-to-many", "gru"), ("many-to-one", "gru_reset_before")])
def test_layers_in_both_directions_train_as_on_the_host(wiring: str, cell: str, simulate: Callable) -> None:
    simulate("independent", cell, 3, BATCH)
    recipe = replace(RECIPE, steps=2, clip_norm=0.3)
    found = agree(Sequences(wiring, "cross_entropy"), recipe, 1e-10, cell=cell, num_layers=2, bidirectional=True)
    assert any(step.clipped for step in found)


@pytest.mark.parametrize("path", ["persistent", "stepwise"])
def test_the_other_ways_train_as_on_the_host(path: str, simulate: Callable) -> None:
    simulate(path, "rnn", 10, BATCH)
    agree(Sequences("many-to-many", "mse"), replace(RECIPE, steps=2), 1e-10, cell="rnn", hidden_size=10)


def test_float32_follows_the_host_within_its_precision(simulate: Callable) -> None:
    simulate("independent", "lstm", 3, BATCH, "float32")
    recipe = replace(RECIPE, steps=10, evaluate_every=10, clip_value=0.1, clip_norm=0.2, decay_after=0.5)
    found = agree(Sequences("many-to-one", "mse"), recipe, 1e-5, dtype="float32")
    assert any(step.clipped for step in found)


def test_numbers_are_looked_at_once_a_report(simulate: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    device = simulate("independent", "rnn", 3, BATCH)
    looks = []
    download = Simulator.download
    monkeypatch.setattr(Simulator, "download", lambda self, array: looks.append(array.size) or download(self, array))
    monkeypatch.setattr(training, "evaluate", lambda *arguments: 1.0)
    found, network = trained("cuda", Sequences("many-to-one", "mse"), RECIPE, cell="rnn")
    assert [step.number for step in found if step.score is not None] == [3, 5]
    assert looks == [9, network.weights.size, 6, network.weights.size]  # the records, and what is evaluated
    assert device.simulated


def test_nothing_is_learned_from_nan(simulate: Callable) -> None:
    class Broken(Sequences):
        """The third batch has a target that is no number."""

        drawn = 0

        def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
            batch, self.drawn = super().sample(rng, batch_size), self.drawn + 1
            batch.targets[0, 0] = np.nan if self.drawn == 4 else 0  # the first is the evaluation data
            return batch

    simulate("independent", "rnn", 3, BATCH)
    results = [
        trained(backend, Broken("many-to-one", "mse"), replace(RECIPE, evaluate_every=5), cell="rnn")
        for backend in ("cuda", "reference")
    ]
    for steps, _ in results:
        assert [np.isfinite(step.loss) for step in steps] == [True, True, False]
    np.testing.assert_allclose(results[0][1].weights, results[1][1].weights, rtol=1e-10)


def test_a_wiring_that_feeds_answers_back_trains_on_the_host(simulate: Callable) -> None:
    simulate("independent", "rnn", 3, BATCH)
    architecture = Architecture("rnn", 3, backend="cuda")
    network = Network(architecture, 2, 2, "sequence-to-sequence", "mse", np.random.default_rng(0))
    assert network.resident(training.Learning(OPTIMIZERS["sgd"].element, 1, 2, 0.0, 0.0)) is None


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_say_how_many_constants_they_have(name: str) -> None:
    optimizer = make(name, np.zeros(1), 0.1)
    assert len(optimizer.next_constants()) == optimizer.constants


def test_flat_vectors_hold_all_parameters(simulate: Callable) -> None:
    """There and back, in the device's order in between."""
    device = simulate("independent", "gru", 3, 2)
    network = Network(
        Architecture("gru", 3, 2, True, dtype="float64", backend="cuda"), 2, 2, "many-to-one", "mse",
        np.random.default_rng(0),
    )  # fmt: skip
    resident = network.resident(training.Learning(OPTIMIZERS["sgd"].element, 1, 2, 0.0, 0.0))
    assert isinstance(resident, device_training.DeviceTraining)
    before = network.weights.copy()
    assert resident.size == before.size
    network.weights[:] = 0
    resident._fetch()
    np.testing.assert_array_equal(network.weights, before)
    assert device is resident.device
