"""Permuted digits, put back into their order."""

import numpy as np
import pytest

from rnnbench.errors import InputError
from rnnbench.tasks.permuted_digits import ORDER, PermutedDigits
from rnnbench.tasks.sequential_digits import SequentialDigits


@pytest.mark.parametrize("method", ["sample", "evaluation"])
def test_the_same_images_in_another_order(method):
    plain, permuted = (
        getattr(kind(), method)(np.random.default_rng(0), 50) for kind in (SequentialDigits, PermutedDigits)
    )
    np.testing.assert_array_equal(permuted.inputs, plain.inputs[ORDER])
    np.testing.assert_array_equal(permuted.targets, plain.targets)


def test_the_order_is_a_permutation_that_never_changes():
    assert sorted(ORDER) == list(range(64))
    assert ORDER[:8].tolist() == [45, 29, 43, 61, 34, 33, 31, 40]
    assert np.abs(np.diff(ORDER)).mean() > 15  # neighbours are far apart


def test_rows_are_refused():
    with pytest.raises(InputError, match=r"length = 8, expected 64 \(a pixel a step\)"):
        PermutedDigits(8)
