"""Time one training step against PyTorch's: forward, loss, backward, clipping, Adam, on the adding problem.

    python experiments/training_step.py [--cell lstm] [--hidden 64] [--length 100] [--batch 32] [--threads 2]

Each side runs in its own process, in turn, A B A B ..., with the same data, sizes and threads; a process reports the
median of its steps. Printed is the median over pairs of (PyTorch's time / ours) with a bootstrap interval: above 1 we
are faster. Needs the extra `peers`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

LEARNING_RATE, CLIP_NORM = 1e-3, 1.0


def batches(length: int, batch: int, count: int = 8) -> list:
    """Return the same few batches for both sides, so that drawing them is not timed."""
    from rnnbench import tasks

    task, rng = tasks.get("adding")(length), np.random.default_rng(0)
    return [task.sample(rng, batch) for _ in range(count)]


def rnnbench_step(options: argparse.Namespace) -> Callable[[object], float]:
    """Return the step of this package."""
    from rnnbench import optimizers
    from rnnbench.network import Architecture, Network
    from rnnbench.training import Recipe, clip

    rng = np.random.default_rng(0)
    architecture = Architecture(cell=options.cell, hidden_size=options.hidden)
    network = Network(architecture, 2, 1, "many-to-one", "mse", rng)
    optimizer = optimizers.make("adam", network.weights, LEARNING_RATE)
    recipe = Recipe(clip_norm=CLIP_NORM)

    def step(batch) -> float:  # type: ignore[no-untyped-def]
        loss = network.loss_and_gradient(batch.inputs, batch.targets)
        clip(network.gradient, recipe)
        optimizer.step(network.gradient)
        return loss

    return step


def torch_step(options: argparse.Namespace) -> Callable[[object], float]:
    """Return the step of PyTorch: nn.RNN, nn.LSTM or nn.GRU with a linear readout, eager."""
    import torch

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    layer = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[options.cell](2, options.hidden)
    readout = torch.nn.Linear(options.hidden, 1)
    parameters = [*layer.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE)

    def step(batch) -> float:  # type: ignore[no-untyped-def]
        optimizer.zero_grad()
        outputs = readout(layer(torch.from_numpy(batch.inputs))[0][-1])
        loss = torch.nn.functional.mse_loss(outputs, torch.from_numpy(batch.targets))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimizer.step()
        return loss.item()

    return step


def time_side(options: argparse.Namespace) -> None:
    """Print the median seconds of a step, in this process."""
    from rnnbench.backends.threads import use_threads

    data = batches(options.length, options.batch)
    with use_threads(options.threads):
        step = {"rnnbench": rnnbench_step, "torch": torch_step}[options.side](options)
        for batch in data * 2:
            step(batch)
        times = []
        end = time.perf_counter() + options.seconds
        while time.perf_counter() < end:
            for batch in data:
                start = time.perf_counter()
                step(batch)
                times.append(time.perf_counter() - start)
    print(np.median(times))


def compare(options: argparse.Namespace) -> None:
    """Run both sides in turn and print the ratio."""
    seconds = np.empty((options.pairs, 2))
    for pair in range(options.pairs):
        for side, name in enumerate(("torch", "rnnbench")):
            command = [sys.executable, __file__, *sys.argv[1:], "--side", name]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            seconds[pair, side] = float(output)
        print(f"pair {pair + 1}: torch {seconds[pair, 0] * 1e3:.2f} ms, rnnbench {seconds[pair, 1] * 1e3:.2f} ms")
    ratios = seconds[:, 0] / seconds[:, 1]
    draws = np.random.default_rng(0).choice(ratios, (10_000, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    print(
        f"{options.cell} H={options.hidden} T={options.length} B={options.batch}, {options.threads} thread(s): "
        f"torch / rnnbench = {np.median(ratios):.2f} (95 % interval {low:.2f} to {high:.2f}, {len(ratios)} pairs)"
    )


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", default="lstm", choices=["rnn", "lstm", "gru"])
    for name, default in {"hidden": 64, "length": 100, "batch": 32, "threads": 2, "pairs": 7}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=2.0, help="time measured in each process")
    parser.add_argument("--side", choices=["rnnbench", "torch"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    (time_side if options.side else compare)(options)


if __name__ == "__main__":
    main()
