"""How far the cell state of an LSTM carries a gradient, and what of that is due to the bias of the forget gate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import pandas as pd

from rnnbench.report.findings._matching import Arm
from rnnbench.report.findings.base import Claim, Comparison, Region
from rnnbench.report.rows import Rows

MATTERS = 0.01  # nat a step: a gradient that lasts about 1 % longer with every step


def _biased(frame: pd.DataFrame) -> list[float]:
    """Return the positive forget biases of the LSTMs of a run."""
    if "gate_bias" not in frame:
        return []
    biases = frame.loc[frame["cell"] == "lstm", "gate_bias"].dropna().unique()
    return sorted(float(bias) for bias in biases if bias > 0)


class _Decay(Claim):
    """Slopes of the logarithm of the gradient's norm against the lag, at the initialisation of each cell."""

    group = "The cell state and the forget bias"
    unit = "nat/step"
    probe = "gradient_decay"
    quantities: ClassVar[Sequence[str]] = ("decay_slope",)
    settings = ("data", "initialization", "gain", "training_steps")


class LstmCarriesFurther(_Decay):
    """Slope of an LSTM with a forget bias less that of a plain RNN."""

    name = "lstm_carries_further"
    rank = (3, 1)
    hypothesis = "An LSTM with a positive forget bias carries gradients further back than a plain RNN."
    experiment = (
        "A gradient is put in at the last step, and its norm followed back. The effect is the difference of the slopes "
        "of ln norm against the lag; both cells have recurrent weights of the same kind."
    )
    effect_name = "slope, LSTM − RNN"
    expected = Region(low=MATTERS)

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield every positive bias."""
        for bias in _biased(frame):
            yield Comparison([Arm("LSTM", cell="lstm", gate_bias=bias), Arm("RNN", cell="rnn")], f"bias {bias:g}")


class CellAloneCarriesFurther(_Decay):
    """Slope of an LSTM without a forget bias less that of a plain RNN."""

    name = "cell_alone_carries_further"
    rank = (3, 2)
    hypothesis = "The cell state alone, without a forget bias, carries gradients further back than a plain RNN."
    experiment = "The same for an LSTM whose forget bias is 0: its forget gates start half shut."
    effect_name = LstmCarriesFurther.effect_name
    expected = Region(low=MATTERS)

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield a bias of 0."""
        yield Comparison([Arm("LSTM", cell="lstm", gate_bias=0.0), Arm("RNN", cell="rnn")], "bias 0")


class BiasDoesMost(_Decay):
    """What the bias adds to the slope, less what the cell adds without it."""

    name = "forget_bias_does_most"
    rank = (3, 3)
    hypothesis = "Of what an LSTM gains over a plain RNN, the forget bias does more than the cell."
    experiment = (
        "The difference of the slopes in two parts: what an LSTM with a forget bias of 0 has more than a plain RNN "
        "(the cell's part), and what the bias adds to that (the bias's part). The effect is the bias's part less the "
        "cell's."
    )
    effect_name = "slope, bias's part − cell's part"
    expected = Region(low=MATTERS)

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield every positive bias, with the LSTM without one and the RNN."""
        for bias in _biased(frame):
            biased = Arm(f"LSTM with bias {bias:g}", cell="lstm", gate_bias=bias)
            others = Arm("with bias 0", cell="lstm", gate_bias=0.0), Arm("RNN", cell="rnn")
            yield Comparison([biased, *others], f"bias {bias:g}")

    def effects(self, values: pd.DataFrame, arms: Sequence[Arm]) -> pd.Series:
        """Return (biased − without bias) − (without bias − RNN)."""
        biased, without, plain = (values[arm.label] for arm in arms)
        return (biased - without) - (without - plain)


class CellStateIsThePath(_Decay):
    """Slope of the whole gradient less that of the path through the forget gates alone."""

    name = "cell_state_is_the_path"
    rank = (3, 4)
    hypothesis = "What lasts of an LSTM's gradient goes back through the cell state alone."
    experiment = (
        "The slope of the whole gradient beside that of the path from cell state to cell state, which multiplies by "
        "the forget gates and touches no weights. The effect is their difference: what the paths through the "
        "weights add."
    )
    effect_name = "slope, all paths − cell state alone"
    expected = Region(-0.02, 0.02)
    quantities = ("decay_slope", "gates_only_decay_slope")

    def frame(self, rows: Rows) -> pd.DataFrame:
        """See Claim.frame."""
        frame = rows.wide()
        return frame.assign(value=frame["decay_slope"] - frame["gates_only_decay_slope"])

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield every forget bias."""
        for bias in [0.0, *_biased(frame)]:
            yield Comparison([Arm("LSTM", cell="lstm", gate_bias=bias)], f"bias {bias:g}")

    def effects(self, values: pd.DataFrame, arms: Sequence[Arm]) -> pd.Series:
        """Return the difference, which the value is."""
        return values.iloc[:, 0]


class CarouselKeepsAll(_Decay):
    """Slope of an LSTM that has no forget gate."""

    name = "carousel_keeps_all"
    rank = (3, 5)
    hypothesis = "Without a forget gate nothing of a gradient is lost: the constant error carousel."
    experiment = "The slope of the gradient's norm in an LSTM without forget gate, whose cell state only adds up."
    effect_name = "slope"
    expected = Region(low=-MATTERS)

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield the LSTM without forget gate."""
        yield Comparison([Arm("LSTM without forget gate", cell="lstm_no_forget")])

    def effects(self, values: pd.DataFrame, arms: Sequence[Arm]) -> pd.Series:
        """Return the slope."""
        return values.iloc[:, 0]
