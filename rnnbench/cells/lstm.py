"""Long short-term memory with a forget gate.

    i_t = sigmoid(x_t W_xi + h_{t-1} W_hi + b_i)      input gate         x_t (B, I); h_t, c_t and every gate (B, H)
    f_t = sigmoid(x_t W_xf + h_{t-1} W_hf + b_f)      forget gate        W_xh (I, 4H), W_hh (H, 4H), b_h (4H,)
    g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)         candidate          with columns in the order i, f, g, o
    o_t = sigmoid(x_t W_xo + h_{t-1} W_ho + b_o)      output gate
    c_t = f_t c_{t-1} + i_t g_t
    h_t = o_t tanh(c_t)

Backward, with dL/dh_t and dL/dc_t given:

    dc = dL/dc_t + dL/dh_t o (1 - tanh(c_t)^2)
    di = dc g i(1-i)     df = dc c_{t-1} f(1-f)     dg = dc i (1-g^2)     do = dL/dh_t tanh(c_t) o(1-o)
    dL/dc_{t-1} = dc f,  dL/dh_{t-1} through the matrix product

Source: Hochreiter and Schmidhuber 1997; forget gate: Gers, Schmidhuber and Cummins 2000.
"""

from __future__ import annotations

from rnnbench.arithmetic import sigmoid, sigmoid_slope, tanh, tanh_slope
from rnnbench.cells.base import Cell, Scalars

INPUT, FORGET, CANDIDATE, OUTPUT = range(4)
H, C = range(2)


def forward_element(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    """c' = f c + i g, h' = o tanh(c'); the four gates are saved."""
    i = sigmoid(z[INPUT])
    f = sigmoid(z[FORGET])
    g = tanh(z[CANDIDATE])
    o = sigmoid(z[OUTPUT])
    c = f * state[C] + i * g
    return (o * tanh(c), c), (i, f, g, o)


def backward_element(d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars) -> tuple[Scalars, Scalars]:
    """The chain rule through one step; see the module's equations."""
    i, f, g, o = saved
    tanh_c = tanh(state[C])
    d_c = d_state[C] + d_state[H] * o * tanh_slope(tanh_c)
    d_z = (
        d_c * g * sigmoid_slope(i),
        d_c * previous[C] * sigmoid_slope(f),
        d_c * i * tanh_slope(g),
        d_state[H] * tanh_c * sigmoid_slope(o),
    )
    return d_z, (0.0, d_c * f)


LSTM = Cell(
    name="lstm",
    summary="c' = f c + i g, h' = o tanh(c'), with input, forget and output gates",
    gates=("input", "forget", "candidate", "output"),
    states=("h", "c"),
    saved=("input", "forget", "candidate", "output"),
    forward_element=forward_element,
    backward_element=backward_element,
    memory_gate="forget",
    write_gate="input",
)
