"""Network: encoder -> Stack -> readout -> loss, in one of the five wirings.

    one-to-one               x -> y                            one step, no recurrence: a multilayer perceptron
    one-to-many              x -> y_1 ... y_T                  each step reads the answer of the one before
    many-to-one              x_1 ... x_T -> y                  y = h_T W_hy + b_y, h_T the last step's of each sequence
    many-to-many             x_t -> y_t                        y_t = h_t W_hy + b_y at every step
    sequence-to-sequence     x_1 ... x_S -> y_1 ... y_T        an encoder's last state is a decoder's first

`wirings` says how inputs, states and answers are connected; `model` holds the parameters and the loss.
"""

from rnnbench.network.model import Architecture, Network, encode, views
from rnnbench.network.wirings import WIRINGS, Step, Wiring

__all__ = ["WIRINGS", "Architecture", "Network", "Step", "Wiring", "encode", "views"]
