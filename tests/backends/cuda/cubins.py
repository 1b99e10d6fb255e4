"""Kernels compiled to machine code for a GPU that is not there, and what their files say of it.

numba-cuda asks the current device for its compute capability, and loads what it has compiled: both are put off here.
The compiler itself, NVVM, and the assembler and linker, nvJitLink, need no driver.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL_BYTES = 24
SYMBOL_TABLE = 2
FORMAT_VALUE = 4
REGISTERS, FRAME = 0x2F, 0x11
"""EIATTR_REGCOUNT and EIATTR_FRAME_SIZE of the section .nv.info."""


class Compiled(NamedTuple):
    """A kernel and what it takes of a multiprocessor."""

    ptx: str
    cubin: bytes
    cooperative: bool
    registers: int
    frame: int
    """bytes of local memory a thread: what did not fit into registers"""
    shared: int
    """static bytes"""


@contextmanager
def pretended_device(capability: tuple) -> Iterator[None]:
    """Let numba-cuda believe in a device of that compute capability."""
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv import devices

    device = SimpleNamespace(compute_capability=capability[:2], id=0)
    context = mock.patch.object(
        devices._runtime, "get_or_create_context", lambda number=None: SimpleNamespace(device=device)
    )
    with context, mock.patch.object(dispatcher._Kernel, "bind", lambda kernel: None):
        yield


def compiled(dispatcher: Any, signature: tuple, capability: tuple) -> Compiled:
    """Return the kernel, compiled and linked for such a device."""
    with pretended_device(capability):
        kernel = dispatcher.compile(signature)
        library = kernel._codelibrary
        cubin = bytes(library.get_cubin(cc=capability).code)
        ptx = kernel.inspect_asm(capability)
    return Compiled(ptx, cubin, kernel.cooperative, *resources(cubin, kernel.entry_name))


def resources(cubin: bytes, kernel: str) -> tuple[int, int, int]:
    """Return registers, frame and static shared memory of a kernel, as the ELF file says them."""
    start, (size, count, names) = struct.unpack_from("<Q", cubin, 40)[0], struct.unpack_from("<HHH", cubin, 58)
    sections = [SECTION.unpack_from(cubin, start + k * size) for k in range(count)]

    def text(table: int, offset: int) -> str:
        begin = sections[table][4] + offset
        return cubin[begin : cubin.index(b"\0", begin)].decode()

    by_name = {text(names, section[0]): section for section in sections}
    symbols = next(section for section in sections if section[1] == SYMBOL_TABLE)
    found = {}
    info = by_name[".nv.info"]
    at, end = info[4], info[4] + info[5]
    while at < end:
        kind, attribute, length = struct.unpack_from("<BBH", cubin, at)
        if kind == FORMAT_VALUE and attribute in (REGISTERS, FRAME):
            symbol, value = struct.unpack_from("<II", cubin, at + 4)
            (name,) = struct.unpack_from("<I", cubin, symbols[4] + SYMBOL_BYTES * symbol)
            if text(symbols[6], name) == kernel:
                found[attribute] = value
        at += 4 + (length if kind == FORMAT_VALUE else 0)
    shared = by_name.get(f".nv.shared.{kernel}")
    return found[REGISTERS], found.get(FRAME, 0), shared[5] if shared else 0
