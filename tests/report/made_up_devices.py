"""Made-up rows of device_parity, where one trial fails, one has a race and one was stopped, and of device_speed."""

from __future__ import annotations

from typing import Any

WAYS = ("independent", "persistent", "stepwise")
TYPES = (("cuda", "float32", 1e-5, 1e-4), ("cuda", "float64", 1e-12, 1e-11), ("cuda_fast", "float32", 2e-3, 1e-2))
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
FASTER = {"fp32": 2.0, "tf32": 1.2, "fp16": 0.6}
"""PyTorch's time over ours, at the smallest shape."""


def add_device_parity(run: Any, wrong: bool = True, simulated: bool = False) -> None:
    """Add nine ways of each cell, and training; where `wrong`, a GRU fails, an RNN races and an LSTM hangs."""
    for cell in GATES:
        for way in WAYS:
            for backend, dtype, *tolerances in TYPES:
                where = (cell, way, backend, dtype)
                given = {"cell": cell, "way": way, "backend": backend, "dtype": dtype, "work": "layer"}
                given |= {"batch": 9, "hidden": 48}
                if wrong and where == ("lstm", "persistent", "cuda", "float32"):
                    run.trial("device_parity", "timeout", "stopped after its time limit of 300 s", **given, seed=0)
                    continue
                bad = wrong and where == ("gru", "independent", "cuda", "float64")
                race = wrong and where == ("rnn", "persistent", "cuda_fast", "float32")
                status = ("error", "Disagreement: a GPU") if bad or race else ("ok", "")
                key = run.trial("device_parity", *status, **given, seed=0)
                shares = (0.1 * GATES[cell], 3.0 if bad else 0.02)
                _compared(run, key, tolerances, shares, race)
                blocks = {"stepwise": 0, "independent": 9, "persistent": 40}[way]
                run.add(key, "blocks", "1", (None, blocks))
                run.add(key, "shared_memory", "byte", (None, 200 * 1024 if blocks else 0))
                run.add(key, "simulated", "1", (None, float(simulated)))
        given = {"cell": cell, "way": "planned", "backend": "cuda", "dtype": "float32", "work": "training"}
        given |= {"batch": 3, "hidden": 7}
        _compared(run, run.trial("device_parity", **given, seed=0), TYPES[0][2:], (0.05, 0.01), False)


def _compared(run: Any, key: str, tolerances: Any, shares: tuple[float, float], race: bool) -> None:
    for name, tolerance, share in zip(("forward", "backward"), tolerances, shares, strict=True):
        run.add(key, f"{name}_error", "1", (None, share * tolerance))
        run.add(key, f"{name}_tolerance", "1", (None, tolerance))
    run.add(key, "differing_runs", "1", (None, 2.0 * race))
    run.add(key, "run_difference", "1", (None, 1e-7 * race))
    run.add(key, "passed", "1", (None, float(max(shares) <= 1 and not race)))


def add_device_speed(run: Any, hidden: tuple[int, ...] = (64, 768), peers: bool = True) -> None:
    """Add times of a step, G (H / 64) B^(1/2) / 4 µs of ours: less than PyTorch's in fp32, more than in fp16.

    At H = 768, B = 1 there is no floor.
    """
    for cell, gates in GATES.items():
        for size in hidden:
            for batch in (1, 16):
                for direction, passes in (("forward", 1), ("forward_backward", 3)):
                    key = run.trial(
                        "device_speed", cell=cell, hidden=size, batch=batch, length=1024, direction=direction,
                        backend="cuda", dtype="float32", repeats=3, seed=0,
                    )  # fmt: skip
                    median = 1024e-6 * passes * gates * size / 64 * batch**0.5 / 4
                    run.add(key, "time", "s", *enumerate([median, 1.1 * median, 0.9 * median]))
                    run.add(key, "median_time", "s", (None, median))
                    if (size, batch) != (768, 1):
                        run.add(key, "floor_time", "s", (None, median / 4))
                        run.add(key, "fraction_of_floor", "1", (None, 0.25))
                    for precision, faster in FASTER.items() if peers else ():
                        ratio = faster * (1.0 if size == 64 else 0.81) * (1.0 if batch == 1 else 1.21)
                        run.add(key, f"torch_{precision}_median_time", "s", (None, ratio * median))
                        run.add(key, f"torch_{precision}_ratio", "1", (None, ratio))
                    run.add(key, "simulated", "1", (None, 0.0))
