"""Long short-term memory with one gate taken out and held wide open: what that gate was for.

    no input gate     i_t = 1:    c_t = f_t c_{t-1} + g_t         h_t = o_t tanh(c_t)      gates f, g, o
    no forget gate    f_t = 1:    c_t = c_{t-1} + i_t g_t         h_t = o_t tanh(c_t)      gates i, g, o
    no output gate    o_t = 1:    c_t = f_t c_{t-1} + i_t g_t     h_t = tanh(c_t)          gates i, f, g

Gates, candidate and the chain rule are those of `lstm.py`; the weights of the gate that is gone are gone as well, so
that W_xh is (I, 3H), W_hh (H, 3H) and b_h (3H,). Without a forget gate the path from cell state to cell state
multiplies by 1: the constant error carousel of 1997, and a cell state that nothing resets.

Source: Greff, Srivastava, Koutník, Steunebrink and Schmidhuber 2017, "LSTM: A Search Space Odyssey", variants NIG, NFG
and NOG (without the peepholes of their baseline).
"""

from __future__ import annotations

from rnnbench.arithmetic import sigmoid, sigmoid_slope, tanh, tanh_slope
from rnnbench.cells.base import Cell, Scalars

H, C = range(2)


def no_input_forward_element(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    """c' = f c + g, h' = o tanh(c'); f, g and o are saved."""
    f, g, o = sigmoid(z[0]), tanh(z[1]), sigmoid(z[2])
    c = f * state[C] + g
    return (o * tanh(c), c), (f, g, o)


def no_input_backward_element(
    d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars
) -> tuple[Scalars, Scalars]:
    """df = dc c_{t-1} f(1-f), dg = dc (1-g^2), do = dh tanh(c) o(1-o); c_{t-1} gets dc f."""
    f, g, o = saved
    tanh_c = tanh(state[C])
    d_c = d_state[C] + d_state[H] * o * tanh_slope(tanh_c)
    d_z = (d_c * previous[C] * sigmoid_slope(f), d_c * tanh_slope(g), d_state[H] * tanh_c * sigmoid_slope(o))
    return d_z, (0.0, d_c * f)


def no_forget_forward_element(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    """c' = c + i g, h' = o tanh(c'); i, g and o are saved."""
    i, g, o = sigmoid(z[0]), tanh(z[1]), sigmoid(z[2])
    c = state[C] + i * g
    return (o * tanh(c), c), (i, g, o)


def no_forget_backward_element(
    d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars
) -> tuple[Scalars, Scalars]:
    """di = dc g i(1-i), dg = dc i (1-g^2), do = dh tanh(c) o(1-o); c_{t-1} gets all of dc."""
    i, g, o = saved
    tanh_c = tanh(state[C])
    d_c = d_state[C] + d_state[H] * o * tanh_slope(tanh_c)
    d_z = (d_c * g * sigmoid_slope(i), d_c * i * tanh_slope(g), d_state[H] * tanh_c * sigmoid_slope(o))
    return d_z, (0.0, d_c)


def no_output_forward_element(z: Scalars, state: Scalars) -> tuple[Scalars, Scalars]:
    """c' = f c + i g, h' = tanh(c'); i, f and g are saved, h' itself tells the slope of the last tanh."""
    i, f, g = sigmoid(z[0]), sigmoid(z[1]), tanh(z[2])
    c = f * state[C] + i * g
    return (tanh(c), c), (i, f, g)


def no_output_backward_element(
    d_state: Scalars, state: Scalars, previous: Scalars, saved: Scalars
) -> tuple[Scalars, Scalars]:
    """dc = dL/dc + dh (1-h^2); di = dc g i(1-i), df = dc c_{t-1} f(1-f), dg = dc i (1-g^2); c_{t-1} gets dc f."""
    i, f, g = saved
    d_c = d_state[C] + d_state[H] * tanh_slope(state[H])
    d_z = (d_c * g * sigmoid_slope(i), d_c * previous[C] * sigmoid_slope(f), d_c * i * tanh_slope(g))
    return d_z, (0.0, d_c * f)


LSTM_NO_INPUT = Cell(
    name="lstm_no_input",
    summary="c' = f c + g, h' = o tanh(c'): an LSTM without its input gate (Greff et al. 2017, NIG)",
    gates=("forget", "candidate", "output"),
    states=("h", "c"),
    saved=("forget", "candidate", "output"),
    forward_element=no_input_forward_element,
    backward_element=no_input_backward_element,
    memory_gate="forget",
)

LSTM_NO_FORGET = Cell(
    name="lstm_no_forget",
    summary="c' = c + i g, h' = o tanh(c'): an LSTM without its forget gate (Greff et al. 2017, NFG)",
    gates=("input", "candidate", "output"),
    states=("h", "c"),
    saved=("input", "candidate", "output"),
    forward_element=no_forget_forward_element,
    backward_element=no_forget_backward_element,
)

LSTM_NO_OUTPUT = Cell(
    name="lstm_no_output",
    summary="c' = f c + i g, h' = tanh(c'): an LSTM without its output gate (Greff et al. 2017, NOG)",
    gates=("input", "forget", "candidate"),
    states=("h", "c"),
    saved=("input", "forget", "candidate"),
    forward_element=no_output_forward_element,
    backward_element=no_output_backward_element,
    memory_gate="forget",
    write_gate="input",
)
