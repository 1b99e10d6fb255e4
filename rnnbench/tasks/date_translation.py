"""Date translation: a date as people write it is written as ISO 8601 has it."""

from __future__ import annotations

import datetime
from functools import cache

import numpy as np

from rnnbench.tasks._examples import half_certain
from rnnbench.tasks._text import words
from rnnbench.tasks._translation import Corpus, Translation, corpus
from rnnbench.tasks.base import Batch

FIRST, LAST = datetime.date(1970, 1, 1), datetime.date(2029, 12, 31)
MONTHS = words("january february march april may june july august september october november december")
DAYS = words("monday tuesday wednesday thursday friday saturday sunday")
HELD_OUT = 500  # dates; each is evaluated in every format


def written(date: datetime.date) -> tuple[str, ...]:
    """Return the four ways a date is written."""
    month, weekday = MONTHS[date.month - 1], DAYS[date.weekday()]
    return (
        f"{date.day} {month} {date.year}",
        f"{month} {date.day}, {date.year}",
        f"{weekday}, {date.day} {month[:3]} {date.year}",
        f"{date.day}/{date.month}/{date.year}",
    )


@cache
def dates() -> Corpus:
    """Return every date in every format as characters; 500 dates are held out, whatever the seed."""
    days = [FIRST + datetime.timedelta(n) for n in range((LAST - FIRST).days + 1)]
    held_out = np.zeros(len(days), bool)
    held_out[np.random.default_rng(0).permutation(len(days))[:HELD_OUT]] = True
    pairs = [(text, day.isoformat()) for day in days for text in written(day)]
    return corpus(pairs, np.repeat(held_out, len(written(FIRST))))


class DateTranslation(Translation):
    """Write a date that people write in several ways as ISO 8601: "march 5, 2021" becomes "2021-03-05".

    Encoding: characters as tokens (22, B), padded, with lengths. Dates of 1970 to 2029 in four formats:
    "5 march 2021", "march 5, 2021", "friday, 5 mar 2021" and "5/3/2021", the day first.
    Target: the ten characters of the ISO date and an end, (11, B).
    Loss: cross-entropy under teacher forcing. Metric: exact match of greedy decoding.
    Data: synthetic, by rule; 500 of 21,915 dates are held out in all formats, the same for every seed.
    Baseline: always the same held-out date, with half of the probability on it.
    Solved: at least 99 % of the held-out dates exactly right.
    Source: the task is that of many tutorials on attention; the wiring is Sutskever, Vinyals & Le 2014.
    """

    name = "date_translation"
    default_length = 22
    solved_threshold = 0.99
    baseline_name = "always the same date"

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self._read(dates())

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return logits of the first held-out date, whatever was asked."""
        logits = half_certain(self._examples.targets[:, self._split.held_out[0]], self.output_size)
        return np.broadcast_to(logits[:, None], (*batch.targets.shape, self.output_size))
