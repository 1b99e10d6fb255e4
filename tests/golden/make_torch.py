"""Make the golden files: what PyTorch computes, in float32, for weights and inputs that anyone can compute again.

    python tests/golden/make_torch.py

Weights, inputs and gradients come from raw bits of PCG64, whose stream NumPy promises never to change, so that
the files need to hold results only; of the larger ones some steps and some rows. Made with PyTorch 2.13 on a CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
STEPS, BATCH, INPUTS, HIDDEN = 200, 2, 5, 64
CASES = {
    "rnn": ("RNN", 1, {"nonlinearity": "tanh"}),
    "rnn_relu": ("RNN", 1, {"nonlinearity": "relu"}),
    "lstm": ("LSTM", 4, {}),
    "gru": ("GRU", 3, {}),
}
"""For each of our cells: PyTorch's module, its number of gates, its options."""
KEPT_STEPS = slice(7, None, 8)
KEPT_ROWS = slice(None, None, 4)

Arrays = dict[str, np.ndarray]


def inputs(cell: str) -> Arrays:
    """Return the weights in PyTorch's names and shapes, x, the initial states, and the gradients from outside."""
    gates = CASES[cell][1]
    states = ("h", "c") if cell == "lstm" else ("h",)
    limit = 1 / np.sqrt(HIDDEN)
    sizes: dict[str, tuple[tuple[int, ...], float]] = {
        "weight_ih": ((gates * HIDDEN, INPUTS), limit),
        "weight_hh": ((gates * HIDDEN, HIDDEN), limit),
        "bias_ih": ((gates * HIDDEN,), limit),
        "bias_hh": ((gates * HIDDEN,), limit),
        "x": ((STEPS, BATCH, INPUTS), 2.0),
        "d_output": ((STEPS, BATCH, HIDDEN), 1.0),
        **{f"initial_{name}": ((BATCH, HIDDEN), 1.0) for name in states},
        **{f"d_final_{name}": ((BATCH, HIDDEN), 1.0) for name in states},
    }
    numbers = np.random.PCG64(0)

    def uniform(shape: tuple[int, ...], limit: float) -> np.ndarray:
        fractions = (numbers.random_raw(int(np.prod(shape))) >> np.uint64(11)) * 2.0**-53
        return (limit * (2 * fractions - 1)).reshape(shape).astype(np.float32)

    return {name: uniform(shape, limit) for name, (shape, limit) in sizes.items()}


def kept(results: Arrays) -> Arrays:
    """Return what a golden file holds of the results: some steps of sequences, some rows of weight_hh."""
    chosen = {"output": KEPT_STEPS, "d_x": KEPT_STEPS, "d_weight_hh": KEPT_ROWS}
    return {name: value[chosen.get(name, slice(None))] for name, value in results.items()}


def compute(cell: str) -> Arrays:
    """Run the module forward and backward."""
    import torch

    kind, _, options = CASES[cell]
    given = {name: torch.from_numpy(value) for name, value in inputs(cell).items()}
    module: Any = getattr(torch.nn, kind)(INPUTS, HIDDEN, **options)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(given[name.removesuffix("_l0")])
    x = given["x"].requires_grad_()
    initial = [given[name].requires_grad_() for name in given if name.startswith("initial_")]
    output, final = module(x, tuple(s[None] for s in initial) if len(initial) > 1 else initial[0][None])
    final = final if isinstance(final, tuple) else (final,)
    d_final = [given[name][None] for name in given if name.startswith("d_final_")]
    torch.autograd.backward([output, *final], [given["d_output"], *d_final])
    results = {"output": output, "d_x": x.grad}
    for name, state, start in zip(("h", "c"), final, initial, strict=False):
        results |= {f"final_{name}": state[0], f"d_initial_{name}": start.grad}
    results |= {f"d_{name.removesuffix('_l0')}": parameter.grad for name, parameter in module.named_parameters()}
    return {name: value.detach().numpy() for name, value in results.items()}


def main() -> None:
    """Write one file a cell."""
    for cell in CASES:
        np.savez_compressed(FOLDER / f"torch_{cell}.npz", **kept(compute(cell)))


if __name__ == "__main__":
    main()
