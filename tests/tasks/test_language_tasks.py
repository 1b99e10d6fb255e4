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
    for draw in (sentiments.sample, sentiments.evaluation):
        batch = draw(np.random.default_rng(0), 300)
        for words, label in zip(sentences(sentiments, batch), batch.targets, strict=True):
            assert (valence_of(words, valence) > 0) == label


def modified(words):
    """The pairs (word, its modifiers) of a sentence."""
    cut = next((place for place, word in enumerate(words) if word in ("and", "but")), len(words))
    return [(clause[-1], tuple(clause[3:-1])) for clause in (words[:cut], words[cut + 1 :]) if clause]


def test_every_word_has_modifiers_that_only_held_out_sentences_show(sentiments):
    opinions = sentiment.opinions()
    withheld = {(word, sentiment.MODIFIERS[place % 4]) for place, word in enumerate(opinions.words)}
    trained = {
        pair
        for words in sentences(sentiments, sentiments.sample(np.random.default_rng(0), 10_000))
        for pair in modified(words)
    }
    assert not trained & withheld
    assert len(trained) == 3 * len(opinions.words), "the other three are all seen"
    for words in sentences(sentiments, sentiments.evaluation(np.random.default_rng(0), 1_000)):
        *before, last = modified(words)
        assert last in withheld
        assert not set(before) & withheld


def test_negation_decides_half_of_the_held_out_sentences(sentiments):
    assert sentiments.references["valences_without_negation"] < 0.65
    assert 0.5 <= sentiments.baseline.value < 0.6


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
    words, tags = ["Anna", "Berger", "hired", "Oslo", "Bank"], ["B-PER", "I-PER", "O", "B-ORG", "I-ORG"]
    batch = named_entities.batch_of([(words, tags)])
    answers = np.zeros((9, 1), int)
    answers[:5, 0] = [TAGS.index(tag) for tag in ["B-PER", "I-PER", "O", "B-LOC", "B-ORG"]]
    outputs = np.eye(7)[answers]
    assert task.score(outputs, batch) == pytest.approx(2 * 1 / (3 + 2))
    assert task.score(np.eye(7)[np.zeros_like(answers)], batch) == 0
