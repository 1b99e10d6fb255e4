"""Compiled code is kept between runs and is never stale: checked with copies of the package that are then edited."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rnnbench
from rnnbench.backends import fingerprint
from rnnbench.backends.cpu import compilation

PACKAGE = Path(rnnbench.__file__).parent
PROGRAM = """
import json, sys
import numpy as np
from rnnbench.backends.cpu.compilation import cache_statistics
from rnnbench.layer import Layer
if len(sys.argv) > 1:
    from user_cell import CELL
else:
    CELL = "rnn_relu"
layer = Layer(CELL, 1, 1)
layer.params["W_xh"][:] = 1
h = layer.forward(np.full((1, 1, 1), -3.0)).h.item()
print(json.dumps(cache_statistics() | {"h": h}))
"""
USER_CELL = """
from rnnbench.cells.base import Cell
from user_helper import squashed

def forward_element(z, state):
    return (squashed(z[0]),), ()

def backward_element(d_state, state, previous, saved):
    return (d_state[0],), (0.0,)

CELL = Cell("user", "h' = helper(z)", ("hidden",), forward_element, backward_element)
"""


class Copy:
    """A copy of the package with a cache folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "rnnbench"
        shutil.copytree(PACKAGE, self.package, ignore=shutil.ignore_patterns("__pycache__"))

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.package / name
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))

    def run(self, *arguments: str) -> dict[str, Any]:
        """Run the program in a process of its own; return its statistics and h for z = -3."""
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(self.folder),
                "PYTHONDONTWRITEBYTECODE": "1",
                "RNNBENCH_CACHE_DIR": str(self.folder / "cache"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


COMPILED, LOADED = {"compiled": 1, "loaded": 0}, {"compiled": 0, "loaded": 1}


@pytest.mark.compiled
def test_the_second_start_compiles_nothing_and_an_edit_is_never_missed(copy: Copy) -> None:
    assert copy.run() == {**COMPILED, "h": 0}
    assert copy.run() == {**LOADED, "h": 0}
    original = (copy.package / "arithmetic.py").read_text()
    leaky = original.replace("def relu(x: Scalar) -> Scalar:", "def relu(x: Scalar) -> Scalar:\n    return 0.5 * x\n")
    (copy.package / "arithmetic.py").write_text(leaky)
    assert copy.run() == {**COMPILED, "h": -1.5}
    (copy.package / "arithmetic.py").write_text(original)
    assert copy.run() == {**LOADED, "h": 0}


@pytest.mark.compiled
def test_an_edit_beside_a_users_cell_is_not_missed(copy: Copy) -> None:
    """The cell's own file stays as it is; a helper that it imports from another file changes."""
    (copy.folder / "user_cell.py").write_text(USER_CELL)
    helper = copy.folder / "user_helper.py"
    helper.write_text("def squashed(x):\n    return 0.5 * x\n")
    assert copy.run("user") == {**COMPILED, "h": -1.5}
    assert copy.run("user") == {**LOADED, "h": -1.5}
    helper.write_text("def squashed(x):\n    return 2.0 * x\n")
    assert copy.run("user")["h"] == -6


def kernel_files() -> list[str]:
    folders = [PACKAGE / "cells", PACKAGE / "backends"]
    files = [PACKAGE / "arithmetic.py", *(path for folder in folders for path in folder.rglob("*.py"))]
    return sorted(path.relative_to(PACKAGE).as_posix() for path in files)


@pytest.fixture
def folders(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that gives the cache folder for the copy as it is now."""
    monkeypatch.setattr(fingerprint, "PACKAGE", copy.package)
    monkeypatch.setenv("RNNBENCH_CACHE_DIR", str(copy.folder))

    def folder() -> Path:
        fingerprint.kernel_source_hash.cache_clear()
        return compilation.cache_folder()

    yield folder
    monkeypatch.undo()
    fingerprint.kernel_source_hash.cache_clear()


def test_an_edit_of_any_kernel_file_leads_to_another_folder(copy: Copy, folders: Any) -> None:
    names = kernel_files()
    assert {"arithmetic.py", "cells/lstm.py", "backends/cpu/lanes.py", "backends/threads.py"} <= set(names)
    seen = {folders()}
    for name in [*names, "backends/new.py", "cells/new.py", "backends/cpu/new.py"]:
        with (copy.package / name).open("a") as file:
            file.write("# edited\n")
        assert folders() not in seen, name
        seen.add(folders())


def test_a_new_name_or_a_moved_line_leads_to_another_folder(copy: Copy, folders: Any) -> None:
    before = folders()
    (copy.package / "cells" / "rnn.py").rename(copy.package / "cells" / "rnn2.py")
    assert folders() != before


def test_what_is_not_compiled_changes_nothing(copy: Copy, folders: Any) -> None:
    before = folders()
    for name in ("layer.py", "cli.py", "new.py"):
        with (copy.package / name).open("a") as file:
            file.write("# edited\n")
    assert folders() == before


def test_the_hash_is_of_this_code() -> None:
    fingerprint.kernel_source_hash.cache_clear()
    text = fingerprint.kernel_source_hash()
    assert len(text) == 16
    assert int(text, 16) >= 0


def test_each_vector_width_and_cpu_has_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {compilation.cache_folder()}
    monkeypatch.setenv("RNNBENCH_VECTOR_BYTES", "16")
    seen.add(compilation.cache_folder())
    monkeypatch.setattr(compilation.config, "CPU_NAME", "generic")
    seen.add(compilation.cache_folder())
    monkeypatch.setattr(compilation.config, "CPU_FEATURES", "+avx2")
    seen.add(compilation.cache_folder())
    monkeypatch.setattr(compilation.numba, "__version__", "0")
    seen.add(compilation.cache_folder())
    monkeypatch.setattr(compilation.llvmlite, "__version__", "0")
    seen.add(compilation.cache_folder())
    assert len(seen) == 6


def test_where_the_cache_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RNNBENCH_CACHE_DIR", raising=False)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert "rnnbench" in compilation.cache_folder().parts
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    assert compilation.cache_folder().is_relative_to(tmp_path / "numba")
    monkeypatch.setenv("RNNBENCH_CACHE_DIR", str(tmp_path / "ours"))
    assert compilation.cache_folder().is_relative_to(tmp_path / "ours")


@pytest.mark.compiled
def test_numbas_own_setting_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNBENCH_CACHE_DIR", str(tmp_path))
    before = compilation.config.CACHE_DIR
    compilation.kernel(lambda x: x)
    assert before == compilation.config.CACHE_DIR
