"""Where threads wait for each other inside compiled code: a counter that one raises and the others watch.

Spinning costs tens of nanoseconds where the system's locks cost microseconds, and a tenth of a millisecond where the
core has gone to sleep meanwhile: it lets threads share the units of a small batch, which meet once a step, and start
together. A thread that waits long gives its core away.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from rnnbench.backends.cpu.lanes import address, primitive

SPINS = 512
"""Looks at the counter, each with a pause, before a waiting thread yields."""
ABANDONED = 1 << 62
"""A counter that lets every member pass: set where a member could not be started."""


PLACE = 16
"""Of the count in its array: alone in its cache lines."""
INTEGER = ir.IntType(64)


def new_counter() -> np.ndarray:
    """Return a counter at 0."""
    return np.zeros(2 * PLACE, np.int64)


def count_of(counter: np.ndarray) -> int:
    """Return what a counter has reached."""
    return int(counter[PLACE])


_lock = threading.Lock()


def _meet(counter, total):
    with _lock:
        counter[PLACE] += 1
    while counter[PLACE] < total:
        time.sleep(0)


@primitive(_meet)
def meet(typing_context, counter, total):
    """Raise the counter by one, then wait until it has reached `total`: members times the meetings so far.

    What a member wrote before is seen by all of them after.
    """

    def codegen(context, builder, sig, arguments):
        place = _place(context, builder, counter, arguments[0])
        builder.atomic_rmw("add", place, ir.Constant(INTEGER, 1), "acq_rel")
        _spin(builder, place, arguments[1], ir.Constant(INTEGER, (1 << 63) - 1))
        return context.get_dummy_value()

    return types.void(counter, types.int64), codegen


def _await_count(counter, total, most):
    for _ in range(most >> 8):  # a look takes Python that much longer
        if counter[PLACE] >= total:
            return True
        time.sleep(0)
    return False


@primitive(_await_count)
def await_count(typing_context, counter, total, most):
    """Wait until the counter has reached `total`, for `most` looks; return whether it has."""

    def codegen(context, builder, sig, arguments):
        return _spin(builder, _place(context, builder, counter, arguments[0]), *arguments[1:])

    return types.boolean(counter, types.int64, types.int64), codegen


def watch(counter, total, most):
    """As await_count, for Python to call: it holds no other thread up meanwhile."""
    return await_count(counter, total, most)


def _place(context: Any, builder: ir.IRBuilder, kind: types.Type, counter: ir.Value) -> ir.Value:
    return address(context, builder, kind, counter, ir.Constant(INTEGER, PLACE))


def _spin(builder: ir.IRBuilder, place: ir.Value, total: ir.Value, most: ir.Value) -> ir.Value:
    """Look at a counter until it has reached `total`, at most so many times; return whether it has."""
    entry = builder.block
    look, wait, give_way, again, done = (
        builder.append_basic_block(name) for name in ("look", "wait", "give_way", "again", "met")
    )
    builder.branch(look)

    builder.position_at_end(look)
    spins = builder.phi(INTEGER)
    reached = builder.icmp_signed(">=", builder.load_atomic(place, "acquire", 8), total)
    builder.cbranch(builder.or_(reached, builder.icmp_signed(">=", spins, most)), done, wait)

    builder.position_at_end(wait)
    following = builder.add(spins, ir.Constant(INTEGER, 1))
    _pause(builder)
    impatient = builder.icmp_signed(">=", following, ir.Constant(INTEGER, SPINS))
    builder.cbranch(impatient, give_way, again)

    builder.position_at_end(give_way)
    _yield_core(builder)
    builder.branch(again)

    builder.position_at_end(again)
    builder.branch(look)
    spins.add_incoming(ir.Constant(INTEGER, 0), entry)
    spins.add_incoming(following, again)

    builder.position_at_end(done)
    return reached


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
