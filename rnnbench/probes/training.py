"""Whether a network learns a task: trained for real, scored on data it has not seen, beside the trivial baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from rnnbench import cells, tasks
from rnnbench.datasets.base import MissingData, without_fetching
from rnnbench.errors import InputError
from rnnbench.network import Architecture, Network
from rnnbench.probes._parameters import InitializedParameters, LayerParameters, TaskName
from rnnbench.probes._sizing import hidden_size
from rnnbench.probes.base import Diverged, Measurement, Probe, ProbeParameters, Seeds
from rnnbench.tasks.base import Task
from rnnbench.training import Recipe, make_network, train

LOSS_UNITS = {"mse": "mse", "cross_entropy": "nat"}
PROMPT, WRITTEN, TEMPERATURE = 20, 400, 0.7
"""Characters read and written by a network that has learned a text; below temperature 1 it keeps to what is likely."""


class RecipeParameters(InitializedParameters):
    """Axes of every probe that trains: the network, the task and the recipe."""

    task: TaskName = Field(default="adding", description="a task, see `rnnbench list tasks`")
    length: PositiveInt = Field(description="steps T as the task counts them; its own default if not given")
    hidden: PositiveInt = Field(description="units H; if not given, 64 or what `parameters` takes")
    parameters: PositiveInt | None = Field(default=None, description="of the network, readout included; picks `hidden`")
    layers: PositiveInt = Field(default=1, description="stacked layers")
    bidirectional: bool = False
    steps: PositiveInt = Field(default=1000, description="training steps at most")
    batch: PositiveInt = Field(default=32, description="sequences a step")
    optimizer: Literal["sgd", "rmsprop", "adam"] = "adam"
    learning_rate: PositiveFloat = 3e-3
    decay_after: float = Field(
        default=1.0, ge=0, le=1, description="fraction of the steps after which the learning rate falls to 0"
    )
    clip_norm: NonNegativeFloat = Field(default=1.0, description="largest global norm, 0 for no such clipping")
    clip_value: NonNegativeFloat = Field(default=0.0, description="largest entry, 0 for no such clipping")
    regularization: NonNegativeFloat = Field(default=0.0, description="weight of Pascanu's regulariser, 0 for none")
    evaluate_every: PositiveInt = Field(default=100, description="training steps between evaluations")
    evaluation_size: PositiveInt = Field(default=500, description="sequences in the evaluation data")
    stop_when_solved: bool = Field(default=True, description="where the task draws fresh data to confirm it")

    @model_validator(mode="before")
    @classmethod
    def _sizes(cls, values: Any) -> Any:
        """Fill in the length from the task, and the hidden size from the number of parameters."""
        defaults = {name: cls.model_fields[name].default for name in ("task", "cell", "layers", "bidirectional")}
        given = defaults | {name: value for name, value in values.items() if value is not None}
        names = (given["task"], tasks.entries()), (given["cell"], cells.entries())
        if not all(isinstance(name, str) and name in known for name, known in names):
            return values  # refused with the nearest name by the field
        given.setdefault("length", tasks.get(given["task"]).default_length)
        if isinstance(given.get("parameters"), int) and isinstance(given["length"], int):
            fitting = hidden_size(**{name: given[name] for name in ("parameters", "length", *defaults)})
            if given.setdefault("hidden", fitting) != fitting:
                both = f"hidden is {given['hidden']}, parameters {given['parameters']}"
                raise InputError(f"{both}; expected one of the two")
        given.setdefault("hidden", LayerParameters.model_fields["hidden"].default)
        return {**values, "length": given["length"], "hidden": given["hidden"]}

    @model_validator(mode="after")
    def _task_has_length(self) -> RecipeParameters:
        with without_fetching(), suppress(MissingData):  # the trial will fetch or say so, the others of its sweep go on
            tasks.get(self.task)(self.length)
        return self

    def memory_bytes(self) -> int:
        """Return what the stack keeps of a batch's steps, in both directions where it has two."""
        return self.layer_bytes(self.length, self.batch) * self.layers * (2 if self.bidirectional else 1)


class TrainingParameters(RecipeParameters):
    """Axes of the probe training."""

    recorded_steps: PositiveInt = Field(default=100, description="steps at which loss and norm are recorded, about")


def prepare(p: RecipeParameters, seeds: Seeds) -> tuple[Task, Network, Recipe]:
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
        yield Measurement("baseline_loss", task.baseline.loss, LOSS_UNITS[task.loss])
        for name, value in task.references.items():
            yield Measurement(f"reference_score_{name}", value, task.metric_unit)
        yield Measurement("solved_threshold", task.solved_threshold, task.metric_unit)
        yield Measurement("score_higher_is_better", float(task.higher_is_better), "1")
        stride = max(1, p.steps // p.recorded_steps)
        clipped, score, solved, solved_at = 0, math.nan, False, math.nan
        streams = seeds.generator("training data"), seeds.generator("evaluation data")
        for step in train(network, task, recipe, *streams):
            clipped += step.clipped
            finite = all(map(math.isfinite, (step.loss, step.gradient_norm, step.score or 0.0)))
            if step.number == 1 or step.number % stride == 0 or step.score is not None or not finite:
                yield Measurement("training_loss", step.loss, LOSS_UNITS[task.loss], step.number)
                yield Measurement("gradient_norm", step.gradient_norm, "1", step.number)
            if step.score is not None:
                score = step.score
                yield Measurement("evaluation_score", score, task.metric_unit, step.number)
                if step.confirmation is not None:
                    yield Measurement("confirmation_score", step.confirmation, task.metric_unit, step.number)
                if step.solved and not solved:
                    solved = True
                    solved_at = step.number if task.confirmation_size else math.nan  # the last step is no discovery
            if not finite:
                told = "" if step.score is None else f", score {step.score:g}"
                raise Diverged(f"loss {step.loss:g}, gradient norm {step.gradient_norm:g}{told} at step {step.number}")
        yield Measurement("fraction_clipped", clipped / step.number, "1")
        yield Measurement("final_score", score, task.metric_unit)
        yield Measurement("solved", float(solved), "1")
        yield Measurement("steps_to_solve", solved_at, "step")
        if task.alphabet and not p.bidirectional:  # which would have read what it is to write
            yield from _written_text(network, task, seeds)


def _written_text(network: Network, task: Task, seeds: Seeds) -> Iterator[Measurement]:
    """Yield the beginning of a held-out text and how the network goes on with it, a code point a row."""
    prompt = task.evaluation(seeds.generator("prompt"), 1).inputs[:PROMPT]
    written = network.write(prompt, WRITTEN, seeds.generator("written text"), TEMPERATURE)
    yield Measurement("text_temperature", TEMPERATURE, "1")
    for name, tokens in (("prompt_character", prompt), ("written_character", written)):
        for place, token in enumerate(tokens[:, 0]):
            yield Measurement(name, ord(task.alphabet[token]), "code point", place)
