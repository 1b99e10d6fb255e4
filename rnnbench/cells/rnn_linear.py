"""The recurrent network without a nonlinearity: what theory can say exactly, and a measurement is checked against.

    h_t = x_t W_xh + h_{t-1} W_hh + b_h             x_t (B, I), h_t (B, H), W_xh (I, H), W_hh (H, H), b_h (H,)

Every Jacobian dh_t/dh_{t-1} is W_hh^T, whatever the inputs: gradients over k steps are those of a matrix power.

Source: Saxe, McClelland and Ganguli 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear
neural networks".
"""

from __future__ import annotations

from rnnbench.cells.base import Cell, Scalars


def forward_element(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    """h = z; nothing is saved."""
    return (z[0],), ()


def backward_element(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    """d_z = d_h; the previous h is reached through the matrix product alone."""
    return (d_state[0],), (0.0,)


RNN_LINEAR = Cell(
    name="rnn_linear",
    summary="h' = W_xh x + W_hh h + b, no nonlinearity: the case that theory solves",
    gates=("hidden",),
    forward_element=forward_element,
    backward_element=backward_element,
)
