"""Parts of a step: differences of made-up times, cells without elements, and a run of the probe."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from rnnbench import cells, probes
from rnnbench.errors import InputError
from rnnbench.layer import Layer
from rnnbench.probes import step_profile
from rnnbench.probes.base import Seeds
from rnnbench.probes.step_profile import parts, without_elements

CELLS = ["rnn", "rnn_relu", "lstm", "gru", "gru_reset_before"]


def test_parts_are_differences_within_rounds():
    """Of a call of 5, a step of 3 + 2 + 1: product, elements, input; in a round at half the speed as well."""
    call, product, elements, inputs, length = 5.0, 3.0, 2.0, 1.0, 9

    def times(step: float) -> list[float]:
        return [call + length * step, call + step]

    whole = product + elements + inputs
    fast = [*times(whole), *times(whole - elements), *times(whole - inputs)]
    found = {row.quantity: row.value for row in parts(np.array([fast, [2 * t for t in fast], fast]), length)}
    assert found == pytest.approx(
        {"step_time": whole, "element_time": elements, "input_time": inputs, "product_time": product, "call_time": call}
    )


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_without_elements_adds_up_its_preactivations(cell: str, backend: str) -> None:
    plain = without_elements(cells.get(cell))
    layer = Layer(plain, 3, 5, "float64", backend)
    assert (plain.gates, plain.states, plain.preactivations) == (
        (original := cells.get(cell)).gates,
        original.states,
        original.preactivations,
    )
    trace = layer.forward(np.ones((1, 2, 3)))
    gates = np.split(np.ones(3) @ layer.params["W_xh"] + layer.params["b_h"], len(plain.gates))
    expected = sum(gates) + (layer.params[plain.separate_bias] if plain.separate else 0.0)
    np.testing.assert_allclose(trace.h[0], np.broadcast_to(expected / 4, (2, 5)), rtol=1e-12)


def test_a_cell_of_many_preactivations_is_refused():
    class Wide:
        name, preactivations = "wide", ("a",) * 5

    with pytest.raises(InputError, match="a wide has 5 pre-activations; expected at most 4"):
        without_elements(Wide())


class MadeUpTimes:
    """Every call takes 1 s and 0.1 s more for each step."""

    def __init__(self, call: partial, compilations: object, shortest: float) -> None:
        call()
        self.seconds = 1 + 0.1 * len(call.args[0])

    def calibrate(self) -> None:
        """Keep the time."""

    def sample(self) -> float:
        return self.seconds


def test_a_profile_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_profile, "Sampler", MadeUpTimes)
    probe = probes.get("step_profile")
    parameters = probe.Parameters(cell="lstm", hidden=16, batch=2, length=5, repeats=3)
    found = {row.quantity: row.value for row in probe.measure(parameters, Seeds(0, "a trial"))}
    assert [found[name] for name in ("call_time", "step_time", "product_time")] == pytest.approx([1.0, 0.1, 0.1])
    assert [found[name] for name in ("element_time", "input_time")] == pytest.approx([0, 0], abs=1e-12)
    assert found["weights"] == 4 * 16 * 16 * 4
    assert found["product_floor"] >= max(
        2 * 2 * 4 * 16 * 16 / (1e9 * found["gemm_rate"]), found["weights"] / (1e9 * found["weights_bandwidth"])
    ) * (1 - 1e-12)
