import numpy as np
import pytest

from rnnbench.errors import InputError, ShapeError
from rnnbench.network import WIRINGS, Architecture, Network

INPUTS, ANSWERS, SEQUENCES, FEATURES, OUTPUTS = 6, 5, 4, 3, 2
ONE_INPUT = ("one-to-one", "one-to-many")
ONE_ANSWER = ("one-to-one", "many-to-one")
OWN_LENGTH = ("one-to-many", "sequence-to-sequence")
"""Wirings whose answers have a length of their own."""


def network(wiring="many-to-one", loss="mse", **changes):
    settings = {"cell": "gru", "hidden_size": 5, "dtype": "float64", "backend": "reference"} | changes
    return Network(Architecture(**settings), FEATURES, OUTPUTS, wiring, loss, np.random.default_rng(0))


def batch(wiring, loss, seed=1):
    rng = np.random.default_rng(seed)
    steps = 1 if wiring in ONE_INPUT else INPUTS
    answers = {**dict.fromkeys(ONE_ANSWER, ()), **dict.fromkeys(OWN_LENGTH, (ANSWERS,))}.get(wiring, (steps,))
    rows = (*answers, SEQUENCES)
    inputs = rng.standard_normal((steps, SEQUENCES, FEATURES))
    targets = rng.standard_normal((*rows, OUTPUTS)) if loss == "mse" else rng.integers(0, OUTPUTS, rows)
    return inputs, targets


def padding(wiring):
    """Lengths of the inputs and a mask of the answers, where the wiring takes them."""
    lengths = None if wiring in ONE_INPUT else np.array([6, 2, 5, 1])
    if wiring in ONE_ANSWER:
        return lengths, None
    if wiring in OWN_LENGTH:
        return lengths, np.arange(ANSWERS)[:, None] < np.array([3, 5, 1, 4])
    return lengths, np.arange(INPUTS)[:, None] < lengths


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("changes", [{}, {"num_layers": 2, "bidirectional": True, "cell": "lstm"}])
@pytest.mark.parametrize("padded", [False, True])
def test_gradient_of_every_parameter_is_the_derivative_of_the_loss(wiring, loss, changes, padded):
    if WIRINGS[wiring].feeds_back:
        changes = changes | {"bidirectional": False}
    net = network(wiring, loss, **changes)
    inputs, targets = batch(wiring, loss)
    lengths, mask = padding(wiring) if padded else (None, None)
    net.loss_and_gradient(inputs, targets, mask, lengths)
    gradient = net.gradient.copy()
    rng = np.random.default_rng(5)
    for _ in range(4):  # along random directions all parameters are checked at once
        direction = rng.standard_normal(net.weights.size)
        step, losses = 1e-4, {}
        for k in (-2, -1, 1, 2):
            net.weights += k * step * direction
            losses[k] = net.loss_and_gradient(inputs, targets, mask, lengths)
            net.weights -= k * step * direction
        slope = (8 * (losses[1] - losses[-1]) - (losses[2] - losses[-2])) / (12 * step)
        assert gradient @ direction == pytest.approx(slope, rel=1e-8, abs=1e-11)


def test_parameters_are_views_of_one_vector():
    net = network()
    assert net.weights.size == sum(value.size for value in net.params.values())
    net.weights[:] = 0
    assert not any(value.any() for value in net.params.values())
    assert all(np.shares_memory(layer.params["W_hh"], net.weights) for layer in net.stack.layers)
    outputs = net.predict(np.ones((4, 2, 3)))
    np.testing.assert_array_equal(outputs, np.zeros((2, 2)))


def test_tokens_are_one_hot_vectors():
    net = network()
    tokens = np.array([[0, 2], [1, 1]])
    np.testing.assert_array_equal(net.predict(tokens), net.predict(np.eye(3)[tokens]))
    with pytest.raises(InputError, match=r"\[0, 3\].*\[0, 3\)"):
        net.predict(np.array([[0, 3]]))
    with pytest.raises(ShapeError, match=r"float64 \(4,\)"):
        net.predict(np.zeros(4))


@pytest.mark.parametrize("wiring", WIRINGS)
def test_cpu_and_reference_networks_agree(wiring):
    inputs, targets = batch(wiring, "cross_entropy")
    nets = [network(wiring, "cross_entropy", backend=backend) for backend in ("cpu", "reference")]
    losses = [net.loss_and_gradient(inputs, targets) for net in nets]
    assert losses[0] == pytest.approx(losses[1], rel=1e-13)
    np.testing.assert_allclose(nets[0].gradient, nets[1].gradient, rtol=1e-10, atol=1e-14)


def test_wrong_wiring_mask_and_names_are_refused():
    with pytest.raises(InputError, match="did you mean 'many-to-one'"):
        network("many-to-onne")
    for wiring in ONE_ANSWER:
        inputs, targets = batch(wiring, "mse")
        with pytest.raises(InputError, match=f"{wiring} batch has a mask"):
            network(wiring).loss_and_gradient(inputs, targets, mask=np.ones((6, 4), bool))
    inputs, targets = batch("many-to-many", "mse")
    with pytest.raises(ShapeError, match=r"\(4, 6\).*\(6, 4\)"):
        network("many-to-many").loss_and_gradient(inputs, targets, mask=np.ones((4, 6), bool))
    with pytest.raises(ShapeError, match=r"targets have shape \(5, 4, 2\); expected \(6, 4, 2\)"):
        network("many-to-many").loss_and_gradient(inputs, targets[:5])
