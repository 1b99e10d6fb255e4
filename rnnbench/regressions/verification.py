"""Whether a run is what it says: files whole, rows as recorded, figures drawn from them, trials that repeat.

    files        every trial that the sweep names is there and intact
    data         the hash over all rows is the one that the run recorded when it finished
    provenance   every row's environment is described
    figures      each file of the report, drawn again from the rows, has the same bytes
    trials       a sample of those that measure no times, run again, gives the same rows

Figures are compared where the libraries that draw them have the recorded versions. A trial is run again only with the
source, packages and CPU that it was measured with: elsewhere other numbers would be no fault.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rnnbench.errors import InputError
from rnnbench.probes.base import Measurement
from rnnbench.report import FORMATS, files
from rnnbench.report.document import compose
from rnnbench.sweeps import engine, spec
from rnnbench.sweeps.folder import RunFolder
from rnnbench.sweeps.hardware import hardware
from rnnbench.sweeps.store import MEASUREMENT_COLUMNS, DamagedTrial, Results, StoredTrial, read_trial
from rnnbench.sweeps.trial import Trial, canonical, perform, version_of

Verdict = Literal["true", "false", "cannot tell"]

_DRAWN_WITH = ("matplotlib", "numpy", "pandas")
"""Other versions of these can draw other bytes from the same rows."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what it came to, and why."""

    name: str
    verdict: Verdict
    detail: str


def verify(path: Path, sample: int = 3, longest_s: float = 60.0, tell: Callable[[str], object] = str) -> list[Check]:
    """Check the run in a folder; trials that took longer than `longest_s` are not run again.

    `tell` hears what is being done. InputError for a folder that holds no run.
    """
    folder = RunFolder(path)
    provenance = folder.read_provenance()
    checks = [_files(folder)]
    if checks[0].verdict == "false":
        return checks
    run = Results.load(path)
    checks += [_data(run, provenance), _environments(run, provenance)]
    tell("drawing figures again")
    checks.append(_figures(run))
    checks.append(_trials(run, folder, sample, longest_s, tell))
    return checks


def _files(folder: RunFolder) -> Check:
    """Read each trial's own file: copies of several in one are nobody's proof."""
    keys, damaged, missing = folder.read_keys(), [], 0
    for key in keys:
        try:
            read_trial(folder.trial(key))
        except FileNotFoundError:
            missing += 1
        except DamagedTrial as error:
            damaged.append(str(error))
    if damaged:
        return Check("files", "false", f"{len(damaged)} of {len(keys)} damaged: {damaged[0]}")
    left = f"; {missing} have not run" if missing else ""
    return Check("files", "true", f"{len(keys) - missing} of {len(keys)} trials intact{left}")


def _data(run: Results, provenance: dict[str, Any]) -> Check:
    recorded = provenance.get("data_hash")
    if not recorded:
        return Check("data", "cannot tell", "the run recorded no hash: it was interrupted, or made by an older version")
    if recorded != run.data_hash:
        return Check("data", "false", f"rows have hash {run.data_hash}; the run recorded {recorded}")
    return Check("data", "true", f"{len(run.measurements)} rows have the recorded hash {recorded}")


def _environments(run: Results, provenance: dict[str, Any]) -> Check:
    named = {name for name in run.trials["environment"].dropna() if name}
    unknown = named - set(provenance.get("environments", {}))
    if unknown:
        return Check("provenance", "false", f"environments without a description: {', '.join(sorted(unknown))}")
    if not named:
        return Check("provenance", "cannot tell", "rows name no environment: made by an older version")
    return Check("provenance", "true", f"{len(named)} environment(s), each described")


def _figures(run: Results) -> Check:
    """Draw each kind of file that is there again, and compare."""
    found = [path for path in (run.path / "report.html", *sorted((run.path / "figures").glob("*"))) if path.is_file()]
    formats = [name for name in FORMATS if any(path.suffix == f".{name}" for path in found)]
    if not formats:
        return Check("figures", "cannot tell", "there is no report; `rnnbench report RUN` writes one")
    drawn = {run.path / name: content for name, content in files.contents(compose(run), formats)}
    wrong = [path for path in found if path.suffix[1:] in formats and drawn.get(path) != path.read_bytes()]
    absent = [path for path in drawn if path not in found]
    if not wrong and not absent:
        return Check("figures", "true", f"{len(drawn)} files drawn again have the same bytes")
    versions = run.provenance.get("versions", {})
    others = [f"{name} {versions.get(name)}" for name in _DRAWN_WITH if versions.get(name) != version_of(name)]
    first = (wrong or absent)[0]
    told = f"{len(wrong)} differ and {len(absent)} are missing of {len(drawn)} files, {first} first"
    if others:
        return Check("figures", "cannot tell", f"{told}; the run had {', '.join(others)}")
    return Check("figures", "false", told)


def _trials(run: Results, folder: RunFolder, sample: int, longest_s: float, tell: Callable[[str], object]) -> Check:
    """Run a sample again that hangs on the data alone, and so is the same for everyone."""
    candidates = list(_repeatable(run, folder, longest_s))
    if not candidates:
        return Check("trials", "cannot tell", f"none was measured with this source, these packages and {hardware()}")
    chosen = random.Random(run.data_hash).sample(candidates, min(sample, len(candidates)))
    for trial, stored in chosen:
        tell(f"running again: {trial.label()}")
        outcome = perform(trial)
        if difference := _difference(outcome.status, outcome.rows, stored):
            return Check("trials", "false", f"{trial.key} ({trial.label()}): {difference}")
    return Check("trials", "true", f"{len(chosen)} of {len(candidates)} that can be repeated gave the same rows")


def _repeatable(run: Results, folder: RunFolder, longest_s: float) -> Iterator[tuple[Trial, StoredTrial]]:
    """Yield trials that ended well, measure no times, and have the key that they would have here and now."""
    try:
        resolved = spec.load(tomllib.loads(folder.sweep.read_text(encoding="utf-8")))
    except InputError:
        return  # such as a probe that is not installed here
    ok = run.trials[(run.trials["status"] == "ok") & (run.trials["runtime_s"] <= longest_s)]
    here = set(ok.loc[ok["hardware"] == hardware(), "key"])
    for trial in engine.placed(resolved.trials, None, None):
        if trial.key in here and not trial.exclusive:
            yield trial, read_trial(folder.trial(trial.key))


def _difference(status: str, rows: list[Measurement], stored: StoredTrial) -> str:
    """Return what differs from the stored rows, to the last bit, where NaN is NaN; "" if nothing does."""
    if status != stored.record["status"]:
        return f"was {stored.record['status']}, and is {status} now"
    columns = [stored.rows[name].to_pylist() for name in MEASUREMENT_COLUMNS.names]
    before = [canonical(row) for row in zip(*columns, strict=True)]
    after = [canonical([row.quantity, row.index, row.value, row.unit]) for row in rows]
    if len(before) != len(after):
        return f"{len(after)} rows, where {len(before)} are stored"
    return next((f"{new}, where {old} is stored" for old, new in zip(before, after, strict=True) if old != new), "")
