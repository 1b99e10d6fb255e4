"""Whether a network learns a task: trained for real, scored on data it has not seen, beside the trivial baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from rnnbench import tasks
from rnnbench.network import Architecture, Network
from rnnbench.probes._parameters import InitializedParameters, TaskName
from rnnbench.probes.base import Diverged, Measurement, Probe, ProbeParameters, Seeds
from rnnbench.tasks.base import Task
from rnnbench.training import Recipe, make_network, train

RECORDED_STEPS = 100
"""Losses and norms are recorded at about this many steps, evenly spaced."""


class TrainingParameters(InitializedParameters):
    """Axes of the probe training: the network, the task and the recipe."""

    task: TaskName = Field(default="adding", description="a task, see `rnnbench list tasks`")
    length: PositiveInt = Field(description="steps T as the task counts them; its own default if not given")
    layers: PositiveInt = Field(default=1, description="stacked layers")
    bidirectional: bool = False
    steps: PositiveInt = Field(default=1000, description="training steps at most")
    batch: PositiveInt = Field(default=32, description="sequences a step")
    optimizer: Literal["sgd", "rmsprop", "adam"] = "adam"
    learning_rate: PositiveFloat = 3e-3
    clip_norm: NonNegativeFloat = Field(default=1.0, description="largest global norm, 0 for no such clipping")
    clip_value: NonNegativeFloat = Field(default=0.0, description="largest entry, 0 for no such clipping")
    regularization: NonNegativeFloat = Field(default=0.0, description="weight of Pascanu's regulariser, 0 for none")
    evaluate_every: PositiveInt = Field(default=100, description="training steps between evaluations")
    evaluation_size: PositiveInt = Field(default=500, description="sequences in the evaluation data")
    stop_when_solved: bool = True

    @model_validator(mode="before")
    @classmethod
    def _length_of_task(cls, values: Any) -> Any:
        name = values.get("task", cls.model_fields["task"].default)
        if values.get("length") is not None or not isinstance(name, str) or name not in tasks.entries():
            return values
        return {**values, "length": tasks.get(name).default_length}

    @model_validator(mode="after")
    def _task_has_length(self) -> TrainingParameters:
        tasks.get(self.task)(self.length)
        return self


def prepare(p: TrainingParameters, seeds: Seeds) -> tuple[Task, Network, Recipe]:
    """Return the task, the network as it is initialised and the recipe that the parameters name."""
    task = tasks.get(p.task)(p.length)
    architecture = Architecture(
        cell=p.cell,
        hidden_size=p.hidden,
        num_layers=p.layers,
        bidirectional=p.bidirectional,
        **p.initial(),
        dtype=p.dtype,
        backend=p.backend,
    )
    network = make_network(architecture, task, seeds.generator("weights"))
    return task, network, Recipe(**{name: getattr(p, name) for name in Recipe.__dataclass_fields__})


class Training(Probe):
    """Train on a task from fresh data, and score the network against the baseline that needs no memory."""

    name = "training"
    Parameters = TrainingParameters

    def measure(self, parameters: ProbeParameters, seeds: Seeds) -> Iterator[Measurement]:
        """Yield loss, gradient norm and score by step, then what became of it."""
        assert isinstance(parameters, TrainingParameters)
        p = parameters
        task, network, recipe = prepare(p, seeds)
        yield Measurement("parameter_count", network.weights.size, "1")
        yield Measurement("baseline_score", task.baseline.value, task.metric_unit)
        yield Measurement("solved_threshold", task.solved_threshold, task.metric_unit)
        yield Measurement("score_higher_is_better", float(task.higher_is_better), "1")
        stride = max(1, p.steps // RECORDED_STEPS)
        clipped, score, solved_at = 0, math.nan, math.nan
        streams = seeds.generator("training data"), seeds.generator("evaluation data")
        for step in train(network, task, recipe, *streams):
            clipped += step.clipped
            finite = all(map(math.isfinite, (step.loss, step.gradient_norm, step.score or 0.0)))
            if step.number == 1 or step.number % stride == 0 or step.score is not None or not finite:
                yield Measurement("training_loss", step.loss, "mse" if task.loss == "mse" else "nat", step.number)
                yield Measurement("gradient_norm", step.gradient_norm, "1", step.number)
            if step.score is not None:
                score = step.score
                yield Measurement("evaluation_score", score, task.metric_unit, step.number)
                if task.solved(score) and math.isnan(solved_at):
                    solved_at = step.number
            if not finite:
                told = "" if step.score is None else f", score {step.score:g}"
                raise Diverged(f"loss {step.loss:g}, gradient norm {step.gradient_norm:g}{told} at step {step.number}")
        yield Measurement("fraction_clipped", clipped / step.number, "1")
        yield Measurement("final_score", score, task.metric_unit)
        yield Measurement("solved", float(not math.isnan(solved_at)), "1")
        yield Measurement("steps_to_solve", solved_at, "step")
