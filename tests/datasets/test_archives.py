"""MNIST and IMDB: the real loaders on small files made here, and what is said where there is no file."""

import hashlib
from itertools import pairwise

import numpy as np
import pooch
import pytest

from rnnbench.datasets import imdb, mnist
from rnnbench.datasets._fetching import WebFile, cache_folder
from rnnbench.datasets.base import MissingData
from rnnbench.errors import InputError

MODULES = {"mnist": (mnist, mnist.Mnist), "imdb": (imdb, imdb.Imdb)}
PARTS = {"train": 3, "test": 2}


def small_mnist():
    rng = np.random.default_rng(0)
    parts = {f"x_{part}": rng.integers(0, 256, (count, 28, 28), np.uint8) for part, count in PARTS.items()}
    return parts | {"y_train": np.array([5, 0, 4], np.uint8), "y_test": np.array([7, 2], np.uint8)}


def small_imdb():
    reviews = {"train": [[1, 14, 22], [1], [1, 9]], "test": [[3, 4, 5, 88_000], [2]]}
    parts = {}
    for part, lists in reviews.items():
        parts[f"x_{part}"] = np.empty(len(lists), object)
        parts[f"x_{part}"][:] = lists
    return parts | {"y_train": np.array([1, 0, 1]), "y_test": np.array([0, 1])}


MADE = {"mnist": small_mnist, "imdb": small_imdb}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Put arrays where a data set's file belongs, by hand as it were; nothing may be fetched."""
    monkeypatch.setenv("RNNBENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", lambda *_, **__: pytest.fail("fetched what is there"))

    def put(name, arrays):
        module, dataset = MODULES[name]
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / module.FILE.file_name
        np.savez(path, **arrays)
        held_to = WebFile(module.FILE.address, path.name, hashlib.sha256(path.read_bytes()).hexdigest())
        monkeypatch.setattr(module, "FILE", held_to)
        monkeypatch.setattr(module, "PARTS", PARTS)
        return dataset

    return put


def test_mnist_has_its_test_part_held_out(place):
    arrays = small_mnist()
    images, labels, held_out = place("mnist", arrays).read()
    np.testing.assert_array_equal(images[:3], arrays["x_train"])
    np.testing.assert_array_equal(images[3:], arrays["x_test"])
    assert labels.tolist() == [5, 0, 4, 7, 2]
    assert labels.dtype == np.int64
    assert held_out.tolist() == [False, False, False, True, True]


def test_imdb_reviews_lie_one_after_the_other(place):
    words, starts, labels, held_out = place("imdb", small_imdb()).read()
    reviews = [words[start:end].tolist() for start, end in pairwise(starts)]
    assert reviews == [[1, 14, 22], [1], [1, 9], [3, 4, 5, 88_000], [2]]
    assert labels.tolist() == [1, 0, 1, 0, 1]
    assert held_out.tolist() == [False, False, False, True, True]


@pytest.mark.parametrize("name", MODULES)
def test_a_file_of_another_structure_is_refused_by_array(place, name):
    arrays = MADE[name]()
    short = arrays | {"y_test": arrays["y_test"][:1]}
    with pytest.raises(
        InputError, match=rf"'{name}'.*{name}\.npz: y_test, expected u?int\d+ \(2,\), is u?int\d+ \(1,\)"
    ):
        place(name, short).read()
    del arrays["x_train"]
    with pytest.raises(InputError, match=r"x_train, expected .*, is not among x_test, y_train, y_test"):
        place(name, arrays).read()


@pytest.mark.parametrize("name", MODULES)
def test_another_file_than_the_known_one_is_refused_before_it_is_read(place, name, monkeypatch):
    known = MODULES[name][0].FILE
    dataset = place(name, MADE[name]())
    monkeypatch.setattr(MODULES[name][0], "FILE", known)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("read, and unpickled, without its checksum"))
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", _no_network)
    with pytest.raises(MissingData, match=f"expected sha256 {known.sha256}"):
        dataset.read()


def _no_network(*_, **__):
    raise OSError("no network")


@pytest.mark.parametrize("name", MODULES)
def test_without_a_network_the_message_says_which_file_to_put_where(tmp_path, monkeypatch, name):
    monkeypatch.setenv("RNNBENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", _no_network)
    module, dataset = MODULES[name]
    with pytest.raises(MissingData) as caught:
        dataset.read()
    message = str(caught.value)
    assert f"dataset '{name}' is inside {name}.npz, which could not be fetched (no network)" in message
    assert f"download {module.FILE.address}" in message
    assert f"put the file into {cache_folder()}; expected sha256 {module.FILE.sha256}" in message
