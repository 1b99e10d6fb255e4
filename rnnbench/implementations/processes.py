"""Objects in processes of their own: started together, asked one at a time, gone when the block ends."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import psutil

from rnnbench.implementations.worker import read_message, write_message

THREAD_VARIABLES = (
    "RNNBENCH_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
LAST_WORDS = 5
"""Lines of a dead process's standard error that are told."""


class ProcessError(RuntimeError):
    """Something went wrong in another process; the message says in which, and what."""


def first_cores(threads: int) -> list[int]:
    """Return the first so many of the cores that this process may run on; none where the system doesn't tell."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))[:threads]
    process = psutil.Process()
    return sorted(process.cpu_affinity())[:threads] if hasattr(process, "cpu_affinity") else []


class Remote:
    """make(*arguments) in a new process, which has `threads` threads, as many cores, and this process's sys.path.

    Methods can be asked for at once; the first result to `receive` is that of making the object, None.
    Leaving the `with` block kills it; so does the end of this process, in whatever way.
    `make` and all arguments and results must pickle. MemoryError and ProcessError are raised for what goes wrong there.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        make: Callable[..., object],
        *arguments: object,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__; a pipe nobody reads would fill up
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rnnbench.implementations.worker", *map(str, first_cores(threads))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={
                **os.environ,
                **dict.fromkeys(THREAD_VARIABLES, str(threads)),
                "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
                **(environment or {}),
            },
        )
        self.pid = self._process.pid
        self._awaited = 0
        self.send(make, *arguments)

    def send(self, method: str | Callable[..., object], *arguments: object) -> None:
        """Ask for a call of a method; `receive` waits for its result."""
        assert self._process.stdin is not None
        self._awaited += 1
        with contextlib.suppress(OSError):  # it has died: `receive` says how
            write_message(self._process.stdin, (method, arguments))

    def receive(self) -> Any:
        """Return the result of the oldest call whose result was not received yet."""
        assert self._process.stdout is not None
        self._awaited -= 1
        try:
            succeeded, result = pickle.loads(read_message(self._process.stdout))
        except EOFError:
            raise ProcessError(f"{self.name}: {self._cause_of_death()}") from None
        if succeeded:
            return result
        kind, message, trace = result
        error: Exception
        if kind == "MemoryError":
            error = MemoryError(f"{self.name}: {message or 'out of memory'}")
        else:
            error = ProcessError(f"{self.name}: {kind}: {message}")
        error.add_note(f"in the process of {self.name}:\n{trace}")
        raise error

    def finish(self) -> Any:
        """Wait for all that was asked for, and return the last result."""
        result = None
        while self._awaited:
            result = self.receive()
        return result

    def ask(self, method: str, *arguments: object) -> Any:
        """Call a method and return its result, once all that was asked for before is done."""
        self.send(method, *arguments)
        return self.finish()

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            with contextlib.suppress(OSError):  # what was still to be written has no reader
                stream.close()  # type: ignore[union-attr]

    def _cause_of_death(self) -> str:
        code = self._process.wait()
        known = -code in set(signal.Signals)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 and known else f"exited with status {code}"
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").split("\n")
        last = " / ".join([line.strip() for line in lines if line.strip()][-LAST_WORDS:])
        return f"its process {how}" + (f"; its last words: {last}" if last else "")
