"""A made-up run with plausible numbers: what the report is given when nothing has been measured here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up_devices import add_device_parity, add_device_speed
from made_up_memory import add_memory
from made_up_speeds import add_comparison, add_scaling, add_step_profile
from matplotlib.figure import Figure
from measured_rows import MEASURED

from rnnbench.report import page
from rnnbench.report.document import Document, compose
from rnnbench.report.figures.base import Drawing
from rnnbench.sweeps.store import Results

SLOPES: dict[
    tuple[str, str, float, float | None], float
] = {  # nats per step: (cell, initialization, gain, gate bias, which an RNN has none of) at hidden 64
    ("rnn", "orthogonal", 0.5, None): -0.705,
    ("rnn", "orthogonal", 0.9, None): -0.136,
    ("rnn", "orthogonal", 1.1, None): -0.032,
    ("rnn", "orthogonal", 1.5, None): +0.055,
    ("rnn", "uniform", 1.0, None): -0.477,
    ("lstm", "uniform", 1.0, 0.0): -0.459,
    ("lstm", "orthogonal", 1.0, 0.0): -0.294,
    ("lstm", "orthogonal", 1.0, 1.0): -0.040,
    ("lstm", "orthogonal", 1.0, 3.0): +0.011,
    ("gru", "uniform", 1.0, 0.0): -0.440,
    ("gru", "orthogonal", 1.0, 0.0): -0.296,
    ("gru", "orthogonal", 1.0, 1.0): -0.147,
    ("gru", "orthogonal", 1.0, 3.0): -0.026,
}


@dataclass
class Run:
    """Gathers rows and hands them over as the store would."""

    path: Path = Path("results/synthetic")
    sweep: dict[str, Any] = field(default_factory=lambda: {"name": "synthetic"})
    provenance: dict[str, Any] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    missing: tuple[str, ...] = ()
    rows: list[tuple[str, str, int | None, float, str]] = field(default_factory=list)

    def trial(self, probe: str, status: str = "ok", reason: str = "", **parameters: Any) -> str:
        key = hashlib.sha256(f"{probe}{sorted(parameters.items())}".encode()).hexdigest()[:16]
        minute = len(self.records) % 60
        record = {"key": key, "probe": probe, "status": status, "reason": reason, "runtime_s": 2.5}
        record |= {"peak_memory_bytes": 3e8, "started_at": f"2026-03-02T10:{minute:02d}:00+00:00"}
        record |= {
            "kernel_source_hash": "9f2c55d0a1b3e477",
            "numba_version": "0.68.1",
            "numpy_version": "2.4.6",
        }
        self.records.append(record | parameters)
        return key

    def add(self, key: str, quantity: str, unit: str, *points: tuple[int | None, float]) -> None:
        self.rows += [(key, quantity, index, float(value), unit) for index, value in points]

    def results(self) -> Results:
        return Results(self.path, self.sweep, self.provenance, self.trials, self.measurements, self.missing)

    @property
    def trials(self) -> pd.DataFrame:
        columns = ["key", "probe", "status", "reason", "runtime_s"]
        return pd.DataFrame(self.records) if self.records else pd.DataFrame(columns=columns)

    @property
    def measurements(self) -> pd.DataFrame:
        frame = pd.DataFrame(self.rows, columns=["key", "quantity", "index", "value", "unit"])
        return frame.astype({"index": "Int64", "value": "float64"})


def add_gradient_decay(
    run: Run,
    seeds: int = 5,
    data: tuple[str, ...] = ("sequential_digits",),
    cells: tuple[str, ...] = ("rnn", "lstm", "gru"),
) -> None:
    lags = np.arange(0, 201, 8)
    for (cell, initialization, gain, bias), slope in SLOPES.items():
        for where in data if cell in cells else ():
            for seed in range(seeds):
                rng = np.random.default_rng([seed, int(abs(slope) * 1e4)])
                own = slope * (1 + 0.05 * rng.normal())
                key = run.trial(
                    "gradient_decay", cell=cell, hidden=64, length=200, batch=32, data=where,
                    initialization=initialization, gain=gain, gate_bias=bias, dtype="float32", seed=seed,
                )  # fmt: skip
                norm = own * lags - 1.2 * (1 - np.exp(-lags / 8)) + 0.05 * rng.normal(size=lags.size).cumsum() ** 1
                width = 0.15 * np.sqrt(lags)
                for suffix, values in (
                    ("", norm),
                    ("_lower_quartile", norm - width),
                    ("_upper_quartile", norm + width),
                ):
                    run.add(key, f"log_gradient_norm{suffix}", "nat", *zip(lags.tolist(), values, strict=True))
                if initialization == "orthogonal" and cell != "gru":
                    rate = np.log(gain) if bias is None else -np.log1p(np.exp(-bias))
                    run.add(key, "log_theory", "nat", *((int(lag), rate * lag) for lag in lags))
                run.add(key, "decay_slope", "nat/step", (None, own))
                run.add(key, "half_life", "step", (None, -np.log(2) / own if own < 0 else np.nan))
                run.add(key, "fit_r2", "1", (None, 0.99 - 0.01 * rng.uniform()))


def add_training(run: Run, seeds: int = 5, task: str = "adding", lengths: tuple[int, ...] = (50, 200)) -> None:
    better, unit, baseline = (False, "mse", 1 / 6) if task == "adding" else (True, "fraction correct", 0.1018)
    for cell in ("rnn", "lstm", "gru"):
        for length in lengths:
            for seed in range(seeds):
                rng = np.random.default_rng([seed, length, len(cell), ord(cell[0])])
                learned_at = {"rnn": np.inf, "lstm": 20.0 * length, "gru": 9.0 * length}[cell]
                if task != "adding":
                    learned_at = {"rnn": 900, "lstm": 500, "gru": 350}[cell]
                learned_at *= rng.uniform(0.8, 1.3)
                key = run.trial(
                    "training", task=task, cell=cell, hidden=64, length=length, batch=32, steps=6000,
                    optimizer="adam", learning_rate=0.003, clip_norm=1.0, seed=seed,
                    gate_bias=None if cell == "rnn" else 1.0,
                )  # fmt: skip
                steps = np.arange(0, 6001, 200)
                progress = 1 / (1 + np.exp(-(steps - learned_at) / (0.08 * min(learned_at, 6000))))
                noise = np.exp(0.1 * rng.normal(size=steps.size))
                if better:
                    top = {"rnn": 0.55, "lstm": 0.95, "gru": 0.97}[cell]
                    score = np.minimum(0.1 + (top - 0.1) * progress * noise**0.1, 1.0)
                else:
                    score = baseline * 10 ** (-3.0 * progress) * noise
                below = np.flatnonzero(score < baseline / 100)
                solved = not better and len(below) > 0
                if solved:  # training stops here
                    steps, score, noise = (values[: below[0] + 1] for values in (steps, score, noise))
                run.add(key, "evaluation_score", unit, *zip(steps.tolist(), score, strict=True))
                run.add(key, "gradient_norm", "1", *((int(s), 0.8 * n) for s, n in zip(steps, noise, strict=True)))
                run.add(key, "fraction_clipped", "1", (None, len(cell) / 10))
                run.add(key, "baseline_score", unit, (None, baseline))
                run.add(key, "score_higher_is_better", "1", (None, float(better)))
                run.add(key, "final_score", unit, (None, score[-1]))
                run.add(key, "parameter_count", "1", (None, {"rnn": 1, "gru": 3, "lstm": 4}[cell] * 64 * 67 + 65))
                if not better:
                    run.add(key, "solved_threshold", unit, (None, baseline / 100))
                    run.add(key, "solved", "1", (None, float(solved)))
                    run.add(key, "steps_to_solve", "step", (None, steps[-1] if solved else np.nan))


def add_throughput(run: Run, hidden: tuple[int, ...] = (32, 128, 512), lengths: tuple[int, ...] = (32, 128)) -> None:
    shapes = [(size, 128) for size in hidden] + [(128, length) for length in lengths if length != 128]
    gates = {"rnn": 1, "lstm": 4, "gru": 3}
    for cell in gates:
        for direction, passes in (("forward", 1), ("forward_backward", 3)):
            for size, length in shapes:
                rng = np.random.default_rng([size, length, passes])
                key = run.trial(
                    "throughput", cell=cell, hidden=size, length=length, batch=16, dtype="float32",
                    direction=direction, repeats=9, seed=0,
                )  # fmt: skip
                work = passes * 2 * gates[cell] * size * 2 * size * length * 16 / 1e9
                rate = 280 * (0.25 + 0.1 * gates[cell]) * size / (size + 110) / (1 + 0.2 * (passes - 1))
                times = work / rate * np.exp(0.06 * np.abs(rng.normal(size=9)))
                median = float(np.median(times))
                run.add(key, "time", "s", *enumerate(times))
                run.add(key, "median_time", "s", (None, median))
                run.add(key, "sequence_step_rate", "sequence-step/s", (None, length * 16 / median))
                run.add(key, "flop_rate", "GFLOP/s", (None, work / median))
                peak = 280 + 6 * rng.normal()
                run.add(key, "sgemm_flop_rate", "GFLOP/s", (None, peak))
                run.add(key, "fraction_of_gemm", "1", (None, work / median / peak))


def full_run() -> Run:
    run = Run(
        sweep={
            "name": "what-vanishes",
            "sweep": [
                {
                    "probe": "gradient_decay",
                    "title": "How fast gradients fade",
                    "axes": {"cell": ["rnn", "lstm", "gru"], "seed": [0, 1, 2]},
                    "together": {"initialization": ["orthogonal", "uniform"], "gain": [0.9, 1.0]},
                    "fixed": {"data": "sequential_digits", "length": 200},
                },
                {
                    "probe": "training",
                    "axes": {"length": [50, 200]},
                    "fixed": {"task": "adding", "bidirectional": False},
                },
            ],
            "title": "What vanishes, what a gate changes, and what it costs",
            "description": "Gradient decay at initialisation, two tasks, and the speed of three cells.\n\n"
            "All numbers of this run are made up, for looking at the page.",
        },
        provenance={
            "command": "rnnbench run what_vanishes.toml",
            "package_git": {"commit": "3f1c2a9be0d54c7788aa10203040506070809abc", "dirty": True},
            "blas": [{"internal_api": "openblas", "version": "0.3.29", "num_threads": 1}],
            "machine": {
                "cpu": "Example CPU @ 2.6 GHz",
                "cores": 2,
                "memory_bytes": 8 * 2**30,
            },
            "versions": {"python": "3.11.9", "numba": "0.68.1", "numpy": "2.4.6"},
        },
    )
    add_gradient_decay(run, seeds=3)
    add_training(run)
    add_training(run, task="sequential_digits", lengths=(64,), seeds=3)
    add_throughput(run)
    same = {"task": "adding", "hidden": 64, "length": 1000, "batch": 32, "steps": 6000, "optimizer": "adam"}
    same |= {"learning_rate": 0.003, "clip_norm": 1.0}
    run.trial("training", "timeout", "no result within 600 s", cell="rnn", seed=0, **same)
    run.trial("training", "diverged", "training loss is nan at step 412", cell="lstm", seed=1, **same)
    return run


@pytest.fixture(scope="session")
def results() -> Results:
    return full_run().results()


@pytest.fixture(scope="session")
def document(results: Results) -> Document:
    return compose(results)


@pytest.fixture(scope="session")
def pages(document: Document) -> tuple[str, dict[str, Figure]]:
    """The page of the full run, and every figure that was drawn for it by name."""
    figures: dict[str, Figure] = {}

    def keeping(drawing: Drawing) -> Drawing:
        def paint() -> Figure:
            figures[drawing.name] = drawing.paint()
            return figures[drawing.name]

        return replace(drawing, paint=paint)

    sections = [replace(part, drawings=[keeping(drawing) for drawing in part.drawings]) for part in document.sections]
    return page.render(replace(document, sections=sections)), figures


@pytest.fixture(scope="session")
def html(pages: tuple[str, dict[str, Figure]]) -> str:
    return pages[0]


@pytest.fixture(scope="session")
def drawn(pages: tuple[str, dict[str, Figure]]) -> dict[str, Figure]:
    return pages[1]


@pytest.fixture(scope="session")
def compared(build: Callable[..., Results]) -> Results:
    return build("comparison", control=True)


@pytest.fixture(scope="session")
def compared_document(compared: Results) -> Document:
    return compose(compared)


@pytest.fixture
def empty_run() -> Run:
    """A run with no trials yet, to be filled by the test."""
    return Run()


@pytest.fixture
def run_factory() -> type[Run]:
    """What makes runs with no trials yet, for tests that take several."""
    return Run


@pytest.fixture(scope="session")
def build() -> Callable[..., Results]:
    """Build the rows of one probe alone: build("training", seeds=1)."""

    def of_one_probe(probe: str, **options: Any) -> Results:
        run = Run()
        adders = {
            "gradient_decay": add_gradient_decay,
            "training": add_training,
            "memory": add_memory,
            "throughput": add_throughput,
            "scaling": add_scaling,
            "comparison": add_comparison,
            "step_profile": add_step_profile,
            "device_parity": add_device_parity,
            "device_speed": add_device_speed,
            **MEASURED,
        }
        adders[probe](run, **options)
        return run.results()

    return of_one_probe
