"""What a machine is, as far as times depend on it: its CPU, cores and GPUs, and how its clock is set."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from rnnbench.backends.threads import available_cores

_CPU_INFO = Path("/proc/cpuinfo")
_GOVERNORS = "cpu[0-9]*/cpufreq/scaling_governor"
_CPU_FOLDER = Path("/sys/devices/system/cpu")


@cache
def hardware() -> str:
    """Return one line that names the hardware: CPU, architecture, cores of this process, GPUs or their simulator."""
    from rnnbench.backends.cuda.toolkit import simulating

    cores = available_cores()
    parts = [cpu_model(), platform.machine(), f"{cores} {'core' if cores == 1 else 'cores'}"]
    return ", ".join([*parts, *(["simulated GPU"] if simulating() else [gpu["name"] for gpu in gpus()])])


@cache
def describe_machine() -> dict[str, Any]:
    """Return operating system, CPU, cores, clock, memory and GPUs; no host or user name."""
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    return {
        "os": platform.platform(),
        "cpu": cpu_model(),
        "architecture": platform.machine(),
        "cpu_flags": cpu_flags(),
        "cpu_max_mhz": (frequency and frequency.max) or None,
        "frequency_governors": frequency_governors(),
        "physical_cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(logical=True),
        "available_cores": available_cores(),
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": gpus(),
        "timer": timer(),
        "python_build": f"{platform.python_implementation()} {platform.python_compiler()} on {sys.platform}",
    }


@cache
def cpu_model() -> str:
    """Return the name of the CPU; from the package py-cpuinfo, which takes a second, where Linux does not say."""
    if name := _cpu_info("model name"):
        return name
    import cpuinfo

    return str(cpuinfo.get_cpu_info().get("brand_raw") or platform.processor() or platform.machine())


def cpu_flags() -> list[str]:
    """Return what the CPU can do, such as "avx2", in the words of Linux; empty elsewhere."""
    return sorted((_cpu_info("flags") or _cpu_info("Features")).split())


def _cpu_info(field: str) -> str:
    """Return a field of the first CPU in /proc/cpuinfo; "" where there is none."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    values = (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == field)
    return next(values, "")


def frequency_governors() -> list[str]:
    """Return how the frequencies of the cores are governed, such as ["performance"]; empty where nothing says so."""
    found = set()
    for path in _CPU_FOLDER.glob(_GOVERNORS):
        try:
            found.add(path.read_text(encoding="utf-8").strip())
        except OSError:
            continue  # the core went offline
    return sorted(found)


@cache
def gpus() -> list[dict[str, str]]:
    """Return name, driver version and memory of each NVIDIA GPU; empty where the driver's tool is not there."""
    if not (tool := shutil.which("nvidia-smi")):
        return []
    fields = ("name", "driver_version", "memory.total")
    command = [tool, f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return []  # the tool without a GPU
    names = [field.replace(".", "_") for field in fields]
    rows = [list(map(str.strip, line.split(","))) for line in told.splitlines()]
    return [dict(zip(names, row, strict=True)) for row in rows if len(row) == len(names)]  # warnings stand there, too


@cache
def timer() -> dict[str, Any]:
    """Return the clock of timings: what it is, the resolution it claims, and the smallest step seen, in seconds."""
    clock = time.get_clock_info("perf_counter")
    steps = []
    for _ in range(100):
        start = now = time.perf_counter()
        while now == start:
            now = time.perf_counter()
        steps.append(now - start)
    return {"clock": clock.implementation, "resolution_s": clock.resolution, "smallest_step_s": min(steps)}
