"""Sentiment and named entities, read back as sentences."""

import numpy as np
import pytest

from rnnbench.datasets.base import MissingData
from rnnbench.tasks import named_entities, sentiment
from rnnbench.tasks.named_entities import TAGS, NamedEntities, spans


@pytest.fixture(scope="module")
def sentiments():
    try:
        return sentiment.Sentiment()
    except MissingData as error:
        pytest.skip(str(error))


def sentences(task, batch):
    for tokens, length in zip(batch.inputs.T, batch.lengths, strict=True):
        yield [task.vocabulary[token] for token in tokens[:length]]


def valence_of(words, valence):
    """The rules once more, clause by clause."""
    joint = next((word for word in words if word in ("and", "but")), None)
    cut = words.index(joint) if joint else len(words)
    sums = []
    for clause in (words[:cut], words[cut + 1 :]):
        if clause:
            value = valence[clause[-1]]
            value += 0.293 * np.sign(value) * ("very" in clause)
            sums.append(value * (-0.74 if "not" in clause else 1))
    return 0.5 * sums[0] + 1.5 * sums[1] if joint == "but" else sum(sums)


def test_the_class_is_the_sign_of_the_valence(sentiments):
    opinions = sentiment.opinions()
    valence = dict(zip(opinions.words, opinions.valences, strict=True))
    for batch in (sentiments.sample(np.random.default_rng(0), 300), sentiments.evaluation(np.random.default_rng(0), 300)):
        for words, label in zip(sentences(sentiments, batch), batch.targets, strict=True):
            assert (valence_of(words, valence) > 0) == label


def negated(words):
    return {words[place + 1 + (words[place + 1] == "very")] for place, word in enumerate(words) if word == "not"}


def test_a_fifth_of_the_words_is_negated_only_in_the_held_out_sentences(sentiments):
    opinions = sentiment.opinions()
    never = {word for word, held in zip(opinions.words, opinions.never_negated, strict=True) if held}
    assert 0.15 < len(never) / len(opinions.words) < 0.25
    trained = list(sentences(sentiments, sentiments.sample(np.random.default_rng(0), 3_000)))
    assert not any(negated(words) & never for words in trained)
    assert never & {word for words in trained for word in words}, "they are seen, without a not"
    held_out = list(sentences(sentiments, sentiments.evaluation(np.random.default_rng(0), 1_000)))
    assert all(words[-1] in negated(words) & never for words in held_out)


def test_without_negation_most_held_out_sentences_are_misread(sentiments):
    assert sentiments.references["valences_without_negation"] < sentiments.baseline.value < 0.6


def test_spans_are_what_the_tags_say():
    def found(text):
        return spans(np.array([TAGS.index(tag) for tag in text.split()]))

    assert found("O B-PER I-PER O B-LOC") == {(1, 3, 1), (4, 5, 2)}
    assert found("B-ORG B-ORG I-ORG") == {(0, 1, 3), (1, 3, 3)}
    assert found("B-PER I-LOC O") == {(0, 1, 1)}
    assert found("I-PER O I-ORG") == set()
    assert found("O O") == set()


def test_held_out_sentences_have_no_name_of_the_training_ones():
    def words_in(held_out):
        rng = np.random.default_rng(1)
        return {
            word
            for _ in range(2_000)
            for word, tag in zip(*named_entities.sentence(rng, held_out), strict=True)
            if tag != "O" and word not in named_entities.PREFIXES + named_entities.SUFFIXES
        }

    training, held_out = words_in(False), words_in(True)
    assert len(training) == 48
    assert len(held_out) == 24
    assert not training & held_out


def test_tags_follow_the_slots_of_the_templates():
    rng = np.random.default_rng(0)
    for _ in range(500):
        words, tags = named_entities.sentence(rng, held_out=False)
        assert [word.islower() for word in words] == [tag == "O" for tag in tags]
        slots = [tag[2:] if tag != "O" else word for word, tag in zip(words, tags, strict=True) if tag[0] != "I"]
        assert slots in named_entities.TEMPLATES


def test_a_name_is_its_letters_and_a_template_word_itself():
    encoded = named_entities.encode_words([["Anna", "hired"]])[:, 0]
    assert encoded.shape == (9, NamedEntities.input_size)
    assert encoded[0, named_entities.CAPITAL] == 1
    assert dict(zip("an", encoded[0, named_entities.CAPITAL + 1 :][[0, 13]], strict=True)) == {"a": 2, "n": 2}
    assert encoded[1].nonzero()[0].tolist() == [named_entities.WORDS.index("hired")]
    assert not encoded[2:].any()


def test_f1_counts_whole_entities():
    task = NamedEntities()
    batch = named_entities.batch_of([("Anna Berger hired Oslo Bank".split(), "B-PER I-PER O B-ORG I-ORG".split())])
    answers = np.zeros((9, 1), int)
    answers[:5, 0] = [TAGS.index(tag) for tag in "B-PER I-PER O B-LOC B-ORG".split()]
    outputs = np.eye(7)[answers]
    assert task.score(outputs, batch) == pytest.approx(2 * 1 / (3 + 2))
    assert task.score(np.eye(7)[np.zeros_like(answers)], batch) == 0
