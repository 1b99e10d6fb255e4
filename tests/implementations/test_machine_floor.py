"""The machine's rates and the floors that follow from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from implementations.fakes import WORKLOAD

from rnnbench.implementations.floor import BOUNDS, Demands, demands, floor
from rnnbench.implementations.machine import (
    ASSUMED_CACHE_BYTES,
    READ_BYTES,
    Machine,
    Rates,
    Reading,
    largest_cache_bytes,
    memory_bytes,
    read,
)

FORWARD = replace(WORKLOAD, direction="forward", dtype="float32")


def test_reading_reads_every_word() -> None:
    words = np.random.default_rng(0).integers(0, 1 << 62, 10)
    first, second = (int(np.bitwise_xor.reduce(half)) for half in (words[:5], words[5:]))
    once = first ^ (second >> 1)
    assert read(words, 1) == once
    assert read(words, 2) == (once ^ first) ^ ((once ^ second) >> 1)


@pytest.mark.parametrize(("size", "threads"), [(8, 1), (4096, 1), (4096, 3), (1 << 24, 2)])
def test_an_array_is_shared_out_and_read_often_enough(size: int, threads: int) -> None:
    reading = Reading(size, threads)
    held = sum(part.nbytes for part in reading.parts)
    assert len(reading.parts) == threads
    assert held == max(size // threads, 4096) // 8 * 8 * threads
    assert reading.bytes_a_call == held * reading.times > READ_BYTES - held
    reading()


@pytest.mark.compiled
def test_rates_are_what_a_machine_can_do() -> None:
    machine = Machine()
    machine.prepare("float32", 1, 1 << 14)
    rates = machine.sample()
    assert 0 <= machine.unsettled() <= 3
    assert 1e8 < rates.flops < 1e14
    assert 1e8 < rates.memory < 1e13
    assert rates.memory < rates.weights < 1e13  # the weights are in a cache


def test_the_largest_cache_is_found_where_the_system_tells(tmp_path: Path) -> None:
    for index, size in enumerate(["32K", "1024K", "32M"]):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(f"{size}\n")
    assert largest_cache_bytes(str(tmp_path)) == 32 << 20
    assert largest_cache_bytes(str(tmp_path / "none")) == ASSUMED_CACHE_BYTES
    assert memory_bytes() > 0


def test_demands_are_counted() -> None:
    """A GRU with T=5, B=3, I=4, H=7 in float32."""
    assert demands(FORWARD) == Demands(
        operations=2 * 3 * 7 * (7 + 4) * 5 * 3,
        weights_bytes=3 * 7 * 7 * 4,
        weights_reads=5,
        compulsory_bytes=4 * (5 * 3 * (4 + 7) + 3 * 7 * (4 + 7 + 1) + 7),
    )
    both = demands(replace(FORWARD, direction="forward_backward", dtype="float64"))
    assert both.operations == 3 * demands(FORWARD).operations
    assert both.weights_bytes == 2 * demands(FORWARD).weights_bytes
    assert both.weights_reads == 10
    assert both.compulsory_bytes == 2 * 2 * demands(FORWARD).compulsory_bytes


@pytest.mark.parametrize(
    ("rates", "cache", "expected"),
    [
        (Rates(flops=100.0, memory=1e9, weights=1e9), 0, (10.0, "arithmetic")),
        (Rates(flops=1e9, memory=1e9, weights=5.0), 0, (8.0, "weights")),
        (Rates(flops=1e9, memory=10.0, weights=1e9), 0, (6.0, "memory")),
        (Rates(flops=100.0, memory=1.0, weights=1e9), 60, (10.0, "arithmetic")),
    ],
)
def test_the_floor_is_the_slowest_of_three(rates: Rates, cache: int, expected: tuple[float, str]) -> None:
    needed = Demands(operations=1000.0, weights_bytes=4.0, weights_reads=10, compulsory_bytes=60.0)
    assert floor(needed, rates, cache) == expected
    assert expected[1] in BOUNDS
