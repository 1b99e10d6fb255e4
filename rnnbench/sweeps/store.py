"""Rows on disk and back: one Parquet file a trial, two tidy tables a run.

A trial's file holds its measurements as the table, and the trial itself (parameters, status, versions) as
JSON in the file's metadata under "rnnbench": one file, written by one rename, is all of a trial or nothing of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from rnnbench.errors import InputError
from rnnbench.sweeps.folder import RunFolder, replacing
from rnnbench.sweeps.trial import SCHEMA_VERSION, Outcome, Trial, canonical

if TYPE_CHECKING:
    import pandas as pd

_METADATA_KEY = b"rnnbench"
_NOT_IN_RECORDS = ("rows", "versions", "environments")
MEASUREMENT_COLUMNS = pa.schema(
    [("quantity", pa.string()), ("index", pa.int64()), ("value", pa.float64()), ("unit", pa.string())]
)

_FORMAT: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": ["quantity", "unit"],
    "store_schema": False,  # Arrow's own would hold the trial a second time
    # Checksums cover pages, and statistics are outside of them: a file that reads well is intact.
    "write_page_checksum": True,
    "write_statistics": False,
}


class DamagedTrial(InputError):
    """A trial's file is truncated, altered or none of ours; the message names it."""


class StoredTrial(NamedTuple):
    """What one file says: the trial's record and its measurements."""

    record: dict[str, Any]
    rows: pa.Table


def write_trial(folder: RunFolder, trial: Trial, outcome: Outcome) -> StoredTrial:
    """Store one trial and return what was stored.

    StorageError if the disk will not have it, and then what was there before still is.
    """
    record = {"schema_version": SCHEMA_VERSION, "probe": trial.probe, "parameters": trial.parameters}
    record |= {name: value for name, value in vars(outcome).items() if name not in _NOT_IN_RECORDS}
    record |= trial.versions | outcome.versions  # a process that died tells none
    columns = zip(*((row.quantity, row.index, row.value, row.unit) for row in outcome.rows), strict=True)
    rows = pa.table([list(column) for column in columns] or [[]] * 4, schema=MEASUREMENT_COLUMNS)
    with replacing(folder.trial(trial.key)) as temporary, pq.ParquetWriter(temporary, rows.schema, **_FORMAT) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata({_METADATA_KEY: json.dumps(record)})
    return StoredTrial(record, rows)


def read_trial(path: Path) -> StoredTrial:
    """Read one trial's file; DamagedTrial if it is not whole, InputError for another schema version."""
    try:
        rows = pq.read_table(path, page_checksum_verification=True, partitioning=None)
        record = json.loads(rows.schema.metadata[_METADATA_KEY])
        found = record["schema_version"]
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, TypeError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DamagedTrial(f"{path}: damaged, not a trial's file ({reason})") from None
    if found != SCHEMA_VERSION:
        raise InputError(f"{path}: schema version {found}; this rnnbench reads version {SCHEMA_VERSION}")
    if record.get("key") != path.stem or not rows.schema.equals(MEASUREMENT_COLUMNS):
        raise DamagedTrial(f"{path}: damaged, its content is another trial's or has other columns")
    return StoredTrial(record, rows)


def read_trials(folder: RunFolder, keys: Sequence[str]) -> dict[str, StoredTrial]:
    """Read those of the trials that have run, in the order of the keys; errors as of `read_trial`."""
    from rnnbench.sweeps.packs import packed

    found = packed(folder, keys)
    stored = {}
    for key in keys:
        with contextlib.suppress(FileNotFoundError):
            stored[key] = found.get(key) or read_trial(folder.trial(key))
    return stored


def data_hash(stored: Mapping[str, StoredTrial]) -> str:
    """Return 16 hex digits over every trial's key, record and rows, in the order of the run."""
    digest = hashlib.sha256()
    for key, (record, rows) in stored.items():
        columns = [rows[name].to_pylist() for name in MEASUREMENT_COLUMNS.names]
        digest.update(f"{key} {canonical(record)} {canonical(columns)}\n".encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, repr=False)
class Results:
    """The rows of one run.

    trials         one row a trial: key, probe, status, reason, runtime_s, peak_memory_bytes, started_at,
                   kernel_source_hash, versions, where it was measured (source_hash, hardware, environment,
                   git_commit, git_diff_hash, load_average), and one column a parameter; missing where a probe has none
    measurements   key, quantity, index (a step or a lag; missing for scalars), value, unit
    sweep          the sweep as resolved
    provenance     what it ran on, and with what
    missing        keys that the sweep names and that have not run yet
    data_hash      of all rows and records; a figure drawn from them carries it
    """

    path: Path
    sweep: dict[str, Any]
    provenance: dict[str, Any]
    trials: pd.DataFrame
    measurements: pd.DataFrame
    missing: tuple[str, ...] = ()
    data_hash: str = ""

    @classmethod
    def load(cls, path: str | Path) -> Results:
        """Load results/NAME/; InputError for a missing folder, a damaged file or another schema version."""
        import tomllib

        folder = RunFolder(path)
        if not folder.path.is_dir():
            raise InputError(f"{folder.path}: no such folder; expected the results of a run, such as results/NAME")
        provenance = folder.read_provenance()
        try:
            sweep = tomllib.loads(folder.sweep.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{folder.sweep}: cannot be read: {error}") from None
        keys = folder.read_keys()
        stored = read_trials(folder, keys)
        missing = tuple(key for key in keys if key not in stored)
        trials, measurements = _trials_table(stored), _measurements_table(stored)
        return cls(folder.path, sweep, provenance, trials, measurements, missing, data_hash(stored))

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many trials have each status."""
        return {str(status): int(count) for status, count in self.trials["status"].value_counts().items()}

    def traceback(self, key: str) -> str:
        """Return the traceback of a trial that failed with an exception, "" for any other."""
        return str(read_trial(RunFolder(self.path).trial(key)).record["traceback"])

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {status}" for status, count in self.counts.items())
        return f"Results({str(self.path)!r}: {counts or 'no trials'}, {len(self.measurements)} measurements)"

    def _repr_html_(self) -> str:
        """Show the two tables in a notebook."""
        title = escape(str(self.sweep.get("title") or self.sweep["name"]))
        tables = "".join(
            f"<p>{name}: {len(table)} rows</p>{table.head(20).to_html(max_cols=20)}"
            for name, table in (("trials", self.trials), ("measurements", self.measurements))
        )
        return f"<h3>{title}</h3><p>{escape(repr(self))}</p>{tables}"


TRIAL_COLUMNS = (
    "key", "probe", "status", "reason", "runtime_s", "peak_memory_bytes", "started_at",
    "kernel_source_hash", "rnnbench_version", "numba_version", "numpy_version",
)  # fmt: skip
LATER_COLUMNS = ("source_hash", "hardware", "environment", "git_commit", "git_diff_hash", "load_average")
"""Columns of `trials` that the first runs did not have yet: missing there."""


def _trials_table(stored: dict[str, StoredTrial]) -> pd.DataFrame:
    import pandas as pd

    records = [trial.record for trial in stored.values()]
    columns: dict[str, Any] = {name: [record[name] for record in records] for name in TRIAL_COLUMNS}
    columns |= {name: [record.get(name) for record in records] for name in LATER_COLUMNS}
    columns["peak_memory_bytes"] = pd.array(columns["peak_memory_bytes"], dtype="Int64")
    for name in dict.fromkeys(name for record in records for name in record if name.endswith("_version")):
        if name not in columns and name != "schema_version":
            columns[name] = [record.get(name) for record in records]
    for name in dict.fromkeys(name for record in records for name in record["parameters"]):
        columns[name] = _parameter_column([record["parameters"].get(name) for record in records])
    return pd.DataFrame(columns)


def _parameter_column(values: list[Any]) -> Any:
    """Keep whole numbers whole beside missing ones; lists become text, which tables can be grouped by."""
    import pandas as pd

    values = [json.dumps(value) if isinstance(value, list | dict) else value for value in values]
    if None in values and all(value is None or type(value) is int for value in values):
        return pd.array(values, dtype="Int64")
    return values


def _measurements_table(stored: dict[str, StoredTrial]) -> pd.DataFrame:
    import pandas as pd

    empty = MEASUREMENT_COLUMNS.insert(0, pa.field("key", pa.string())).empty_table()
    tables = [
        rows.replace_schema_metadata(None).add_column(0, "key", pa.repeat(key, len(rows)))
        for key, (_, rows) in stored.items()
    ]
    frame: pd.DataFrame = pa.concat_tables([empty, *tables]).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame
