"""The same weights at every step: they are counted once, and every step adds to their gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from rnnbench.report.findings._matching import Arm
from rnnbench.report.findings.base import Claim, Comparison, Region
from rnnbench.report.rows import Rows


class ParametersDoNotGrow(Claim):
    """The exponent a in parameters ~ T^a between the shortest and the longest sequences of a run."""

    name = "parameters_do_not_grow"
    rank = (1, 1)
    group = "One set of weights for all steps"
    hypothesis = "A recurrent layer has as many parameters for long sequences as for short ones."
    experiment = (
        "The parameters of a layer are counted at the shortest and at the longest sequences. The effect is the "
        "exponent a in parameters ~ Tᵃ: 0 where they are shared, 1 where every step has weights of its own."
    )
    effect_name = "exponent of the length"
    expected = Region(-0.01, 0.01)
    probe = "parameter_gradient"
    quantities = ("parameter_count",)
    parameters = ("length",)
    settings = ("cell",)

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield the longest sequences against the shortest."""
        lengths = sorted(frame["length"].dropna().unique())
        if len(lengths) > 1:
            yield Comparison([Arm(f"at {length:g} steps", length=length) for length in (lengths[-1], lengths[0])])

    def effects(self, values: pd.DataFrame, arms: Sequence[Arm]) -> pd.Series:
        """Return ln(ratio of the counts) / ln(ratio of the lengths)."""
        longest, shortest = (arm.where["length"] for arm in arms)
        return (values.iloc[:, 0] / values.iloc[:, 1]).map(math.log) / math.log(longest / shortest)


class GradientIsASum(Claim):
    """Digits to which the sum of the steps' shares agrees with the gradient of one pass through the whole sequence."""

    name = "gradient_is_a_sum"
    rank = (1, 2)
    group = ParametersDoNotGrow.group
    hypothesis = "The gradient of a shared weight is the sum of what every step adds to it."
    experiment = (
        "The share of every step is computed with the weights of that step alone, and their sum is set beside the "
        "gradient that one backward pass through the whole sequence gives. The effect is how many decimal digits of "
        "the two agree, for the parameter where they agree least; float64 has 16."
    )
    effect_name = "agreement"
    unit = "digits"
    expected = Region(low=6.0)
    probe = "parameter_gradient"
    quantities = ("sum_of_shares_error_W_xh", "sum_of_shares_error_W_hh", "sum_of_shares_error_b_h")
    parameters = ()
    settings = ("cell",)

    def frame(self, rows: Rows) -> pd.DataFrame:
        """See Claim.frame; the value is −log10 of the largest relative difference."""
        frame = rows.wide()
        largest = frame[list(self.quantities)].max(axis=1, skipna=False)
        return frame.assign(value=-np.log10(largest.clip(lower=np.finfo(float).eps)))

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield all trials; each holds both sides."""
        yield Comparison([Arm("agree")])

    def effects(self, values: pd.DataFrame, arms: Sequence[Arm]) -> pd.Series:
        """Return the digits."""
        return values.iloc[:, 0]
