"""The parameter `threads` of probes that measure times."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from rnnbench.backends.threads import available_cores
from rnnbench.errors import InputError

Threads = Annotated[PositiveInt | None, Field(description="threads of everything timed; as many as cores unless given")]


def threads_to_use(threads: int | None) -> int:
    """Return the threads asked for, or one a core; InputError for more than there are cores."""
    cores = available_cores()
    if threads is not None and threads > cores:
        raise InputError(f"threads is {threads}; expected at most {cores}, the cores at hand")
    return threads or cores
