"""What holds for every probe, parametrised over the registry: a new probe is tested by being there."""

import math

import pytest
from pydantic import ValidationError

from rnnbench import backends, probes
from rnnbench.probes.base import Measurement, Seeds

SMALL = {
    "comparison": {"implementation": "rnnbench", "cell": "rnn", "hidden": 4, "batch": 2, "length": 3, "pairs": 3},
    "device_parity": {"cell": "gru", "hidden": 4, "batch": 3, "length": 5, "runs": 2},
    "device_speed": {"cell": "rnn", "hidden": 4, "batch": 2, "length": 3, "repeats": 3, "direction": "forward"},
    "exploding": {"hidden": 4, "length": 10, "steps": 4, "evaluate_every": 2, "evaluation_size": 5},
    "gate_activity": {"cell": "gru", "hidden": 4, "batch": 3, "length": 8},
    "gradient_decay": {"cell": "gru", "hidden": 4, "batch": 3, "data": "adding", "length": 30},
    "jacobian_products": {"cell": "gru", "hidden": 4, "batch": 2, "length": 8, "lags": 3},
    "lyapunov": {"cell": "gru", "hidden": 4, "length": 12, "burn_in": 2},
    "null": {},
    "parameter_gradient": {"cell": "gru", "hidden": 4, "batch": 3, "length": 8},
    "step_profile": {"cell": "rnn", "hidden": 4, "batch": 2, "length": 3, "repeats": 3},
    "throughput": {"cell": "rnn", "hidden": 4, "batch": 2, "length": 3, "repeats": 3, "direction": "forward"},
    "training": {"cell": "gru", "hidden": 4, "length": 8, "steps": 4, "evaluate_every": 2, "evaluation_size": 5},
}


def rows(name, identity="a trial", **changes):
    probe = probes.get(name)
    parameters = probe.Parameters(**SMALL.get(name, {}) | changes)
    if reason := backends.get(getattr(parameters, "backend", "cpu")).missing():
        pytest.skip(reason)
    return list(probe.measure(parameters, Seeds(parameters.seed, identity)))


@pytest.mark.parametrize("name", probes.entries())
def test_rows_are_measurements_with_a_unit_and_unique_places(name):
    found = rows(name)
    assert found
    for row in found:
        assert isinstance(row, Measurement)
        assert row.unit
        assert row.index is None or row.index == int(row.index) >= 0
        math.isfinite(row.value)  # raises for anything but a number
    places = [(row.quantity, row.index) for row in found]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("name", [name for name, probe in probes.entries().items() if not probe.exclusive])
def test_the_same_trial_gives_the_same_rows_and_another_seed_others(name):
    assert str(rows(name)) == str(rows(name))  # as text: NaN equals NaN
    assert str(rows(name, seed=1)) != str(rows(name))
    assert str(rows(name, identity="another trial")) != str(rows(name))


@pytest.mark.parametrize("name", probes.entries())
def test_unknown_parameters_are_refused(name):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        probes.get(name).Parameters(no_such_parameter=1)


@pytest.mark.parametrize("name", [name for name in probes.entries() if name != "null"])
def test_unknown_cells_are_refused_with_the_nearest(name):
    with pytest.raises(ValidationError, match="unknown cell 'lstn': did you mean 'lstm'"):
        probes.get(name).Parameters(cell="lstn")
