"""Measure what recurrent networks can remember and what they cost.

>>> import numpy as np, rnnbench
>>> layer = rnnbench.Layer("lstm", input_size=8, hidden_size=64, backend="reference")
>>> trace = layer.forward(np.zeros((10, 2, 8)))
>>> trace.h.shape
(10, 2, 64)

Everything is imported at first use, so that `import rnnbench` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "InputError": "rnnbench.errors",
    "Layer": "rnnbench.layer",
    "Results": "rnnbench.sweeps.store",
    "Stack": "rnnbench.layer",
    "from_keras": "rnnbench.interchange.keras",
    "from_onnx": "rnnbench.interchange.onnx",
    "from_torch": "rnnbench.interchange.torch",
    "run": "rnnbench.sweeps.engine",
    "to_onnx": "rnnbench.interchange.onnx",
    "to_torch": "rnnbench.interchange.torch",
}

__all__ = [
    "InputError",
    "Layer",
    "Results",
    "Stack",
    "__version__",
    "from_keras",
    "from_onnx",
    "from_torch",
    "run",
    "to_onnx",
    "to_torch",
]

if TYPE_CHECKING:
    from rnnbench.errors import InputError
    from rnnbench.interchange.keras import from_keras
    from rnnbench.interchange.onnx import from_onnx, to_onnx
    from rnnbench.interchange.torch import from_torch, to_torch
    from rnnbench.layer import Layer, Stack
    from rnnbench.sweeps.engine import run
    from rnnbench.sweeps.store import Results


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rnnbench' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
