"""Made-up rows of comparison, where rnnbench is slower at large shapes, and of throughput by threads and length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

SETTING = ["direction", "grid", "cell", "threads", "length", "batch", "hidden"]
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
SHAPES = tuple(
    (length, batch, hidden) for hidden in (64, 256, 1024) for length, batch in ((100, 1), (100, 16), (50, 64))
)
PUBLISHED = {
    "DeepBench": [("rnn", 50, 16, 1760), ("lstm", 25, 16, 512), ("lstm", 25, 32, 1024), ("gru", 187, 32, 1536)],
    "fastrnns": [("lstm", 100, 64, 512)],
    "DeepCPU": [("lstm", 100, 1, 64), ("lstm", 100, 1, 256), ("lstm", 100, 1, 1024), ("gru", 100, 1, 256)],
}
PEERS = {"torch": 1.25, "onnxruntime": 1.45, "jax": 2.6}
GEMM, MEMORY, CACHE = 55e9, 11e9, 40e9


def add_comparison(
    run: Any,
    cells: tuple[str, ...] = ("rnn", "lstm", "gru"),
    directions: tuple[str, ...] = ("forward", "forward_backward", "training_step"),
    threads: tuple[int, ...] = (1, 2),
    shapes: tuple[tuple[int, int, int], ...] = SHAPES,
    published: bool = True,
    control: bool = False,
    **more: Any,
) -> None:
    """Add trials to a run, of rnnbench beside itself too where `control` is set; `more` are parameters of all."""
    for direction in directions:
        for used in threads:
            for cell in cells:
                for shape in shapes:
                    _add_peers(run, cell, direction, used, shape, "", more)
                if control:
                    _add_pair(run, "rnnbench", 1.0, cell, direction, used, shapes[0], "", more)
            for grid, entries in PUBLISHED.items() if published and direction != "training_step" else ():
                for cell, *sizes in entries:
                    if cell in cells:
                        _add_peers(run, cell, direction, used, tuple(sizes), grid, more)


def _add_peers(run: Any, cell: str, direction: str, threads: int, shape: Any, grid: str, more: dict[str, Any]) -> None:
    for peer, factor in PEERS.items():
        if peer != "onnxruntime" or direction == "forward":
            _add_pair(run, peer, factor, cell, direction, threads, shape, grid, more)


def _add_pair(
    run: Any, peer: str, factor: float, cell: str, direction: str, threads: int, shape: Any, grid: str, more: Any
) -> None:
    length, batch, hidden = shape
    inputs = 2 if direction == "training_step" else hidden  # a training step has those of its task
    parameters = {"features": inputs, "dtype": "float32", "pairs": 11, "seed": 0} | more
    key = run.trial(
        "comparison", implementation=peer, cell=cell, length=length, batch=batch, hidden=hidden,
        direction=direction, threads=threads, grid=grid, **parameters,
    )  # fmt: skip
    speed = factor
    if peer != "rnnbench":
        rng = np.random.default_rng([length, batch, hidden, threads, len(direction), *cell.encode(), len(peer)])
        small = {"jax": 3.0, "torch": 1.6}.get(peer, 1.9)
        speed *= small ** (1 - np.log2(hidden / 45) / 4) / 1.05 * np.exp(0.12 * rng.normal())
    _add_rows(run, key, cell, direction, threads, shape, parameters["features"], speed)


def _add_rows(
    run: Any, key: str, cell: str, direction: str, threads: int, shape: Any, features: int, speed: float
) -> None:
    length, batch, hidden = shape
    rng = np.random.default_rng([length, batch, hidden, threads, len(direction), *cell.encode(), int(1000 * speed)])
    passes = 1 if direction == "forward" else 3
    work = passes * 2 * GATES[cell] * hidden * (hidden + features) * length * batch
    weights = 4.0 * GATES[cell] * hidden**2
    bandwidth = (CACHE if weights < 4e6 else MEMORY) * threads**0.5
    terms = (
        work / (GEMM * threads),
        min(passes, 2) * length * weights / bandwidth,
        8.0 * length * batch * hidden * passes / MEMORY,
    )
    floor = max(terms)
    fraction = 0.75 * batch / (batch + 1.5) * (1 - 0.1 * np.log2(hidden / 64) / 4)
    time = floor / fraction * np.exp(0.02 * rng.normal(size=11))
    peer_time = time.mean() * speed * np.exp(0.03 * rng.normal(size=11))
    median, peer_median = float(np.median(time)), float(np.median(peer_time))
    draws = rng.integers(0, 11, (400, 11))
    low, high = np.quantile(np.median(peer_time[draws], axis=1) / np.median(time[draws], axis=1), [0.025, 0.975])
    run.add(key, "time", "s", *enumerate(time))
    run.add(key, "peer_time", "s", *enumerate(peer_time))
    for quantity, unit, value in (
        ("median_time", "s", median),
        ("peer_median_time", "s", peer_median),
        ("ratio", "1", peer_median / median),
        ("ratio_low", "1", low),
        ("ratio_high", "1", high),
        ("gemm_rate", "GFLOP/s", GEMM * threads / 1e9),
        ("memory_bandwidth", "GB/s", MEMORY / 1e9),
        ("weights_bandwidth", "GB/s", bandwidth / 1e9),
        ("floor_time", "s", floor),
        ("fraction_of_floor", "1", floor / median),
        ("peer_fraction_of_floor", "1", floor / peer_median),
        ("floor_bound", "1", float(np.argmax(terms))),
        ("difference", "1", 10 ** rng.uniform(-7, -5.5)),
        ("compile_time", "s", 0.0),
        ("discarded_samples", "1", 0.0),
    ):
        run.add(key, quantity, unit, (None, value))


def add_scaling(
    run: Any,
    threads: tuple[int, ...] = (1, 2, 4),
    lengths: tuple[int, ...] = (16, 64, 256, 1024),
    slow_start: float = 0.0,
    every: bool = False,
) -> None:
    """Add trials of throughput by threads at one length, and by length on one number of threads, or on `every` one.

    A call takes as long as `slow_start` / gates more steps; on n threads it is n^0.72 (LSTM) to n^0.78 (RNN) times as
    fast, and the matrix product n^0.95 times.
    """
    shapes = [(used, lengths[-1]) for used in threads]
    shapes += [(used, length) for used in (threads if every else threads[-1:]) for length in lengths[:-1]]
    for cell, gates in GATES.items():
        for direction, passes in (("forward", 1), ("forward_backward", 3)):
            for used, length in shapes:
                key = run.trial(
                    "throughput", cell=cell, hidden=64, length=length, batch=8, dtype="float32", direction=direction,
                    threads=used, repeats=5, seed=0,
                )  # fmt: skip
                middle = passes * gates * 1e-6 * (length + slow_start / gates) * used ** (-0.8 + 0.02 * gates)
                times = middle * np.array([0.99, 0.995, 1.0, 1.01, 1.03])
                work = passes * 2 * gates * 64 * 128 * length * 8 / 1e9
                run.add(key, "time", "s", *enumerate(times))
                run.add(key, "median_time", "s", (None, middle))
                run.add(key, "sequence_step_rate", "sequence-step/s", (None, length * 8 / middle))
                run.add(key, "flop_rate", "GFLOP/s", (None, work / middle))
                run.add(key, "sgemm_flop_rate", "GFLOP/s", (None, 250 * used**0.95))


def add_step_profile(run: Any, batches: tuple[int, ...] = (1, 16)) -> None:
    """Add profiles: of a step of 10 us a gate half is product, 60 % of it needed, 3/10 input, 2/10 elements."""
    for cell, gates in GATES.items():
        for batch in batches:
            key = run.trial(
                "step_profile",
                cell=cell,
                hidden=64,
                length=65,
                batch=batch,
                dtype="float32",
                threads=1,
                repeats=5,
                seed=0,
            )
            step = 1e-5 * gates * batch
            for name, share in (("step", 1.0), ("product", 0.5), ("input", 0.3), ("element", 0.2)):
                run.add(key, f"{name}_time", "s", (None, share * step))
            run.add(key, "product_floor", "s", (None, 0.3 * step))
            run.add(key, "call_time", "s", (None, 1e-4))


def wide_rows(results: Any) -> pd.DataFrame:
    """Return one row a trial with its parameters and scalars, joined without the report's help."""
    values = results.measurements[results.measurements["index"].isna()]
    return results.trials.merge(values.pivot(index="key", columns="quantity", values="value"), on="key")


def of(frame: pd.DataFrame, direction: str = "forward") -> pd.DataFrame:
    """Return the trials of one direction at shapes of our own."""
    return frame[(frame["direction"] == direction) & (frame["grid"] == "")]


def lowest(frame: pd.DataFrame) -> pd.DataFrame:
    """Return of each setting the trial with the fastest peer."""
    return frame.sort_values("ratio").groupby(SETTING, as_index=False).first()


def cell_of(table: Any, row: Any, title: str) -> str:
    """Return the cell of a row under a heading."""
    return row[[column.title for column in table.columns].index(title)]
