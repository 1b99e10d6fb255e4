"""Claims about what training comes to: skills are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pandas as pd

from rnnbench.report.findings.base import Claim
from rnnbench.report.rows import Rows


class SkillClaim(Claim):
    """A claim whose value is the skill of each trial of the probe training."""

    probe = "training"
    quantities: ClassVar[Sequence[str]] = ("final_score", "baseline_score", "score_higher_is_better")
    settings: ClassVar[Sequence[str]] = ("task", "length")

    def frame(self, rows: Rows) -> pd.DataFrame:
        """See Claim.frame."""
        frame = rows.wide()
        return frame.assign(value=skill(frame))


def skill(frame: pd.DataFrame) -> np.ndarray:
    """Return the share of the baseline's error that training has taken away, one value a trial of the probe training.

    The error is the score where lower is better, and 1 minus the score where 1 is the best. Who is worse than the
    baseline, or diverged, has learned nothing: 0.
    """
    score, baseline = frame["final_score"].to_numpy(float), frame["baseline_score"].to_numpy(float)
    higher = frame["score_higher_is_better"].to_numpy(float) > 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 1 - np.where(higher, (1 - score) / (1 - baseline), score / baseline)
    return np.where(frame["status"] == "diverged", 0.0, np.maximum(share, 0.0))
