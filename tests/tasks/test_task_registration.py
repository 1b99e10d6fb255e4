"""Tasks of a user's own: checked when they are registered, known by name from then on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnbench import tasks
from rnnbench.errors import InputError
from rnnbench.tasks.base import Baseline, Batch


class Parity(tasks.get("adding")):
    """The sum of two bits, as a class."""

    name = "own_parity"
    loss = "cross_entropy"
    input_size = 1
    output_size = 2
    baseline = Baseline("a guess", 0.5, 0.7)

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        bits = rng.integers(0, 2, (self.length, batch_size))
        return Batch(inputs=bits[:, :, None].astype(np.float32), targets=bits.sum(axis=0) % 2)

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        return float((outputs.argmax(axis=1) == batch.targets).mean())

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        return np.zeros((len(batch.targets), 2), np.float32)


def other(**names: Any) -> type:
    return type("Other", (Parity,), names)


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_registered", {})


def test_a_registered_task_is_known_by_its_name() -> None:
    assert tasks.register(Parity) is Parity
    assert tasks.get("own_parity") is Parity


@pytest.mark.parametrize("name", tasks.shipped())
def test_every_shipped_task_passes_the_check(name: str) -> None:
    tasks.register(type("Another", (tasks.get(name),), {"name": f"another_{name}"}))


def failing(self: Any, rng: np.random.Generator, batch_size: int) -> Batch:
    raise KeyError("vocabulary")


def unseeded(self: Any, rng: np.random.Generator, batch_size: int) -> Batch:
    return Parity.sample(self, np.random.default_rng(), batch_size)


def three_classes(self: Any, rng: np.random.Generator, batch_size: int) -> Batch:
    batch = Parity.sample(self, rng, batch_size)
    return Batch(batch.inputs, batch.targets + 1)


def batch_first(self: Any, rng: np.random.Generator, batch_size: int) -> Batch:
    batch = Parity.sample(self, rng, self.length)
    return Batch(batch.inputs[:batch_size], batch.targets)


def short(self: Any, length: int | None = None) -> None:
    raise ValueError("too short")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (other(name="adding"), "task 'adding': rnnbench has a task of that name; expected another"),
        (other(__init__=short), "task 'own_parity': cannot be made with its default length: ValueError: too short"),
        (other(loss="hinge"), "task 'own_parity': loss is 'hinge'; expected one of mse, cross_entropy"),
        (other(sample=failing), "task 'own_parity': a batch of it cannot be made and scored: KeyError: 'vocabulary'"),
        (other(sample=unseeded), "the same generator gives different batches"),
        (other(sample=three_classes), "targets go from 1 to 2; expected classes below output_size"),
        (other(sample=batch_first), r"inputs have shape \(4, \d+, 1\); expected \(T, B, ...\) with B = 4"),
        (other(input_size=2), "inputs have 1 features or tokens; it says input_size = 2"),
        (other(output_size=3), r"baseline_outputs have shape \(4, 2\); expected \(..., K\) with K = 3"),
        (other(score=lambda self, outputs, batch: float("nan")), "its baseline scores nan"),
    ],
)
def test_a_wrong_task_is_refused_by_name(kind: type, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tasks.register(kind)
    assert "own_parity" not in tasks.entries()
