"""The folder of one run, results/NAME/, and how files get into it: whole or not at all.

    sweep.toml        the sweep in full, loadable again      provenance.json   what it ran on, and with what
    trials.txt        the keys the sweep names, in order     trials/KEY.parquet    one file a trial
    files/NAME.py     a user's own files, as the sweep had them
    .packs/           copies of many trials in one file, so that thousands are read in a second: a cache

Files of trials that the sweep no longer names, or whose kernels have changed since, stay in trials/ until
someone deletes them; they are no part of the results, which are exactly the keys in trials.txt.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rnnbench.errors import InputError
from rnnbench.sweeps import own_files
from rnnbench.sweeps.own_files import OwnFile
from rnnbench.sweeps.trial import SCHEMA_VERSION


class RunStopped(RuntimeError):
    """A run cannot go on, through no fault of its input; what is finished is kept."""


class StorageError(RunStopped):
    """Results cannot be written: a full disk, a read-only folder. What was written before is intact."""


class RunFolder:
    """Paths and whole-file reads and writes below results/NAME/."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.trials = self.path / "trials"
        self.sweep = self.path / "sweep.toml"
        self.provenance = self.path / "provenance.json"
        self.keys = self.path / "trials.txt"
        self.files = self.path / own_files.FOLDER
        self.packs = self.path / ".packs"
        ours = (self.files, self.packs, self.trials, self.sweep, self.keys)
        self._ours = {".lock", *(each.name for each in ours)}

    def trial(self, key: str) -> Path:
        """Return the path of one trial's file."""
        return self.trials / f"{key}.parquet"

    def read_provenance(self) -> dict[str, Any]:
        """Return provenance.json; InputError for a folder without a run, or of another schema version."""
        try:
            provenance = json.loads(self.provenance.read_text(encoding="utf-8"))
            found = provenance["schema_version"]
        except FileNotFoundError:
            raise InputError(f"{self.path}: not the results of a run; it has no {self.provenance.name}") from None
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{self.provenance}: damaged; expected JSON with a schema_version") from None
        if found != SCHEMA_VERSION:
            raise InputError(
                f"{self.path}: written with schema version {found}; this rnnbench reads and writes version "
                f"{SCHEMA_VERSION}. Nothing was changed there: choose another folder with --out"
            )
        return provenance

    def read_keys(self) -> list[str]:
        """Return the keys of the trials that the sweep names, in its order."""
        try:
            keys = self.keys.read_text(encoding="utf-8").split()
        except OSError as error:
            raise InputError(f"{self.keys}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InputError(f"{self.keys}: is not the list of keys that a run writes; run the sweep again") from None
        if wrong := [key for key in keys if not re.fullmatch(r"[0-9a-f]{16}", key)]:
            raise InputError(f"{self.keys}: {wrong[0]!r} is no key of a trial; expected 16 hexadecimal digits")
        return keys

    def prepare(self) -> dict[str, Any] | None:
        """Create the folder, or check what is there and return the provenance of the run before."""
        before = None
        if self.provenance.exists():
            before = self.read_provenance()
        elif self.path.is_dir() and any(path.name not in self._ours for path in self.path.iterdir()):
            raise InputError(f"{self.path}: not empty and not the results of a run; choose another folder with --out")
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot create {self.trials}: {error.strerror}") from None
        return before

    def write_files(self, files: Iterable[OwnFile]) -> None:
        """Write a user's own files, in the place of those of an earlier run."""
        kept = list(files)
        if kept:
            self.files.mkdir(exist_ok=True)
        for path in self.files.glob("*.py"):
            if path.name not in {file.name for file in kept}:
                path.unlink()
        for file in kept:
            write_text(self.files / file.name, file.text)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, until this process ends at the latest; InputError if another run holds it."""
        try:
            import fcntl
        except ImportError:  # Windows has none; two runs in one folder then only waste each other's work
            yield
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = open(self.path / ".lock", "w")  # noqa: SIM115  (closed below, with the lock)
        except OSError as error:
            raise InputError(f"{self.path}: cannot write there: {error.strerror}; choose --out") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{self.path}: another run is writing here; wait for it or choose --out") from None
            yield

    def discard_temporary(self) -> None:
        """Remove what a killed run left half-written; call it with the lock held."""
        for path in [each for folder in (self.path, self.trials, self.packs) for each in folder.glob(".*.tmp")]:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success that file, whole and on disk, takes its place.

    If the block or the disk fails, `path` is as it was and the temporary file gone; OSError becomes
    StorageError.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
