"""What is particular to each wiring, and that every wiring's declared steps are what it does."""

import numpy as np
import pytest

from rnnbench.errors import InputError, ShapeError
from rnnbench.network import WIRINGS, Architecture, Network

F, K, H, B = 3, 4, 5, 2  # features read, outputs, units, sequences
FEEDING_BACK = [name for name, wiring in WIRINGS.items() if wiring.feeds_back]


def network(wiring, loss="cross_entropy", seed=0, **changes):
    settings = {"cell": "lstm", "hidden_size": H, "dtype": "float64", "backend": "reference"} | changes
    return Network(Architecture(**settings), F, K, wiring, loss, np.random.default_rng(seed))


def numbers(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


def test_one_to_one_equals_a_multilayer_perceptron():
    net = network("one-to-one", cell="rnn")
    x, target = numbers(1, B, F), np.array([1, 3])
    w, u = net.params["layer0.W_xh"], net.params["W_hy"]
    hidden = np.tanh(x[0] @ w + net.params["layer0.b_h"])
    logits = hidden @ u + net.params["b_y"]
    np.testing.assert_allclose(net.predict(x), logits, rtol=1e-14)

    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = net.loss_and_gradient(x, target)
    assert loss == pytest.approx(-np.log(shares[np.arange(B), target]).mean(), rel=1e-14)
    d_logits = (shares - np.eye(K)[target]) / B
    d_hidden = d_logits @ u.T * (1 - hidden**2)
    for name, expected in {
        "W_hy": hidden.T @ d_logits,
        "b_y": d_logits.sum(axis=0),
        "layer0.W_xh": x[0].T @ d_hidden,
        "layer0.b_h": d_hidden.sum(axis=0),
        "layer0.W_hh": np.zeros((H, H)),
    }.items():
        np.testing.assert_allclose(net.gradients[name], expected, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_one_to_many_reads_its_own_answers_when_none_are_given(loss):
    """The loop is written out with one call of the stack a step."""
    net = network("one-to-many", loss)
    x, steps = numbers(1, B, F), 6
    features, state, expected = np.concatenate([x[0], np.zeros((B, K))], axis=1), None, []
    for _ in range(steps):
        trace = net.stack.forward(features[None], state)
        state = trace.state
        expected.append(trace.h[0] @ net.params["W_hy"] + net.params["b_y"])
        own = expected[-1] if loss == "mse" else np.eye(K)[expected[-1].argmax(axis=1)]
        features = np.concatenate([np.zeros((B, F)), own], axis=1)
    np.testing.assert_allclose(net.predict(x, steps=steps), expected, rtol=1e-13)


def forced(net, inputs, targets, lengths=None):
    return net.wiring.forward(net, net.encode(inputs), lengths, targets)[0]


@pytest.mark.parametrize("wiring", FEEDING_BACK)
def test_forcing_the_networks_own_answers_changes_nothing_and_others_do(wiring):
    net = network(wiring)
    inputs = numbers(1 if wiring == "one-to-many" else 4, B, F)
    alone = net.predict(inputs, steps=7)
    own = alone.argmax(axis=2)
    np.testing.assert_allclose(forced(net, inputs, own), alone, rtol=1e-13)
    others = (own + 1) % K
    outputs = forced(net, inputs, others)
    np.testing.assert_allclose(outputs[0], alone[0], rtol=1e-13)
    assert not np.isclose(outputs[1:], alone[1:]).all(axis=(1, 2)).any()


def test_many_to_one_answers_at_the_last_step_of_each_sequence():
    net = network("many-to-one", bidirectional=True)
    x, lengths = numbers(6, 3, F), np.array([6, 2, 4])
    together = net.predict(x, lengths)
    for b, length in enumerate(lengths):
        np.testing.assert_allclose(together[b], net.predict(x[:length, b : b + 1])[0], rtol=1e-13)


def test_an_encoder_hands_over_the_state_at_the_end_of_each_sequence():
    net = network("sequence-to-sequence")
    x, lengths = numbers(6, 3, F), np.array([6, 2, 4])
    together = net.predict(x, lengths, steps=5)
    for b, length in enumerate(lengths):
        alone = net.predict(x[:length, b : b + 1], steps=5)
        np.testing.assert_allclose(together[:, b], alone[:, 0], rtol=1e-13)


def test_a_decoder_starts_from_the_encoders_states_and_from_zeros():
    net = network("sequence-to-sequence", num_layers=2)
    x, answers = numbers(6, B, F), np.array([[1, 0], [2, 2], [3, 0]])
    state = net.stacks["encoder"].forward(x).state
    fed = np.concatenate([np.zeros((1, B, K)), np.eye(K)[answers[:-1]]])
    h = net.stacks["decoder"].forward(fed, state).h
    np.testing.assert_allclose(forced(net, x, answers), h @ net.params["W_hy"] + net.params["b_y"], rtol=1e-13)
    assert set(net.params) == {
        *(f"{stack}.layer{n}.{name}" for stack in net.stacks for n in (0, 1) for name in ("W_xh", "W_hh", "b_h")),
        "W_hy",
        "b_y",
    }


def reached(steps):
    """Which inputs and which fed answers reach each answer, from the declared steps: {answer: (inputs, answers)}."""
    found, inputs, answers = {}, set(), set()
    for step in steps:
        inputs |= {step.reads} - {None}
        answers |= {step.feeds} - {None}
        if step.answers is not None:
            found[step.answers] = (set(inputs), set(answers))
    return found


@pytest.mark.parametrize("name", WIRINGS)
def test_declared_steps_are_what_the_network_does(name):
    """An answer changes with an input, or an answer that was fed, exactly where the declared steps say so."""
    wiring, net = WIRINGS[name], network(name)
    read = 1 if name.startswith("one") else 3
    steps = wiring.steps(read, 1 if wiring.answers_once else 4 if wiring.feeds_back else read)
    declared = reached(steps)
    inputs, answers = numbers(read, 1, F), np.array([[1], [2], [0], [3]])
    targets = answers if wiring.feeds_back else None

    def outputs(inputs, targets):
        found = forced(net, inputs, targets)
        return {1: found} if wiring.answers_once else dict(enumerate(found, start=1))

    before = outputs(inputs, targets)
    assert set(before) == set(declared)
    for s in range(1, read + 1):
        changed = inputs.copy()
        changed[s - 1] += 1
        after = outputs(changed, targets)
        assert {t for t in before if not np.array_equal(before[t], after[t])} == {
            t for t, (reads, _) in declared.items() if s in reads
        }
    for t in range(1, len(answers) + 1) if wiring.feeds_back else ():
        changed = answers.copy()
        changed[t - 1] = (changed[t - 1] + 1) % K
        after = outputs(inputs, changed)
        assert {u for u in before if not np.array_equal(before[u], after[u])} == {
            u for u, (_, fed) in declared.items() if t in fed
        }
    assert {step.stack for step in steps} == set(wiring.stack_inputs(F, K)) == set(net.stacks)


def language_model():
    architecture = Architecture("gru", 8, dtype="float64")
    return Network(architecture, K, K, "many-to-many", "cross_entropy", np.random.default_rng(0))


def test_a_network_writes_what_it_would_predict_when_it_is_cold():
    net = language_model()
    prompt = np.array([[0, 3], [1, 2], [2, 2]])
    written = net.write(prompt, 5, np.random.default_rng(0), temperature=1e-9)
    text = np.concatenate([prompt, written])
    np.testing.assert_array_equal(net.predict(text[:-1]).argmax(axis=2)[2:], written)
    assert not np.array_equal(written, net.write(prompt, 5, np.random.default_rng(0), temperature=100.0))


def test_tokens_are_drawn_from_the_softmax():
    net = language_model()
    net.params["b_y"][:] = [0, 1, 2, -1]
    drawn = net.write(np.zeros((1, 20_000), int), 1, np.random.default_rng(0))[0]
    logits = net.predict(np.zeros((1, 1), int))[0, 0]
    shares = np.exp(logits) / np.exp(logits).sum()
    assert np.bincount(drawn, minlength=K) / drawn.size == pytest.approx(shares, abs=5 * np.sqrt(0.25 / drawn.size))


def test_what_a_wiring_cannot_do_is_refused():
    with pytest.raises(ShapeError, match="one-to-one network got 2 inputs"):
        network("one-to-one").predict(numbers(2, B, F))
    with pytest.raises(ShapeError, match="one-to-many network got 1 inputs and lengths"):
        network("one-to-many").predict(numbers(1, B, F), np.array([1, 1]), steps=2)
    for wiring in FEEDING_BACK:
        with pytest.raises(InputError, match=f"bidirectional is True; expected False, as {wiring}"):
            network(wiring, bidirectional=True)
        with pytest.raises(InputError, match="expected the number of steps"):
            network(wiring).predict(numbers(1, B, F))
    with pytest.raises(InputError, match="many-to-one network of 3 inputs and 4 outputs cannot write"):
        network("many-to-one").write(np.zeros((1, 1), int), 1, np.random.default_rng(0))
