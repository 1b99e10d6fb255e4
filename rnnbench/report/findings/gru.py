"""The GRU beside the LSTM: smaller, cheaper, and as good or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from rnnbench.report.findings._matching import Arm
from rnnbench.report.findings._trained import SkillClaim
from rnnbench.report.findings.base import Claim, Comparison, Region


class _BesideLstm(Claim):
    """Both cells, as large."""

    group = "GRU and LSTM"

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield both cells."""
        yield Comparison([Arm("GRU", cell="gru"), Arm("LSTM", cell="lstm")])


class _Ratio(_BesideLstm):
    """A ratio of the two."""

    def effects(self, values: pd.DataFrame, arms: Sequence[Arm]) -> pd.Series:
        """Return GRU over LSTM."""
        return values["GRU"] / values["LSTM"]


class GruIsSmaller(_Ratio):
    """Parameters of a GRU layer over those of an LSTM layer."""

    name = "gru_has_three_quarters"
    rank = (5, 1)
    hypothesis = "A GRU has three quarters of the parameters of an LSTM of the same size."
    experiment = (
        "The parameters of both layers are counted, with as many inputs and units. A GRU that resets after the product "
        "has one bias a unit more than three gates need. Expected is 3/4 to within 2 %."
    )
    effect_name = "parameters, GRU / LSTM"
    expected = Region(0.735, 0.765)
    probe = "parameter_gradient"
    quantities = ("parameter_count",)
    settings = ("hidden",)


class GruIsCheaper(_Ratio):
    """Time of a GRU layer over that of an LSTM layer."""

    name = "gru_is_cheaper"
    rank = (5, 2)
    hypothesis = "A step of a GRU takes less time than one of an LSTM."
    experiment = (
        "Both layers run forward, or forward and backward, on the CPU of the run. The effect is the ratio of the "
        "median times, trial by trial; less time is at least 5 % less."
    )
    effect_name = "time, GRU / LSTM"
    value_unit = "s"
    expected = Region(high=0.95)
    probe = "throughput"
    quantities = ("median_time",)
    settings = ("direction", "hidden")


class GruIsAsGood(_BesideLstm, SkillClaim):
    """Skill of a GRU less that of an LSTM, after the same training."""

    name = "gru_is_as_good"
    rank = (5, 3)
    hypothesis = "A GRU learns as well as an LSTM."
    experiment = (
        "Both cells are trained alike. The effect is the difference of their skills, the share of the baseline's error "
        "that training takes away: as good is closer than a tenth of it. Where neither has learned that much, nothing "
        "can be said."
    )
    effect_name = "skill, GRU − LSTM"
    expected = Region(-0.1, 0.1)

    def effects(self, values: pd.DataFrame, arms: Sequence[Arm]) -> pd.Series:
        """Return the difference of the skills, NaN where neither cell has learned: equally bad is not as good."""
        return super().effects(values, arms).where(values.max(axis=1) >= self.expected.high)
