"""The ONNX operators RNN, LSTM and GRU: which cell each computes, and how its weights lie.

For D directions ONNX keeps W (D, G*H, I), R (D, G*H, H) and B (D, 2*G*H), where we keep the transposes, and one bias
for the two in B = [Wb, Rb] but for the candidate of a GRU that resets after its product (linear_before_reset). Gate
orders: LSTM input, output, forget, cell; GRU update, reset, hidden.

    RNN     h_t = f(x_t W^T + h_{t-1} R^T + Wb + Rb), f = Tanh or Relu
    LSTM    f = Sigmoid, g = h = Tanh; no peepholes, no coupled gates (input_forget), no clip
    GRU     f = Sigmoid, g = Tanh; linear_before_reset 1: cell "gru", 0: "gru_reset_before"

Source: the ONNX operator specification, RNN, LSTM and GRU, opset 22 and before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnbench import cells
from rnnbench.backends.base import Arrays
from rnnbench.errors import InputError, ShapeError
from rnnbench.interchange._onnx_graph import Graph, attributes, label
from rnnbench.interchange.biases import folded, unfolded


@dataclass(frozen=True)
class Operator:
    """The operator that computes what a cell computes: its name, activations, gate order, and what it needs besides."""

    name: str
    activations: tuple[str, ...]
    order: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


_GRU_ORDER = ("update", "reset", "candidate")
OPERATORS = {
    "rnn": Operator("RNN", ("Tanh",), ("hidden",)),
    "rnn_relu": Operator("RNN", ("Relu",), ("hidden",)),
    "lstm": Operator("LSTM", ("Sigmoid", "Tanh", "Tanh"), ("input", "output", "forget", "candidate")),
    "gru": Operator("GRU", ("Sigmoid", "Tanh"), _GRU_ORDER, {"linear_before_reset": 1}),
    "gru_reset_before": Operator("GRU", ("Sigmoid", "Tanh"), _GRU_ORDER, {"linear_before_reset": 0}),
}
"""For each of our cells its operator."""
DEFAULT_ACTIVATIONS = {"RNN": ("Tanh",), "LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh")}
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


def read_weights(cell: str, w: np.ndarray, r: np.ndarray, b: np.ndarray) -> Arrays:
    """Return a layer's parameters, given W (G*H, I), R (G*H, H) and B (2*G*H,) of one direction."""
    known, order = cells.get(cell), OPERATORS[cell].order
    places = [order.index(gate) for gate in known.gates]

    def columns(rows: np.ndarray) -> np.ndarray:
        return np.concatenate([np.split(rows, len(order))[k] for k in places]).T.copy()

    bias, recurrent = (columns(part) for part in np.split(b, 2))
    return {"W_xh": columns(w), "W_hh": columns(r), **folded(known, bias, recurrent)}


def written_weights(cell: str, params: Arrays) -> Arrays:
    """Return W (1, G*H, I), R (1, G*H, H) and B (1, 2*G*H) of a layer's parameters."""
    known, order = cells.get(cell), OPERATORS[cell].order
    places = [known.gates.index(gate) for gate in order]

    def rows(columns: np.ndarray) -> np.ndarray:
        return np.concatenate([np.split(columns.T, len(order))[k] for k in places])[None]

    biases = [rows(bias) for bias in unfolded(known, params)]
    return {"W": rows(params["W_xh"]), "R": rows(params["W_hh"]), "B": np.concatenate(biases, axis=1)}


def is_recurrent(node: Any) -> bool:
    """Tell whether a node is one of the three operators."""
    return node.op_type in DEFAULT_ACTIVATIONS and node.domain in ("", "ai.onnx")


class RecurrentNode:
    """A recurrent node as a level of a Stack: its cell, its sizes, and the parameters of each direction."""

    def __init__(self, graph: Graph, node: Any) -> None:
        self.graph = graph
        self.label = label(node)
        self.operator = node.op_type
        self.outputs = [*node.output, "", "", ""][:3]
        self.inputs = dict(zip(INPUTS, [*node.input, *[""] * 7], strict=False))
        self.attributes = attributes(node)
        self.direction = self.attributes.get("direction", "forward")
        if self.direction not in DIRECTIONS:
            raise InputError(f"{self.label}: direction is {self.direction}; expected one of {', '.join(DIRECTIONS)}")
        self.directions = DIRECTIONS[self.direction]
        self._refuse()
        self.cell = self._cell()
        w, r = self._weights("W"), self._weights("R")
        self.hidden_size, self.input_size = r.shape[-1], w.shape[-1]
        self.dtype = str(w.dtype)
        width = len(OPERATORS[self.cell].order) * self.hidden_size
        b = self._weights("B") if self.inputs["B"] else np.zeros((self.directions, 2 * width), w.dtype)
        if self.attributes.get("hidden_size", self.hidden_size) != self.hidden_size:
            said = self.attributes["hidden_size"]
            raise ShapeError(f"{self.label}: hidden_size is {said}, and R has shape {r.shape}; expected (D, G*H, H)")
        if len({array.dtype for array in (w, r, b)}) > 1:
            raise InputError(f"{self.label}: W is {w.dtype}, R {r.dtype}, B {b.dtype}; expected one dtype")
        expected = {"W": (width, self.input_size), "R": (width, self.hidden_size), "B": (2 * width,)}
        for (name, shape), array in zip(expected.items(), (w, r, b), strict=True):
            if array.shape != (self.directions, *shape):
                raise ShapeError(f"{self.label}: {name} has shape {array.shape}; expected {(self.directions, *shape)}")
        self.params = [read_weights(self.cell, *arrays) for arrays in zip(w, r, b, strict=True)]

    @property
    def batch_first(self) -> bool:
        """Whether x is (B, T, I) and h (B, T, D, H), layout 1, in the place of (T, B, I) and (T, D, B, H)."""
        return bool(self.attributes.get("layout", 0))

    def _refuse(self) -> None:
        """Raise InputError for what no cell and no Stack has."""
        clip = self.attributes.get("clip")
        if clip is not None and not clip >= np.finfo(np.float32).max:
            raise InputError(f"{self.label}: clip is {clip:g}; no cell clips its pre-activations")
        for name in ("input_forget", "layout", "linear_before_reset"):
            if self.attributes.get(name, 0) not in (0, 1):
                raise InputError(f"{self.label}: {name} is {self.attributes[name]}; expected 0 or 1")
        if self.attributes.get("input_forget", 0):
            raise InputError(f"{self.label}: input_forget is 1; no cell couples its input and forget gates")
        if self.inputs["P"] and not self.graph.is_zero(self.inputs["P"]):
            raise InputError(f"{self.label}: it has peepholes (P); no cell has")
        if self.direction == "reverse":
            raise InputError(
                f"{self.label}: direction is reverse; a Layer runs forward. With direction forward the same weights "
                "compute the same on an input in reverse order, rnnbench.layer.reverse(x, lengths)"
            )

    def _cell(self) -> str:
        """Return the cell with this node's activations; Tanh, Sigmoid and Relu make no use of alpha and beta."""
        default = DEFAULT_ACTIVATIONS[self.operator]
        named = tuple(self.attributes.get("activations", default * self.directions))
        kinds = {name: each for name, each in OPERATORS.items() if each.name == self.operator}
        for name, each in kinds.items():
            if tuple(map(str.lower, named)) != tuple(map(str.lower, each.activations * self.directions)):
                continue
            if all(self.attributes.get(key, 0) == value for key, value in each.attributes.items()):
                return name
        sides = [each.activations * self.directions for each in kinds.values()]
        known = " or ".join(dict.fromkeys(f"({', '.join(side)})" for side in sides))
        raise InputError(f"{self.label}: activations are ({', '.join(named)}); expected {known}")

    def _weights(self, name: str) -> np.ndarray:
        if self.inputs[name] in self.graph.sparse:
            raise InputError(f"{self.label}: {name} is a sparse tensor; expected a dense one")
        array = self.graph.constant(self.inputs[name])
        if array is None:
            value = self.inputs[name]
            how = "from inputs" if self.graph.depends_on_inputs(value) else f"by {self.graph.origin(value)}"
            raise InputError(f"{self.label}: {name} is computed {how}; expected numbers stored in the model")
        if array.dtype not in (np.float32, np.float64):
            raise InputError(f"{self.label}: {name} is {array.dtype}; expected float32 or float64")
        if array.ndim != (2 if name == "B" else 3):
            raise ShapeError(f"{self.label}: {name} has shape {array.shape}; expected {2 if name == 'B' else 3} axes")
        return array
