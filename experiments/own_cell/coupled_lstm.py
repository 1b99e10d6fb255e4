"""An LSTM whose input gate is what the forget gate leaves: one function is all there is to write.

    f_t = sigmoid(x_t W_xf + h_{t-1} W_hf + b_f)      forget gate        x_t (B, I); h_t, c_t and every gate (B, H)
    g_t = tanh(x_t W_xg + h_{t-1} W_hg + b_g)         candidate          W_xh (I, 3H), W_hh (H, 3H), b_h (3H,)
    o_t = sigmoid(x_t W_xo + h_{t-1} W_ho + b_o)      output gate        with columns in the order f, g, o
    c_t = f_t c_{t-1} + (1 - f_t) g_t
    h_t = o_t tanh(c_t)

The backward function is derived by SymPy (extra `derive`) when the file is read, and checked by complex steps.
Source: Greff, Srivastava, Koutnik, Steunebrink and Schmidhuber 2017, "LSTM: a search space odyssey", variant CIFG.
"""

from rnnbench.arithmetic import sigmoid, tanh
from rnnbench.cells.base import Cell


def forward_element(z, state):
    """c' = g + f (c - g), h' = o tanh(c')."""
    f, g, o = sigmoid(z[0]), tanh(z[1]), sigmoid(z[2])
    c = g + f * (state[1] - g)
    return (o * tanh(c), c), ()


COUPLED_LSTM = Cell(
    name="coupled_lstm",
    summary="c' = f c + (1-f) g, h' = o tanh(c'): an LSTM of three gates (Greff et al. 2017, CIFG)",
    gates=("forget", "candidate", "output"),
    states=("h", "c"),
    forward_element=forward_element,
    memory_gate="forget",
)
