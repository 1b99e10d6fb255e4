"""Rows of small real trials, for figures of probes that run in a moment: names and units are the probe's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rnnbench import probes
from rnnbench.probes.base import Seeds

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "gradient_decay": [
        {"cell": cell, "gate_bias": bias, "hidden": 6, "length": 40, "batch": 4, "data": "adding"}
        for cell, bias in (("rnn", None), ("lstm", 0.0), ("lstm", 2.0), ("gru", 1.0))
    ],
    "jacobian_products": [
        {"cell": cell, "gain": gain, "hidden": 4, "length": 20, "batch": 2, "lags": 8}
        for cell, gain in (("rnn", 0.8), ("rnn", 2.5), ("lstm", 1.0))
    ],
    "lyapunov": [
        {"cell": cell, "gain": gain, "hidden": 5, "length": 60, "burn_in": 5}
        for cell, gain in (("rnn_linear", 0.8), ("rnn_linear", 1.2), ("lstm", 1.0))
    ],
    "parameter_gradient": [
        {"cell": cell, "gate_bias": bias, "hidden": 4, "length": 30, "batch": 3}
        for cell, bias in (("rnn", None), ("gru", 0.0), ("gru", 3.0))
    ],
    "gate_activity": [
        {"cell": cell, "gate_bias": bias, "hidden": 4, "length": 12, "batch": 3}
        for cell, bias in (("rnn", None), ("lstm", -2.0), ("lstm", 4.0), ("gru", 1.0))
    ],
    "exploding": [
        {"length": 20, "hidden": 12, "batch": 6, "steps": 40, "gain": 2.0, "learning_rate": 1.0, "optimizer": "sgd"}
        | {"evaluation_size": 10, "clip_norm": norm, "regularization": weight}
        for norm, weight in ((0.0, 0.0), (1.0, 0.0), (1.0, 2.0))
    ],
}


def add_measured(run: Any, probe: str, seeds: int = 2, settings: Sequence[dict[str, Any]] = ()) -> None:
    """Run the trials of a probe on the reference backend, and add their rows."""
    measuring = probes.get(probe)
    for setting in settings or SETTINGS[probe]:
        for seed in range(seeds):
            parameters = measuring.Parameters(**setting, seed=seed, backend="reference")
            key = run.trial(probe, **parameters.model_dump())
            for row in measuring.measure(parameters, Seeds(seed, probe)):
                run.add(key, row.quantity, row.unit, (row.index, row.value))


MEASURED: dict[str, Callable[..., None]] = {
    f"measured_{probe}" if probe == "gradient_decay" else probe: partial(add_measured, probe=probe)
    for probe in SETTINGS
}
"""How `build` adds the rows of each; rows of gradient_decay exist made up as well."""
