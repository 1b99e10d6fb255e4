"""Implementations that behave and misbehave, and what tests ask of a process. Workers import this file by its name."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import Any

import numpy as np

from rnnbench import cells
from rnnbench.backends.base import Arrays
from rnnbench.implementations.base import Implementation, Prepared, Workload
from rnnbench.layer import Layer
from rnnbench.network import Architecture, Network

WORKLOAD = Workload(
    cell="gru", length=5, batch=3, features=4, hidden=7, direction="forward_backward", dtype="float64", threads=1
)


class Twin(Implementation):
    """The reference backend, NumPy in float64: another program that computes the same."""

    name = "twin"
    cells = tuple(cells.entries())
    directions = ("forward", "forward_backward", "training_step")

    def prepare(self, workload: Workload, arrays: Arrays) -> Prepared:
        return TwinPrepared(workload, arrays)


class TwinPrepared(Prepared):
    def __init__(self, workload: Workload, arrays: Arrays) -> None:
        self.workload, self.arrays = workload, {name: value.astype(np.float64) for name, value in arrays.items()}

    def call(self) -> Arrays:
        return self.outputs()

    def outputs(self) -> Arrays:
        w, arrays = self.workload, self.arrays
        if w.direction == "training_step":
            return self.losses_and_gradients()
        layer = Layer(w.cell, w.features, w.hidden, "float64", "reference")
        layer.params = {name: arrays[name] for name in layer.params}
        trace = layer.forward(arrays["x"])
        if w.direction == "forward":
            return {"h": trace.h}
        gradients = layer.backward(trace, arrays["d_h"])
        by_parameter = {f"d_{name}": value for name, value in gradients.params.items()}
        return {"h": trace.h, "d_x": gradients.x, **by_parameter}

    def losses_and_gradients(self) -> Arrays:
        w = self.workload
        architecture = Architecture(w.cell, w.hidden, dtype="float64", backend="reference")
        network = Network(architecture, w.features, 1, "many-to-one", "mse", np.random.default_rng(0))
        for name, value in network.params.items():
            value[...] = self.arrays[name.removeprefix("layer0.")]
        batches = zip(self.arrays["inputs"], self.arrays["targets"], strict=True)
        losses = [network.loss_and_gradient(*batch) for batch in batches]
        gradients = {f"d_{name.removeprefix('layer0.')}": value for name, value in network.gradients.items()}
        return {"losses": np.array(losses), **gradients}


class Slow(Twin):
    """Takes its time."""

    name = "slow"

    def prepare(self, workload: Workload, arrays: Arrays) -> Prepared:
        return SlowPrepared(workload, arrays)


class SlowPrepared(TwinPrepared):
    def call(self) -> Arrays:
        time.sleep(0.2)
        return super().call()


class Wrong(Twin):
    """Right but for one number."""

    name = "wrong"

    def prepare(self, workload: Workload, arrays: Arrays) -> Prepared:
        return WrongPrepared(workload, arrays)


class WrongPrepared(TwinPrepared):
    def outputs(self) -> Arrays:
        found = super().outputs()
        found["d_W_hh"][2, 3] += 0.01 * np.abs(found["d_W_hh"]).max()
        return found


class Dying(Twin):
    """Dies in its first timed call, after outputs were compared."""

    name = "dying"

    def prepare(self, workload: Workload, arrays: Arrays) -> Prepared:
        return DyingPrepared(workload, arrays)


class DyingPrepared(TwinPrepared):
    def call(self) -> Arrays:
        print("out of luck", file=sys.stderr)
        os._exit(7)


class Absent(Twin):
    """Needs what nobody has."""

    name = "absent"
    packages = ("json", "no_such_package")


class Deeds:
    """What tests ask of a process, good and bad."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def say(self) -> tuple[str, ...]:
        return self.words

    def echo(self, value: Any) -> Any:
        return value

    def environment(self, *names: str) -> list[str | None]:
        return [os.environ.get(name) for name in names]

    def path(self) -> list[str]:
        return sys.path

    def cores(self) -> list[set[int]]:
        """Return the cores that each thread of this process may run on, those of BLAS among them."""
        np.ones((500, 500)) @ np.ones((500, 500))
        return [os.sched_getaffinity(int(thread)) for thread in os.listdir("/proc/self/task")]

    def print_everywhere(self) -> str:
        print("to standard output")
        sys.stdout.flush()
        os.write(1, b"straight to file descriptor 1\n" * 1000)
        print("to standard error", file=sys.stderr)
        return sys.stdin.read() + "nothing to read"

    def divide(self, a: int, b: int) -> float:
        return a / b

    def exhaust(self) -> None:
        raise MemoryError

    def exit(self, status: int) -> None:
        print("last", "words", sep="\n", file=sys.stderr)
        sys.exit(status)

    def kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def hold(self, seconds: int) -> None:
        ctypes.PyDLL(None).sleep(seconds)  # with the lock of the interpreter, so that no other thread runs


class Outputs:
    """One implementation, run in its own process for any number of workloads."""

    def __init__(self, implementation: type[Implementation]) -> None:
        self.implementation = implementation()

    def outputs(self, workload: Workload, arrays: Arrays) -> Arrays:
        """Return the outputs after calls, which must not change them."""
        prepared = self.implementation.prepare(workload, arrays)
        if workload.direction != "training_step":
            prepared.call()
            prepared.call()
        return prepared.outputs()

    def losses(self, workload: Workload, arrays: Arrays, steps: int) -> list[float]:
        """Return the losses of training steps; of PyTorch's two biases of the same sum, one is held."""
        prepared: Any = self.implementation.prepare(workload, arrays)
        if hasattr(prepared, "layer"):
            prepared.layer.bias_hh_l0.requires_grad_(False)
        return [prepared.call() for _ in range(steps)]
