"""What kernels are made with, and the GPU that they run on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.simulator import ARRIVAL_STRIDE
from rnnbench.backends.cuda.toolkit.intrinsics import atomics, quads
from rnnbench.backends.cuda.toolkit.kernels import Kernel
from rnnbench.backends.cuda.toolkit.packages import numba_cuda
from rnnbench.errors import InputError


class Toolkit:
    """What kernels are made with. It needs numba-cuda, and no GPU.

    index(number)                                         a subscript that never counts from the end: without it each
                                                          access has an address of its own, and a register pair
    load_quad(source, index, to, at), store_quad(...)     16 bytes from memory to registers, and back
    copy_quad(source, index, to, at)                      16 bytes from memory to memory
    arrive(arrivals, group, thread)                       once every thread of the block is here, tell the group
    wait(arrivals, group, thread, target)                 until so many blocks have arrived, all in all
    """

    simulated = False
    exp, tanh = staticmethod(math.exp), staticmethod(math.tanh)

    def __init__(self) -> None:
        self.cuda = numba_cuda()
        from numba.cuda import types

        self.types = types
        self.int32, self.int64, self.float64 = types.int32, types.int64, types.float64
        self.index = types.uint64
        self.load_quad, self.store_quad, self.copy_quad = quads()
        self.arrive, self.wait = self._meetings()

    def number_type(self, dtype: np.dtype) -> Any:
        """Return the dtype as kernels name it."""
        return getattr(self.types, str(np.dtype(dtype)))

    def inline(self, function: Callable) -> Any:
        """Return a device function that is copied into the kernels that call it."""
        return self.cuda.jit(device=True, forceinline=True)(function)

    def approximate(self, function: Callable) -> Any:
        """Return a device function in which the compiler may use approximate instructions."""
        return self.cuda.jit(device=True, forceinline=True, fastmath=True)(function)

    def signature(self, arguments: Sequence[str], dtype: np.dtype) -> tuple:
        """Return the types of a kernel's arguments: "name: type" each, `number` for the dtype, [] for an array."""
        found = []
        for argument in arguments:
            name = argument.split(": ")[1]
            scalar = getattr(self.types, name.removesuffix("[]").replace("number", str(dtype)))
            found.append(self.types.Array(scalar, 1, "C") if name.endswith("[]") else scalar)
        return tuple(found)

    def dispatcher(self, function: Callable, threads: int) -> Any:
        """Return the kernel before it is compiled."""
        return self.cuda.jit(launch_bounds=threads)(function)

    def _meetings(self) -> tuple[Any, Any]:
        """A lean barrier between blocks: one atomic addition a block, and one thread that polls.

        The addition releases and the poll acquires at the scope of the GPU. bar.sync orders the block's other threads
        with the one that meets, and both are cumulative: what any thread wrote before is seen by all after. NVVM must
        not move loads across, hence "memory" among what the assembly changes.
        """
        cuda = self.cuda
        add, poll = atomics()

        def arrive(arrivals, group, thread):
            cuda.syncthreads()
            if thread == 0:
                add(arrivals, group * ARRIVAL_STRIDE)

        def wait(arrivals, group, thread, target):
            if thread == 0:
                while poll(arrivals, group * ARRIVAL_STRIDE) < target:
                    pass
            cuda.syncthreads()

        return self.inline(arrive), self.inline(wait)


class Gpu(Toolkit):
    """The current device of numba-cuda; its arrays are flat, in the order of C."""

    def __init__(self) -> None:
        super().__init__()
        gpu = self.cuda.get_current_device()
        name = gpu.name.decode() if isinstance(gpu.name, bytes) else str(gpu.name)
        self.limits = Limits(
            name,
            tuple(gpu.compute_capability[:2]),
            multiprocessors=gpu.MULTIPROCESSOR_COUNT,
            shared_bytes=gpu.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
            l2_bytes=gpu.L2_CACHE_SIZE,
        )
        self.clock_hz = 1e3 * gpu.CLOCK_RATE
        self._ones: dict[np.dtype, Any] = {}

    def kernel(self, function: Callable, arguments: Sequence[str], dtype: np.dtype, threads: int, tag: str) -> Kernel:
        """Return the kernel, ready to be launched."""
        return Kernel(self, function, arguments, dtype, threads, tag)

    def upload(self, array: np.ndarray) -> Any:
        """Return the array's numbers in the device's memory, flat."""
        array = np.ascontiguousarray(array).reshape(-1)
        memory = self.empty(array.size, array.dtype)
        memory.copy_to_device(array)
        return memory

    def empty(self, size: int, dtype: np.dtype) -> Any:
        """Return memory of the device that nobody has written; InputError where there is not as much."""
        try:
            return self.cuda.device_array(max(size, 1), dtype)
        except Exception as error:  # numba-cuda has given back first what nobody uses
            if "OUT_OF_MEMORY" not in str(error).upper():
                raise
            needed = size * np.dtype(dtype).itemsize / 2**30
            raise InputError(f"{self.limits.name} has no {needed:,.2f} GiB of memory left for an array") from None

    def zeros(self, size: int, dtype: np.dtype) -> Any:
        """Return memory of the device that is 0."""
        array = self.empty(size, dtype)
        self.clear(array)
        return array

    def clear(self, array: Any) -> None:
        """Make all of an array 0."""
        from numba.cuda.cudadrv.driver import device_memset

        device_memset(array, 0, array.nbytes)

    def ones(self, dtype: np.dtype) -> Any:
        """Return one 1, made once for each dtype."""
        if dtype not in self._ones:
            self._ones[dtype] = self.upload(np.ones(1, dtype))
        return self._ones[dtype]

    def write(self, values: np.ndarray, to: Any, at: int) -> None:
        """Copy numbers of the host's into an array, from `at` on."""
        flat = np.ascontiguousarray(values, to.dtype).reshape(-1)
        to[at : at + flat.size].copy_to_device(flat)

    def copy(self, source: Any, start: int, size: int, to: Any, at: int) -> None:
        """Copy numbers from one array of the device to another."""
        to[at : at + size].copy_to_device(source[start : start + size])

    def download(self, array: Any) -> np.ndarray:
        """Return a copy in the host's memory."""
        return array.copy_to_host()

    def synchronize(self) -> None:
        """Wait until everything launched is done."""
        self.cuda.synchronize()

    def seconds(self, call: Callable[[], object]) -> float:
        """Return the seconds between two events, one before and one after what a function launches.

        Memory that it lets go is given back afterwards: the driver may wait for all that runs before it takes it back.
        """
        start, end = (self.cuda.event() for _ in range(2))
        with self.cuda.defer_cleanup():
            start.record()
            call()
            end.record()
            end.synchronize()
        self.empty(1, np.dtype(np.uint8))  # let go at once: whenever that happens, numba-cuda looks at what waits
        return start.elapsed_time(end) / 1e3

    def launch(
        self,
        kernel: Kernel,
        grid: tuple[int, int, int],
        arguments: Sequence[Any],
        shared_bytes: int = 0,
        cooperative: bool = False,
    ) -> None:
        """Launch a kernel; a cooperative one says so in its code."""
        kernel.prepare(shared_bytes)
        assert kernel.compiled.cooperative == cooperative
        values = [value if kind is None else kind(value) for kind, value in zip(kernel.scalars, arguments, strict=True)]
        kernel.launcher(grid, shared_bytes)(*values)
