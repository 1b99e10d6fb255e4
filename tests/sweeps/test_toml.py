from __future__ import annotations

import math
import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rnnbench.sweeps import toml

KEYS = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = (
    st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_what_is_written_is_read_back(data: dict[str, Any]) -> None:
    assert tomllib.loads(toml.dumps(data)) == data


def test_numbers_that_are_none_are_read_back() -> None:
    read = tomllib.loads(toml.dumps({"values": [math.inf, -math.inf, math.nan]}))["values"]
    assert read[:2] == [math.inf, -math.inf]
    assert math.isnan(read[2])
