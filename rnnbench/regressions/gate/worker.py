"""Times benchmarks inside one build, on request: started as a script, by the interpreter of an asv environment.

It imports the standard library and asv_runner alone, for the build may be an old commit, and times as asv does, with
asv_runner's own timers. A request is a line of JSON on standard input, an answer a line of JSON on standard output:

    {"prepare": [ID, ...], "suite": FOLDER}    {"ready": [ID, ...], "skipped": [...], "failed": {ID: reason}}
    {"packages": true}                         {"packages": {name: version}}
    {"time": ID, "seconds": S, "core": N}      {"samples": [seconds of a call, ...]} or {"failed": reason}
    {"count": ID}                              {"instructions": retired by a call, or null} or {"failed": reason}

An ID is asv's: the benchmark's name, a dash, and the index of its parameters.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import json
import os
import platform
import struct
import sys
import traceback
from collections.abc import Callable
from typing import Any

from asv_runner.benchmarks.mark import SkipNotImplemented
from asv_runner.discovery import get_benchmark_from_name

MOST_SAMPLES = 1000
_SYSTEM_CALL = {"x86_64": 298, "aarch64": 241}
_INSTRUCTIONS, _USER_ONLY = 1, (1 << 5) | (1 << 6)  # exclude_kernel, exclude_hv
_ATTRIBUTES_SIZE = 128

benchmarks: dict[str, Any] = {}
numbers: dict[str, int] = {}
"""Calls a sample, once known."""


def main() -> None:
    """Answer requests until standard input ends; what benchmarks print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        json.dump(answer(request), answers)
        answers.write("\n")
        answers.flush()
    for benchmark in benchmarks.values():
        benchmark.do_teardown()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to one request."""
    if "prepare" in request:
        return prepare(request["suite"], request["prepare"])
    if "packages" in request:
        return {"packages": {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}}
    try:
        if "count" in request:
            return {"instructions": instructions(benchmarks[request["count"]])}
        if request["core"] is not None:
            os.sched_setaffinity(0, {request["core"]})
        return {"samples": time(request["time"], request["seconds"])}
    except SkipNotImplemented:
        return {"failed": "skipped while it ran"}
    except Exception:
        return {"failed": traceback.format_exc(limit=-1)}


def prepare(suite: str, identifiers: list[str]) -> dict[str, Any]:
    """Set benchmarks up: what cannot be done yet is skipped, what raises has failed."""
    skipped, failed = [], {}
    for identifier in identifiers:
        try:
            benchmark = get_benchmark_from_name(suite, identifier)
            benchmark.set_cache(benchmark.do_setup_cache())
            if benchmark.do_setup():
                skipped.append(identifier)
            else:
                benchmarks[identifier] = benchmark
        except Exception:
            failed[identifier] = traceback.format_exc(limit=-1)
    return {"ready": list(benchmarks), "skipped": skipped, "failed": failed}


def time(identifier: str, seconds: float) -> list[float]:
    """Return samples, in seconds a call, taken for so long after a short warm-up; at least one.

    A benchmark with a `setup` is timed call by call, as asv does; others in as many calls as take `sample_time`.
    """
    benchmark = benchmarks[identifier]
    timer = benchmark._get_timer(*benchmark._build_params())
    isolated = benchmark._setups and benchmark._setup_isolates_timed_calls
    number = numbers.get(identifier) or benchmark.number or int(bool(isolated))
    warm = 0.0 if benchmark.warmup_time == 0 else seconds / 5
    samples, numbers[identifier] = benchmark.benchmark_timing(timer, 1, MOST_SAMPLES, seconds, warm, number, 1)
    return [sample / numbers[identifier] for sample in samples]


def instructions(benchmark: Any) -> float | None:
    """Return the instructions that one call retires in this thread; None where they cannot be counted."""
    counter = instruction_counter()
    if counter is None or benchmark.type != "time" or not benchmark._setup_isolates_timed_calls:
        return None
    own, benchmark.timer = benchmark.timer, counter
    try:
        timer = benchmark._get_timer(*benchmark._build_params())
        return min(timer.timeit(1) for _ in range(3))  # what interrupts a call only adds to it
    finally:
        benchmark.timer = own


@functools.cache
def instruction_counter() -> Callable[[], float] | None:
    """Return a function that reads the instructions retired so far, from perf_event_open; None where there is none."""
    number = _SYSTEM_CALL.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return None
    attributes = bytearray(_ATTRIBUTES_SIZE)
    struct.pack_into("=IIQ", attributes, 0, 0, _ATTRIBUTES_SIZE, _INSTRUCTIONS)  # type: hardware; size; which
    struct.pack_into("=Q", attributes, 40, _USER_ONLY)
    buffer = (ctypes.c_char * _ATTRIBUTES_SIZE).from_buffer(attributes)
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    descriptor = system_call(number, buffer, 0, -1, -1, ctypes.c_ulong(0))  # this thread, any core, no group
    if descriptor < 0:
        return None
    return lambda: float(struct.unpack("=Q", os.read(descriptor, 8))[0])


if __name__ == "__main__":
    main()
