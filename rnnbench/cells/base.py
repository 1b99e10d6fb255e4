"""What a cell is: a few names and two scalar functions. No backend is known here.

Notation, for one unit of one sequence at one step: `z` are the pre-activations, `state` the states, `saved`
what backward needs besides the states. A gate's pre-activation is x_t W_xh + h_{t-1} W_hh + b_h, in the
columns of that gate. Backends do the matrix products and the time loop; the cell is what happens between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rnnbench.arithmetic import Scalar

Scalars = tuple[Scalar, ...]


@dataclass(frozen=True)
class Cell:
    """A recurrent cell as data: a driver generic in the number of gates and states runs it.

    Parameters of a layer of this cell with G gates: W_xh (I, G*H), W_hh (H, G*H), b_h (G*H,), the gates side by
    side in the order of `gates`; and one more bias of the recurrent product for each gate in `separate`.
    """

    name: str
    summary: str
    """One line: the equations."""
    gates: tuple[str, ...]
    """The gates in the order of the weights' columns."""
    forward_element: Callable[[Scalars, Scalars], tuple[Scalars, Scalars]]
    """(z, state) -> (next state, saved)."""
    backward_element: Callable[[Scalars, Scalars, Scalars, Scalars], tuple[Scalars, Scalars]]
    """(d_state, state, previous state, saved) -> (d_z, d_previous state by all paths but the matrix product)."""
    states: tuple[str, ...] = ("h",)
    """The states; the first is the one that the recurrent product and the next layer see."""
    saved: tuple[str, ...] = ()
    """The values forward_element saves for backward_element."""
    separate: tuple[str, ...] = ()
    """Gates whose input and recurrent products are not added by the driver: z then holds both."""
    separate_bias: str = ""
    """The parameter that holds the recurrent biases of the separate gates, (len(separate)*H,)."""
    late: tuple[str, ...] = ()
    """The last gates, if their recurrent product takes operand_element's value in the place of h_{t-1}."""
    operand_element: Callable[[Scalars, Scalars], Scalar] | None = None
    """(z, state) -> operand of the late gates' product; z of the late gates is not complete yet."""
    operand_backward_element: Callable[[Scalar, Scalars, Scalars], tuple[Scalar, Scalars, Scalars]] | None = None
    """(d_operand, previous state, saved) -> (operand, what it adds to d_z, what it adds to d_previous state)."""
    memory_gate: str | None = None
    """The gate that keeps memory when its bias is large and positive."""
    write_gate: str | None = None
    """The gate that lets new things into memory, where that is another one."""

    def __hash__(self) -> int:
        """Cells are looked up at every call; their names tell them apart well enough for that."""
        return hash(self.name)

    @property
    def preactivations(self) -> tuple[str, ...]:
        """The names of z: the first G come from the input's product, the last G from the recurrent one.

        >>> from rnnbench import cells
        >>> cells.get("gru").preactivations
        ('candidate_input', 'reset', 'update', 'candidate_recurrent')
        """
        shared = [gate for gate in self.gates if gate not in self.separate]
        return (
            *(f"{gate}_input" for gate in self.separate),
            *shared,
            *(f"{gate}_recurrent" for gate in self.separate),
        )

    @property
    def input_gates(self) -> tuple[int, ...]:
        """For each of the first G pre-activations, the gate whose weight columns feed it."""
        separate = [self.gates.index(gate) for gate in self.separate]
        return (*separate, *(g for g in range(len(self.gates)) if g not in separate))

    @property
    def recurrent_gates(self) -> tuple[int, ...]:
        """For each of the last G pre-activations, the gate whose weight columns feed it."""
        separate = [self.gates.index(gate) for gate in self.separate]
        return (*(g for g in range(len(self.gates)) if g not in separate), *separate)

    def parameter_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each parameter of a layer of this cell."""
        width = len(self.gates) * hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "W_xh": (input_size, width),
            "W_hh": (hidden_size, width),
            "b_h": (width,),
        }
        if self.separate:
            shapes[self.separate_bias] = (len(self.separate) * hidden_size,)
        return shapes
