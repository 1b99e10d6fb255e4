"""README's table of the comparison: written from a run's rows, and found out of date where it is not."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_claims import add_claim, add_slope

from rnnbench.errors import InputError
from rnnbench.report import findings
from rnnbench.report.document import compose

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "experiments" / "readme_tables.py"
spec = importlib.util.spec_from_file_location("readme_tables", SCRIPT)
readme_tables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(readme_tables)
BEGIN, END = readme_tables.marks("comparison")

PROVENANCE = {
    "command": "rnnbench run experiments/throughput.toml",
    "started_at": "2026-03-02T10:00:00+00:00",
    "machine": {"cpu": "Example CPU @ 2.6 GHz", "available_cores": 2},
    "versions": {"python": "3.11.9", "rnnbench": "0.1.0", "torch": "2.9.0", "jax": "0.8.1"},
}


@pytest.fixture(scope="module")
def run(build):
    results = build("comparison", directions=("forward", "forward_backward"), published=False)
    results.provenance.update(PROVENANCE)
    return results


@pytest.fixture
def readme(tmp_path, monkeypatch, run):
    monkeypatch.setattr(readme_tables.Results, "load", lambda path: run)
    path = tmp_path / "README.md"
    path.write_text(f"# Title\n\n{BEGIN}\n{END}\n\nThe end.\n", encoding="utf-8")
    return path


def call(readme, *arguments, table="comparison"):
    run = readme.parent / "results" / "fast"
    return readme_tables.main([*arguments, "--table", table, "--readme", str(readme), "--run", str(run)])


def test_writing_makes_the_check_pass_and_touches_nothing_else(readme):
    assert call(readme, "--check") == 1
    assert call(readme) == 0
    assert call(readme, "--check") == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("# Title\n\n<!-- comparison:begin")
    assert text.endswith("comparison:end -->\n\nThe end.\n")
    assert call(readme) == 0
    assert readme.read_text(encoding="utf-8") == text


def test_a_changed_number_is_found(readme, capsys):
    call(readme)
    text = readme.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("| forward | LSTM | 2 |"))
    number = line.split(" | ")[3]
    readme.write_text(text.replace(line, line.replace(number, "9.99", 1)), encoding="utf-8")
    assert call(readme, "--check") == 1
    assert "out of date" in capsys.readouterr().err


def test_the_table_is_that_of_the_report(run, readme):
    call(readme)
    text = readme.read_text(encoding="utf-8")
    table = compose(run).sections[0].tables[0]
    assert len(table.rows) == 2 * 3 * 2
    assert all(f"| {' | '.join(row)} |" in text for row in table.rows)
    assert "| direction | cell | threads | PyTorch (×) | ONNX Runtime (×) | JAX (×) | the fastest of them (×) |" in text


def test_it_says_machine_versions_and_command(readme):
    call(readme)
    text = readme.read_text(encoding="utf-8")
    assert "Machine: Example CPU @ 2.6 GHz, 2 cores, 2026-03-02." in text
    assert "rnnbench 0.1.0, Numba 0.68.1, NumPy 2.4.6, PyTorch 2.9.0, ONNX Runtime not known, JAX 0.8.1." in text
    assert "Made by `rnnbench run experiments/throughput.toml`" in text
    assert "[results/fast](results/fast)" in text


def test_findings_of_the_figures_follow_the_table(run, readme):
    call(readme)
    text = readme.read_text(encoding="utf-8")
    floors = [drawing for drawing in compose(run).drawings if drawing.name.startswith("comparison_floor")]
    assert len(floors) == 2
    assert all(f"* {drawing.finding}\n" in text for drawing in floors)


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}"])
def test_a_readme_without_its_comments_is_refused(readme, capsys, text):
    readme.write_text(text, encoding="utf-8")
    assert call(readme) == 2
    assert "once each" in capsys.readouterr().err
    assert readme.read_text(encoding="utf-8") == text


def test_a_missing_readme_is_told(tmp_path, monkeypatch, run, capsys):
    monkeypatch.setattr(readme_tables.Results, "load", lambda path: run)
    assert call(tmp_path / "NOWHERE.md") == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'NOWHERE.md'}: No such file or directory; expected")
    (tmp_path / "latin.md").write_bytes(b"caf\xe9")
    assert call(tmp_path / "latin.md") == 2
    assert "latin.md: not UTF-8 text; expected a file" in capsys.readouterr().err


def test_a_missing_run_is_told(tmp_path, capsys):
    (tmp_path / "README.md").write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    assert call(tmp_path / "README.md") == 2
    message = f"error: {tmp_path / 'results' / 'fast'}: no such folder; expected the results of a run"
    assert capsys.readouterr().err.startswith(message)


def test_versions_are_those_of_the_trials_where_they_tell(run, readme):
    told = replace(run, trials=run.trials.assign(torch_version="2.8.0"))
    assert "PyTorch 2.8.0, ONNX Runtime not known, JAX 0.8.1." in readme_tables.comparison(told)


def test_a_run_that_compares_nothing_is_refused(build):
    with pytest.raises(InputError, match="compares no library"):
        readme_tables.comparison(build("throughput"))


@pytest.fixture
def verdicts(tmp_path, monkeypatch, empty_run):
    add_claim(empty_run, "carousel_keeps_all", 0.1, 0.01)
    for seed in range(3):
        for bias, slope in ((1.0, 0.0), (3.0, 0.2)):
            add_slope(empty_run, seed, "lstm", bias, -0.1 + slope + 0.01 * (seed if bias == 1.0 else 0))
        add_slope(empty_run, seed, "rnn", None, -0.1)
    empty_run.provenance.update(PROVENANCE | {"command": "rnnbench run experiments/concepts.toml"})
    monkeypatch.setattr(readme_tables.Results, "load", lambda path: empty_run.results())
    path = tmp_path / "README.md"
    path.write_text("\n".join(readme_tables.marks("verdicts")), encoding="utf-8")
    return path


def test_verdicts_are_counted_tabled_and_said_where_from(verdicts):
    assert call(verdicts, "--check", table="verdicts") == 1
    assert call(verdicts, table="verdicts") == 0
    assert call(verdicts, "--check", table="verdicts") == 0
    text = verdicts.read_text(encoding="utf-8")
    count = len(findings.entries())
    assert f"{count} hypotheses in {count + 1} settings: 2 supported, 1 cannot tell and {count - 2} no rows." in text
    carousel = findings.entries()["carousel_keeps_all"].hypothesis
    assert (
        f"| {carousel} | adding, orthogonal | 0.100 nat/step | 0.082 to 0.118 | at least −0.01 nat/step | supported |"
        in text
    )
    further = [line for line in text.splitlines() if "bias 1, adding" in line or "bias 3, adding" in line]
    assert [line.split(" | ")[0] for line in further] == [
        f"| {findings.entries()['lstm_carries_further'].hypothesis}",
        "| ",
    ], "a hypothesis is named once"
    assert findings.RULE in text
    assert "Made by `rnnbench run experiments/concepts.toml`; rows and provenance:" in text


def test_a_run_that_speaks_of_no_hypothesis_is_refused(empty_run):
    empty_run.trial("null", seed=0)
    with pytest.raises(InputError, match="no rows for any hypothesis"):
        readme_tables.verdicts(empty_run.results())


def test_what_is_remembered_is_found_and_stands_beside_what_was_published(build):
    results = build("memory", seeds=2)
    results.provenance.update(PROVENANCE | {"command": "rnnbench run experiments/memory.toml"})
    text = readme_tables.memory(results, "results/reference/memory")
    found = [drawing.finding for drawing in compose(results).drawings if drawing.name.startswith("success_by_length")]
    assert found
    assert all(f"* {finding}\n" in text for finding in found)
    tables = [table for section in compose(results).sections for table in section.tables]
    [published] = [table for table in tables if "published" in table.caption.lower()]
    assert all(f"| {' | '.join(row)} |" in text for row in published.rows)
    assert published.note in text
    assert "Made by `rnnbench run experiments/memory.toml`" in text


def test_what_is_learned_stands_beside_its_baseline(empty_run):
    for cell, score in (("rnn", 0.6), ("lstm", 0.99)):
        key = empty_run.trial("training", task="date_translation", cell=cell, hidden=16, steps=100, seed=0)
        for quantity, value in (
            ("baseline_score", 0.1),
            ("final_score", score),
            ("score_higher_is_better", 1.0),
            ("solved", float(score > 0.98)),
            ("solved_threshold", 0.99),
        ):
            empty_run.add(key, quantity, "fraction correct", (None, value))
    empty_run.provenance.update(PROVENANCE | {"command": "rnnbench run experiments/applications.toml"})
    results = empty_run.results()
    text = readme_tables.applications(results)
    [drawing] = [found for found in compose(results).drawings if found.name.startswith("training_skill")]
    assert text.startswith(drawing.finding)
    assert "| 0.600 |" in text
    assert "| 0.990 |" in text
    assert "Made by `rnnbench run experiments/applications.toml`" in text


@pytest.mark.parametrize("table", ["applications", "memory"])
def test_a_run_without_such_tasks_is_refused(build, table):
    with pytest.raises(InputError, match="the run trains on no task"):
        getattr(readme_tables, table)(build("throughput"))


def test_another_run_is_for_one_table(tmp_path, capsys):
    with pytest.raises(SystemExit):
        readme_tables.main(["--run", str(tmp_path)])
    assert "expected --table too" in capsys.readouterr().err


@pytest.mark.parametrize("table", readme_tables.BLOCKS)
def test_readme_is_up_to_date(table):
    run = readme_tables.BLOCKS[table].run
    if not (run / "sweep.toml").exists():
        pytest.skip(f"no reference run in {run.relative_to(ROOT)}")
    assert readme_tables.main(["--check", "--table", table]) == 0
