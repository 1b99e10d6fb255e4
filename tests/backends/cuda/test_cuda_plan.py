"""Plans against the limits of devices that are not here; every way occurs, and every plan fits."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.problems import CELLS

from rnnbench import cells
from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.plan import MOST_ELEMENTS, MOST_REGISTERS, Plan, most_sums, plan_for
from rnnbench.cells.base import Cell

DEVICES = {
    "a100": Limits("A100", (8, 0), multiprocessors=108, shared_bytes=163 << 10, l2_bytes=40 << 20),
    "h100": Limits("H100", (9, 0), multiprocessors=132, shared_bytes=227 << 10, l2_bytes=50 << 20),
    "laptop": Limits("RTX 3050 Laptop", (8, 6), multiprocessors=16, shared_bytes=99 << 10, l2_bytes=2 << 20),
}
HIDDEN = (1, 7, 64, 100, 128, 256, 512, 768, 1024, 2048)
BATCH = (1, 3, 16, 64, 500)


def plan(cell: str | Cell, hidden: int, batch: int, device: str, dtype: str = "float32") -> Plan:
    return plan_for(cells.get(cell), hidden, batch, np.dtype(dtype), DEVICES[device])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_every_plan_fits_its_device(cell: str, dtype: str, device: str) -> None:
    limits, paths = DEVICES[device], set()
    for hidden in HIDDEN:
        for batch in BATCH:
            found = plan(cell, hidden, batch, device, dtype)
            paths.add(found.path)
            if found.forward is None or found.backward is None:
                continue
            assert found.forward.most_sums <= most_sums(found.forward)
            for way in (found.forward, found.backward):
                assert way.rows * found.groups >= batch > way.rows * (found.groups - 1)
                assert way.units * way.blocks >= hidden > way.units * (way.blocks - 1)
                assert way.alone or way.blocks * found.groups <= limits.multiprocessors
                assert way.shared_bytes < limits.shared_bytes
                assert way.elements <= MOST_ELEMENTS[way.dtype.itemsize]
                assert way.registers <= MOST_REGISTERS[way.dtype.itemsize]
                assert way.threads <= limits.threads
                assert way.threads % 32 == 0
                assert way.slab % way.quad == 0
                assert all(at % way.quad == 0 for at in way.offsets.values())
    assert paths == {"independent", "persistent", "stepwise"} or (cell.startswith("rnn") and "persistent" in paths)


@pytest.mark.parametrize(
    ("cell", "hidden", "batch", "device", "path"),
    [
        ("lstm", 64, 1, "h100", "independent"),
        ("lstm", 64, 64, "h100", "independent"),
        ("lstm", 768, 16, "h100", "persistent"),
        ("lstm", 768, 16, "laptop", "stepwise"),
        ("lstm", 2048, 16, "h100", "stepwise"),
        ("gru", 1024, 16, "h100", "persistent"),
        ("gru", 1024, 16, "a100", "stepwise"),
        ("rnn", 2048, 16, "h100", "persistent"),
        ("rnn", 2048, 16, "a100", "stepwise"),
        ("rnn", 128, 64, "laptop", "independent"),
        ("gru_reset_before", 64, 16, "laptop", "independent"),
    ],
)
def test_the_way_follows_the_size_and_the_device(cell: str, hidden: int, batch: int, device: str, path: str) -> None:
    assert plan(cell, hidden, batch, device).path == path


def test_a_wide_layer_takes_nearly_all_of_the_device() -> None:
    found = plan("lstm", 768, 16, "h100")
    assert found.forward is not None
    assert 0.9 * 132 <= found.forward.blocks * found.groups <= 132


def test_a_batch_larger_than_the_device_gives_each_group_more_sequences() -> None:
    found = plan("lstm", 64, 200, "h100")
    assert found.forward is not None
    assert found.forward.alone
    assert found.forward.rows == 2
    assert found.groups == 100


def test_float64_leaves_one_block_at_fewer_units() -> None:
    widest = [
        max(hidden for hidden in range(32, 130, 8) if plan("lstm", hidden, 16, "h100", dtype).path == "independent")
        for dtype in ("float64", "float32")
    ]
    assert 32 < widest[0] < widest[1] < 130


@pytest.mark.parametrize(
    ("hidden", "words"),
    [
        (64, "W_hh takes 64 KiB, which one block holds: 16 groups of up to 1 sequences never meet"),
        (768, "W_hh takes 9,216 KiB: 2 group(s) of 64 blocks forward and 64 backward hold it"),
        (2048, "H100 has 132 multiprocessors of 227 KiB: they cannot hold it"),
    ],
)
def test_a_plan_says_why(hidden: int, words: str) -> None:
    assert words in plan("lstm", hidden, 16, "h100").why


def test_a_cell_whose_gates_are_all_late_runs_step_by_step() -> None:
    before = cells.get("gru_reset_before")
    all_late = Cell(
        "all_late",
        "every gate takes the operand",
        gates=("candidate",),
        late=("candidate",),
        forward_element=before.forward_element,
        backward_element=before.backward_element,
        operand_element=before.operand_element,
        operand_backward_element=before.operand_backward_element,
    )
    assert plan(all_late, 16, 4, "h100").path == "stepwise"
