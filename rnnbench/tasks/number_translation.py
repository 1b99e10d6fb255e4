"""Number translation: a number in English words is said in French."""

from __future__ import annotations

from functools import cache

import numpy as np

from rnnbench.tasks._examples import half_certain
from rnnbench.tasks._text import tokenize, words
from rnnbench.tasks._translation import END, Corpus, Translation, corpus
from rnnbench.tasks.base import Batch

LARGEST = 9999
HELD_OUT = 1000  # numbers

ENGLISH = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
ENGLISH_TENS = words("twenty thirty forty fifty sixty seventy eighty ninety")
FRENCH = words(
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize "
    "dix-sept dix-huit dix-neuf"
)
FRENCH_TENS = words("vingt trente quarante cinquante soixante soixante-dix quatre-vingt quatre-vingt-dix")


def english(number: int) -> list[str]:
    """Return a number from 1 to 9999 in English words: 73 is seventy three."""
    said = []
    thousands, hundreds, rest = number // 1000, number // 100 % 10, number % 100
    if thousands:
        said += [ENGLISH[thousands], "thousand"]
    if hundreds:
        said += [ENGLISH[hundreds], "hundred"]
    if rest >= 20:
        said.append(ENGLISH_TENS[rest // 10 - 2])
        rest %= 10
    return said + ([ENGLISH[rest]] if rest else [])


def french(number: int) -> list[str]:
    """Return a number from 1 to 9999 in French words, hyphens as spaces: 73 is soixante treize, 80 quatre vingts."""
    said = []
    thousands, hundreds, rest = number // 1000, number // 100 % 10, number % 100
    if thousands:
        said += [*([FRENCH[thousands]] if thousands > 1 else []), "mille"]
    if hundreds:
        said += [*([FRENCH[hundreds]] if hundreds > 1 else []), "cents" if hundreds > 1 and not rest else "cent"]
    return said + _french_below_hundred(rest)


def _french_below_hundred(number: int) -> list[str]:
    if number < 20:
        return FRENCH[number].split("-") if number else []
    if number == 80:
        return ["quatre", "vingts"]
    base = number // 20 * 20 if number >= 60 else number // 10 * 10  # 70 is 60 + 10, and 90 is 80 + 10
    head = FRENCH_TENS[base // 10 - 2].split("-")
    and_ = ["et"] if number % 10 == 1 and base < 80 else []
    return head + and_ + _french_below_hundred(number - base)


@cache
def numbers() -> Corpus:
    """Return 1 to 9999 in both languages as words; 1,000 of them are held out, whatever the seed."""
    held_out = np.zeros(LARGEST, bool)
    held_out[np.random.default_rng(0).permutation(LARGEST)[:HELD_OUT]] = True
    return corpus([(english(n), french(n)) for n in range(1, LARGEST + 1)], held_out)


def word_by_word(source: list[str]) -> list[str]:
    """Return the French for each English word, one after the other: right where both languages count alike."""
    dictionary = dict(zip(ENGLISH + ENGLISH_TENS, FRENCH + FRENCH_TENS, strict=True))
    dictionary |= {"hundred": "cent", "thousand": "mille"}
    return [part for word in source for part in dictionary[word].split("-")]


class NumberTranslation(Translation):
    """Say in French a number that is given in English words, 1 to 9999.

    Encoding: words as tokens (6, B), padded, with lengths: "nine thousand nine hundred ninety nine" has six.
    Target: the French words, hyphens as spaces, and an end: neuf mille neuf cent quatre vingt dix neuf, (9, B).
    Loss: cross-entropy under teacher forcing. Metric: exact match of greedy decoding.
    Data: synthetic, by the rules of both languages; 1,000 numbers are held out, the same for every seed.
    Baseline: word by word with a dictionary, which knows neither that 73 is sixty-thirteen nor that the one of one
    hundred is not said; half of the probability on that.
    Solved: at least 99 % of the held-out numbers exactly right.
    Source: the wiring is Sutskever, Vinyals & Le 2014, "Sequence to Sequence Learning with Neural Networks".
    """

    name = "number_translation"
    default_length = 6
    solved_threshold = 0.99
    baseline_name = "word by word, with a dictionary"

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self._read(numbers())

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return logits of the translation word by word, cut to the steps of an answer."""
        assert batch.lengths is not None
        steps = self.answer_steps
        sources = zip(batch.inputs.T, batch.lengths, strict=True)
        answers = [word_by_word([self.source_symbols[t] for t in tokens[:length]]) for tokens, length in sources]
        padded = [[*answer, *[END] * steps][:steps] for answer in answers]
        return half_certain(tokenize(padded, self.answer_symbols).values, self.output_size)
