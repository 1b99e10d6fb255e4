"""Time of one layer on an NVIDIA GPU, copies to and from it included; skipped, with the reason, where there is none.

A shape is written T x B x H: steps, sequences, units.
"""

import time

import numpy as np

import rnnbench
from rnnbench import backends


def synchronized():
    """Return the time once everything asked of the GPU is done."""
    backends.get("cuda").synchronize()
    return time.perf_counter()


class LayerTimeOnGpu:
    """One call, on numbers of the host's."""

    version = "1"
    timer = staticmethod(synchronized)
    params = (["rnn", "lstm", "gru"], ["forward", "forward_backward"], ["128x1x64", "1024x16x256", "1024x16x768"])
    param_names = ("cell", "direction", "shape")

    def setup(self, cell, direction, shape):
        backend = backends.entries().get("cuda")
        missing = backend.missing() if backend else "this commit has no backend cuda"
        if missing:
            raise NotImplementedError(missing)
        length, batch, hidden = map(int, shape.split("x"))
        rng = np.random.default_rng(0)
        self.x, self.d_h = (rng.standard_normal((length, batch, hidden)).astype("float32") for _ in range(2))
        self.layer = rnnbench.Layer(cell, hidden, hidden, backend="cuda", initialization="uniform")
        self.time_layer_on_gpu(cell, direction, shape)  # compiles

    def time_layer_on_gpu(self, cell, direction, shape):
        trace = self.layer.forward(self.x)
        if direction == "forward_backward":
            self.layer.backward(trace, self.d_h, state_sequence=False)
