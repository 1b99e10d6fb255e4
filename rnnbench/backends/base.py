"""The protocol of a backend: it is handed a cell and runs it through time; it knows no cell by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from rnnbench.backends.resident import Learning, Model, Resident
from rnnbench.cells.base import Cell
from rnnbench.errors import InputError, ShapeError

Arrays = dict[str, np.ndarray]


@dataclass
class Trace:
    """What forward returns, and what backward needs of it.

    Inputs and parameters are not copied, nor is h: leave them as they are until backward has run.
    """

    h: np.ndarray
    """(T, B, H): h_t of every step; zero where a sequence has ended."""
    state: Arrays
    """Final states, each (B, H): those of a sequence's own last step."""
    cell: Cell
    params: Arrays
    x: np.ndarray
    lengths: np.ndarray | None
    tape: dict[str, Any] = field(default_factory=dict, repr=False)
    """What this backend keeps for backward."""


@dataclass
class Gradients:
    """Derivatives of the loss, each in the shape of what it differentiates."""

    x: np.ndarray | None
    params: Arrays
    state: Arrays
    """By the initial states, each (B, H)."""
    state_sequence: Arrays | None
    """By the states after each step, each (T, B, H): the total derivative, through all later steps."""


class DeviceSeconds(NamedTuple):
    """Times on a device that keeps its numbers to itself, warm, with inputs that are in none of its caches."""

    layer: np.ndarray
    """of each repeat"""
    product: float
    """of a matrix product, `product_size` each way"""
    product_size: int
    floor: float | None
    """the least that the recurrence can take there, where that is known"""


class Backend(ABC):
    """Runs any cell forward and backward through time. The docstring's first line is its help text."""

    name: str

    def missing(self) -> str | None:
        """Return why it cannot run here and what would help, None where it can."""
        return None

    def packages(self) -> tuple[str, ...]:
        """Return whose versions decide its numbers and times, besides NumPy, SciPy, Numba and llvmlite."""
        return ()

    @abstractmethod
    def allocate(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an uninitialised array where this backend computes."""

    @abstractmethod
    def forward(
        self,
        cell: Cell,
        params: Arrays,
        x: np.ndarray,
        state: Arrays,
        lengths: np.ndarray | None,
        *,
        store: bool = True,
        checkpoint_every: int | None = None,
    ) -> Trace:
        """Run T steps from the given initial states; x (T, B, I), states (B, H), lengths (B,) or None.

        store             whether to keep what backward needs.
        checkpoint_every  keep the states of every so many steps alone, and compute the rest again in backward; a
                          backend with memory to spare may keep everything.
        """

    @abstractmethod
    def backward(
        self,
        trace: Trace,
        d_h: np.ndarray,
        d_state: Arrays,
        *,
        state_sequence: bool = True,
        input_gradient: bool = True,
    ) -> Gradients:
        """Return the gradients, given dL/dh_t (T, B, H) from outside and dL/d(final states)."""

    def synchronize(self) -> None:  # noqa: B027 - nothing to wait for is the right default
        """Wait until everything asked for is computed."""

    def device_seconds(
        self, cell: Cell, shape: tuple[int, int, int, int], dtype: np.dtype, backward: bool, repeats: int
    ) -> DeviceSeconds | None:
        """Return times by the device's own clock of a layer (T, B, I, H), None where it is the host's that counts."""
        return None

    def resident(self, model: Model, learning: Learning) -> Resident | None:
        """Return what trains such a model where this backend's numbers are, None where they are the host's."""
        return None

    @abstractmethod
    def describe(self, cell: Cell, hidden_size: int, batch: int, dtype: np.dtype) -> str:
        """Say in one line how this backend would run such a layer, and why."""


def check_parameters(cell: Cell, params: Arrays) -> tuple[int, int]:
    """Return (I, H), or raise an error that names the parameter that is missing or has the wrong shape."""
    needed = {"W_xh", "W_hh", "b_h", *([cell.separate_bias] if cell.separate else [])}
    if params.keys() != needed:
        raise InputError(f"parameters are {', '.join(sorted(params))}; a {cell.name} has {', '.join(sorted(needed))}")
    if params["W_xh"].ndim != 2 or params["W_xh"].shape[1] % len(cell.gates):
        raise ShapeError(f"W_xh has shape {params['W_xh'].shape}; expected (I, {len(cell.gates)}*H)")
    input_size, hidden = params["W_xh"].shape[0], params["W_xh"].shape[1] // len(cell.gates)
    if hidden < 1:
        raise ShapeError(f"W_xh has shape {params['W_xh'].shape}; expected at least one unit")
    for name, shape in cell.parameter_shapes(input_size, hidden).items():
        if params[name].shape != shape:
            raise ShapeError(
                f"{name} has shape {params[name].shape}; expected {shape}, as W_xh has {params['W_xh'].shape}"
            )
    return input_size, hidden


def check_shapes(
    cell: Cell, params: Arrays, x: np.ndarray, state: Arrays, lengths: np.ndarray | None
) -> tuple[int, int, int, int]:
    """Return (T, B, I, H), or raise an error that names both sides of what does not fit."""
    input_size, hidden = check_parameters(cell, params)
    if x.ndim != 3:
        raise ShapeError(f"x has shape {x.shape}; expected (T, B, I) with I = {input_size}")
    steps, batch, features = x.shape
    if features != input_size:
        raise ShapeError(f"x {x.shape} has {features} features, the layer expects {input_size}")
    if steps < 1 or batch < 1:
        raise ShapeError(f"x has shape {x.shape}; expected at least one step and one sequence")
    for name in state:
        if name not in cell.states:
            raise InputError(f"state has '{name}'; a {cell.name} has the states {', '.join(cell.states)}")
    for name in cell.states:
        if name not in state:
            raise InputError(f"state lacks '{name}'; a {cell.name} has the states {', '.join(cell.states)}")
        if state[name].shape != (batch, hidden):
            raise ShapeError(f"state '{name}' has shape {state[name].shape}; expected (B, H) = {(batch, hidden)}")
    if lengths is not None:
        check_lengths(lengths, steps, batch)
    return steps, batch, features, hidden


def check_lengths(lengths: np.ndarray, steps: int, batch: int) -> None:
    """Raise an error that says what is expected, unless these are lengths of B sequences of T steps."""
    if lengths.shape != (batch,):
        raise ShapeError(f"lengths has shape {lengths.shape}; expected (B,) = {(batch,)}")
    if not np.issubdtype(lengths.dtype, np.integer):
        raise InputError(f"lengths are {lengths.dtype}; expected integers")
    if lengths.min() < 1 or lengths.max() > steps:
        raise InputError(f"lengths lie in [{lengths.min()}, {lengths.max()}]; expected [1, {steps}], the steps of x")


def without_padding(x: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """Return (T, B, ...) with zeros past each sequence's length, whatever was there, NaN included."""
    if lengths is None:
        return x
    running = np.arange(len(x))[:, None] < lengths
    return np.where(running[:, :, None], x, np.zeros((), x.dtype))


def check_gradient_shapes(trace: Trace, d_h: np.ndarray, d_state: Arrays) -> None:
    """Raise an error that names both shapes where a gradient does not fit what it belongs to."""
    if d_h.shape != trace.h.shape:
        raise ShapeError(f"d_h has shape {d_h.shape}; expected that of h, {trace.h.shape}")
    for name, value in d_state.items():
        if name not in trace.state:
            raise InputError(f"d_state has '{name}'; a {trace.cell.name} has the states {', '.join(trace.state)}")
        if value.shape != trace.state[name].shape:
            raise ShapeError(f"d_state '{name}' has shape {value.shape}; expected (B, H) = {trace.state[name].shape}")


def check_stored(trace: Trace) -> None:
    """Raise InputError for a trace of which nothing was kept."""
    if not trace.tape:
        raise InputError("this trace was made with store=False; backward needs one made with store=True")
