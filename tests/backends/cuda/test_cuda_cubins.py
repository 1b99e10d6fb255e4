"""Kernels as machine code for an A100 and an H100, compiled without a GPU: registers, loads, launches.

Each is translated once and compiled for both. The shapes are those of large tiles, where registers are scarce; the
fullest are those of the plans that count the most registers, of all sizes in test_cuda_plan.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnbench import cells
from rnnbench.backends.cuda import backward, conclusion, forward, gemm, packing, pointwise, stepwise, timing, toolkit
from rnnbench.backends.cuda.elements import Elements, elements, update_element
from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.plan import Plan, plan_for
from rnnbench.backends.cuda.toolkit import kernels
from rnnbench.backends.cuda.toolkit.kernels import Kernel, packed, unpacked
from rnnbench.optimizers import Adam

pytest.importorskip(
    "numba_cuda", reason="numba-cuda is not installed; python -m pip install 'rnnbench[cuda13]' runs these tests"
)
if toolkit.simulating():
    pytest.skip("numba-cuda was imported as its simulator, which compiles nothing", allow_module_level=True)

from cubins import Compiled, compiled, pretended_device  # needs numba-cuda
from numba.cuda.dispatcher import CUDADispatcher

CAPABILITIES = ((8, 0), (9, 0, "a"))
H100 = Limits("H100", (9, 0), multiprocessors=132, shared_bytes=227 << 10, l2_bytes=50 << 20)
REGISTERS = 65536
LARGEST_STATIC_BYTES = 48 << 10
PLANS = {
    "lstm-768": ("lstm", 768, 16, "float32"),
    "lstm-64": ("lstm", 64, 16, "float32"),
    "gru-768": ("gru", 768, 16, "float32"),
    "gru-768-large-batch": ("gru", 768, 64, "float32"),
    "gru_reset_before-512": ("gru_reset_before", 512, 16, "float32"),
    "gru_reset_before-64": ("gru_reset_before", 64, 64, "float32"),
    "rnn-1024": ("rnn", 1024, 16, "float32"),
    "gru-512-fullest": ("gru", 512, 200, "float32"),
    "lstm-128-fullest": ("lstm", 128, 500, "float32"),
    "lstm-512-float64-fullest": ("lstm", 512, 16, "float64"),
}
WIDE_LOAD = {"float32": r"ld\.(shared|global)\S*\.v4\.\w32", "float64": r"ld\.(shared|global)\S*\.v2\.\w64"}


@cache
def tools() -> toolkit.Toolkit:
    return toolkit.Toolkit()


@cache
def functions(cell: str, dtype: str, fast: bool = False) -> Elements:
    return elements(cells.get(cell), np.dtype(dtype), tools(), fast)


def plan(name: str) -> Plan:
    cell, hidden, batch, dtype = PLANS[name]
    return plan_for(cells.get(cell), hidden, batch, np.dtype(dtype), H100)


def built(kernel: Any, arguments: tuple[str, ...], dtype: str, threads: int) -> list[Compiled]:
    return compiled(tools().dispatcher(kernel, threads), tools().signature(arguments, np.dtype(dtype)), CAPABILITIES)


def check(kernel: Compiled, dtype: str, threads: int, cooperative: bool) -> None:
    assert kernel.frame == 0, "numbers were spilled to local memory"
    assert kernel.registers <= min(255, REGISTERS // threads)
    assert kernel.shared <= LARGEST_STATIC_BYTES
    assert kernel.cooperative == cooperative
    if dtype == "float32":
        assert ".f64" not in kernel.ptx


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("way", [forward, backward], ids=["forward", "backward"])
def test_persistent_kernels_keep_to_their_budget(way: Any, name: str) -> None:
    cell, _, _, dtype = PLANS[name]
    direction = way.__name__.rpartition(".")[2]
    own = getattr(plan(name), direction)
    make: Callable = getattr(way, f"{direction}_kernel")
    for kernel in built(make(tools(), own, functions(cell, dtype)), way.ARGUMENTS, dtype, own.threads):
        check(kernel, dtype, own.threads, cooperative=not own.alone)
        assert len(re.findall(WIDE_LOAD[dtype], kernel.ptx)) >= 2
        assert "ld.global.nc" not in kernel.ptx, "a cache that nobody keeps up to date has what other blocks wrote"
        meets = "red.release.gpu" in kernel.ptx, "ld.acquire.gpu" in kernel.ptx
        assert meets == (not own.alone,) * 2
        if direction == "forward":
            assert ("shfl.sync.bfly" in kernel.ptx) == (own.slices > 1)


@pytest.mark.parametrize("name", ["advance", "differentiate", "offer", "through_operand"])
def test_stepwise_kernels_keep_to_their_budget(name: str) -> None:
    cell = "gru_reset_before"
    make: Callable = getattr(stepwise, f"{name}_kernel")
    kernel = make(tools(), cells.get(cell), np.dtype("float32"), functions(cell, "float32"))
    arguments = getattr(stepwise, f"{name.upper()}_ARGUMENTS")
    for each in built(kernel, arguments, "float32", stepwise.THREADS):
        check(each, "float32", stepwise.THREADS, cooperative=False)


AROUND = {
    "multiply": (gemm.multiply_kernel, gemm.MULTIPLY_ARGUMENTS, gemm.GPU_TILE.threads, (gemm.GPU_TILE,)),
    "add parts": (gemm.add_kernel, gemm.ADD_ARGUMENTS, gemm.ADD_THREADS, ()),
    "pack forward": (packing.forward_packing, packing.FORWARD_ARGUMENTS, packing.THREADS, (4,)),
    "pack backward": (packing.backward_packing, packing.BACKWARD_ARGUMENTS, packing.THREADS, ()),
}


@pytest.mark.parametrize("name", AROUND)
def test_kernels_around_the_loop_keep_to_their_budget(name: str) -> None:
    make, arguments, threads, more = AROUND[name]
    for kernel in built(make(tools(), np.dtype("float32"), *more), arguments, "float32", threads):
        check(kernel, "float32", threads, cooperative=False)


TRAINING_THREADS = 256


def training_kernels() -> dict[str, tuple[Any, tuple[str, ...]]]:
    tool, dtype, threads = tools(), np.dtype("float32"), TRAINING_THREADS
    adam = update_element(Adam.element, Adam.slots, Adam.constants, dtype, tool)
    return {
        "gather": (pointwise.gather_kernel(tool, dtype, threads), pointwise.GATHER_ARGUMENTS),
        "scatter": (pointwise.scatter_kernel(tool, dtype, threads), pointwise.SCATTER_ARGUMENTS),
        "turn": (pointwise.turn_kernel(tool, dtype, threads), pointwise.TURN_ARGUMENTS),
        "update": (pointwise.update_kernel(tool, dtype, threads, adam, True), pointwise.UPDATE_ARGUMENTS),
        "mse": (conclusion.numbers_kernel(tool, dtype, threads), conclusion.NUMBERS_ARGUMENTS),
        "cross_entropy": (conclusion.classes_kernel(tool, dtype, threads), conclusion.CLASSES_ARGUMENTS),
        "square": (conclusion.square_kernel(tool, dtype, threads, 64), conclusion.SQUARE_ARGUMENTS),
        "conclude": (conclusion.conclude_kernel(tool, threads), conclusion.CONCLUDE_ARGUMENTS),
    }


IN_FLOAT32 = ("gather", "scatter", "turn")


@pytest.mark.parametrize("name", [*IN_FLOAT32, "update", "mse", "cross_entropy", "square", "conclude"])
def test_kernels_of_training_keep_to_their_budget(name: str) -> None:
    """Losses and norms are summed in float64, as on the host; the update reads its factor in it."""
    kernel, arguments = training_kernels()[name]
    for each in built(kernel, arguments, "float32", TRAINING_THREADS):
        check(each, "float32" if name in IN_FLOAT32 else "float64", TRAINING_THREADS, cooperative=False)
        if name == "update":
            assert not re.search(r"(add|sub|mul|div|fma|sqrt)\S*\.f64", each.ptx), "an update computes in float32"


@pytest.mark.parametrize("fast", [False, True])
def test_the_approximate_tanh_is_used_in_fast_mode_alone(fast: bool) -> None:
    kernel = stepwise.advance_kernel(
        tools(), cells.get("lstm"), np.dtype("float32"), functions("lstm", "float32", fast)
    )
    for each in built(kernel, stepwise.ADVANCE_ARGUMENTS, "float32", stepwise.THREADS):
        assert ("tanh.approx.f32" in each.ptx) == fast
        assert each.frame == 0


def test_blocks_that_meet_are_launched_together() -> None:
    """What times a meeting is compiled like the rest; it is stored as cooperative as it was."""
    kernel = timing.meeting_kernel(tools())
    for each in built(kernel, timing.MEETING_ARGUMENTS, "float32", 32):
        check(each, "float32", 32, cooperative=True)


STORED = {
    "alone": (stepwise.add_kernel, stepwise.ADD_ARGUMENTS, False),
    "cooperative": (timing.meeting_kernel, timing.MEETING_ARGUMENTS, True),
}


@pytest.mark.parametrize("name", STORED)
def test_a_compiled_kernel_comes_back_from_its_bytes(name: str) -> None:
    make, arguments, cooperative = STORED[name]
    dispatcher = tools().dispatcher(make(tools()), 32)
    with pretended_device((9, 0)):
        kernel = dispatcher.compile(tools().signature(arguments, np.dtype("float32")))
        code = bytes(kernel._codelibrary.get_cubin(cc=(9, 0)).code)
        again = unpacked(packed(kernel))
        assert again.cooperative == kernel.cooperative == cooperative
        assert again.entry_name == kernel.entry_name
        assert bytes(again._codelibrary.get_cubin(cc=(9, 0)).code) == code


def made(tag: str) -> Kernel:
    kernel = pointwise.turn_kernel(tools(), np.dtype("float32"), 64)
    return Kernel(tools(), kernel, pointwise.TURN_ARGUMENTS, np.dtype("float32"), 64, tag)


def test_a_kernel_is_compiled_once_and_then_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a folder of its own; another tag, GPU or version is another kernel, and a file cut short is none."""
    monkeypatch.setattr(kernels, "writable_cache_folder", lambda: tmp_path)
    compilations = []
    original = CUDADispatcher.compile
    monkeypatch.setattr(CUDADispatcher, "compile", lambda self, sig: compilations.append(sig) or original(self, sig))
    with pretended_device((9, 0)):
        first, second, other = made("one"), made("one"), made("two")
        first.prepare(0)
        assert len(compilations) == 1
        second.prepare(0)
        assert len(compilations) == 1
        assert second.compiled.entry_name == first.compiled.entry_name
        [stored] = (tmp_path / "cuda").iterdir()
        other.prepare(0)
        assert len(compilations) == 2
        stored.write_bytes(stored.read_bytes()[:100])
        made("one").prepare(0)
        assert len(compilations) == 3
    with pretended_device((8, 0)):
        made("one").prepare(0)
    assert len(compilations) == 4


def test_few_blocks_are_no_reason_to_warn(recwarn: pytest.WarningsRecorder) -> None:
    with pretended_device((9, 0)):
        kernel = made("quiet")
        launcher = kernel.launcher((2, 1, 1), 100)
        assert kernel.launcher((2, 1, 1), 100) is launcher
        assert kernel.launcher((3, 1, 1), 100) is not launcher
    assert (launcher.griddim, launcher.blockdim, launcher.sharedmem) == ((2, 1, 1), (64, 1, 1), 100)
    assert not recwarn.list


def test_scalars_are_handed_over_in_the_types_of_the_signature() -> None:
    square = conclusion.square_kernel(tools(), np.dtype("float32"), 64, 2)
    kernel = Kernel(tools(), square, conclusion.SQUARE_ARGUMENTS, np.dtype("float32"), 64, "square")
    assert kernel.scalars == [None, None, np.int32, np.float32]
