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


def test_fresh_held_out_sentences_are_drawn_at_every_call(sentiments):
    """What confirms a score must not be what gave it."""
    for task in (sentiments, NamedEntities()):
        assert task.confirmation_size > 0
        rng = np.random.default_rng(0)
        one, other = (task.evaluation(rng, 300) for _ in range(2))
        shared = {column.tobytes() for column in one.inputs.swapaxes(0, 1)}
        repeated = sum(column.tobytes() in shared for column in other.inputs.swapaxes(0, 1))
        assert repeated < 100, "only short sentences, with few words or names to choose, are drawn twice"


def test_references_are_what_simple_readers_score_on_drawn_sentences(sentiments):
    """20,000 sentences: the standard error of a fraction is at most 0.0036; 4 of them, and that of one near 0.94."""
    opinions = sentiment.opinions()
    valence = dict(zip(opinions.words, opinions.valences, strict=True))
    batch = sentiments.evaluation(np.random.default_rng(0), 20_000)
    right = {"valences_without_negation": 0, "last_clause": 0, "clauses_without_but": 0}
    for words, label in zip(sentences(sentiments, batch), batch.targets, strict=True):
        joint = next((word for word in words if word in ("and", "but")), None)
        last = words[words.index(joint) + 1 :] if joint else words
        told = {
            "valences_without_negation": sum(valence.get(word, 0) for word in words),
            "last_clause": valence_of(last, valence),
            "clauses_without_but": valence_of(["and" if word == "but" else word for word in words], valence),
        }
        for name, total in told.items():
            right[name] += (total > 0) == label
    for name, count in right.items():
        stated = sentiments.references[name]
        error = np.sqrt(stated * (1 - stated) / 20_000)
        assert count / 20_000 == pytest.approx(stated, abs=4 * error)
    assert right["valences_without_negation"] < 0.55 * 20_000, "negation decides about half of the sentences"
    assert batch.targets.mean() == pytest.approx(sentiments._frequencies[1], abs=0.0142)


def test_to_solve_takes_half_of_the_best_references_errors(sentiments):
    for task in (sentiments, NamedEntities()):
        best = max(task.references.values())
        assert task.solved_threshold == pytest.approx((1 + best) / 2)
        assert not task.solved(best)
    assert max(sentiments.references.values()) > 0.9, "the last clause alone gets that far"


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
            for words, tags in named_entities.sentences(rng, held_out, 2_000)
            for word, tag in zip(words, tags, strict=True)
            if tag != "O" and word not in named_entities.PREFIXES + named_entities.SUFFIXES
        }

    training, held_out = words_in(False), words_in(True)
    assert len(training) == 48
    assert len(held_out) == 24
    assert not training & held_out


def frame(words, tags):
    """The sentence with its kinds of names in place of names."""
    return tuple(tag[2:] if tag != "O" else word for word, tag in zip(words, tags, strict=True) if tag[0] != "I")


def test_tags_follow_the_slots_of_the_templates_and_asides_are_held_out_with_them():
    rng = np.random.default_rng(0)
    frames = []
    for held_out in (False, True):
        drawn = named_entities.sentences(rng, held_out, 3_000)
        assert all([word.islower() for word in words] == [tag == "O" for tag in tags] for words, tags in drawn)
        frames.append({frame(words, tags) for words, tags in drawn})
    training, held_out = frames
    expected = {
        tuple(part for slot in template for part in (aside if slot == "..." else (slot,)))
        for template in named_entities.TEMPLATES
        for aside in named_entities.ASIDES
    }
    assert training | held_out == expected
    assert not training & held_out
    assert len(training) == 3 * len(held_out) == 3 * len(named_entities.TEMPLATES)


def test_patterns_are_as_probable_as_they_are_drawn():
    """Every kind of name has one word or two as often as stated, in 20,000 sentences: 4 standard errors."""
    for held_out in (False, True):
        possible = named_entities.patterns(held_out)
        assert sum(pattern.probability for pattern in possible) == pytest.approx(1, abs=1e-12)
        drawn = named_entities.sentences(np.random.default_rng(0), held_out, 20_000)
        for shown in ("I-PER", "I-LOC", "I-ORG"):
            expected = sum(pattern.probability for pattern in possible if shown in pattern.tags)
            found = np.mean([shown in tags for _, tags in drawn])
            assert found == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 20_000))


def test_words_nearby_do_not_tell_the_kinds_of_names():
    """A lookup learned by counting drawn training sentences is as good as the exact one."""
    rng, task = np.random.default_rng(0), NamedEntities()
    known = {word for pattern in named_entities.patterns(False) for word in pattern.words} - set(named_entities.KNOWN)
    counts = {}

    def keys(words, place, radius):
        padded = ["", "", *(word if word in known else "?" for word in words), "", ""]
        return tuple(padded[place + 2 - radius : place + 3 + radius])

    for words, tags in named_entities.sentences(rng, False, 20_000):
        for place, tag in enumerate(tags):
            for radius in range(3):
                found = counts.setdefault(keys(words, place, radius), {})
                found[tag] = found.get(tag, 0) + 1
    held_out = named_entities.sentences(rng, True, 5_000)
    answers = []
    for words, _ in held_out:
        around = [[keys(words, place, radius) for radius in (2, 1, 0)] for place in range(len(words))]
        seen = [next(counts[key] for key in tried if key in counts) for tried in around]
        answers.append((words, [max(found, key=found.get) for found in seen]))
    batch, told = named_entities.batch_of(held_out), named_entities.batch_of(answers)
    assert task.score(np.eye(7)[told.targets], batch) == pytest.approx(task.references["lookup_within_2"], abs=0.02)
    assert max(task.references.values()) < 0.8


def test_a_name_is_its_letters_and_a_template_word_itself():
    encoded = named_entities.encode_words([["Anna", "hired"]])[:, 0]
    assert encoded.shape == (12, NamedEntities.input_size)
    assert encoded[0, named_entities.CAPITAL] == 1
    assert dict(zip("an", encoded[0, named_entities.CAPITAL + 1 :][[0, 13]], strict=True)) == {"a": 2, "n": 2}
    assert encoded[1].nonzero()[0].tolist() == [named_entities.WORDS.index("hired")]
    assert not encoded[2:].any()


def test_f1_counts_whole_entities():
    task = NamedEntities()
    words, tags = ["Anna", "Berger", "hired", "Oslo", "Bank"], ["B-PER", "I-PER", "O", "B-ORG", "I-ORG"]
    batch = named_entities.batch_of([(words, tags)])
    answers = np.zeros((12, 1), int)
    answers[:5, 0] = [TAGS.index(tag) for tag in ["B-PER", "I-PER", "O", "B-LOC", "B-ORG"]]
    outputs = np.eye(7)[answers]
    assert task.score(outputs, batch) == pytest.approx(2 * 1 / (3 + 2))
    assert task.score(np.eye(7)[np.zeros_like(answers)], batch) == 0
