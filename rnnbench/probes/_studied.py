"""A layer on a task's inputs, as it is initialised or after training: what the probes of gradients look at."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from rnnbench import tasks
from rnnbench.backends.base import Arrays
from rnnbench.layer import Layer
from rnnbench.network import Architecture, encode
from rnnbench.probes._parameters import InitializedParameters, TaskName
from rnnbench.probes.base import Diverged, Seeds
from rnnbench.tasks.base import Task
from rnnbench.training import Recipe, make_network, train


class StudiedParameters(InitializedParameters):
    """Axes that the probes of gradients share."""

    data: TaskName = Field(default="adding", description="the task whose inputs are fed in")
    length: PositiveInt = Field(default=100, description="steps T")
    batch: PositiveInt = Field(default=32, description="sequences B")
    dtype: Literal["float32", "float64"] = "float64"
    training_steps: NonNegativeInt = Field(
        default=0, description="steps of training on the task before the measurement"
    )
    learning_rate: PositiveFloat = Field(default=3e-3, description="of that training, by Adam, clipped to norm 1")

    @model_validator(mode="after")
    def _data_has_length(self) -> StudiedParameters:
        tasks.get(self.data)(self.length)
        return self

    def memory_bytes(self) -> int:
        """Return what the studied layer keeps at least: the states h, where the rest is run again in stretches."""
        return self.layer_bytes(self.length, self.batch, backward=False)


def studied_layer(p: StudiedParameters, seeds: Seeds) -> tuple[Layer, np.ndarray]:
    """Return the layer, trained if the parameters say so, and the inputs x (T, B, I) it is measured on.

    Raises Diverged where training did.
    """
    task = tasks.get(p.data)(p.length)
    layer = Layer(p.cell, task.input_size, p.hidden, p.dtype, p.backend, seeds.generator("weights"), **p.initial())
    if p.training_steps:
        layer.params = {name: value.astype(layer.dtype) for name, value in _trained(p, task, seeds).items()}
    inputs = task.sample(seeds.generator("inputs"), p.batch).inputs
    return layer, encode(inputs, task.input_size, layer.dtype)


def _trained(p: StudiedParameters, task: Task, seeds: Seeds) -> Arrays:
    """Return the parameters of the one layer of a network after training in float32, from the same initial weights."""
    architecture = Architecture(cell=p.cell, hidden_size=p.hidden, backend=p.backend, **p.initial())
    network = make_network(architecture, task, seeds.generator("weights"))
    recipe = Recipe(
        steps=p.training_steps,
        learning_rate=p.learning_rate,
        evaluate_every=p.training_steps,
        evaluation_size=1,
        stop_when_solved=False,
    )
    for step in train(network, task, recipe, seeds.generator("training data"), seeds.generator("evaluation data")):
        if not np.isfinite(step.loss) or not np.isfinite(step.gradient_norm):
            raise Diverged(f"loss {step.loss:g}, gradient norm {step.gradient_norm:g} at training step {step.number}")
    return network.stack.layers[0].params
