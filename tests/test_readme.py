"""README's links lead somewhere, its sweep is one, and its Python runs."""

import re
from pathlib import Path

import pytest

from rnnbench.sweeps import spec

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_every_link_within_the_repository_leads_to_a_file():
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.parametrize("mark", ["newcomer:run", "newcomer:test"])
def test_each_mark_stands_right_before_its_block(mark):
    assert f"<!-- {mark} -->\n```sh\n" in TEXT


def test_the_sweep_shown_is_valid(tmp_path):
    (shown,) = blocks("toml")
    path = tmp_path / "gates.toml"
    path.write_text(shown, encoding="utf-8")
    assert len(spec.load(path).trials) == 2 * 3 * 5 * 2
    assert len(spec.load(path, ["hidden=128", "sweep.0.axes.gate_bias=[0.0, 5.0]"]).trials) == 2 * 2 * 5 * 2


def test_the_python_shown_runs_up_to_where_it_needs_torch():
    (shown,) = blocks("python")
    before, _, _ = shown.partition("layer = rnnbench.from_torch")
    names = {}
    exec(before, names)
    assert names["norms"].shape == (100, 16)
    assert (names["norms"] >= 0).all()
