"""A GPU of Python threads: kernels run as plain Python, one thread a lane, and a mistake stops in the line it is in.

What numba-cuda's own simulator lacks is what these kernels live on: shuffles between lanes, and blocks that run at the
same time and wait for each other. This one has them, and little else. It needs no package beside NumPy.

It finds wrong indexes, numbers read before they are written (memory starts as NaN), meetings that not all threads
reach, and wrong results. It does not find that a fence is missing, nor that something is slow.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np

from rnnbench.backends.cuda.arrangement import QUAD_BYTES, WARP
from rnnbench.backends.cuda.limits import Limits

PATIENCE_S = 60.0
"""That a thread waits for others before the launch counts as hung."""
FRACTION_STEPS = 2**11
"""That a number's fraction, from 1/2 to 1, is rounded to: by at most 2^-11 of it, as far as tanh.approx may be off."""
LIMITS = Limits("simulated", (9, 0), multiprocessors=6, shared_bytes=227 << 10, l2_bytes=50 << 20)

_lane = threading.local()


@dataclass
class Block:
    """What the threads of a block share."""

    threads: int
    shared_bytes: int
    arrived: threading.Condition
    """Of the whole grid: notified when a block arrives at a meeting."""
    shared: dict[np.dtype, np.ndarray] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.threads, timeout=PATIENCE_S)
        warps = [min(WARP, self.threads - first) for first in range(0, self.threads, WARP)]
        self.warps = [
            (threading.Barrier(lanes, timeout=PATIENCE_S), ([None] * lanes, [None] * lanes)) for lanes in warps
        ]

    def abort(self) -> None:
        """Let nobody wait any longer."""
        self.barrier.abort()
        for barrier, _ in self.warps:
            barrier.abort()


class SimulatedCuda:
    """The names of numba.cuda that the kernels use."""

    cg = SimpleNamespace(this_grid=lambda: None)

    def __init__(self) -> None:
        self.shared = SimpleNamespace(array=self._shared_array)
        self.local = SimpleNamespace(array=_fresh)

    threadIdx = property(lambda self: SimpleNamespace(x=_lane.thread))
    blockIdx = property(lambda self: SimpleNamespace(x=_lane.place[0], y=_lane.place[1], z=_lane.place[2]))
    gridDim = property(lambda self: SimpleNamespace(x=_lane.grid[0], y=_lane.grid[1], z=_lane.grid[2]))

    def syncthreads(self) -> None:
        """Wait for the block's other threads."""
        _lane.block.barrier.wait()

    def shfl_xor_sync(self, mask: int, value: Any, distance: int) -> Any:
        """Return the value of the lane whose number differs in these bits."""
        barrier, turns = _lane.block.warps[_lane.thread // WARP]
        values = turns[_lane.shuffles % 2]  # two in turn: whoever writes here again, all have read what was here
        _lane.shuffles += 1
        values[_lane.thread % WARP] = value
        barrier.wait()
        return values[_lane.thread % WARP ^ distance]

    def _shared_array(self, size: int, dtype: np.dtype) -> np.ndarray:
        block, dtype = _lane.block, np.dtype(dtype)
        assert size == 0, "kernels take their shared memory as one piece, sized at launch"
        with block.lock:
            if dtype not in block.shared:
                block.shared[dtype] = _fresh(block.shared_bytes // dtype.itemsize, dtype)
            return block.shared[dtype]


def _fresh(size: int, dtype: np.dtype) -> np.ndarray:
    """Return memory that nobody has written: NaN, or numbers that are no index."""
    dtype = np.dtype(dtype)
    return np.full(size, np.nan if dtype.kind == "f" else np.iinfo(dtype).max, dtype)


class Simulator:
    """The tools that kernels are made with, and a device to run them on: see toolkit.Gpu."""

    simulated = True
    clock_hz = 1e9
    int32, int64, float64 = np.int32, np.int64, np.float64
    exp, tanh = staticmethod(np.exp), staticmethod(np.tanh)

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.cuda = SimulatedCuda()
        self.limits = limits
        self._ones: dict[np.dtype, np.ndarray] = {}

    def number_type(self, dtype: np.dtype) -> Any:
        """Return the dtype as kernels name it."""
        return np.dtype(dtype).type

    def inline(self, function: Callable) -> Callable:
        """Return a device function."""
        return function

    @staticmethod
    def approximate(function: Callable) -> Callable:
        """Return a device function as exact as an approximate instruction has to be: 11 bits of its result."""

        def rounded(x: Any) -> Any:
            value = function(x)
            if value.dtype != np.float32:
                return value
            fraction, exponent = np.frexp(value)
            return np.ldexp(np.round(fraction * FRACTION_STEPS) / np.float32(FRACTION_STEPS), exponent)

        return rounded

    def kernel(self, function: Callable, arguments: Sequence[str], dtype: np.dtype, threads: int, tag: str = "") -> Any:
        """Return the kernel, ready to be launched."""
        return SimpleNamespace(function=function, threads=threads)

    @staticmethod
    def index(number: int) -> int:
        """Return a subscript of an array; on a GPU a negative one is beyond the array's end."""
        if number < 0:
            raise IndexError(f"subscript {number} is negative")
        return number

    @staticmethod
    def load_quad(source: np.ndarray, index: int, to: np.ndarray, at: int) -> None:
        """Copy 16 bytes into registers."""
        count = QUAD_BYTES // source.itemsize
        assert index % count == 0, f"16 bytes from number {index} on are not aligned"
        _check(source, index, count)
        to[at : at + count] = source[index : index + count]

    @staticmethod
    def store_quad(source: np.ndarray, index: int, to: np.ndarray, at: int) -> None:
        """Copy 16 bytes out of registers."""
        count = QUAD_BYTES // source.itemsize
        assert at % count == 0, f"16 bytes from number {at} on are not aligned"
        _check(to, at, count)
        to[at : at + count] = source[index : index + count]

    @staticmethod
    def copy_quad(source: np.ndarray, index: int, to: np.ndarray, at: int) -> None:
        """Copy 16 bytes from memory to memory."""
        assert at % (QUAD_BYTES // source.itemsize) == 0, f"16 bytes from number {at} on are not aligned"
        _check(to, at, QUAD_BYTES // source.itemsize)
        Simulator.load_quad(source, index, to, at)

    def arrive(self, arrivals: np.ndarray, group: int, thread: int) -> None:
        """Tell the group that this block's writes are done."""
        self.cuda.syncthreads()
        if thread == 0:
            with _lane.block.arrived:
                arrivals[group * ARRIVAL_STRIDE] += 1
                _lane.block.arrived.notify_all()

    def wait(self, arrivals: np.ndarray, group: int, thread: int, target: int) -> None:
        """Wait until so many blocks have arrived, all in all."""
        if thread == 0:
            with _lane.block.arrived:
                arrived = _lane.block.arrived.wait_for(
                    lambda: arrivals[group * ARRIVAL_STRIDE] >= target, timeout=PATIENCE_S
                )
            if not arrived:
                came = arrivals[group * ARRIVAL_STRIDE]
                raise TimeoutError(f"group {group} waited for {target} arrivals, {came} came")
        self.cuda.syncthreads()

    def upload(self, array: np.ndarray) -> np.ndarray:
        """Return the array's numbers in the device's memory, flat."""
        return np.array(array, order="C").reshape(-1)

    def empty(self, size: int, dtype: np.dtype) -> np.ndarray:
        """Return memory of the device that nobody has written."""
        return _fresh(size, np.dtype(dtype))

    def zeros(self, size: int, dtype: np.dtype) -> np.ndarray:
        """Return memory of the device that is 0."""
        return np.zeros(size, dtype)

    def clear(self, array: np.ndarray) -> None:
        """Make all of an array 0."""
        array[:] = 0

    def ones(self, dtype: np.dtype) -> np.ndarray:
        """Return one 1, made once for each dtype."""
        if dtype not in self._ones:
            self._ones[dtype] = self.upload(np.ones(1, dtype))
        return self._ones[dtype]

    def write(self, values: np.ndarray, to: np.ndarray, at: int) -> None:
        """Copy numbers of the host's into an array, from `at` on."""
        to[at : at + values.size] = values.reshape(-1)

    def copy(self, source: np.ndarray, start: int, size: int, to: np.ndarray, at: int) -> None:
        """Copy numbers from one array of the device to another."""
        to[at : at + size] = source[start : start + size]

    def download(self, array: np.ndarray) -> np.ndarray:
        """Return a copy in the host's memory."""
        return array.copy()

    def synchronize(self) -> None:
        """Wait until everything launched is done."""

    def seconds(self, call: Callable[[], object]) -> float:
        """Return the seconds that a function takes."""
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    def launch(
        self,
        kernel: Any,
        grid: tuple[int, int, int],
        arguments: Sequence[Any],
        shared_bytes: int = 0,
        cooperative: bool = False,
    ) -> None:
        """Run a kernel: blocks one after the other, or all at the same time."""
        places = list(product(*map(range, grid)))
        arrived = threading.Condition()
        blocks = [Block(kernel.threads, shared_bytes, arrived) for _ in places]
        for start in range(0, len(places), len(places) if cooperative else 1):
            end = len(places) if cooperative else start + 1
            _run(kernel, grid, places[start:end], blocks[start:end], arguments)


ARRIVAL_STRIDE = 32
"""From one group's counter of arrivals to the next: a line of the cache each."""


def _check(array: np.ndarray, index: int, count: int) -> None:
    if not 0 <= index <= len(array) - count:
        raise IndexError(f"numbers {index} to {index + count - 1} of {len(array)}")


def _run(kernel: Any, grid: tuple, places: list[tuple], blocks: list[Block], arguments: Sequence[Any]) -> None:
    failures: list[BaseException] = []

    def run(block: Block, place: tuple[int, ...], thread: int) -> None:
        _lane.block, _lane.place, _lane.thread, _lane.grid, _lane.shuffles = block, place, thread, grid, 0
        try:
            with np.errstate(all="ignore"):
                kernel.function(*arguments)
        except BaseException as failure:
            if not isinstance(failure, threading.BrokenBarrierError):
                failures.insert(0, failure)
            failures.append(failure)
            for each in blocks:
                each.abort()

    threads = [
        threading.Thread(target=run, args=(block, place, thread), daemon=True)
        for block, place in zip(blocks, places, strict=True)
        for thread in range(kernel.threads)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failures:
        raise failures[0]
