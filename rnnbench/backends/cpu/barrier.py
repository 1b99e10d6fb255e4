"""Where threads of one team wait for each other inside compiled code: a counter that each raises and watches.

Spinning costs tens of nanoseconds where the system's locks cost microseconds: it lets threads share the units of a
small batch, which meet once a step. A thread that waits long gives its core away.
"""

from __future__ import annotations

import os
import platform
import threading
import time

import numpy as np
from llvmlite import ir
from numba.core import types

from rnnbench.backends.cpu.lanes import address, primitive

SPINS = 512
"""Looks at the counter, each with a pause, before a waiting thread yields."""
ABANDONED = 1 << 62
"""A counter that lets every member pass: set where a member could not be started."""


def new_counter() -> np.ndarray:
    """Return a counter for one call, alone in its cache lines."""
    return np.zeros(32, np.int64)


_lock = threading.Lock()


def _meet(counter, total):
    with _lock:
        counter[16] += 1
    while counter[16] < total:
        time.sleep(0)


@primitive(_meet)
def meet(typing_context, counter, total):
    """Raise the counter by one, then wait until it has reached `total`: members times the meetings so far.

    What a member wrote before is seen by all of them after.
    """

    def codegen(context, builder, sig, arguments):
        integer = arguments[1].type
        place = address(context, builder, counter, arguments[0], ir.Constant(integer, 16))
        builder.atomic_rmw("add", place, ir.Constant(integer, 1), "acq_rel")
        entry = builder.block
        look, wait, give_way, again, done = (
            builder.append_basic_block(name) for name in ("look", "wait", "give_way", "again", "met")
        )
        builder.branch(look)

        builder.position_at_end(look)
        spins = builder.phi(integer)
        seen = builder.load_atomic(place, "acquire", 8)
        builder.cbranch(builder.icmp_signed(">=", seen, arguments[1]), done, wait)

        builder.position_at_end(wait)
        following = builder.add(spins, ir.Constant(integer, 1))
        _pause(builder)
        impatient = builder.icmp_signed(">=", following, ir.Constant(integer, SPINS))
        builder.cbranch(impatient, give_way, again)

        builder.position_at_end(give_way)
        _yield_core(builder)
        builder.branch(again)

        builder.position_at_end(again)
        builder.branch(look)
        spins.add_incoming(ir.Constant(integer, 0), entry)
        spins.add_incoming(following, again)

        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(counter, types.int64), codegen


def _pause(builder: ir.IRBuilder) -> None:
    """Tell the core that it waits, where there is an instruction for it."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        _call(builder, "llvm.x86.sse2.pause", ir.VoidType())
    elif machine in ("arm64", "aarch64"):
        _call(builder, "llvm.aarch64.hint", ir.VoidType(), ir.Constant(ir.IntType(32), 1))


def _yield_core(builder: ir.IRBuilder) -> None:
    """Let another thread run on this core."""
    _call(builder, "SwitchToThread" if os.name == "nt" else "sched_yield", ir.IntType(32))


def _call(builder: ir.IRBuilder, name: str, result: ir.Type, *arguments: ir.Value) -> None:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    builder.call(builder.module.globals.get(name) or ir.Function(builder.module, kind, name), arguments)
