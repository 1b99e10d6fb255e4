"""Time and memory of one layer through time, on one thread, in float32."""

import numpy as np

import rnnbench

CELLS = ["rnn", "lstm", "gru"]
DIRECTIONS = ["forward", "forward_backward"]


class _Layer:
    """A layer with as many inputs as units, and the arrays it runs on."""

    version = "1"
    length: int

    def setup(self, cell, direction, hidden, batch):
        shape = (self.length, batch, hidden)
        rng = np.random.default_rng(0)
        self.x, self.d_h = (rng.standard_normal(shape).astype("float32") for _ in range(2))
        self.layer = rnnbench.Layer(cell, input_size=hidden, hidden_size=hidden)
        self.run(direction)  # compiles, or loads what was compiled before

    def run(self, direction):
        trace = self.layer.forward(self.x)
        if direction == "forward_backward":
            self.layer.backward(trace, self.d_h)


class LayerTime(_Layer):
    """One call: a latency at batch 1, a throughput at batch 32."""

    length = 64
    repeat = (10, 100, 1.0)  # a sample is one call, as asv prepares each sample afresh: many make up for it
    params = (CELLS, DIRECTIONS, [32, 128], [1, 32])
    param_names = ("cell", "direction", "hidden", "batch")

    def time_layer(self, cell, direction, hidden, batch):
        self.run(direction)


class LayerMemory(_Layer):
    """The peak of a process that runs a long sequence, interpreter and libraries (some 150 MB) included."""

    length = 1000
    params = (CELLS, DIRECTIONS, [128], [32])
    param_names = ("cell", "direction", "hidden", "batch")

    def peakmem_layer(self, cell, direction, hidden, batch):
        self.run(direction)
