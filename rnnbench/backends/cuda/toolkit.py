"""The one module that imports numba-cuda, and the one that names anything private of it.

It can be imported without numba-cuda, a driver or a GPU; `missing` then says what is not there. The test
tests/backends/cuda/test_cuda_canary.py names each private part, so that a new version cannot take one away unseen.
"""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from rnnbench.backends.cpu.compilation import writable_cache_folder
from rnnbench.backends.cuda.arrangement import QUAD_BYTES
from rnnbench.backends.cuda.limits import Limits
from rnnbench.backends.cuda.simulator import ARRIVAL_STRIDE, Simulator
from rnnbench.errors import InputError

SIMULATE = "NUMBA_ENABLE_CUDASIM"
"""The variable of the environment that Numba's users know: with "1" kernels run as Python, on no GPU at all."""
INSTALL = "python -m pip install 'rnnbench[cuda13]'  (cuda12 for a driver older than 580)"
PACKAGES = ("numba-cuda", "cuda-bindings", "nvidia-nvvm", "nvidia-nvjitlink")
"""Whose versions decide the machine code."""
CUPY = ("cupy-cuda12x", "cupy-cuda13x")
DEFAULT_SHARED_BYTES = 48 << 10
"""Of dynamic shared memory that a block may have without opting in."""


def simulating() -> bool:
    """Return whether the simulator was asked for."""
    return os.environ.get(SIMULATE, "0") not in ("", "0")


def missing() -> str | None:
    """Return what keeps kernels from running here and what helps, None where nothing does."""
    return None if simulating() else _missing()


@cache
def _missing() -> str | None:
    try:
        cuda = _numba_cuda()
    except ImportError as error:
        return f"numba-cuda cannot be imported ({error}); {INSTALL}"
    if getattr(cuda, "implementation", None) != "NVIDIA":
        return f"numba has only its old built-in CUDA target; {INSTALL}"
    try:
        cuda.get_current_device()
    except Exception as error:  # whatever the driver's loader raises, it is told in a line
        return f"no GPU can be used: {' '.join(str(error).split()).rstrip(': ')}"
    return None


def installed() -> bool:
    """Return whether numba-cuda is here, usable or not."""
    return _version("numba-cuda") is not None


def describe() -> dict[str, Any]:
    """Return what `rnnbench info` shows of CUDA: package, toolkit, driver, device, and what is missing."""
    found: dict[str, Any] = {name: version for name in (*PACKAGES, *CUPY) if (version := _version(name))}
    lacking = missing()
    if lacking:
        return found | {"usable": False, "missing": lacking}
    gpu = device()
    limits = gpu.limits
    found |= {"usable": True, "device": limits.name, "compute_capability": list(limits.compute_capability)}
    found |= {"multiprocessors": limits.multiprocessors, "shared_bytes_of_a_block": limits.shared_bytes}
    return found | ({"simulated": True} if gpu.simulated else {"driver": _driver_version()})


@cache
def device() -> Any:
    """Return the device that kernels run on: a Gpu or a Simulator; InputError says what is missing."""
    if simulating():
        return Simulator()
    lacking = missing()
    if lacking:
        raise InputError(f"the cuda backend cannot run here: {lacking}")
    return Gpu()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _numba_cuda() -> Any:
    from numba import cuda

    return cuda


def _driver_version() -> str:
    from cuda.bindings import driver

    _, version = driver.cuDriverGetVersion()
    return f"{version // 1000}.{version % 1000 // 10}"


class Toolkit:
    """What kernels are made with. It needs numba-cuda, and no GPU.

    load_quad(source, index, to, at), store_quad(...)     16 bytes from memory to registers, and back
    copy_quad(source, index, to, at)                      16 bytes from memory to memory
    arrive(arrivals, group, thread)                       once every thread of the block is here, tell the group
    wait(arrivals, group, thread, target)                 until so many blocks have arrived, all in all
    """

    simulated = False
    exp, tanh = staticmethod(math.exp), staticmethod(math.tanh)

    def __init__(self) -> None:
        self.cuda = _numba_cuda()
        from numba.cuda import types

        self.types = types
        self.int32, self.int64 = types.int32, types.int64
        self.load_quad, self.store_quad, self.copy_quad = _quads()
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
        add, poll = _atomics()

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


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, index_type: Any) -> Any:
    """Return the address of array[index], without the question whether the index counts from the end."""
    from numba.cuda import types

    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [context.cast(builder, index, index_type, types.intp)])


@cache
def _quads() -> tuple[Any, Any, Any]:
    """Return load_quad, store_quad and copy_quad."""
    from llvmlite import ir
    from numba.cuda import types
    from numba.cuda.extending import intrinsic

    def as_vector(builder: Any, pointer: Any) -> Any:
        count = QUAD_BYTES // {"float": 4, "double": 8}[str(pointer.type.pointee)]
        vector = ir.VectorType(pointer.type.pointee, count)
        return builder.bitcast(pointer, vector.as_pointer(pointer.type.addrspace)), count

    def lane(number: int) -> Any:
        return ir.Constant(ir.IntType(32), number)

    def pointers(context: Any, builder: Any, signature: Any, arguments: Any) -> tuple[Any, Any]:
        (source, index, to, at), kinds = arguments, signature.args
        return (
            _pointer(context, builder, kinds[0], source, index, kinds[1]),
            _pointer(context, builder, kinds[2], to, at, kinds[3]),
        )

    def generate_load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, to = pointers(context, builder, signature, arguments)
        source, count = as_vector(builder, source)
        value = builder.load(source, align=QUAD_BYTES)
        for k in range(count):
            builder.store(builder.extract_element(value, lane(k)), builder.gep(to, [lane(k)]))
        return context.get_dummy_value()

    def generate_store(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, to = pointers(context, builder, signature, arguments)
        to, count = as_vector(builder, to)
        value = ir.Constant(to.type.pointee, ir.Undefined)
        for k in range(count):
            value = builder.insert_element(value, builder.load(builder.gep(source, [lane(k)])), lane(k))
        builder.store(value, to, align=QUAD_BYTES)
        return context.get_dummy_value()

    def generate_copy(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, to = (as_vector(builder, p)[0] for p in pointers(context, builder, signature, arguments))
        builder.store(builder.load(source, align=QUAD_BYTES), to, align=QUAD_BYTES)
        return context.get_dummy_value()

    @intrinsic
    def load_quad(typingctx, source, index, to, at):
        return types.void(source, index, to, at), generate_load

    @intrinsic
    def store_quad(typingctx, source, index, to, at):
        return types.void(source, index, to, at), generate_store

    @intrinsic
    def copy_quad(typingctx, source, index, to, at):
        return types.void(source, index, to, at), generate_copy

    return load_quad, store_quad, copy_quad


@cache
def _atomics() -> tuple[Any, Any]:
    """Return add(array, index), which releases, and poll(array, index), which acquires, on arrays of int32."""
    from llvmlite import ir
    from numba.cuda import types
    from numba.cuda.extending import intrinsic

    number, address = ir.IntType(32), ir.IntType(64)

    def assembly(builder: Any, text: str, result: Any, constraints: str, pointer: Any) -> Any:
        kind = ir.FunctionType(result, [address])
        code = ir.InlineAsm(kind, text, constraints + ",~{memory}", side_effect=True)
        return builder.call(code, [builder.ptrtoint(pointer, address)])

    @intrinsic
    def add(typingctx, array, index):
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (array, index), (array_type, index_type) = arguments, signature.args
            pointer = _pointer(context, builder, array_type, array, index, index_type)
            assembly(builder, "red.release.gpu.global.add.u32 [$0], 1;", ir.VoidType(), "l", pointer)
            return context.get_dummy_value()

        return types.void(array, index), generate

    @intrinsic
    def poll(typingctx, array, index):
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            (array, index), (array_type, index_type) = arguments, signature.args
            pointer = _pointer(context, builder, array_type, array, index, index_type)
            return assembly(builder, "ld.acquire.gpu.global.u32 $0, [$1];", number, "=r,l", pointer)

        return types.int32(array, index), generate

    return add, poll


class Kernel:
    """A kernel of a Gpu: compiled at its first launch, or loaded from the folder of compiled code.

    The tag tells it from every other kernel of the same source: what it is made for, with all its sizes.
    """

    def __init__(
        self,
        toolkit: Toolkit,
        function: Callable,
        arguments: Sequence[str],
        dtype: np.dtype,
        threads: int,
        tag: str,
    ) -> None:
        self.dispatcher = toolkit.dispatcher(function, threads)
        self.signature = toolkit.signature(arguments, dtype)
        kinds = [argument.split(": ")[1] for argument in arguments]
        self.scalars = [None if kind.endswith("[]") else np.dtype(kind).type for kind in kinds]
        self.threads, self.tag = threads, f"{tag}_{dtype}_{threads}"
        self.shared_bytes = DEFAULT_SHARED_BYTES
        self.compiled: Any = None

    def prepare(self, shared_bytes: int) -> None:
        """Have it compiled, and let its blocks have so much shared memory."""
        if self.compiled is None:
            self.compiled = self._loaded() or self._saved(self.dispatcher.compile(self.signature))
        if shared_bytes > self.shared_bytes:
            allow_shared_bytes(self.compiled, shared_bytes)
            self.shared_bytes = shared_bytes

    def _loaded(self) -> Any:
        """Return the kernel as it was stored, None if there is none or it cannot be read."""
        try:
            found = unpacked(_stored(self.tag).read_bytes())
            found.bind()
        except Exception:  # not there, cut short, or of another installation: compiling is always right
            return None
        self.dispatcher.add_overload(found, self.signature)
        return found

    def _saved(self, compiled: Any) -> Any:
        path = _stored(self.tag)
        path.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as temporary:
            temporary.write(packed(compiled))
        os.replace(temporary.name, path)  # whole or not at all, whoever else is writing it
        return compiled


def _stored(tag: str) -> Path:
    """Return the file of a kernel: in the folder of compiled code, by what numba-cuda and the GPU are as well."""
    capability = "".join(map(str, _numba_cuda().get_current_device().compute_capability))
    name = "\0".join([tag, capability, *(str(_version(package)) for package in PACKAGES)])
    return writable_cache_folder() / "cuda" / hashlib.sha256(name.encode()).hexdigest()[:32]


def packed(compiled: Any) -> bytes:
    """Return a compiled kernel as bytes, machine code included."""
    from numba.cuda import serialize

    return serialize.dumps(compiled._reduce_states())


def unpacked(data: bytes) -> Any:
    """Return the compiled kernel that `packed` made bytes of."""
    from numba.cuda import dispatcher

    return dispatcher._Kernel._rebuild(**pickle.loads(data))


def allow_shared_bytes(compiled: Any, shared_bytes: int) -> None:
    """Raise the limit of dynamic shared memory of a compiled kernel, for which numba-cuda has no public way."""
    from cuda.bindings import driver as binding
    from numba.cuda.cudadrv.driver import driver

    function = compiled._codelibrary.get_cufunc()
    attribute = binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    driver.cuKernelSetAttribute(attribute, shared_bytes, function.handle, function.device.id)


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
        from numba.cuda.cudadrv.driver import device_memset

        array = self.empty(size, dtype)
        device_memset(array, 0, array.nbytes)
        return array

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
        """Return the seconds between two events, one before and one after what a function launches."""
        start, end = (self.cuda.event() for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
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
        kernel.dispatcher[grid, kernel.threads, 0, shared_bytes](*values)
