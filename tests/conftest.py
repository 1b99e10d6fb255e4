"""Shared by all tests: what is skipped where Numba does not compile, and how Hypothesis runs."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

JIT_IS_OFF = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
"""The kernels then run as plain Python: the same lines, a thousand times slower, for coverage."""

# The same examples in every run: a tolerance that fails once in a thousand draws is found here or not at all.
settings.register_profile("rnnbench", deadline=None, derandomize=True, max_examples=4 if JIT_IS_OFF else 25)
settings.load_profile("rnnbench")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not JIT_IS_OFF:
        return
    skip = pytest.mark.skip(reason="needs compiled kernels, and NUMBA_DISABLE_JIT is set")
    for item in items:
        if item.get_closest_marker("compiled"):
            item.add_marker(skip)
