"""Copies of many trials in few files, so that a run of thousands is read in a second: a cache, and nothing more.

One file a trial is what a run can be killed beside; ten thousand of them take ten seconds to open. So while a run
writes them, it writes every few hundred once more, together, as one file below .packs/. What counts is the trial's own
file: an entry stands for it only while size and time of that file are what they were, and a pack that cannot be read is
as none.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rnnbench.sweeps.folder import RunFolder, StorageError, replacing
from rnnbench.sweeps.store import MEASUREMENT_COLUMNS, StoredTrial

TRIALS_PER_PACK = 500
FEWEST = 100
"""What a run leaves over is not worth a file if it is fewer trials."""

_ENTRY = pa.schema(
    [("key", pa.string()), ("size", pa.int64()), ("changed_ns", pa.int64()), ("record", pa.string())]
    + [(field.name, pa.list_(field.type)) for field in MEASUREMENT_COLUMNS]
)


class Packer:
    """Gathers the trials that a run writes, and packs them by the hundreds."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.entries: list[dict[str, Any]] = []

    def add(self, key: str, trial: StoredTrial) -> None:
        """Take a trial whose file has been written."""
        state = os.stat(self.folder.trial(key))
        entry = {"key": key, "size": state.st_size, "changed_ns": state.st_mtime_ns, "record": json.dumps(trial.record)}
        self.entries.append(entry | trial.rows.to_pydict())
        if len(self.entries) >= TRIALS_PER_PACK:
            self._write()

    def close(self) -> None:
        """Pack what is left, if it is enough."""
        if len(self.entries) >= FEWEST:
            self._write()
        self.entries.clear()

    def _write(self) -> None:
        table = pa.Table.from_pylist(self.entries, schema=_ENTRY)
        self.entries.clear()
        try:
            self.folder.packs.mkdir(exist_ok=True)
            with replacing(self.folder.packs / f"{time.time_ns()}.parquet") as temporary:
                pq.write_table(table, temporary, write_page_checksum=True, write_statistics=False)
        except (OSError, StorageError):
            pass  # the trials themselves are stored; the next read takes longer


def discard(folder: RunFolder) -> None:
    """Remove all packs, as before trials are run again."""
    shutil.rmtree(folder.packs, ignore_errors=True)


def packed(folder: RunFolder, keys: Iterable[str]) -> dict[str, StoredTrial]:
    """Return those of the trials that are packed as their files are now."""
    files = _states(folder.trials) if folder.trials.is_dir() else {}
    wanted = {key for key in keys if key in files}
    found: dict[str, StoredTrial] = {}
    for path in sorted(folder.packs.glob("*.parquet")):
        found |= _read(path, wanted, files)
    return found


def _states(trials: Path) -> dict[str, tuple[int, int]]:
    """Return {key: size and time of change} of every trial's file."""
    states = {}
    with os.scandir(trials) as entries:
        for entry in entries:
            state = entry.stat()
            states[Path(entry.name).stem] = (state.st_size, state.st_mtime_ns)
    return states


def _read(path: Path, wanted: set[str], files: dict[str, tuple[int, int]]) -> dict[str, StoredTrial]:
    try:
        table = pq.read_table(path, page_checksum_verification=True, partitioning=None, schema=_ENTRY)
        records = [json.loads(record) for record in table["record"].to_pylist()]
    except (pa.ArrowException, OSError, ValueError, TypeError):
        return {}
    names = MEASUREMENT_COLUMNS.names
    lists = {name: table[name].combine_chunks() for name in names}
    rows = pa.table([lists[name].flatten() for name in names], schema=MEASUREMENT_COLUMNS)
    starts = lists[names[0]].offsets.to_pylist()
    states = zip(table["size"].to_pylist(), table["changed_ns"].to_pylist(), strict=True)
    return {
        key: StoredTrial(record, rows.slice(start, end - start))
        for key, state, record, start, end in zip(
            table["key"].to_pylist(), states, records, starts, starts[1:], strict=False
        )
        if key in wanted and files[key] == state
    }
