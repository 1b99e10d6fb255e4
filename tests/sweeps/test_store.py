from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import scipy

from rnnbench.errors import InputError
from rnnbench.probes.base import Measurement
from rnnbench.sweeps import folder as folder_module
from rnnbench.sweeps import store
from rnnbench.sweeps.folder import RunFolder, StorageError, write_text
from rnnbench.sweeps.store import DamagedTrial, Results, read_trial, write_trial
from rnnbench.sweeps.trial import SCHEMA_VERSION, Outcome, Trial

FIRST = Trial("one", {"cell": "rnn", "hidden": 16, "sizes": [1, 2], "seed": 0})
SECOND = Trial("two", {"gain": 1.5, "seed": 1, "limit": None})
ROWS = [
    Measurement("loss", 0.5, "nat", 10),
    Measurement("loss", np.nan, "nat", 20),
    Measurement("score", np.inf, "1"),
]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run of three trials, the last of which has not run."""
    folder = RunFolder(tmp_path / "run")
    folder.prepare()
    write_text(folder.sweep, 'name = "run"\ntitle = "A <run>"\n')
    write_text(folder.provenance, json.dumps({"schema_version": SCHEMA_VERSION}))
    write_text(folder.keys, f"{SECOND.key}\n{FIRST.key}\n{'0' * 16}\n")
    write_trial(folder, FIRST, Outcome(FIRST.key, "ok", rows=ROWS, runtime_s=1.5, peak_memory_bytes=10**8))
    write_trial(folder, SECOND, Outcome(SECOND.key, "error", "ValueError: no", "Traceback ..."))
    return folder


def test_versions_of_what_a_trial_was_compared_with_are_a_column(folder: RunFolder) -> None:
    """Also where its process died and told none; other trials have none."""
    trial = Trial("three", {"seed": 0}, packages=("scipy",))
    write_text(folder.keys, f"{FIRST.key}\n{trial.key}\n")
    write_trial(folder, trial, Outcome(trial.key, "killed"))
    trials = Results.load(folder.path).trials.set_index("key")
    assert trials.loc[trial.key, "scipy_version"] == scipy.__version__
    assert pd.isna(trials.loc[FIRST.key, "scipy_version"])
    assert "schema_version" not in trials


def test_two_tidy_tables_come_back(folder: RunFolder) -> None:
    results = Results.load(folder.path)
    trials = results.trials.set_index("key")
    assert list(trials.index) == [SECOND.key, FIRST.key]
    assert list(trials["status"]) == ["error", "ok"]
    assert trials.loc[SECOND.key, "reason"] == "ValueError: no"
    assert (trials.loc[FIRST.key, "runtime_s"], trials.loc[FIRST.key, "peak_memory_bytes"]) == (1.5, 10**8)
    assert trials["peak_memory_bytes"].isna().tolist() == [True, False]
    assert trials["hidden"].dtype == "Int64"
    assert pd.isna(trials.loc[SECOND.key, "hidden"])
    assert trials.loc[FIRST.key, "sizes"] == "[1, 2]"
    assert trials["seed"].tolist() == [1, 0]
    assert set(store.TRIAL_COLUMNS) <= set(results.trials.columns)
    measurements = results.measurements
    assert list(measurements.columns) == ["key", "quantity", "index", "value", "unit"]
    assert measurements["index"].dtype == "Int64"
    assert measurements["index"].tolist()[:2] == [10, 20]
    assert measurements["index"].isna().tolist() == [False, False, True]
    np.testing.assert_array_equal(measurements["value"], [0.5, np.nan, np.inf])
    assert set(measurements["key"]) == {FIRST.key}
    assert results.missing == ("0" * 16,)
    assert results.counts == {"error": 1, "ok": 1}
    assert results.traceback(SECOND.key) == "Traceback ..."


def test_a_run_without_a_finished_trial_has_empty_tables(folder: RunFolder) -> None:
    for path in folder.trials.iterdir():
        path.unlink()
    results = Results.load(folder.path)
    assert results.trials.empty
    assert results.measurements.empty
    assert {"key", "status"} <= set(results.trials.columns)
    assert list(results.measurements.columns) == ["key", "quantity", "index", "value", "unit"]
    assert len(results.missing) == 3


def test_the_notebook_shows_escaped_tables(folder: RunFolder) -> None:
    html = Results.load(folder.path)._repr_html_()
    assert "A &lt;run&gt;" in html
    assert "<run>" not in html
    assert html.count("<table") == 2


def test_files_of_trials_that_the_sweep_no_longer_names_are_left_out(folder: RunFolder) -> None:
    write_text(folder.keys, f"{FIRST.key}\n")
    assert Results.load(folder.path).trials["key"].tolist() == [FIRST.key]
    assert folder.trial(SECOND.key).exists()


def damage_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_bits(path: Path) -> None:
    values = pq.ParquetFile(path).metadata.row_group(0).column(2)
    content = bytearray(path.read_bytes())
    content[values.data_page_offset + values.total_compressed_size - 2] ^= 1
    path.write_bytes(content)


def damage_foreign(path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(path)


def damage_swapped(path: Path) -> None:
    path.write_bytes(path.with_name(f"{SECOND.key}.parquet").read_bytes())


@pytest.mark.parametrize("damage", [damage_truncate, damage_empty, damage_bits, damage_foreign, damage_swapped])
def test_a_damaged_file_is_found_and_named(folder: RunFolder, damage: Any) -> None:
    path = folder.trial(FIRST.key)
    damage(path)
    with pytest.raises(DamagedTrial, match=str(path)):
        read_trial(path)
    with pytest.raises(InputError, match=f"{path}: damaged"):
        Results.load(folder.path)


def test_another_schema_version_is_refused(folder: RunFolder) -> None:
    path = folder.trial(FIRST.key)
    rows = pq.read_table(path)
    record = json.loads(rows.schema.metadata[b"rnnbench"]) | {"schema_version": 99}
    pq.write_table(rows.replace_schema_metadata({b"rnnbench": json.dumps(record)}), path)
    with pytest.raises(InputError, match="schema version 99; this rnnbench reads version"):
        read_trial(path)
    write_text(folder.provenance, json.dumps({"schema_version": 99}))
    for refuse in (lambda: Results.load(folder.path), folder.prepare):
        with pytest.raises(InputError, match="written with schema version 99"):
            refuse()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"text"'])
def test_damaged_provenance_is_named(folder: RunFolder, text: str) -> None:
    folder.provenance.write_text(text)
    with pytest.raises(InputError, match=r"provenance\.json: damaged"):
        Results.load(folder.path)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        Results.load(tmp_path / "absent")
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="not the results of a run"):
        Results.load(tmp_path)
    with pytest.raises(InputError, match="not empty and not the results of a run"):
        RunFolder(tmp_path).prepare()


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_half_of_a_new_one(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = {path.name: path.read_bytes() for path in folder.trials.iterdir()}
    monkeypatch.setattr(folder_module.os, failing, full)
    with pytest.raises(StorageError, match=f"cannot write .*{FIRST.key}.parquet: No space left on device"):
        write_trial(folder, FIRST, Outcome(FIRST.key, "diverged"))
    assert {path.name: path.read_bytes() for path in folder.trials.iterdir()} == before


def test_a_write_that_is_interrupted_leaves_nothing(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_module.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(folder.path / "new.txt", "text")
    assert not [path for path in folder.path.iterdir() if "new.txt" in path.name]


def test_what_a_killed_run_left_is_removed(folder: RunFolder) -> None:
    stale = [folder.trials / ".abc.parquet.tmp", folder.path / ".sweep.toml.tmp"]
    for path in stale:
        path.touch()
    folder.discard_temporary()
    assert not any(path.exists() for path in stale)
    assert folder.trial(FIRST.key).exists()


def test_two_runs_cannot_write_in_one_folder(folder: RunFolder) -> None:
    with (
        folder.locked(),
        pytest.raises(InputError, match="another run is writing here"),
        RunFolder(folder.path).locked(),
    ):
        pass
    with folder.locked():
        pass  # free again
