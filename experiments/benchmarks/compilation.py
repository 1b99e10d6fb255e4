"""What the first call of a layer's kernels costs in a fresh interpreter: compiled anew, or loaded from disk."""

FIRST_CALL = """
trace = layer.forward(x)
layer.backward(trace, np.ones_like(trace.h))
"""

LAYER = """
import numpy as np
import rnnbench
x = np.zeros((4, 2, 8), "float32")
layer = rnnbench.Layer({cell!r}, input_size=8, hidden_size=16)
"""

EMPTY_CACHE = """
import os, tempfile
folder = tempfile.TemporaryDirectory()
os.environ["RNNBENCH_CACHE_DIR"] = folder.name
"""


class FirstCall:
    """Forward and backward of one cell, both kernels together; building the layer is not counted."""

    version = "1"
    repeat = 2
    warmup_time = 0  # each sample is an interpreter of its own: there is nothing to warm
    timeout = 300
    params = (["rnn", "lstm", "gru"],)
    param_names = ("cell",)

    def setup(self, cell):
        exec(LAYER.format(cell=cell) + FIRST_CALL, {})  # what timeraw_load is to find on disk

    def timeraw_compile(self, cell):
        return FIRST_CALL, EMPTY_CACHE + LAYER.format(cell=cell)

    def timeraw_load(self, cell):
        return FIRST_CALL, LAYER.format(cell=cell)
