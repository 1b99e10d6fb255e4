"""The files that CONTRIBUTING.md shows, put into a copy of the tree: found, tested and used as it promises."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = re.compile(r"^`(rnnbench/[\w/]+\.py)`\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = dict(EXAMPLE.findall((ROOT / "CONTRIBUTING.md").read_text()))

SWEEP = """
import rnnbench
from rnnbench import datasets, report
cells = ["rnn", "lstm", "gru", "ugrnn"]
state_norm = {"probe": "state_norm", "axes": {"cell": cells}, "fixed": {"hidden": 8, "length": 9, "backend": "strict"}}
training = {
    "probe": "training",
    "axes": {"cell": ["ugrnn"], "hidden": [4, 8], "seed": [0, 1]},
    "fixed": {"task": "latch", "length": 5, "batch": 8, "steps": 3, "backend": "strict"},
}
results = rnnbench.run({"name": "all", "sweep": [state_norm, training]}, out="results", jobs=0, progress=False)
assert list(results.trials["status"]) == ["ok"] * 8, results.trials["reason"].to_list()
norms = results.measurements.query("quantity == 'relative_state_norm'")["value"]
assert len(norms) == 4 * 9 and norms.between(0, 1, inclusive="neither").all()
page = report.write(results.path)[0].read_text()
assert 'id="claim-more_units_learn_more"' in page and "latch, ugrnn: 8 units" in page
assert 'id="state_norm"' in page and "After 9 steps RNN has the largest state" in page
assert bytes(datasets.get("unicode_names").load().characters).startswith(b"SPACE\\nEXCLAMATION MARK\\n")
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the package and its tests with the examples in their places."""
    tree = tmp_path_factory.mktemp("contribution")
    for name in ("rnnbench", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    for path, text in EXAMPLES.items():
        assert not (tree / path).exists(), f"{path} is there already: the example shows nothing new"
        (tree / path).write_text(text)
    return tree


def python(tree: Path, *arguments: str) -> str:
    """Run Python in the copy, kernels uncompiled, and return what it printed; a failure shows all of it."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(tree)}
    done = subprocess.run([sys.executable, *arguments], cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_is_one_of_each_kind() -> None:
    folders = [Path(path).parent.as_posix() for path in EXAMPLES]
    assert folders == [
        f"rnnbench/{kind}"
        for kind in ("cells", "tasks", "datasets", "probes", "report/figures", "report/findings", "backends")
    ]


def test_a_sweep_and_a_report_use_them(tree: Path) -> None:
    python(tree, "-c", SWEEP)


def test_the_contract_tests_find_and_pass_them(tree: Path) -> None:
    names = ("ugrnn", "latch", "unicode_names", "state_norm", "strict", "more_units_learn_more")
    chosen = f"({' or '.join(names)}) and not rows"  # uncompiled, the rows of a probe at its usual size take minutes
    suites = (
        "cells/test_cell_contract.py",
        "tasks/test_task_contract.py",
        "datasets/test_dataset_contract.py",
        "probes/test_probe_contract.py",
        "backends/test_backend_errors.py",
        "report/test_findings.py",
    )
    printed = python(tree, "-m", "pytest", "-v", "-k", chosen, *(f"tests/{suite}" for suite in suites))
    for name in names:
        assert re.search(rf"\[.*{name}.*\] PASSED", printed), f"no contract test ran for {name}"
