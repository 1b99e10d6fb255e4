"""The gated recurrent unit, in both of the forms that are in use.

    r_t = sigmoid(x_t W_xr + h_{t-1} W_hr + b_r)      reset gate         x_t (B, I); h_t and every gate (B, H)
    z_t = sigmoid(x_t W_xz + h_{t-1} W_hz + b_z)      update gate        W_xh (I, 3H), W_hh (H, 3H), b_h (3H,)
    h_t = (1 - z_t) n_t + z_t h_{t-1}                                    with columns in the order r, z, n

    reset after the product:     n_t = tanh(x_t W_xn + b_n + r_t (h_{t-1} W_hn + b_hn))      b_hn (H,)
    reset before the product:    n_t = tanh(x_t W_xn + b_n + (r_t h_{t-1}) W_hn)

z keeps: z = 1 copies the state. Cho et al. publish the form that resets before (their z keeps as well);
PyTorch, cuDNN and Keras run the one that resets after, as one product then serves all three gates.

Source: Cho et al. 2014, eq. 5-8 (reset before); the reset-after form: Chung et al.'s code and cuDNN.
"""

from __future__ import annotations

from rnnbench.arithmetic import Scalar, sigmoid, sigmoid_slope, tanh, tanh_slope
from rnnbench.cells.base import Cell, Scalars

CANDIDATE_INPUT, RESET_AFTER, UPDATE_AFTER, CANDIDATE_RECURRENT = range(4)
RESET, UPDATE, CANDIDATE = range(3)
H = 0


def forward_element(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    """h' = (1-z) n + z h with n = tanh(n_x + r n_h); r, z, n and n_h are saved."""
    r = sigmoid(z[RESET_AFTER])
    update = sigmoid(z[UPDATE_AFTER])
    recurrent = z[CANDIDATE_RECURRENT]
    n = tanh(z[CANDIDATE_INPUT] + r * recurrent)
    return (n + update * (state[H] - n),), (r, update, n, recurrent)


def backward_element(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    """dn = dh (1-z)(1-n^2), dz = dh (h-n) z(1-z), dr = dn n_h r(1-r); the recurrent candidate gets dn r."""
    r, update, n, recurrent = saved
    d_h = d_state[H]
    d_kept = d_h * update
    d_n = (d_h - d_kept) * tanh_slope(n)
    d_r = d_n * recurrent * sigmoid_slope(r)
    d_update = d_h * (previous[H] - n) * sigmoid_slope(update)
    return (d_n, d_r, d_update, d_n * r), (d_kept,)


def operand_element(z: Scalars, state: Scalars) -> Scalar:
    """What the candidate's product takes in the place of h: r h."""
    return sigmoid(z[RESET]) * state[H]


def reset_before_forward_element(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    """h' = (1-z) n + z h with n = tanh(z_n); r, z and n are saved."""
    r = sigmoid(z[RESET])
    update = sigmoid(z[UPDATE])
    n = tanh(z[CANDIDATE])
    return (n + update * (state[H] - n),), (r, update, n)


def reset_before_backward_element(
    d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars
) -> tuple[Scalars, Scalars]:
    """As in the reset-after form, but r is reached through the candidate's product: see the next function."""
    _, update, n = saved
    d_h = d_state[H]
    d_kept = d_h * update
    d_n = (d_h - d_kept) * tanh_slope(n)
    d_update = d_h * (previous[H] - n) * sigmoid_slope(update)
    return (0.0, d_update, d_n), (d_kept,)


def operand_backward_element(d_operand: Scalar, previous: Scalars, saved: Scalars) -> tuple[Scalar, Scalars, Scalars]:
    """For u = r h: dr = du h r(1-r), dh = du r."""
    r = saved[RESET]
    d_r = d_operand * previous[H] * sigmoid_slope(r)
    return r * previous[H], (d_r, 0.0, 0.0), (d_operand * r,)


GRU = Cell(
    name="gru",
    summary="h' = (1-z) n + z h, the reset gate acting after the recurrent product (PyTorch, cuDNN, Keras)",
    gates=("reset", "update", "candidate"),
    saved=("reset", "update", "candidate", "candidate_recurrent"),
    separate=("candidate",),
    separate_bias="b_hn",
    forward_element=forward_element,
    backward_element=backward_element,
    memory_gate="update",
)

GRU_RESET_BEFORE = Cell(
    name="gru_reset_before",
    summary="h' = (1-z) n + z h, the reset gate acting before the recurrent product (Cho et al. 2014)",
    gates=("reset", "update", "candidate"),
    saved=("reset", "update", "candidate"),
    late=("candidate",),
    forward_element=reset_before_forward_element,
    backward_element=reset_before_backward_element,
    operand_element=operand_element,
    operand_backward_element=operand_backward_element,
    memory_gate="update",
)
