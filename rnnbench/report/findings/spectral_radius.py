"""Whether gradients of a plain RNN vanish or explode, told from the spectral radius of its recurrent weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from rnnbench.report.findings._matching import Arm
from rnnbench.report.findings.base import Claim, Comparison, Region
from rnnbench.report.rows import Rows

GROUP = "Vanishing and exploding gradients"


class _LongRunRate(Claim):
    """The largest Lyapunov exponent: the rate at which a gradient changes in the long run, step by step."""

    group = GROUP
    unit = "nat/step"
    probe = "lyapunov"
    quantities = ("largest_exponent", "log_spectral_radius")
    parameters = ("cell", "gain")
    settings = ("initialization", "gain")

    def effects(self, values: pd.DataFrame, arms: Sequence[Arm]) -> pd.Series:
        """Return the value itself."""
        return values.iloc[:, 0]


class LinearRate(_LongRunRate):
    """The exponent less the logarithm of the spectral radius, where there is no nonlinearity."""

    name = "linear_rate_is_the_radius"
    rank = (2, 1)
    hypothesis = "In a linear RNN gradients change at the rate ln ρ, ρ being the spectral radius of W_hh."
    experiment = (
        "The largest Lyapunov exponent of an RNN without nonlinearity is measured by QR over many steps. The effect is "
        "its difference from ln ρ."
    )
    effect_name = "exponent − ln ρ"
    expected = Region(-0.01, 0.01)

    def frame(self, rows: Rows) -> pd.DataFrame:
        """See Claim.frame."""
        frame = rows.wide()
        return frame.assign(value=frame["largest_exponent"] - frame["log_spectral_radius"])

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield the linear RNN."""
        yield Comparison([Arm("linear RNN", cell="rnn_linear")])


class _TanhRate(_LongRunRate):
    effect_name = "largest Lyapunov exponent"
    above: bool

    def frame(self, rows: Rows) -> pd.DataFrame:
        """See Claim.frame; only trials on the claim's side of ρ = 1."""
        frame = rows.wide()
        side = frame["log_spectral_radius"] > 0 if self.above else frame["log_spectral_radius"] < 0
        return frame[side].assign(value=frame["largest_exponent"])

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield the tanh RNN, with the mean spectral radius of what is found."""
        for gain, part in frame[frame["cell"] == "rnn"].groupby("gain"):
            radius = float(np.exp(part["log_spectral_radius"].mean()))
            yield Comparison([Arm("RNN", cell="rnn", gain=gain)], f"ρ = {radius:.2f}")


class VanishesBelowOne(_TanhRate):
    """The exponent of a tanh RNN whose spectral radius is below 1."""

    name = "vanishes_below_radius_one"
    rank = (2, 2)
    hypothesis = "Gradients of a plain RNN vanish where the spectral radius is below 1."
    experiment = (
        "The largest Lyapunov exponent of a tanh RNN at its initialisation: the rate at which the gradient that lasts "
        "longest changes, step by step."
    )
    expected = Region(high=0.0)
    above = False


class ExplodesAboveOne(_TanhRate):
    """The exponent of a tanh RNN whose spectral radius is above 1."""

    name = "explodes_above_radius_one"
    rank = (2, 3)
    hypothesis = "Gradients of a plain RNN explode where the spectral radius is above 1."
    experiment = (
        "The same at spectral radii above 1. A tanh that saturates has slopes below 1, so that a radius above 1 is "
        "needed for an explosion, and need not be enough (Pascanu, Mikolov & Bengio 2013)."
    )
    expected = Region(low=0.0)
    above = True
