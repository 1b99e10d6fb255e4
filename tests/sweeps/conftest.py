"""Install the misbehaving probes of tests/sweeps/plugin for each test here, as a package would be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnbench.sweeps import plugins

PLUGIN = Path(__file__).parent / "plugin"


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(PLUGIN))
    plugins._installed.cache_clear()
    yield PLUGIN
    plugins._installed.cache_clear()
