"""JAX on the CPU: jax.lax.scan over the steps, the input's product for all of them before, all under jax.jit.

The loop is not unrolled: that made it slower at most shapes tried (2, 4 and 8 steps), and longer to compile at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnbench import cells
from rnnbench.backends.base import Arrays
from rnnbench.implementations.base import Implementation, Prepared, Workload


class Jax(Implementation):
    """JAX: lax.scan under jit, compiled by XLA for the CPU; gradients by jax.vjp."""

    name = "jax"
    packages = ("jax", "jaxlib")
    cells = ("rnn", "rnn_relu", "lstm", "gru", "gru_reset_before")

    def environment(self, workload: Workload) -> dict[str, str]:
        """Keep to the CPU, also where there is a GPU, and size XLA's thread pool.

        Seen with jaxlib 0.10: the pool has as many threads as the process has cores, or as NPROC says, and a call uses
        no more CPU than that; --xla_cpu_multi_thread_eigen=false is needed for neither.
        """
        return {"JAX_PLATFORMS": "cpu", "NPROC": str(workload.threads)}

    def prepare(self, workload: Workload, arrays: Arrays) -> Prepared:
        """See Implementation.prepare."""
        return Compiled(workload, arrays)


class Compiled(Prepared):
    """The compiled function and its arguments on the device."""

    def __init__(self, workload: Workload, arrays: Arrays) -> None:
        import jax

        jax.config.update("jax_enable_x64", workload.dtype == "float64")
        run = layer(jax, workload.cell)

        def forward_backward(params: dict[str, Any], x: Any, d_h: Any) -> Any:
            h, pullback = jax.vjp(run, params, x)
            return h, *pullback(d_h)

        names = cells.get(workload.cell).parameter_shapes(1, 1)
        params = {name: jax.numpy.asarray(arrays[name]) for name in names}
        x, d_h = (jax.numpy.asarray(arrays[name]) for name in ("x", "d_h"))
        self.jax = jax
        self.backward = workload.direction == "forward_backward"
        self.arguments = (params, x, d_h) if self.backward else (params, x)
        self.function = jax.jit(forward_backward if self.backward else run)

    def call(self) -> Any:
        """See Prepared.call."""
        return self.jax.block_until_ready(self.function(*self.arguments))

    def outputs(self) -> Arrays:
        """See Prepared.outputs."""
        if not self.backward:
            return {"h": np.asarray(self.call())}
        h, d_params, d_x = self.call()
        by_name = {"h": h, "d_x": d_x, **{f"d_{name}": value for name, value in d_params.items()}}
        return {name: np.asarray(value) for name, value in by_name.items()}


def layer(jax: Any, cell: str) -> Callable[[dict[str, Any], Any], Any]:
    """Return the function (params, x) -> h (T, B, H) of a cell, from states of zeros."""
    numpy, sigmoid = jax.numpy, jax.nn.sigmoid

    def rnn(params: dict[str, Any], h: Any, projected: Any) -> tuple[Any, Any]:
        h = numpy.tanh(projected + h @ params["W_hh"])
        return h, h

    def rnn_relu(params: dict[str, Any], h: Any, projected: Any) -> tuple[Any, Any]:
        h = jax.nn.relu(projected + h @ params["W_hh"])
        return h, h

    def lstm(params: dict[str, Any], state: tuple[Any, Any], projected: Any) -> tuple[Any, Any]:
        h, c = state
        i, f, g, o = numpy.split(projected + h @ params["W_hh"], 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * numpy.tanh(g)
        h = sigmoid(o) * numpy.tanh(c)
        return (h, c), h

    def gru(params: dict[str, Any], h: Any, projected: Any) -> tuple[Any, Any]:
        r_x, z_x, n_x = numpy.split(projected, 3, axis=1)
        r_h, z_h, n_h = numpy.split(h @ params["W_hh"], 3, axis=1)
        r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
        n = numpy.tanh(n_x + r * (n_h + params["b_hn"]))
        h = n + z * (h - n)
        return h, h

    def gru_reset_before(params: dict[str, Any], h: Any, projected: Any) -> tuple[Any, Any]:
        size = 2 * h.shape[1]
        r, z = numpy.split(sigmoid(projected[:, :size] + h @ params["W_hh"][:, :size]), 2, axis=1)
        n = numpy.tanh(projected[:, size:] + (r * h) @ params["W_hh"][:, size:])
        h = n + z * (h - n)
        return h, h

    step = {"rnn": rnn, "rnn_relu": rnn_relu, "lstm": lstm, "gru": gru, "gru_reset_before": gru_reset_before}[cell]

    def run(params: dict[str, Any], x: Any) -> Any:
        zeros = numpy.zeros((x.shape[1], params["W_hh"].shape[0]), x.dtype)
        start = (zeros, zeros) if cell == "lstm" else zeros
        projected = x @ params["W_xh"] + params["b_h"]
        return jax.lax.scan(lambda state, at_step: step(params, state, at_step), start, projected)[1]

    return run
