"""Named entities: which words of a sentence name a person, a place or an organisation?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cache, cached_property
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from rnnbench.tasks._examples import half_certain
from rnnbench.tasks._metrics import expect_shape, half_the_error
from rnnbench.tasks._text import words
from rnnbench.tasks.base import Baseline, Batch, Task

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
        "PER ... moved from LOC to LOC",
        "PER ... works for ORG in LOC",
        "PER ... met reporters in LOC",
        "ORG ... hired PER last week",
        "ORG ... opened an office in LOC",
        "ORG ... sold shares to PER",
        "LOC ... lies south of LOC",
        "LOC ... elected PER as mayor",
        "LOC ... was hit by rain",
        "PER and PER ... founded ORG",
        "LOC and LOC ... saw heavy snow",
        "reporters asked PER about ORG ...",
        "the train from LOC ... was late again",
        "nobody expected the news ...",
    )
)
ELLIPSIS = "..."
ASIDES = ((), *(tuple(words(aside)) for aside in ("it seems now", "so they say", "to our surprise")))
WORDS = sorted({word for text in (*TEMPLATES, *ASIDES) for word in text if word.islower()})
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CAPITAL = len(WORDS)  # the feature that says that a word begins with a capital letter
LONGEST = 12  # words of a sentence: every name takes one or two
SHAPES = {  # the words of a name with their probabilities; GIVEN, SURNAME and PLACE stand for one of those
    "PER": ((1 / 3, ("GIVEN",)), (1 / 3, ("SURNAME",)), (1 / 3, ("GIVEN", "SURNAME"))),
    "LOC": ((0.7, ("PLACE",)), *((0.3 / len(PREFIXES), (prefix, "PLACE")) for prefix in PREFIXES)),
    "ORG": (
        *((0.15, (owner,)) for owner in ("PLACE", "SURNAME")),
        *((0.35 / len(SUFFIXES), (owner, suffix)) for owner in ("PLACE", "SURNAME") for suffix in SUFFIXES),
    ),
}
KNOWN = {"GIVEN": GIVEN, "SURNAME": SURNAMES, "PLACE": PLACES}


def names(known: list[str], held_out: bool) -> list[str]:
    """Return the names that occur in training, or every third, which only held-out sentences have."""
    return [name for place, name in enumerate(known) if (place % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) == held_out]


class Pattern(NamedTuple):
    """A sentence but for the names in it: GIVEN, SURNAME and PLACE stand for one of those."""

    probability: float
    words: tuple[str, ...]
    tags: tuple[str, ...]


@cache
def patterns(held_out: bool) -> tuple[Pattern, ...]:
    """Return all sentences of the training part, or of the held-out part, but for the names in them.

    The n-th template has the aside n mod 4 in no sentence of the training part, and in every held-out one.
    """
    found = []
    for n, template in enumerate(TEMPLATES):
        for other in (0,) if held_out else (1, 2, 3):
            aside = ASIDES[(n + other) % len(ASIDES)]
            share = 1 / len(TEMPLATES) / (1 if held_out else 3)
            slots = [_fillings(slot, aside) for slot in template]
            for chosen in product(*slots):
                probability = share * prod(filling.probability for filling in chosen)
                text = [word for filling in chosen for word in filling.words]
                tags = [tag for filling in chosen for tag in filling.tags]
                found.append(Pattern(probability, tuple(text), tuple(tags)))
    return tuple(found)


def _fillings(slot: str, aside: tuple[str, ...]) -> list[Pattern]:
    """Return what a slot of a template can be: itself, the aside, or a name of its kind."""
    if slot in SHAPES:
        return [Pattern(p, name, (f"B-{slot}", f"I-{slot}")[: len(name)]) for p, name in SHAPES[slot]]
    text = aside if slot == ELLIPSIS else (slot,)
    return [Pattern(1.0, text, ("O",) * len(text))]


def sentences(rng: np.random.Generator, held_out: bool, count: int) -> list[tuple[list[str], list[str]]]:
    """Return the words and the tags of sentences of at most 12 words."""
    possible = patterns(held_out)
    known = {kind: names(all_names, held_out) for kind, all_names in KNOWN.items()}
    return [
        (
            [known[word][rng.integers(len(known[word]))] if word in known else word for word in possible[n].words],
            list(possible[n].tags),
        )
        for n in rng.choice(len(possible), count, p=[pattern.probability for pattern in possible])
    ]


def encode_words(sentences: list[list[str]]) -> np.ndarray:
    """Return float32 (12, N, F): a template's word is one of the features; a name a capital and counts of letters."""
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


def f1(answers: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return 2 right / (found + true) entities; answers, targets (T, N) tags, weights (N,) of the sentences or None."""
    pairs = [(spans(answer), spans(target)) for answer, target in zip(answers.T, targets.T, strict=True)]
    weights = np.ones(len(pairs)) if weights is None else weights
    entities = weights @ [len(found) + len(true) for found, true in pairs]
    return float(2 * (weights @ [len(found & true) for found, true in pairs]) / entities) if entities else 1.0


def contexts(text: tuple[str, ...], radius: int) -> list[tuple[str, ...]]:
    """Return for every word itself and `radius` words before and after it; all names look alike, "" is no word."""
    shown = ["NAME" if word in KNOWN else word for word in text]
    padded = [*[""] * radius, *shown, *[""] * radius]
    return [tuple(padded[place : place + 2 * radius + 1]) for place in range(len(text))]


@cache
def lookup(radius: int) -> Mapping[tuple[str, ...], str]:
    """Return the commonest tag in training of every word with `radius` neighbours on each side, and with fewer."""
    counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for pattern in patterns(held_out=False):
        for near in range(radius + 1):
            for context, tag in zip(contexts(pattern.words, near), pattern.tags, strict=True):
                counts[context][tag] += pattern.probability  # type: ignore[assignment]
    return {context: tags.most_common(1)[0][0] for context, tags in counts.items()}


def looked_up(text: tuple[str, ...], radius: int) -> list[str]:
    """Return the tags of a sentence by the widest context of each word that training showed, at most `radius`."""
    table = lookup(radius)
    by_radius = [contexts(text, near) for near in range(radius, -1, -1)]
    return [next(table[context] for context in around if context in table) for around in zip(*by_radius, strict=True)]


class NamedEntities(Task):
    """Tag the words that name a person, a place or an organisation, in sentences with names never seen before.

    Encoding: inputs (12, B, F), padded, with lengths: a word of a template is one of F features; a name is a capital
    letter and the counts of its letters, so that it can be known or not.
    Target: at every word one of 7 tags: O, and B (first word) or I (further word) of PER, LOC and ORG (BIO tags).
    Loss: cross-entropy. Metric: F1 of whole entities, the right words with the right kind (CoNLL 2003).
    Data: synthetic, 14 templates with one of four asides, "Oslo Bank, so they say, hired Anna"; surnames and places
    also name firms, so that the words around a name decide, and an aside parts them from it. Held-out sentences have
    names of which none occurs in training, and each template with the one aside that it has not in training. They
    are fresh ones at every call.
    Baseline: every run of capitals is one person's name, with half of the probability on that. References look up
    the commonest tag in training of a word with its 1, 2, 3 or 4 neighbours on each side, or with fewer where
    training never showed them. All are exact: over every sentence but for the names, which they cannot tell apart.
    Solved: half of the best reference's error at most. What follows a name matters, which takes both directions.
    Source: Tjong Kim Sang & De Meulder 2003, "Introduction to the CoNLL-2003 Shared Task" (tags and metric; its
    baseline is a lookup too, of whole names).
    """

    name = "named_entities"
    wiring = "many-to-many"
    loss = "cross_entropy"
    higher_is_better = True
    application = "named entity recognition"
    synthetic = True
    metric = "entity F1"
    metric_unit = "F1"
    default_length = LONGEST
    input_size = len(WORDS) + 1 + len(LETTERS)
    output_size = len(TAGS)
    baseline_name = "every run of capitals is a person"

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        if self.length != LONGEST:
            raise self.wrong_length(f"{LONGEST}, the padded length of its sentences")

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh sentences of the training part."""
        return batch_of(sentences(rng, held_out=False, count=batch_size))

    def evaluation(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """Return fresh sentences with names, and templates with asides, that training has not."""
        return batch_of(sentences(rng, held_out=True, count=batch_size))

    def score(self, outputs: np.ndarray, batch: Batch) -> float:
        """Return 2 right / (found + true) entities over all sentences; outputs (T, B, 7)."""
        expect_shape(outputs, (*batch.targets.shape, len(TAGS)))
        if np.isnan(outputs).any():
            return float("nan")
        assert batch.mask is not None
        return f1(np.where(batch.mask, outputs.argmax(axis=-1), 0), batch.targets)

    @cached_property
    def _held_out(self) -> tuple[Batch, np.ndarray]:
        """All held-out sentences but for the names, and their probabilities."""
        possible = patterns(held_out=True)
        batch = batch_of([([*pattern.words], [*pattern.tags]) for pattern in possible])
        return batch, np.array([pattern.probability for pattern in possible])

    @cached_property
    def baseline(self) -> Baseline:
        """F1 of `baseline_outputs`, and the mean loss of a word."""
        batch, weights = self._held_out
        outputs = self.baseline_outputs(batch)
        losses = -np.take_along_axis(outputs.astype(float), batch.targets[..., None], axis=-1)[..., 0]
        counted = weights * batch.mask
        value = f1(outputs.argmax(axis=-1), batch.targets, weights)
        return Baseline(self.baseline_name, value, float(np.sum(counted * losses) / np.sum(counted)))

    def baseline_outputs(self, batch: Batch) -> np.ndarray:
        """Return logits: B-PER for a capital, I-PER where another one is before it, O elsewhere."""
        capital = batch.inputs[:, :, CAPITAL] > 0
        before = np.concatenate([np.zeros_like(capital[:1]), capital[:-1]])
        return half_certain(np.where(capital, np.where(before, 2, 1), 0), len(TAGS))

    @cached_property
    def references(self) -> dict[str, float]:
        """F1 of the tags looked up by the words around, within 1, 2, 3 and 4 of them."""
        batch, weights = self._held_out
        scores = {}
        for radius in (1, 2, 3, 4):
            tagged = [([*p.words], looked_up(p.words, radius)) for p in patterns(held_out=True)]
            scores[f"lookup_within_{radius}"] = f1(batch_of(tagged).targets, batch.targets, weights)
        return scores

    @property
    def solved_threshold(self) -> float:  # type: ignore[override]
        """Half of the best reference's error."""
        return half_the_error(self.references)
