"""Kernels compiled to machine code for a GPU that is not there, and what their files say of it.

numba-cuda asks the current device for its compute capability, and loads what it has compiled: both are put off here.
The compiler itself, NVVM, and the assembler and linker, nvJitLink, need no driver.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
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

    context = SimpleNamespace(device=SimpleNamespace(compute_capability=capability[:2], id=0))
    found = mock.patch.object(devices._runtime, "get_or_create_context", return_value=context)
    with found, mock.patch.object(dispatcher._Kernel, "bind"):
        yield


def compiled(dispatcher: Any, signature: tuple, capabilities: Iterable[tuple]) -> list[Compiled]:
    """Return the kernel, translated once and then compiled and linked for each of the devices."""
    found = []
    with pretended_device((9, 0)):
        kernel = dispatcher.compile(signature)
        for capability in capabilities:
            cubin = bytes(kernel._codelibrary.get_cubin(cc=capability).code)
            taken = resources(cubin, kernel.entry_name)
            found.append(Compiled(kernel.inspect_asm(capability), cubin, kernel.cooperative, *taken))
    return found


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
