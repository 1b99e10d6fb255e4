"""The minimal gated unit: one gate, which forgets the state and resets it on the way to the candidate.

    f_t = sigmoid(x_t W_xf + h_{t-1} W_hf + b_f)                   forget gate         x_t (B, I); h_t (B, H)
    n_t = tanh(x_t W_xn + b_n + f_t (h_{t-1} W_hn + b_hn))         candidate           W_xh (I, 2H), W_hh (H, 2H)
    h_t = (1 - f_t) h_{t-1} + f_t n_t                              f = 0 copies        b_h (2H,), b_hn (H,)

The gate acts after the recurrent product, as in cuDNN's GRU; the authors let it act before.
Source: Zhou, Wu, Zhang and Zhou 2016, "Minimal gated unit for recurrent neural networks".
"""

from rnnbench.arithmetic import sigmoid, sigmoid_slope, tanh, tanh_slope
from rnnbench.cells.base import Cell


def forward_element(z, state):
    """h' = h + f (n - h) with n = tanh(n_x + f n_h); f, n and n_h are saved."""
    candidate_input, forget, recurrent = z
    f = sigmoid(forget)
    n = tanh(candidate_input + f * recurrent)
    return (state[0] + f * (n - state[0]),), (f, n, recurrent)


def backward_element(d_state, state, previous, saved):
    """dn = dh f (1-n^2), df = (dh (n-h) + dn n_h) f(1-f); the recurrent candidate gets dn f, h gets dh (1-f)."""
    f, n, recurrent = saved
    d_kept = d_state[0] * f
    d_n = d_kept * tanh_slope(n)
    d_f = (d_state[0] * (n - previous[0]) + d_n * recurrent) * sigmoid_slope(f)
    return (d_n, d_f, d_n * f), (d_state[0] - d_kept,)


MINIMAL_GATED_UNIT = Cell(
    name="minimal_gated_unit",
    summary="h' = (1-f) h + f tanh(W x + f (U h)), with one gate f (Zhou et al. 2016)",
    gates=("forget", "candidate"),
    saved=("forget", "candidate", "candidate_recurrent"),
    separate=("candidate",),
    separate_bias="b_hn",
    forward_element=forward_element,
    backward_element=backward_element,
)
