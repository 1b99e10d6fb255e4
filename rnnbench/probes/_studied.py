"""A layer on a task's inputs, as it is initialised or after training: what the probes of gradients look at.

After training their rows say as well whether the task was learned, so that what is measured is not taken for what
learning did: `training_final_loss` (the mean of the last tenth of the steps) beside `training_baseline_loss`,
`training_score` on data not trained on beside `training_baseline_score`, and `training_solved`, 0 or 1.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from rnnbench import tasks
from rnnbench.backends.base import Arrays
from rnnbench.layer import Layer
from rnnbench.network import WIRINGS, Architecture, encode
from rnnbench.probes._parameters import InitializedParameters, TaskName
from rnnbench.probes.base import Diverged, Measurement, Seeds
from rnnbench.probes.training import LOSS_UNITS
from rnnbench.tasks.base import Task
from rnnbench.training import Recipe, make_network, train


class StudiedParameters(InitializedParameters):
    """Axes that the probes of gradients share."""

    data: TaskName = Field(default="adding", description="the task whose inputs are fed in")
    length: PositiveInt = Field(default=100, description="steps T")
    batch: PositiveInt = Field(default=32, description="sequences B")
    dtype: Literal["float32", "float64"] = "float64"
    training_steps: NonNegativeInt = Field(default=0, description="on the task, before the measurement")
    learning_rate: PositiveFloat = Field(default=3e-3, description="of that training, by Adam")
    clip_norm: NonNegativeFloat = Field(default=1.0, description="largest global norm in it, 0 for no such clipping")
    clip_value: NonNegativeFloat = Field(default=0.0, description="largest entry in it, 0 for no such clipping")

    @model_validator(mode="before")
    @classmethod
    def _no_training_no_recipe(cls, values: Any) -> Any:
        """Without training its recipe is the default, so that trials that differ by nothing are one."""
        if values.get("training_steps"):
            return values
        return {
            name: value for name, value in values.items() if name not in ("learning_rate", "clip_norm", "clip_value")
        }

    @model_validator(mode="after")
    def _one_layer_can_read_the_data(self) -> StudiedParameters:
        """Refuse data that the studied layer would not read as the network of their task does."""
        task = tasks.get(self.data)(self.length)
        expected = "expected a task whose one stack reads the inputs, over sequences without padding"
        if WIRINGS[task.wiring].feeds_back:
            raise ValueError(f"data '{self.data}' is {task.wiring}, answers are read as well; {expected}")
        if task.sample(np.random.default_rng(0), 1).lengths is not None:
            raise ValueError(f"data '{self.data}' pads its sequences; {expected}")
        return self

    def memory_bytes(self) -> int:
        """Return what the studied layer keeps at least: the states h, where the rest is run again in stretches."""
        return self.layer_bytes(self.length, self.batch, backward=False)


def studied_layer(p: StudiedParameters, seeds: Seeds) -> tuple[Layer, np.ndarray, list[Measurement]]:
    """Return the layer, the inputs x (T, B, I) it is measured on, and the rows of its training, if there was any.

    Raises Diverged where training did.
    """
    task = tasks.get(p.data)(p.length)
    layer = Layer(p.cell, task.input_size, p.hidden, p.dtype, p.backend, seeds.generator("weights"), **p.initial())
    learned: list[Measurement] = []
    if p.training_steps:
        trained, learned = _trained(p, task, seeds)
        layer.params = {name: value.astype(layer.dtype) for name, value in trained.items()}
    inputs = task.sample(seeds.generator("inputs"), p.batch).inputs
    return layer, encode(inputs, task.input_size, layer.dtype), learned


def _trained(p: StudiedParameters, task: Task, seeds: Seeds) -> tuple[Arrays, list[Measurement]]:
    """Return the parameters of a network's one layer, trained in float32 from the same initial weights, and rows."""
    architecture = Architecture(cell=p.cell, hidden_size=p.hidden, backend=p.backend, **p.initial())
    network = make_network(architecture, task, seeds.generator("weights"))
    recipe = Recipe(
        steps=p.training_steps,
        learning_rate=p.learning_rate,
        clip_norm=p.clip_norm,
        clip_value=p.clip_value,
        evaluate_every=p.training_steps,
        stop_when_solved=False,
    )
    losses, score = [], math.nan
    for step in train(network, task, recipe, seeds.generator("training data"), seeds.generator("evaluation data")):
        if not np.isfinite(step.loss) or not np.isfinite(step.gradient_norm):
            raise Diverged(f"loss {step.loss:g}, gradient norm {step.gradient_norm:g} at training step {step.number}")
        losses.append(step.loss)
        score = math.nan if step.score is None else step.score
    return network.stack.layers[0].params, [
        Measurement("training_final_loss", float(np.mean(losses[-max(1, len(losses) // 10) :])), LOSS_UNITS[task.loss]),
        Measurement("training_baseline_loss", task.baseline.loss, LOSS_UNITS[task.loss]),
        Measurement("training_score", score, task.metric_unit),
        Measurement("training_baseline_score", task.baseline.value, task.metric_unit),
        Measurement("training_solved", float(task.solved(score)), "1"),
    ]
