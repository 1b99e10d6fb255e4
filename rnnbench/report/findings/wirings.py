"""Whether the wirings fit what they are used for: each learns it, and another wiring of the same data does worse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import pandas as pd

from rnnbench.report import wording
from rnnbench.report.findings._matching import Arm
from rnnbench.report.findings._trained import SkillClaim
from rnnbench.report.findings.base import Comparison, Region


class _Wired(SkillClaim):
    """Skills after training."""

    group = "Wirings and what they are used for"
    parameters: ClassVar[Sequence[str]] = ("task",)
    settings: ClassVar[Sequence[str]] = ()


class WiringLearns(_Wired):
    """Skill of each application in its wiring."""

    name = "wiring_learns_its_use"
    rank = (6, 1)
    hypothesis = "Every wiring learns what it is used for."
    experiment = (
        "An application of each wiring is trained and scored on held-out data. The effect is its skill: the share of "
        "the error of the naive baseline that training takes away. Expected is half of it or more."
    )
    effect_name = "skill"
    expected = Region(low=0.5)

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield the applications among the tasks, wiring by wiring."""
        from rnnbench import tasks  # loads every task's module, which pages without training need not
        from rnnbench.network import WIRINGS

        kinds = [tasks.entries().get(str(task)) for task in frame["task"].unique()]
        places = {name: place for place, name in enumerate(WIRINGS)}
        known = [kind for kind in kinds if kind is not None and kind.application]
        for kind in sorted(known, key=lambda kind: (places[kind.wiring], kind.name)):
            yield Comparison([Arm("trained", task=kind.name)], f"{kind.wiring}: {wording.words(kind.name)}")

    def effects(self, values: pd.DataFrame, arms: Sequence[Arm]) -> pd.Series:
        """Return the skill."""
        return values.iloc[:, 0]


class SequenceBeatsOneStep(_Wired):
    """Skill of a network that reads many steps less that of one that reads the last alone."""

    name = "sequence_beats_one_step"
    rank = (6, 2)
    hypothesis = "A network that reads the steps before does better than one that sees a single step."
    experiment = (
        "The same data are read a single step at a time, which makes the network one-to-one, a multilayer perceptron; "
        "and many steps at a time. The effect is the difference of the skills."
    )
    effect_name = "skill, many steps − one step"
    expected = Region(low=0.05)
    parameters = ("task", "length")
    settings = ("task", "cell")

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield every task that was trained at one step and at more, at the most."""
        for task, part in frame.groupby("task"):
            lengths = sorted(part["length"].dropna().unique())
            if len(lengths) > 1 and lengths[0] == 1:
                many = Arm(f"{lengths[-1]:g} steps", task=task, length=lengths[-1])
                yield Comparison([many, Arm("one step", task=task, length=1)], wording.words(str(task)))


class ImageAtOnce(_Wired):
    """Skill on digits seen at once less that on digits read pixel by pixel."""

    name = "image_at_once"
    rank = (6, 3)
    hypothesis = "What is there all at once is better read at once: one-to-one fits an image, many-to-one does not."
    experiment = (
        "The same digits with the same split, seen in a single step and read pixel by pixel. The effect is the "
        "difference of the skills after as many training steps."
    )
    effect_name = "skill, at once − pixel by pixel"
    expected = Region(low=0.02)
    settings = ("cell",)

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield both readings."""
        at_once = Arm("at once", task="digit_images")
        yield Comparison([at_once, Arm("pixel by pixel", task="sequential_digits", length=64)])


class BothDirectionsTag(_Wired):
    """Skill of a bidirectional tagger less that of one that reads forward alone."""

    name = "both_directions_tag"
    rank = (6, 4)
    hypothesis = "Tagging, many-to-many in step, gains from reading in both directions."
    experiment = (
        "Words are tagged by a network that reads forward, and by one that reads backward too, with as many units in "
        "each direction. The effect is the difference of the skills."
    )
    effect_name = "skill, both directions − forward"
    expected = Region(low=0.05)
    parameters = ("task", "bidirectional")
    settings = ("task", "cell")

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield both readings of each task that has been tagged in both."""
        both = Arm("both directions", bidirectional=True)
        yield Comparison([both, Arm("forward", bidirectional=False)])


class TranslationNeedsTwoStacks(_Wired):
    """Skill of sequence-to-sequence less that of many-to-many in step, on the same pairs."""

    name = "translation_needs_sequence_to_sequence"
    rank = (6, 5)
    hypothesis = "Translation needs sequence-to-sequence: answers in step with what is read come too soon."
    experiment = (
        "The same numbers are translated by an encoder and a decoder, and by one network that answers while it reads; "
        "units are as many in each. The effect is the difference of the skills."
    )
    effect_name = "skill, sequence-to-sequence − in step"
    expected = Region(low=0.05)
    settings = ("cell",)

    def comparisons(self, frame: pd.DataFrame) -> Iterator[Comparison]:
        """Yield both wirings."""
        apart = Arm("sequence-to-sequence", task="number_translation")
        yield Comparison([apart, Arm("in step", task="number_translation_aligned")])
