"""Make the golden file of Keras: configurations and weights of its layers, and what Keras itself computes.

    KERAS_BACKEND=torch python tests/golden/make_keras.py

The file keras.npz holds, for each case, CASE/layers, as JSON what each layer's get_config() returns of the names that
say what it computes; CASE/weights/LAYER/DIRECTION/k, what its get_weights() returns; and CASE/x and CASE/h, the inputs
and outputs, time-major. Made with Keras 3.15 on PyTorch 2.13.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "keras.npz"
STEPS, BATCH, INPUTS, HIDDEN = 20, 3, 2, 5
CASES: dict[str, tuple[str, dict[str, Any], int, bool]] = {
    "rnn": ("SimpleRNN", {}, 1, False),
    "rnn_relu": ("SimpleRNN", {"activation": "relu"}, 1, False),
    "lstm": ("LSTM", {"unit_forget_bias": False}, 1, False),
    "lstm_stack": ("LSTM", {}, 2, True),
    "gru": ("GRU", {}, 1, False),
    "gru_stack": ("GRU", {"use_bias": False}, 2, False),
    "gru_reset_before": ("GRU", {"reset_after": False}, 1, True),
}
"""Keras' layer, its options, how many of them, and whether in both directions."""
TOLD = (
    "name", "units", "activation", "recurrent_activation", "use_bias", "reset_after", "go_backwards",
    "return_sequences", "dropout", "recurrent_dropout", "merge_mode",
)  # fmt: skip


def make(case: str) -> dict[str, np.ndarray]:
    """Return the arrays of one case."""
    import keras

    kind, options, count, both = CASES[case]
    rng = np.random.default_rng(0)
    layers = [getattr(keras.layers, kind)(HIDDEN, return_sequences=True, **options) for _ in range(count)]
    if both:
        layers = [keras.layers.Bidirectional(layer) for layer in layers]
    model = keras.Sequential([keras.Input((STEPS, INPUTS)), *layers])
    model.set_weights([0.5 * rng.standard_normal(array.shape) for array in model.get_weights()])
    x = rng.standard_normal((BATCH, STEPS, INPUTS)).astype(np.float32)
    arrays = {"x": x.swapaxes(0, 1), "h": keras.ops.convert_to_numpy(model(x)).swapaxes(0, 1)}
    stored = []
    for k, layer in enumerate(layers):
        directions = [layer.forward_layer, layer.backward_layer] if both else [layer]
        stored.append([told(layer), [told(each) for each in directions]])
        for d, each in enumerate(directions):
            arrays |= {f"weights/{k}/{d}/{n}": array for n, array in enumerate(each.get_weights())}
    return arrays | {"layers": np.array(json.dumps(stored))}


def told(layer: Any) -> dict[str, Any]:
    """Return the kind of a layer, and of its configuration what says what it computes."""
    config = layer.get_config()
    return {"kind": type(layer).__name__, **{name: config[name] for name in TOLD if name in config}}


def main() -> None:
    """Write the file."""
    np.savez_compressed(FILE, **{f"{case}/{name}": value for case in CASES for name, value in make(case).items()})


if __name__ == "__main__":
    main()
