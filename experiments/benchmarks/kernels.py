"""Time and memory of one layer through time, with as many inputs as units, on one thread, in float32.

A shape is written T x B x H: steps, sequences, units.
"""

import contextlib
import inspect
import itertools

import numpy as np

import rnnbench

CELLS = ["rnn", "lstm", "gru"]
SHAPES = [
    "128x1x32",
    "128x16x64",
    "128x1x128",
    "128x16x128",
    "128x64x128",
    "128x1x256",
    "128x16x256",
    "64x64x512",
    "32x64x1024",
]
OPTIONS = {
    "forward": {},  # stores what backward needs
    "forward_backward": {},
    "checkpointed": {"checkpoint_every": 32},  # forward and backward, the states between computed twice
    "inference": {"store": False},
}
"""The options of `Layer.forward` that each direction takes; a commit without them skips it."""
FORWARD = inspect.signature(rnnbench.Layer.forward)  # named here so that asv imports Numba once, before it forks


class _Layer:
    """A layer and the arrays it runs on."""

    def prepare(self, cell, direction, shape):
        missing = OPTIONS[direction].keys() - FORWARD.parameters
        if missing:
            raise NotImplementedError(f"Layer.forward has no {', '.join(missing)}")
        length, batch, hidden = map(int, shape.split("x"))
        rng = np.random.default_rng(0)
        self.x, self.d_h = (rng.standard_normal((length, batch, hidden)).astype("float32") for _ in range(2))
        self.layer = rnnbench.Layer(cell, input_size=hidden, hidden_size=hidden, initialization="uniform")

    def run(self, direction, length=None):
        trace = self.layer.forward(self.x[:length], **OPTIONS[direction])
        if direction in ("forward_backward", "checkpointed"):
            self.layer.backward(trace, self.d_h[:length], state_sequence=False)  # as training does


class LayerTime(_Layer):
    """One call: a latency at batch 1, a throughput at batch 64."""

    version = "2"  # 1 had other shapes, and asked backward for the state sequence as well
    repeat = (10, 100, 1.0)  # a sample is one call, as asv prepares each sample afresh: many make up for it
    params = (CELLS, ["forward", "forward_backward", "inference"], SHAPES)
    param_names = ("cell", "direction", "shape")

    def setup(self, cell, direction, shape):
        if not hasattr(self, "layer"):  # asv comes here before every sample
            self.prepare(cell, direction, shape)
            self.run(direction)  # compiles for the very arrays that are timed, or loads what was compiled before

    def time_layer(self, cell, direction, shape):
        self.run(direction)


class LayerMemory(_Layer):
    """The peak of a process that runs a long sequence, interpreter and libraries (some 150 MB) included."""

    version = "2"  # 1 counted the state sequence, and the compiler where it had to run
    params = (CELLS, ["forward_backward", "checkpointed", "inference"], ["1000x32x128"])
    param_names = ("cell", "direction", "shape")

    def setup_cache(self):
        """Compile in a process of its own: asv counts what setup takes."""
        for point in itertools.product(*self.params):
            with contextlib.suppress(NotImplementedError):
                self.prepare(*point)
                self.run(point[1], length=64)

    def setup(self, cell, direction, shape):
        self.prepare(cell, direction, shape)

    def peakmem_layer(self, cell, direction, shape):
        self.run(direction)
