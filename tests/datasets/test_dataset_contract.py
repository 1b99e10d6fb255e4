"""What every dataset must be, whatever is in it."""

import numpy as np
import pytest

from rnnbench import datasets
from rnnbench.datasets.base import Dataset, MissingData, sha256
from rnnbench.errors import InputError

every_dataset = pytest.mark.parametrize("dataset", datasets.entries().values(), ids=datasets.entries())


def test_the_shipped_datasets_are_registered():
    shipped = {"digits", "prose", "google_prices", "gun_point", "japanese_vowels", "mauna_loa_co2", "seattle_weather"}
    assert shipped | {"vader_words"} <= set(datasets.entries())


def test_unknown_name_names_the_nearest():
    with pytest.raises(InputError, match="unknown dataset 'digit': did you mean 'digits'"):
        datasets.get("digit")


@every_dataset
def test_says_what_it_is_and_whose(dataset):
    assert datasets.get(dataset.name) is dataset
    assert dataset.__module__ == f"rnnbench.datasets.{dataset.name}"
    assert dataset.__doc__.splitlines()[0].endswith(".")
    assert dataset.licence
    assert dataset.source


def load(dataset):
    """The data, or a skipped test that says what is missing."""
    try:
        return dataset.load()
    except MissingData as error:
        pytest.skip(str(error))


@every_dataset
def test_is_read_once_and_cannot_be_altered(dataset):
    arrays = load(dataset)
    assert dataset.load() is arrays
    assert all(array.size for array in arrays)
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array.flat[0] = array.flat[0]


@every_dataset
def test_fingerprint_is_that_of_a_second_reading(dataset):
    load(dataset)
    assert dataset.fingerprint() == sha256(dataset.read())
    assert dataset.sha256 in (None, dataset.fingerprint())


def test_altered_data_are_refused_with_both_checksums():
    expected = "0" * 64

    class Altered(Dataset[tuple[np.ndarray]]):
        """One number, and a checksum it does not have."""

        name, licence, source, sha256 = "altered", "none", "this test", expected

        @classmethod
        def read(cls):
            return (np.zeros(1, dtype=np.uint8),)

    # the SHA-256 of one zero byte, as `printf '\0' | sha256sum` prints it
    found = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    with pytest.raises(InputError, match=f"'altered'.*this test.*{found}, expected {expected}"):
        Altered.load()


def test_fingerprint_does_not_depend_on_byte_order_or_memory_layout():
    numbers = np.arange(6, dtype="<u4").reshape(2, 3)
    assert sha256((numbers.astype(">u4"),)) == sha256((np.asfortranarray(numbers),)) == sha256((numbers,))
    assert sha256((numbers + 1,)) != sha256((numbers,))
