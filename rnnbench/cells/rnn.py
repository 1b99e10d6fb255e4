"""The vanilla recurrent network (Elman 1990), with tanh or ReLU.

    h_t = f(x_t W_xh + h_{t-1} W_hh + b_h)          x_t (B, I), h_t (B, H), W_xh (I, H), W_hh (H, H), b_h (H,)

The same weights act at every step. Backward, with delta_t = dL/dh_t:

    dL/dz_t = delta_t f'(z_t),      delta_{t-1} = dL/dz_t W_hh^T (+ the loss at t-1)

Source: Elman, Finding structure in time, 1990; ReLU: Le, Jaitly and Hinton, A simple way to initialize
recurrent networks of rectified linear units, 2015.
"""

from __future__ import annotations

from rnnbench.arithmetic import relu, relu_slope, tanh, tanh_slope
from rnnbench.cells.base import Cell, Scalars


def forward_element(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    """h = tanh(z); nothing is saved, h itself tells the slope."""
    return (tanh(z[0]),), ()


def backward_element(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    """d_z = d_h (1 - h^2); the previous h is reached through the matrix product alone."""
    return (d_state[0] * tanh_slope(state[0]),), (0.0,)


def relu_forward_element(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    """h = max(z, 0)."""
    return (relu(z[0]),), ()


def relu_backward_element(
    d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars
) -> tuple[Scalars, Scalars]:
    """d_z = d_h where h > 0, else 0."""
    return (d_state[0] * relu_slope(state[0]),), (0.0,)


RNN = Cell(
    name="rnn",
    summary="h' = tanh(W_xh x + W_hh h + b)",
    gates=("hidden",),
    forward_element=forward_element,
    backward_element=backward_element,
)

RNN_RELU = Cell(
    name="rnn_relu",
    summary="h' = max(W_xh x + W_hh h + b, 0)",
    gates=("hidden",),
    forward_element=relu_forward_element,
    backward_element=relu_backward_element,
)
