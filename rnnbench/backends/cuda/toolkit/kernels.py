"""Kernels of a GPU: compiled at their first launch, or loaded from the folder of compiled code."""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnbench.backends.cpu.compilation import writable_cache_folder
from rnnbench.backends.cuda.toolkit.packages import PACKAGES, numba_cuda, version

if TYPE_CHECKING:
    from rnnbench.backends.cuda.toolkit.gpu import Toolkit

DEFAULT_SHARED_BYTES = 48 << 10
"""Of dynamic shared memory that a block may have without opting in."""


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
        kinds = [argument.split(": ")[1].replace("number", str(dtype)) for argument in arguments]
        self.scalars = [None if kind.endswith("[]") else np.dtype(kind).type for kind in kinds]
        self.threads, self.tag = threads, f"{tag}_{dtype}_{threads}"
        self.shared_bytes = DEFAULT_SHARED_BYTES
        self.compiled: Any = None
        self._launches: dict[tuple, Any] = {}

    def launcher(self, grid: tuple[int, int, int], shared_bytes: int) -> Any:
        """Return what launches it on so many blocks, made once."""
        key = grid, shared_bytes
        if key not in self._launches:
            with warnings.catch_warnings():  # that a GPU could hold more blocks: there are as many as hold the weights
                warnings.simplefilter("ignore")
                self._launches[key] = self.dispatcher[grid, self.threads, 0, shared_bytes]
        return self._launches[key]

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
    capability = "".join(map(str, numba_cuda().get_current_device().compute_capability))
    name = "\0".join([tag, capability, *(str(version(package)) for package in PACKAGES)])
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
