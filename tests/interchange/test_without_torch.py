from __future__ import annotations

import builtins
import re
from typing import Any

import pytest

import rnnbench
from rnnbench.errors import InputError
from rnnbench.layer import Layer


@pytest.mark.parametrize("call", [rnnbench.from_torch, rnnbench.to_torch])
def test_without_pytorch_the_message_says_how_to_install_it(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "torch":
            raise ImportError(name)
        return plain(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=re.escape("PyTorch is not installed; python -m pip install")):
        call(Layer("rnn", 1, 1))
