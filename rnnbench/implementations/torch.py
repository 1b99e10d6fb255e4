"""PyTorch's nn.RNN, nn.LSTM and nn.GRU, eager: what most users run."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np

from rnnbench import cells
from rnnbench.backends.base import Arrays
from rnnbench.implementations.base import Implementation, Prepared, Workload
from rnnbench.implementations.problems import CLIP_NORM, LEARNING_RATE, two_biases


class Torch(Implementation):
    """PyTorch: nn.RNN, nn.LSTM and nn.GRU, eager; forward alone in inference mode."""

    name = "torch"
    packages = ("torch",)
    cells = ("rnn", "rnn_relu", "lstm", "gru")
    directions = ("forward", "forward_backward", "training_step")

    def prepare(self, workload: Workload, arrays: Arrays) -> Prepared:
        """See Implementation.prepare."""
        import torch

        torch.set_num_threads(workload.threads)
        kinds = {"forward": Forward, "forward_backward": ForwardBackward, "training_step": TrainingStep}
        return kinds[workload.direction](torch, workload, arrays)


class Forward(Prepared):
    """h of every step, in inference mode."""

    def __init__(self, torch: Any, workload: Workload, arrays: Arrays) -> None:
        self.torch = torch
        self.module = module_with(torch, workload, arrays)
        self.x, self.d_h = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["d_h"])

    def call(self) -> Any:
        """See Prepared.call."""
        with self.torch.inference_mode():
            return self.module(self.x)[0]

    def outputs(self) -> Arrays:
        """See Prepared.outputs."""
        return {"h": self.call().numpy()}


class ForwardBackward(Forward):
    """h, and the gradients by x and the parameters, which torch.autograd.grad returns without adding to old ones."""

    def __init__(self, torch: Any, workload: Workload, arrays: Arrays) -> None:
        super().__init__(torch, workload, arrays)
        self.cell = workload.cell
        self.x.requires_grad_()
        self.wanted = {"x": self.x, **dict(self.module.named_parameters())}

    def call(self) -> Any:
        """See Prepared.call."""
        h, _ = self.module(self.x)
        return h, self.torch.autograd.grad(h, list(self.wanted.values()), self.d_h)

    def outputs(self) -> Arrays:
        """See Prepared.outputs."""
        h, gradients = self.call()
        by_name = {name: value.numpy() for name, value in zip(self.wanted, gradients, strict=True)}
        return {"h": h.detach().numpy(), "d_x": by_name["x"], **layer_gradients(self.cell, by_name)}


class TrainingStep(Prepared):
    """The layer and an nn.Linear readout of the last step; Adam in its fused form, the faster one."""

    def __init__(self, torch: Any, workload: Workload, arrays: Arrays) -> None:
        self.torch, self.cell = torch, workload.cell
        self.layer = module_with(torch, workload, arrays)
        self.readout = torch.nn.Linear(workload.hidden, 1, dtype=getattr(torch, workload.dtype))
        with torch.no_grad():
            self.readout.weight.copy_(torch.from_numpy(arrays["W_hy"]).T)
            self.readout.bias.copy_(torch.from_numpy(arrays["b_y"]))
        self.parameters = [*self.layer.parameters(), *self.readout.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=LEARNING_RATE, fused=True)
        inputs, targets = (torch.from_numpy(arrays[name]) for name in ("inputs", "targets"))
        self.batches = list(zip(inputs, targets, strict=True))
        self.turns = cycle(self.batches)

    def call(self) -> float:
        """See Prepared.call."""
        loss = self.loss_and_gradient(*next(self.turns))
        self.torch.nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
        self.optimizer.step()
        return loss

    def loss_and_gradient(self, inputs: Any, targets: Any) -> float:
        """Return the loss of a batch, its gradient left in the parameters."""
        self.optimizer.zero_grad()
        loss = self.torch.nn.functional.mse_loss(self.readout(self.layer(inputs)[0][-1]), targets)
        loss.backward()
        return float(loss.item())

    def outputs(self) -> Arrays:
        """See Prepared.outputs."""
        losses = [self.loss_and_gradient(*batch) for batch in self.batches]
        by_name = {name: parameter.grad.numpy().copy() for name, parameter in self.layer.named_parameters()}
        return {
            "losses": np.array(losses),
            **layer_gradients(self.cell, by_name),
            "d_W_hy": self.readout.weight.grad.numpy().T.copy(),
            "d_b_y": self.readout.bias.grad.numpy().copy(),
        }


def module_with(torch: Any, workload: Workload, arrays: Arrays) -> Any:
    """Return the nn module of a workload with the given weights."""
    kind = {"rnn": torch.nn.RNN, "rnn_relu": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[workload.cell]
    options = {"nonlinearity": "relu"} if workload.cell == "rnn_relu" else {}
    module = kind(workload.features, workload.hidden, dtype=getattr(torch, workload.dtype), **options)
    biases = two_biases(workload.cell, arrays)
    values = {"weight_ih": arrays["W_xh"].T, "weight_hh": arrays["W_hh"].T, "bias_ih": biases[0], "bias_hh": biases[1]}
    with torch.no_grad():
        for name, value in values.items():
            getattr(module, f"{name}_l0").copy_(torch.from_numpy(np.ascontiguousarray(value)))
    return module


def layer_gradients(cell: str, by_name: Arrays) -> Arrays:
    """Return the gradients of an nn module's parameters in rnnbench's layouts.

    Where both biases are added to the same sum their gradients are equal, and one of them is ours.
    """
    gradients = {
        "d_W_xh": by_name["weight_ih_l0"].T,
        "d_W_hh": by_name["weight_hh_l0"].T,
        "d_b_h": by_name["bias_ih_l0"],
    }
    if separate := len(cells.get(cell).separate):
        hidden = by_name["weight_hh_l0"].shape[1]
        gradients[f"d_{cells.get(cell).separate_bias}"] = by_name["bias_hh_l0"][-separate * hidden :]
    return gradients
