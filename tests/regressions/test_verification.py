"""A run that is checked: true as it stands, and found out whatever is altered in it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnnbench import report
from rnnbench.errors import InputError
from rnnbench.regressions import verification
from rnnbench.regressions.verification import Check, verify
from rnnbench.sweeps import engine, sources
from rnnbench.sweeps.store import Results

SWEEP = {
    "name": "small",
    "sweep": [
        {
            "probe": "gradient_decay",
            "axes": {"cell": ["rnn", "lstm"]},
            "fixed": {"data": "adding", "backend": "reference", "hidden": 4, "length": 30, "batch": 2},
        },
        {"probe": "null", "axes": {"seed": {"count": 2}}},
        # Its key has the hardware in it, though no time is measured.
        {"probe": "device_parity", "fixed": {"backend": "reference", "hidden": 4, "length": 3, "batch": 2, "runs": 2}},
    ],
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = engine.execute(SWEEP, tmp_path_factory.mktemp("out"), jobs=0, progress=False).path
    report.write(path, ["html", "svg"])
    return path


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / original.name))


def verdicts(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.verdict for check in checks}


def test_a_run_as_it_was_made_is_true(run: Path) -> None:
    checks = verify(run, sample=10)
    assert verdicts(checks) == dict.fromkeys(["files", "data", "provenance", "figures", "trials"], "true"), checks
    assert "5 of 5 that can be repeated" in checks[-1].detail


def test_figures_carry_run_and_data(run: Path) -> None:
    report.write(run, ["pdf", "png"])
    results = Results.load(run)
    identity = f"run {results.provenance['run_id']}, data {results.data_hash}"
    for kind in ("svg", "pdf", "png"):
        figures = list((run / "figures").glob(f"*.{kind}"))
        assert figures
        assert all(identity.encode() in path.read_bytes() for path in figures)


def alter_value(run: Path) -> str:
    """Write another value into one row, with its checksum as it should be."""
    path = next(path for path in (run / "trials").iterdir() if len(pq.read_table(path)) > 5)
    rows = pq.read_table(path)
    values = rows["value"].to_pylist()
    values[3] += 1e-9
    altered = rows.set_column(2, rows.schema.field("value"), pa.array(values)).replace_schema_metadata(
        rows.schema.metadata
    )
    pq.write_table(altered, path, write_page_checksum=True)
    return "data"


def alter_figure(run: Path) -> str:
    path = next((run / "figures").glob("*.svg"))
    path.write_text(path.read_text().replace("stroke", "strike", 1))
    return "figures"


def alter_report(run: Path) -> str:
    path = run / "report.html"
    path.write_text(path.read_text() + "<p>All claims hold.</p>")
    return "figures"


def add_figure(run: Path) -> str:
    (run / "figures" / "better.svg").write_text("<svg/>")
    return "figures"


def remove_figure(run: Path) -> str:
    next((run / "figures").glob("*.svg")).unlink()
    return "figures"


def truncate_trial(run: Path) -> str:
    path = next((run / "trials").iterdir())
    path.write_bytes(path.read_bytes()[:-30])
    return "files"


def forget_environment(run: Path) -> str:
    path = run / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"environments": {}}))
    return "provenance"


@pytest.mark.parametrize(
    "alter",
    [alter_value, alter_figure, alter_report, add_figure, remove_figure, truncate_trial, forget_environment],
)
def test_what_is_altered_is_found(run: Path, alter: object) -> None:
    assert callable(alter)
    name = alter(run)
    found = verdicts(verify(run, sample=0))
    assert found[name] == "false"
    others = {"trials", "figures"} if name in ("data", "provenance") else {"trials"}  # figures show what was altered
    assert all(verdict != "false" for other, verdict in found.items() if other not in {name, *others})


def test_rows_that_another_run_gives_are_found(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a kernel is wrong on some machine: hashes agree, for the file is as it was written."""
    perform = verification.perform

    def wrong(trial: object) -> object:
        outcome = perform(trial)  # type: ignore[arg-type]
        outcome.rows[0] = outcome.rows[0]._replace(value=outcome.rows[0].value + 1e-12)
        return outcome

    monkeypatch.setattr(verification, "perform", wrong)
    [check] = [check for check in verify(run, sample=1) if check.name == "trials"]
    assert check.verdict == "false"
    assert re.search(r"\w{16} \(.*\): \[.*\], where \[.*\] is stored", check.detail)


def test_other_source_or_hardware_cannot_tell(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "hardware", lambda: "another CPU")
    assert verdicts(verify(run))["trials"] == "cannot tell"
    monkeypatch.undo()
    monkeypatch.setattr(sources, "source_hash", lambda *_: "f" * 16)
    assert verdicts(verify(run))["trials"] == "cannot tell"


def test_runs_of_older_versions_are_read(run: Path) -> None:
    path = run / "provenance.json"
    told = json.loads(path.read_text())
    del told["data_hash"]
    path.write_text(json.dumps(told))
    assert verdicts(verify(run, sample=0))["data"] == "cannot tell"


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the results of a run"):
        verify(tmp_path)
