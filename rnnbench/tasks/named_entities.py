"""Named entities: which words of a sentence name a person, a place or an organisation?"""

from __future__ import annotations

from functools import cache

import numpy as np

from rnnbench.datasets.base import Split
from rnnbench.tasks._examples import ExamplesTask, half_certain
from rnnbench.tasks._metrics import expect_shape
from rnnbench.tasks._text import words
from rnnbench.tasks.base import Batch

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")
GIVEN = words(
    "Anna Boris Carla David Elena Felix Greta Hugo Irina Jonas Karin Luca Maria Nils Olga Pedro Quentin Rosa Stefan "
    "Tara Ulrich Vera Walter Xenia"
)
SURNAMES = words(
    "Abbott Berger Costa Duval Eriksen Fischer Garcia Haas Ivanov Jensen Keller Lopez Moreau Novak Ortiz Petrov Quinn "
    "Rossi Silva Turner Urban Vogel Weber Young"
)
PLACES = words(
    "Athens Berlin Cairo Dublin Essen Florence Geneva Havana Istanbul Jakarta Kyoto Lisbon Madrid Nairobi Oslo Prague "
    "Quito Rome Seoul Tunis Utrecht Vienna Warsaw Zurich"
)
PREFIXES, SUFFIXES = ("New", "Upper", "Port"), ("Bank", "Motors", "Airlines")
HELD_OUT_EVERY = 3  # names
TEMPLATES = tuple(
    words(template)
    for template in (
        "PER moved from LOC to LOC",
        "PER works for ORG in LOC",
        "ORG hired PER last week",
        "shares of ORG fell after PER left",
        "the mayor of LOC met PER",
        "LOC lies south of LOC",
        "ORG opened an office in LOC",
        "reporters asked PER about ORG",
        "it rained in LOC when PER arrived",
        "PER and PER founded ORG",
        "the train from LOC was late again",
        "nobody expected the news",
    )
)
WORDS = sorted({word for template in TEMPLATES for word in template if word.islower()})
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CAPITAL = len(WORDS)  # the feature that says that a word begins with a capital letter
LONGEST = 9  # words of a sentence: every name takes one or two
HELD_OUT = 1000  # sentences


def names(known: list[str], held_out: bool) -> list[str]:
    """Return the names that occur in training, or every third, which only held-out sentences have."""
    return [name for place, name in enumerate(known) if (place % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) == held_out]


def entity(kind: str, rng: np.random.Generator, held_out: bool) -> list[str]:
    """Return the words of a name: a person's one or two, a place with or without "New", a firm of either name."""

    def one_of(choices: list[str] | tuple[str, ...]) -> str:
        return choices[rng.integers(len(choices))]

    place, surname = one_of(names(PLACES, held_out)), one_of(names(SURNAMES, held_out))
    if kind == "PER":
        return [[one_of(names(GIVEN, held_out))], [surname], [one_of(names(GIVEN, held_out)), surname]][rng.integers(3)]
    if kind == "LOC":
        return [place] if rng.random() < 0.7 else [one_of(PREFIXES), place]
    owner = place if rng.random() < 0.5 else surname
    return [owner] if rng.random() < 0.3 else [owner, one_of(SUFFIXES)]


def sentence(rng: np.random.Generator, held_out: bool) -> tuple[list[str], list[str]]:
    """Return the words and the tags of a sentence of at most 9 words."""
    text, tags = [], []
    for slot in TEMPLATES[rng.integers(len(TEMPLATES))]:
        found = [slot] if slot.islower() else entity(slot, rng, held_out)
        text += found
        tags += ["O"] if slot.islower() else [f"{'I' if place else 'B'}-{slot}" for place in range(len(found))]
    return text, tags


def encode_words(sentences: list[list[str]]) -> np.ndarray:
    """Return float32 (9, N, F): a template's word as one of the features; a name as a capital and counts of letters."""
    encoded = np.zeros((LONGEST, len(sentences), len(WORDS) + 1 + len(LETTERS)), np.float32)
    number = {word: place for place, word in enumerate(WORDS)}
    for n, sentence in enumerate(sentences):
        for t, word in enumerate(sentence):
            if word in number:
                encoded[t, n, number[word]] = 1
                continue
            encoded[t, n, CAPITAL] = 1
            for letter in word.lower():
                encoded[t, n, CAPITAL + 1 + LETTERS.index(letter)] += 1
    return encoded


def batch_of(sentences: list[tuple[list[str], list[str]]]) -> Batch:
    """Return sentences with their tags as a padded batch."""
    lengths = np.array([len(text) for text, _ in sentences])
    targets = np.zeros((LONGEST, len(sentences)), np.int64)
    for n, (_, tags) in enumerate(sentences):
        targets[: len(tags), n] = [TAGS.index(tag) for tag in tags]
    mask = np.arange(LONGEST)[:, None] < lengths
    return Batch(encode_words([text for text, _ in sentences]), targets, mask, lengths)


@cache
def held_out() -> Batch:
    """Return the held-out sentences, the same for every seed."""
    rng = np.random.default_rng(0)
    return batch_of([sentence(rng, held_out=True) for _ in range(HELD_OUT)])


def spans(tags: np.ndarray) -> set[tuple[int, int, int]]:
    """Return the entities (first, last + 1, kind) of a sequence of tags; an I that continues nothing is nothing."""
    found: set[tuple[int, int, int]] = set()
    start: int | None = None
    kind = 0
    for place, tag in enumerate([*tags.tolist(), 0]):
        if start is not None and tag != 2 * kind:  # tags are O, B-1, I-1, B-2, I-2, ...
            found.add((start, place, kind))
            start = None
        if tag % 2:
            start, kind = place, (tag + 1) // 2
    return found


class NamedEntities(ExamplesTask):
    """Tag the words that name a person, a place or an organisation, in sentences with names never seen before.

    Encoding: inputs (9, B, F), padded, with lengths: a word of a template is one of F features; a name is a capital
    letter and the counts of its letters, so that it can be known or not.
    Target: at every word one of 7 tags: O, and B (first word) or I (further word) of PER, LOC and ORG (BIO tags).
    Loss: cross-entropy. Metric: F1 of whole entities, the right words with the right kind (CoNLL 2003).
    Data: synthetic, 12 templates; surnames and places also name firms ("Oslo Airlines"), so that the words
    around a name decide. Held-out sentences have names of which none occurs in training.
    Baseline: every run of capitals is one person's name, with half of the probability on that.
    Solved: F1 of at least 0.9. What follows a name matters too, which takes a bidirectional network.
    Source: Tjong Kim Sang & De Meulder 2003, "Introduction to the CoNLL-2003 Shared Task" (tags and metric).
    """

    name = "named_entities"
    wiring = "many-to-many"
    application = "named entity recognition"
    synthetic = True
    metric = "entity F1"
    metric_unit = "F1"
    default_length = LONGEST
    solved_threshold = 0.9
    input_size = len(WORDS) + 1 + len(LETTERS)
    output_size = len(TAGS)
    baseline_name = "every run of capitals is a person"

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self._examples = held_out()
        self._split = Split(np.arange(0), np.arange(HELD_OUT))

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh sentences with names of the training part."""
        return batch_of([sentence(rng, held_out=False) for _ in range(batch_size)])

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return 2 right / (found + true) entities over all sentences; outputs (T, B, 7)."""
        expect_shape(outputs, (*batch.targets.shape, len(TAGS)))
        if np.isnan(outputs).any():
            return float("nan")
        assert batch.mask is not None
        answers = np.where(batch.mask, outputs.argmax(axis=-1), 0)
        pairs = [(spans(a), spans(t)) for a, t in zip(answers.T, batch.targets.T, strict=True)]
        entities = sum(len(found) + len(true) for found, true in pairs)
        return 2 * sum(len(found & true) for found, true in pairs) / entities if entities else 1.0

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return logits: B-PER for a capital, I-PER where another one is before it, O elsewhere."""
        capital = batch.inputs[:, :, CAPITAL] > 0
        before = np.concatenate([np.zeros_like(capital[:1]), capital[:-1]])
        return half_certain(np.where(capital, np.where(before, 2, 1), 0), len(TAGS))
