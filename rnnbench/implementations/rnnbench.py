"""This package's own layer, on the backend `cpu`."""

from __future__ import annotations

from itertools import cycle

import numpy as np

from rnnbench import cells, optimizers
from rnnbench.backends.base import Arrays
from rnnbench.implementations.base import Implementation, Prepared, Workload
from rnnbench.implementations.problems import CLIP_NORM, LEARNING_RATE
from rnnbench.layer import Layer
from rnnbench.network import Architecture, Network
from rnnbench.training import Recipe, clip


class Rnnbench(Implementation):
    """The kernels of this package; compared with themselves they tell what a ratio of 1 looks like here."""

    name = "rnnbench"
    cells = tuple(cells.shipped())  # those that its process knows
    directions = ("forward", "forward_backward", "training_step")
    uses_numba = True

    def prepare(self, workload: Workload, arrays: Arrays) -> Prepared:
        """See Implementation.prepare."""
        kinds = {"forward": Forward, "forward_backward": ForwardBackward, "training_step": TrainingStep}
        return kinds[workload.direction](workload, arrays)


class Forward(Prepared):
    """h of every step, nothing stored for a backward pass."""

    def __init__(self, workload: Workload, arrays: Arrays) -> None:
        self.layer = Layer(workload.cell, workload.features, workload.hidden, workload.dtype)
        self.layer.params = {name: arrays[name] for name in self.layer.params}
        self.x, self.d_h = arrays["x"], arrays["d_h"]

    def call(self) -> object:
        """See Prepared.call."""
        return self.layer.forward(self.x, store=False)

    def outputs(self) -> Arrays:
        """See Prepared.outputs."""
        return {"h": self.layer.forward(self.x, store=False).h}


class ForwardBackward(Forward):
    """h, and the gradients by x and the parameters."""

    def call(self) -> object:
        """See Prepared.call."""
        trace = self.layer.forward(self.x)
        return trace, self.layer.backward(trace, self.d_h, state_sequence=False)

    def outputs(self) -> Arrays:
        """See Prepared.outputs."""
        trace = self.layer.forward(self.x)
        gradients = self.layer.backward(trace, self.d_h, state_sequence=False)
        assert gradients.x is not None
        by_parameter = {f"d_{name}": value for name, value in gradients.params.items()}
        return {"h": trace.h, "d_x": gradients.x, **by_parameter}


class TrainingStep(Prepared):
    """A network with one layer, trained as probes/training.py does it."""

    def __init__(self, workload: Workload, arrays: Arrays) -> None:
        architecture = Architecture(workload.cell, workload.hidden, dtype=workload.dtype)
        self.network = Network(architecture, workload.features, 1, "many-to-one", "mse", np.random.default_rng(0))
        for name, value in self.network.params.items():
            value[...] = arrays[name.removeprefix("layer0.")]
        self.optimizer = optimizers.make("adam", self.network.weights, LEARNING_RATE)
        self.recipe = Recipe(clip_norm=CLIP_NORM)
        self.batches = list(zip(arrays["inputs"], arrays["targets"], strict=True))
        self.turns = cycle(self.batches)

    def call(self) -> float:
        """See Prepared.call."""
        loss = self.network.loss_and_gradient(*next(self.turns))
        clip(self.network.gradient, self.recipe)
        self.optimizer.step(self.network.gradient)
        return loss

    def outputs(self) -> Arrays:
        """See Prepared.outputs."""
        losses = [self.network.loss_and_gradient(*batch) for batch in self.batches]
        gradients = {
            f"d_{name.removeprefix('layer0.')}": value.copy() for name, value in self.network.gradients.items()
        }
        return {"losses": np.array(losses), **gradients}
