"""Both translations, by independent rules and by hand."""

import datetime

import numpy as np
import pytest

from rnnbench.tasks import date_translation, number_translation
from rnnbench.tasks.date_translation import DateTranslation
from rnnbench.tasks.number_translation import NumberTranslation, english, french, word_by_word


def texts(task, batch):
    """(source, answer) of each sequence, as symbols without padding."""
    for source, length, answer, mask in zip(batch.inputs.T, batch.lengths, batch.targets.T, batch.mask.T, strict=True):
        yield (
            [task.source_symbols[token] for token in source[:length]],
            [task.answer_symbols[token] for token in answer[mask]],
        )


@pytest.mark.parametrize(
    ("number", "in_english", "in_french"),
    [
        (1, "one", "un"),
        (17, "seventeen", "dix sept"),
        (21, "twenty one", "vingt et un"),
        (61, "sixty one", "soixante et un"),
        (70, "seventy", "soixante dix"),
        (71, "seventy one", "soixante et onze"),
        (77, "seventy seven", "soixante dix sept"),
        (80, "eighty", "quatre vingts"),
        (81, "eighty one", "quatre vingt un"),
        (91, "ninety one", "quatre vingt onze"),
        (99, "ninety nine", "quatre vingt dix neuf"),
        (100, "one hundred", "cent"),
        (200, "two hundred", "deux cents"),
        (201, "two hundred one", "deux cent un"),
        (1000, "one thousand", "mille"),
        (2080, "two thousand eighty", "deux mille quatre vingts"),
        (9999, "nine thousand nine hundred ninety nine", "neuf mille neuf cent quatre vingt dix neuf"),
    ],
)
def test_numbers_as_people_say_them(number, in_english, in_french):
    assert " ".join(english(number)) == in_english
    assert " ".join(french(number)) == in_french


def test_no_two_numbers_are_said_alike():
    for say in (english, french):
        assert len({tuple(say(number)) for number in range(1, 10_000)}) == 9_999


def test_word_by_word_is_right_where_both_languages_count_alike():
    assert word_by_word(english(42)) == french(42)
    assert word_by_word(english(73)) == ["soixante", "dix", "trois"] != french(73)
    assert word_by_word(english(100)) == ["un", "cent"] != french(100)


def test_every_number_is_in_one_part_and_translated():
    task = NumberTranslation()
    said = {tuple(english(number)): french(number) for number in range(1, 10_000)}
    everything = task._chosen(np.arange(9_999))
    for source, answer in texts(task, everything):
        assert [*said.pop(tuple(source)), "<end>"] == answer
    assert not said
    training, held_out = task._split
    assert sorted([*training, *held_out]) == list(range(9_999))
    assert held_out.size == 1_000


def read_date(text):
    """Read a date by the formats of strptime, which know nothing of how it was written."""
    for form in ("%d %B %Y", "%B %d, %Y", "%A, %d %b %Y", "%d/%m/%Y"):
        try:
            return datetime.datetime.strptime(text, form).date()
        except ValueError:
            continue
    raise AssertionError(text)


def test_dates_are_what_strptime_reads():
    task = DateTranslation()
    batch = task.evaluation(np.random.default_rng(0), 400)
    for source, answer in texts(task, batch):
        assert [*read_date("".join(source)).isoformat(), "<end>"] == answer
    assert len({len(source) for source, _ in texts(task, batch)}) > 10, "sources of many lengths"


def test_no_held_out_date_is_trained_on_in_any_format():
    task = DateTranslation()
    training, held_out = ({answer.tobytes() for answer in task._examples.targets[:, part].T} for part in task._split)
    assert len(held_out) == date_translation.HELD_OUT
    assert not training & held_out
    assert len(training | held_out) == (date_translation.LAST - date_translation.FIRST).days + 1


@pytest.mark.parametrize("kind", [DateTranslation, NumberTranslation])
def test_one_wrong_symbol_makes_a_translation_wrong_and_padding_none(kind):
    task = kind()
    batch = task.evaluation(np.random.default_rng(0), 10)
    outputs = 50 * np.eye(task.output_size, dtype=np.float32)[batch.targets]
    outputs[0, 0] = np.roll(outputs[0, 0], 1)
    assert task.score(outputs, batch) == 0.9
    outputs[:, 1:][~batch.mask[:, 1:]] = 7
    assert task.score(outputs, batch) == 0.9


def test_the_number_baseline_scores_what_a_dictionary_gets_right():
    task = NumberTranslation()
    right = [word_by_word(english(n + 1)) == french(n + 1) for n in task._split.held_out]
    assert task.baseline.value == np.mean(right)
    assert len(right) == number_translation.HELD_OUT
