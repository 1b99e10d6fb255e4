import pytest

from rnnbench import probes
from rnnbench.implementations.timing import Sampler
from rnnbench.probes.base import Seeds
from rnnbench.probes.throughput import alternating_times


@pytest.mark.parametrize(("direction", "passes"), [("forward", 1), ("forward_backward", 3)])
@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_rates_follow_from_the_median_time(direction, passes, cell, gates):
    probe = probes.get("throughput")
    parameters = probe.Parameters(cell=cell, hidden=16, batch=4, length=10, repeats=3, direction=direction)
    rows = list(probe.measure(parameters, Seeds(0, "a trial")))
    scalars = {row.quantity: row.value for row in rows if row.index is None}
    times = sorted(row.value for row in rows if row.quantity == "time")
    assert len(times) == 3
    assert scalars["median_time"] == times[1] > 0
    assert scalars["sequence_step_rate"] == pytest.approx(40 / times[1])
    assert scalars["flop_rate"] == pytest.approx(passes * 2 * gates * 16 * 32 * 40 / times[1] / 1e9)
    assert scalars["fraction_of_gemm"] == pytest.approx(scalars["flop_rate"] / scalars["sgemm_flop_rate"])


def test_calls_take_turns_after_warming_up():
    order = []

    # Any time is long enough for a sample, so that a sample is one call.
    samplers = [Sampler(lambda name=name: order.append(name), shortest_s=1e-12) for name in "ab"]
    times = alternating_times(samplers, 3)
    assert times.shape == (2, 3)
    assert (times > 0).all()
    assert "".join(order) == "aabbaabbaabb"
