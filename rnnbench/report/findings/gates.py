"""What each gate of an LSTM is for: the cell is trained without it."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from rnnbench.report.findings._matching import Arm
from rnnbench.report.findings._trained import SkillClaim
from rnnbench.report.findings.base import Comparison, Region


class _Ablation(SkillClaim):
    """Skill of an LSTM less that of one without a gate, after the same training."""

    group = "The gates of an LSTM, taken out one at a time"
    effect_name = "skill, with the gate − without it"
    expected = Region(low=0.05)
    gate: str

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield the whole cell against the one without the gate."""
        yield Comparison([Arm("LSTM", cell="lstm"), Arm(f"without {self.gate} gate", cell=f"lstm_no_{self.gate}")])


class InputGateMatters(_Ablation):
    """The input gate taken out: everything is written."""

    name = "input_gate_matters"
    rank = (4, 1)
    gate = "input"
    hypothesis = "The input gate keeps out what does not matter: without it an LSTM learns less."
    experiment = (
        "An LSTM and one without input gate (i = 1) are trained alike. The effect is the difference of their skills, "
        "the share of the baseline's error that training takes away; 0.05 is a twentieth of it."
    )


class ForgetGateMatters(_Ablation):
    """The forget gate taken out: nothing is forgotten."""

    name = "forget_gate_matters"
    rank = (4, 2)
    gate = "forget"
    hypothesis = "The forget gate clears what is no longer needed: without it an LSTM learns less."
    experiment = "The same for an LSTM without forget gate (f = 1), whose cell state only adds up."


class OutputGateMatters(_Ablation):
    """The output gate taken out: the whole memory is shown at every step."""

    name = "output_gate_matters"
    rank = (4, 3)
    gate = "output"
    hypothesis = "The output gate holds back what is not needed yet: without it an LSTM learns less."
    experiment = "The same for an LSTM without output gate (o = 1), which shows all of its memory at every step."
