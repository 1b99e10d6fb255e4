"""What clipping the norm of the gradient does, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from rnnbench.report.findings._matching import Arm
from rnnbench.report.findings._trained import SkillClaim
from rnnbench.report.findings.base import Claim, Comparison, Region
from rnnbench.report.findings.spectral_radius import GROUP
from rnnbench.report.rows import Rows


class _Clipping(Claim):
    """Training with a bound on the global norm against training without any."""

    group = GROUP
    parameters = ("cell", "gain", "clip_norm", "clip_value", "regularization")
    settings: ClassVar[Sequence[str]] = ("task", "length", "gain")

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield every bound against none."""
        others = {"cell": "rnn", "clip_value": 0.0, "regularization": 0.0}
        for bound in sorted(frame.loc[frame["clip_norm"] > 0, "clip_norm"].unique()):
            clipped = Arm("clipped", clip_norm=bound, **others)
            yield Comparison([Arm("not clipped", clip_norm=0.0, **others), clipped], f"norm ≤ {bound:g}")


class ClippingStopsExplosions(_Clipping):
    """How many decades shorter the longest step of a training is with clipping than without, at gains above 1."""

    name = "clipping_stops_explosions"
    rank = (2, 4)
    hypothesis = "Clipping the gradient's norm stops the steps of training from exploding."
    experiment = (
        "A plain RNN is trained from recurrent weights whose gain is above 1, with and without clipping, from the same "
        "weights on the same data. The effect is how many powers of ten shorter its longest step is with clipping, "
        "where a step is the norm of the change of all weights. A step that is no number counts as the largest of "
        "float32, 3.4×10³⁸. Whether it learns then is another question: losses are in the rows of the run."
    )
    effect_name = "log₁₀ of the longest step, not clipped − clipped"
    expected = Region(low=1.0)
    probe = "exploding"
    quantities = ("largest_update_norm",)

    def frame(self, rows: Rows) -> pd.DataFrame:
        """See Claim.frame; only trials at gains above 1."""
        frame = rows.wide()
        longest = frame["largest_update_norm"].fillna(np.inf).clip(upper=float(np.finfo(np.float32).max))
        return frame.assign(value=np.log10(longest))[frame["gain"] > 1]


class ClippingDoesNotHelpMemory(_Clipping, SkillClaim):
    """How much more a plain RNN learns with clipping than without, at gains that do not explode."""

    name = "clipping_does_not_help_memory"
    rank = (2, 5)
    hypothesis = "Clipping does nothing against gradients that vanish."
    experiment = (
        "A plain RNN whose gradients vanish is trained on a task that needs memory, with and without clipping. The "
        "effect is what clipping adds to its skill, the share of the baseline's error that training takes away. The "
        "same task is learned by cells with gates: see below."
    )
    effect_name = "skill, clipped − not clipped"
    expected = Region(high=0.05)

    def frame(self, rows: Rows) -> pd.DataFrame:
        """See Claim.frame; only trials at gains up to 1."""
        frame = super().frame(rows)
        return frame[frame["gain"] <= 1]

    def effects(self, values: pd.DataFrame, arms: Sequence[Arm]) -> pd.Series:
        """Return what clipping adds."""
        return values["clipped"] - values["not clipped"]
