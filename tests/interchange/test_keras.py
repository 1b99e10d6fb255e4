"""from_keras beside Keras itself: layers, models, and the errors that say what a model has."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
import pytest
from oracles.problems import largest_error

import rnnbench
from rnnbench.errors import InputError
from rnnbench.layer import Layer

os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("torch", reason="PyTorch, on which Keras is run here, is not installed; see the extra peers")
keras = pytest.importorskip("keras", reason="Keras is not installed; see the extra peers", exc_type=ImportError)
layers = keras.layers

STEPS, BATCH, INPUTS, HIDDEN = 6, 3, 2, 4
KINDS = {
    "rnn": (layers.SimpleRNN, {}),
    "rnn_relu": (layers.SimpleRNN, {"activation": "relu"}),
    "lstm": (layers.LSTM, {}),
    "gru": (layers.GRU, {}),
    "gru_reset_before": (layers.GRU, {"reset_after": False}),
}
TOLERANCES = {"float32": 1e-5, "float64": 1e-12}
FUSED = ("lstm", "gru")
"""What Keras hands to PyTorch whole; its own products are in float32, whatever the dtype of layer and input."""


def layer_of(cell: str, **options: Any) -> Any:
    kind, own = KINDS[cell]
    return kind(**{"units": HIDDEN, "return_sequences": True, **own, **options})


def randomised(model: Any) -> Any:
    rng = np.random.default_rng(0)
    model.set_weights([0.5 * rng.standard_normal(array.shape) for array in model.get_weights()])
    return model


def sequential(*members: Any, dtype: str = "float32") -> Any:
    return randomised(keras.Sequential([keras.Input((STEPS, INPUTS), dtype=dtype), *members]))


def inputs(dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(1).standard_normal((STEPS, BATCH, INPUTS)).astype(dtype)


def run(model: Any, x: np.ndarray, **options: Any) -> np.ndarray:
    """Return what Keras computes, time-major."""
    given = keras.ops.convert_to_tensor(x.swapaxes(0, 1), dtype=str(x.dtype))  # by itself it would take float32
    return keras.ops.convert_to_numpy(model(given, **options)).swapaxes(0, 1)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("cell", KINDS)
def test_a_model_computes_the_same(cell: str, both_ways: bool, count: int, dtype: str) -> None:
    members = [layer_of(cell, dtype=dtype) for _ in range(count)]
    members = [layers.Bidirectional(each, dtype=dtype) if both_ways else each for each in members]
    model = sequential(*members, dtype=dtype)
    ours = rnnbench.from_keras(model)
    assert ours.cell.name == cell
    assert ours.dtype == dtype
    assert isinstance(ours, Layer) == (count == 1 and not both_ways)
    x = inputs(dtype)
    tolerance = TOLERANCES[dtype if cell in FUSED else "float32"]
    assert largest_error({"h": ours.forward(x).h}, {"h": run(model, x)}) <= tolerance


@pytest.mark.parametrize("cell", KINDS)
def test_without_biases(cell: str) -> None:
    model = sequential(layer_of(cell, use_bias=False))
    assert largest_error({"h": rnnbench.from_keras(model).forward(inputs()).h}, {"h": run(model, inputs())}) <= 1e-5


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_mask_that_ends_sequences_is_lengths(cell: str) -> None:
    member = layers.Bidirectional(layer_of(cell, zero_output_for_mask=True))
    sequential(member)
    lengths = np.array([STEPS, 2, 4])
    mask = np.arange(STEPS) < lengths[:, None]
    found = rnnbench.from_keras(member).forward(inputs(), lengths=lengths).h
    expected = run(member, inputs(), mask=keras.ops.convert_to_tensor(mask))
    assert largest_error({"h": found}, {"h": expected}) <= 1e-5


def test_an_initial_state_is_an_argument_of_forward() -> None:
    member = layer_of("lstm")
    sequential(member)
    h, c = np.random.default_rng(2).standard_normal((2, BATCH, HIDDEN)).astype("float32")
    found = rnnbench.from_keras(member).forward(inputs(), {"h": h, "c": c}).h
    assert largest_error({"h": found}, {"h": run(member, inputs(), initial_state=[h, c])}) <= 1e-5


def test_a_layer_that_runs_backwards_is_a_forward_one_on_reversed_input() -> None:
    """What the refusal says can be done instead, done."""
    backwards = layer_of("gru", go_backwards=True)
    model = sequential(backwards)
    with pytest.raises(InputError, match="go_backwards is True; expected False"):
        rnnbench.from_keras(backwards)
    ours = rnnbench.from_keras(backwards.get_weights())
    assert largest_error({"h": ours.forward(inputs()[::-1]).h}, {"h": run(model, inputs())}) <= 1e-5


def test_recurrent_only_leaves_out_embedding_dropout_and_readout() -> None:
    members = [layers.LSTM(HIDDEN, return_sequences=True, dropout=0.2), layers.Dropout(0.5), layers.LSTM(HIDDEN)]
    embedding, readout = layers.Embedding(9, INPUTS, mask_zero=True), layers.Dense(3)
    model = randomised(keras.Sequential([keras.Input((STEPS,)), embedding, *members, readout]))
    tokens = np.random.default_rng(3).integers(1, 9, (BATCH, STEPS))
    ours = rnnbench.from_keras(model, recurrent_only=True)
    x = keras.ops.convert_to_numpy(embedding(tokens)).swapaxes(0, 1)
    answer = keras.ops.convert_to_numpy(readout(ours.forward(x).h[-1]))
    assert largest_error({"y": answer}, {"y": keras.ops.convert_to_numpy(model(tokens))}) <= 1e-5
    with pytest.raises(InputError, match=r"Embedding 'embedding\w*' is no recurrent layer; .*recurrent_only=True"):
        rnnbench.from_keras(model)


def with_state_from_before() -> Any:
    x = keras.Input((STEPS, INPUTS))
    y, *state = layers.LSTM(HIDDEN, return_sequences=True, return_state=True)(x)
    return keras.Model(x, layers.LSTM(HIDDEN)(y, initial_state=state))


def side_by_side() -> Any:
    x = keras.Input((STEPS, INPUTS))
    return keras.Model(x, [layers.GRU(HIDDEN, return_sequences=True)(x), layers.GRU(HIDDEN)(x)])


def the_other_way_round() -> Any:
    return sequential(layers.Bidirectional(layer_of("gru", go_backwards=True), backward_layer=layer_of("gru")))


def of_its_own() -> Any:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = layer_of("gru"), layer_of("gru")

        def call(self, x: Any) -> Any:
            return self.second(self.first(x))

    model = Own()
    model(np.zeros((1, STEPS, INPUTS), "float32"))
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.LSTM(3), "has no weights yet; build it, or call it once"),
        (lambda: keras.Sequential([layers.LSTM(3)]), "does not say how its layers are connected"),
        (of_its_own, "does not say how its layers are connected, as it is not built or a subclass of Model"),
        (with_state_from_before, "without branches or initial states from elsewhere"),
        (side_by_side, "expected a chain of layers"),
        (lambda: sequential(layers.Masking(), layer_of("gru")), "Masking 'masking' is no recurrent layer"),
        (lambda: sequential(layer_of("gru"), layers.LayerNormalization(), layer_of("gru")), "is no recurrent layer"),
        (lambda: sequential(layers.RNN(layers.GRUCell(3))), "RNN: expected SimpleRNN, LSTM, GRU, Bidirectional"),
        (lambda: sequential(layer_of("gru"), layer_of("gru", units=7)), "has units 4, GRU"),
        (lambda: sequential(layer_of("lstm", activation=keras.activations.gelu)), "are gelu, sigmoid; expected tanh"),
        (lambda: sequential(layer_of("lstm", activation=layers.ReLU())), "are ReLU, sigmoid; expected tanh, sigmoid"),
        (lambda: sequential(layer_of("gru", dtype="mixed_float16")), "computes in float16; expected float32"),
        (lambda: sequential(layers.Bidirectional(layer_of("gru"), merge_mode="ave")), "merge_mode is 'ave'"),
        (the_other_way_round, "go_backwards is True"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        rnnbench.from_keras(make())


def test_a_subclassed_model_is_read_layer_by_layer() -> None:
    model = randomised(of_its_own())
    ours = rnnbench.from_keras([model.first, model.second])
    assert largest_error({"h": ours.forward(inputs()).h}, {"h": run(model, inputs())}) <= 1e-5
