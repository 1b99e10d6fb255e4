"""The gate from references to exit code, on a small project; only asv's builds are replaced."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import made_up_project
import numpy as np
import pytest
from made_up_project import LOOKS, NAMES, git, replace_builds

import rnnbench.cli
from rnnbench.errors import InputError
from rnnbench.regressions.gate import report, rounds, run
from rnnbench.regressions.gate.builds import AGAIN, BASE, HEAD, MISSING_ASV, Build, NothingMeasured, Repository
from rnnbench.regressions.gate.evidence import Evidence
from rnnbench.regressions.gate.result import BROKEN, NEW, SKIPPED, Result, conclude
from rnnbench.regressions.gate.run import Settings
from rnnbench.regressions.statistics import CANNOT_TELL, FASTER, SAME, SLOWER

ALL, ONE = NAMES


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("asv", reason="asv comes with the extra 'gate'")
    monkeypatch.chdir(tmp_path)
    return made_up_project.make(tmp_path / "project")


def gate(project: Path, **settings: Any) -> Result:
    return run.run(Settings("first", looks=LOOKS, **settings), project)


def verdicts(result: Result) -> dict[str, str]:
    return {row.name: row.verdict for row in result.rows}


def test_a_benchmark_that_crashes_or_raises_in_the_head_alone_is_broken(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_builds(monkeypatch, head={"CRASHES": "all", "RAISES": "one"})
    result = gate(project)
    assert verdicts(result) == dict.fromkeys(NAMES.values(), BROKEN)
    assert result.exit_code == 1
    reasons = {row.name: row.reason for row in result.rows}
    assert "exit code 9" in reasons[NAMES[ALL]]
    assert "RuntimeError: injected" in reasons[NAMES[ONE]]


@pytest.mark.parametrize("sides", [(BASE, AGAIN), (BASE, AGAIN, HEAD)])
def test_where_no_benchmark_runs_on_both_sides_nothing_was_measured(
    project: Path, monkeypatch: pytest.MonkeyPatch, sides: tuple[str, ...]
) -> None:
    replace_builds(monkeypatch, **{side: {"RAISES": "one", "UNABLE": "all"} for side in sides})
    with pytest.raises(NothingMeasured, match="none of 2 benchmarks was measured in both commits"):
        gate(project)


def test_a_slowdown_of_one_benchmark_is_caught_by_a_gate_that_was_interrupted(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_builds(monkeypatch, head={"ONE": "1.1"})
    real, calls = rounds.run_round, 0

    def interrupted(*arguments: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(rounds, "run_round", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gate(project)
    (store,) = project.glob(".asv/gate/rounds/*/rounds.jsonl")
    with store.open("a") as file:
        file.write('{"started": "cut o')
    said: list[str] = []
    result = run.run(Settings("first", looks=LOOKS), project, said.append)
    assert any(line.startswith("3 rounds are stored in") for line in said)
    assert verdicts(result) == {NAMES[ONE]: SLOWER, NAMES[ALL]: SAME}
    assert result.exit_code == 1
    slower, same = result.rows
    assert 1.09 < slower.ratio_low < slower.ratio < slower.ratio_high < 1.11
    assert 0.99 < same.ratio_low < same.ratio_high < 1.01
    assert same.base_s == pytest.approx(1e-3, rel=0.01)
    assert calls - 1 == result.rounds == len(store.read_text().splitlines())
    calls = 100
    again = gate(project)
    assert calls == 100, "a finished gate is read, not measured"
    assert again.to_json() == result.to_json()


def test_other_settings_or_another_suite_are_another_measurement(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_builds(monkeypatch)
    repository = Repository.find(project)
    sides = {side: repository.build(side, "0" * 40) for side in (BASE, AGAIN, HEAD)}
    plan = Evidence.start(NAMES, {}, 0.05).plan
    names = [run._run_name(sides, repository.suite, plan, NAMES)]
    names.append(run._run_name(sides, repository.suite, Evidence.start(NAMES, {}, 0.04).plan, NAMES))
    names.append(run._run_name(sides, repository.suite, plan, [ALL]))
    (repository.suite / "spinning.py").write_text("")
    names.append(run._run_name(sides, repository.suite, plan, NAMES))
    assert len(set(names)) == 4


def made_up_rounds(count: int, ratios: dict[str, float], control: float = 1.0) -> list[dict[str, Any]]:
    """Return rounds of 1 ms in the base, with 0.1 % of noise."""
    rng = np.random.default_rng(0)

    def medians(factor: float | dict[str, float]) -> dict[str, float]:
        factors = factor if isinstance(factor, dict) else dict.fromkeys(NAMES, factor)
        return {name: 1e-3 * each * np.exp(0.001 * rng.standard_normal()) for name, each in factors.items()}

    return [
        {
            "medians": {BASE: medians(1.0), AGAIN: medians(control), HEAD: medians(ratios)},
            "counts": {side: dict.fromkeys(NAMES, 1000.0) for side in (BASE, AGAIN, HEAD)},
            "failed": {BASE: {}, AGAIN: {}, HEAD: {}},
            "seconds": 1.0,
        }
        for _ in range(count)
    ]


def concluded(
    lines: list[dict[str, Any]], unable: dict[str, dict[str, str]] | None = None, out_of_time: bool = False
) -> Result:
    evidence = Evidence.start(NAMES, unable or {BASE: {}, AGAIN: {}, HEAD: {}}, 0.05)
    for line in lines:
        evidence.take(line)
    evidence.out_of_time = out_of_time
    return conclude(evidence, Settings("main"), ("a" * 40, "b" * 40), ["A note."], Path("folder"))


@pytest.mark.parametrize(
    ("ratios", "expected", "code"),
    [
        ({ALL: 1.0, ONE: 1.0}, {SAME}, 0),
        ({ALL: 1.0, ONE: 1.1}, {SAME, SLOWER}, 1),
        ({ALL: 0.9, ONE: 1.0}, {FASTER, SAME}, 0),
        ({ALL: 0.9, ONE: 1.1}, {FASTER, SLOWER}, 1),
    ],
)
def test_exit_codes_of_verdicts(ratios: dict[str, float], expected: set[str], code: int) -> None:
    result = concluded(made_up_rounds(16, ratios))
    assert (set(verdicts(result).values()), result.exit_code) == (expected, code)
    assert result.answer == ("regressed" if code else "same" if expected == {SAME} else "not slower")


def test_builds_of_the_base_that_differ_can_neither_pass_nor_fail_a_benchmark() -> None:
    for ratio in (1.0, 1.1):
        result = concluded(made_up_rounds(16, {ALL: ratio, ONE: ratio}, control=1.06))
        assert set(verdicts(result).values()) == {CANNOT_TELL}
        assert result.exit_code == 3
        assert result.rows[0].reason == "two builds of the base differ by 6.0 %"


def test_too_few_rounds_cannot_tell() -> None:
    result = concluded(made_up_rounds(5, {ALL: 1.0, ONE: 2.0}), out_of_time=True)
    assert set(verdicts(result).values()) == {CANNOT_TELL}
    assert (result.exit_code, result.rows[0].reason) == (3, "time ran out")


def test_one_failure_is_bad_luck_and_two_are_not() -> None:
    lines = made_up_rounds(12, {ALL: 1.0, ONE: 1.0})
    lines[3]["failed"][HEAD][ONE] = "MemoryError"
    del lines[3]["medians"][HEAD][ONE]
    assert concluded(lines[:3] + lines[4:] + lines[:3]).exit_code == 0
    lines[5]["failed"][HEAD][ONE] = "MemoryError"
    result = concluded(lines)
    assert verdicts(result)[NAMES[ONE]] == BROKEN
    assert result.rows[0].reason == "fails in head: MemoryError"


def test_what_the_base_cannot_do_is_new_and_does_not_decide() -> None:
    unable = {BASE: {ONE: "skipped"}, AGAIN: {ONE: "skipped"}, HEAD: {}}
    result = concluded(made_up_rounds(16, {ALL: 1.0}), unable)
    assert (verdicts(result)[NAMES[ONE]], result.exit_code) == (NEW, 0)


def test_what_neither_commit_can_do_is_left_out_and_what_fails_in_both_is_not() -> None:
    rows = made_up_rounds(16, {ALL: 1.0})
    skipped = {side: {ONE: "skipped"} for side in (BASE, AGAIN, HEAD)}
    assert verdicts(concluded(rows, skipped))[NAMES[ONE]] == SKIPPED
    assert concluded(rows, skipped).exit_code == 0
    failing = {side: {ONE: "ValueError"} for side in (BASE, AGAIN, HEAD)}
    assert concluded(rows, failing).exit_code == 3


def test_the_report_says_what_is_promised_and_what_the_control_showed() -> None:
    result = concluded(made_up_rounds(16, {ALL: 1.0, ONE: 1.1}))
    text = report.markdown(result)
    assert text.startswith(
        report.MARK + "\n### Gate: regressed: HEAD (bbbbbbbbbb) against main (aaaaaaaaaa): 1 slower, 1 same"
    )
    assert (
        "At most 1.0 % of gates call any benchmark slower that is not more than 2.5 % slower; at most 1.0 % pass"
        in text
    )
    assert "The base, built twice, against itself" in text
    assert "* A note." in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in tables}) == 1
    assert tables[2].startswith("| `spinning.Spin.time_spin('one')` | 1.00 ms | 1.10 ms | 1.100 |")
    assert "| 1.0000 |" in tables[2], "instructions"
    parsed = json.loads(result.to_json())
    assert (parsed["answer"], parsed["exit_code"], len(parsed["rows"])) == ("regressed", 1, 2)


def test_a_line_in_a_reason_cannot_break_the_table() -> None:
    unable = {BASE: {}, AGAIN: {}, HEAD: {ONE: "bad | <b>\nnews"}}
    (row,) = (
        line
        for line in report.markdown(concluded(made_up_rounds(16, {ALL: 1.0}), unable)).splitlines()
        if "bad" in line
    )
    assert row.endswith(r"bad \| \<b\> news |")


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["rnnbench", "gate", *arguments])
    with pytest.raises(SystemExit) as ended:
        rnnbench.cli.main()
    return int(ended.value.code or 0)


def test_the_command_prints_writes_and_exits_with_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = concluded(made_up_rounds(16, {ALL: 1.0, ONE: 1.1}))
    monkeypatch.setattr(run, "run", lambda settings, path, say: result)
    assert command(monkeypatch, "--base", "first", "--markdown", "gate.md", "--json", "gate.json") == 1
    assert "Gate: regressed" in capsys.readouterr().out
    assert Path("gate.md").read_text() == report.markdown(result)
    assert json.loads(Path("gate.json").read_text())["exit_code"] == 1


def test_ctrl_c_says_that_nothing_is_lost(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*arguments: Any) -> Result:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run", interrupted)
    assert command(monkeypatch) == 130
    assert "interrupted: finished rounds are stored" in capsys.readouterr().err


def test_a_build_that_fails_is_exit_code_4(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(self: Repository, side: str, commit: str) -> Build:
        raise NothingMeasured(f"{side} cannot be built: injected")

    monkeypatch.setattr(Repository, "build", build)
    monkeypatch.chdir(project)
    assert command(monkeypatch, "--base", "first") == 4
    assert "error: nothing was measured: head cannot be built: injected" in capsys.readouterr().err


def test_wrong_input_is_refused_before_anything_is_built(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Repository, "build", lambda *arguments: pytest.fail("built"))
    monkeypatch.chdir(project)
    for arguments, message in (
        (["--base", "nowhere"], "--base nowhere: no branch, tag or commit of"),
        (["--base", "first", "--head", "--help-me"], "--head --help-me: no branch, tag or commit of"),
        (["--base", "first", "--threshold", "0"], "threshold is 0; expected more than 0"),
        (["--base", "first", "--bench", "("], "pattern of benchmarks '(': not a regular expression"),
        (["--base", "first", "--json", "no/such/folder.json"], "--json no/such/folder.json"),
    ):
        assert command(monkeypatch, *arguments) == 2
        assert message in capsys.readouterr().err
    (project / "suite" / "more.py").write_text("")
    assert command(monkeypatch, "--base", "first") == 2
    assert "uncommitted changes in suite/more.py; the gate builds commits" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, "--base", "first") == 2
    assert "not in a git repository" in capsys.readouterr().err


def test_without_asv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "asv.config", None)
    assert command(monkeypatch, "--base", "HEAD") == 2
    assert f"error: {MISSING_ASV}" in capsys.readouterr().err


@pytest.mark.parametrize("value", ['"text"', "[]", "[1]"])
def test_a_selection_that_is_none_is_refused(project: Path, value: str) -> None:
    file = project / "asv.conf.json"
    file.write_text(file.read_text()[:-1] + f', "gate": {{"benchmarks": {value}}}}}')
    with pytest.raises(
        InputError, match=r"asv.conf.json: gate.benchmarks is .*; expected a list of regular expressions"
    ):
        _ = Repository.find(project).selection


def test_commits_that_only_the_base_has_are_mentioned(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(project, "checkout", "--quiet", "-b", "other", "first")
    git(project, "commit", "--quiet", "--allow-empty", "--message", "Other")
    said: list[str] = []
    monkeypatch.setattr(Repository, "build", lambda *arguments: (_ for _ in ()).throw(NothingMeasured("stop")))
    with pytest.raises(NothingMeasured, match="stop"):
        run.run(Settings("main"), project, said.append)
    assert said[0] == "note: main has commits that HEAD has not; they count as changes too"
