"""A process that makes one object and calls its methods, as the process at the other end of its pipes asks.

    python -m rnnbench.implementations.worker [CORE ...]

It reads messages from what was its standard input and answers on what was its standard output: (make, arguments) makes
the object, each further (name, arguments) calls a method. Making it is the time to import libraries, on any core, so
that processes that start at once do not wait for each other; from then on it keeps to the given cores, and memory that
it allocates lies near them. An answer is (True, result) or (False, (type, message, traceback)) of an exception.
A message is a pickle with its length in front. Whatever libraries print goes to standard error. When nobody is left
to ask, it ends at once, even in the middle of a call; on Linux also in one that lets no other thread run, such as a
driver's that waits for a kernel which never ends.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import queue
import signal
import struct
import sys
import threading
import traceback
from typing import IO, Any

LENGTH = struct.Struct("<Q")
TASKS = "/proc/self/task"
"""Where Linux lists the threads of a process."""
PR_SET_PDEATHSIG = 1
"""Of prctl(2): which signal a process gets when the thread that started it ends."""


def write_message(stream: IO[bytes], message: Any) -> None:
    """Write one message."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    stream.write(LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def read_message(stream: IO[bytes]) -> bytes:
    """Return the next message, still pickled; EOFError where there is none."""
    header = stream.read(LENGTH.size)
    if len(header) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(header)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def keep_to(cores: list[int]) -> None:
    """Let this process, with all threads that it has, run on the given cores alone, where the system can."""
    if hasattr(os, "sched_setaffinity"):  # this is about one thread, and those that it will start
        for thread in os.listdir(TASKS) if os.path.isdir(TASKS) else ["0"]:
            os.sched_setaffinity(int(thread), cores)
        return
    import psutil

    if hasattr(psutil.Process, "cpu_affinity"):  # Windows; macOS has no such thing
        psutil.Process().cpu_affinity(cores)


def die_with_parent() -> None:
    """Have Linux kill this process when the thread that started it ends; elsewhere `_receive` alone sees to that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Serve until the other end closes."""
    die_with_parent()
    requests, replies = _take_over_streams()
    cores = [int(core) for core in sys.argv[1:]]
    received: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, received), daemon=True).start()
    held: Any = None
    reply: tuple[bool, Any]
    while True:
        try:
            method, arguments = pickle.loads(received.get())
            if held is None:
                held, result = method(*arguments), None
                if cores:
                    keep_to(cores)
            else:
                result = getattr(held, method)(*arguments)
            reply = True, result
        except Exception as error:
            reply = False, (type(error).__name__, str(error), traceback.format_exc())
        write_message(replies, reply)


def _take_over_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Return standard input and output, and leave an empty input and standard error in their places."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def _receive(requests: IO[bytes], received: queue.SimpleQueue[bytes]) -> None:
    while True:
        try:
            received.put(read_message(requests))
        except (EOFError, OSError):
            os._exit(0)  # the main thread may be deep in a library


if __name__ == "__main__":
    main()
