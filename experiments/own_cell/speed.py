"""How fast a cell of a user's own is beside the same cell of rnnbench: times taken in turn, and their ratio.

    python experiments/own_cell/speed.py [--rounds 11] [--threads 1]

Each cell is registered twice more: from its file's own text, under another name, as the file of a user would be, and
from its forward function alone, of which SymPy derives the rest. All three get the same weights and inputs, and have to
return the same. A ratio is the median time of rnnbench's cell over that of the other, with its 95 % interval: above 1
the user's is faster.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

import rnnbench
from rnnbench import cells
from rnnbench.backends.compile_events import Compilations
from rnnbench.backends.threads import use_threads
from rnnbench.implementations.statistics import ratio_interval
from rnnbench.implementations.timing import Sampler
from rnnbench.layer import Layer
from rnnbench.sweeps.own_files import OwnFile

NAMES = ("rnn", "lstm", "gru", "gru_reset_before")
SHAPES = ((100, 1, 128), (100, 32, 64))
DIRECTIONS = ("forward", "forward + backward")
TOLERANCE = 1e-5


def own_versions(name: str) -> tuple[str, str]:
    """Register a cell from its file's text and from its forward function alone, and return the two names."""
    text = inspect.getsource(sys.modules[cells.get(name).forward_element.__module__])
    OwnFile(f"own_{name}.py", text.replace('name="', 'name="own_')).register()
    bare = {"backward_element": None, "operand_backward_element": None, "saved": ()}
    cells.register(replace(cells.get(name), name=f"derived_{name}", **bare))
    return f"own_{name}", f"derived_{name}"


class Run:
    """One version of a cell at one shape, (T, B, H)."""

    def __init__(self, name: str, shape: tuple[int, int, int], direction: str) -> None:
        length, batch, hidden = shape
        self.layer = Layer(name, hidden, hidden)
        self.direction = direction
        rng = np.random.default_rng(1)
        self.x, self.d_h = (rng.standard_normal((length, batch, hidden)).astype(np.float32) for _ in range(2))

    def __call__(self) -> dict[str, np.ndarray]:
        """Run it once, and return what it gives."""
        if self.direction == "forward":
            return {"h": self.layer.forward(self.x, store=False).h}
        trace = self.layer.forward(self.x)
        gradients = self.layer.backward(trace, self.d_h, state_sequence=False)
        return {"h": trace.h, "d_x": gradients.x, **gradients.params}


def measure(names: Sequence[str], shape: tuple[int, int, int], direction: str, rounds: int) -> list[np.ndarray]:
    """Return the times (rounds,) of each version; InputError where two do not return the same."""
    runs = [Run(name, shape, direction) for name in names]
    for run in runs[1:]:
        run.layer.params = runs[0].layer.params
    first, *others = (run() for run in runs)
    for name, found in zip(names[1:], others, strict=True):
        for key, value in found.items():
            difference = np.abs(value - first[key]).max() / np.abs(first[key]).max()
            if not difference <= TOLERANCE:
                raise rnnbench.InputError(f"{key} of {name} differs from that of {names[0]} by {difference:.2g}")
    with Compilations() as compilations:
        samplers = [Sampler(run, compilations) for run in runs]
        for sampler in samplers:
            sampler.calibrate()
        times = np.empty((len(runs), rounds))
        for number in range(rounds):
            for k in np.roll(range(len(runs)), number):
                times[k, number] = samplers[k].sample()
    return list(times)


def table(names: Sequence[str], shapes: Sequence[tuple[int, int, int]], rounds: int, threads: int) -> str:
    """Return the table in Markdown."""
    lines = [
        "| cell | T×B×H | direction | its text in a file of one's own (×) | its forward function alone (×) |",
        "| --- | --- | --- | ---: | ---: |",
    ]
    rng = np.random.default_rng(2)
    with use_threads(threads):
        for name in names:
            versions = name, *own_versions(name)
            for shape in shapes:
                for direction in DIRECTIONS:
                    ours, *others = measure(versions, shape, direction, rounds)
                    ratios = [ratio_interval(times, ours, rng) for times in others]
                    shown = [f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" for ratio in ratios]
                    lines.append(f"| {name} | {'×'.join(map(str, shape))} | {direction} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    print(table(NAMES, SHAPES, given.rounds, given.threads))


if __name__ == "__main__":
    main()
