"""A sweep file: axes that become trials, every value checked before anything runs.

name = "gradient-decay"           # the folder under results/
files = ["my_cell.py"]            # optional: cells and tasks of your own, run if `--code` names them, see own_files.py

[[sweep]]
probe = "gradient_decay"
timeout_s = 600                   # optional: a trial that takes longer is stopped and recorded
[sweep.axes]                      # the Cartesian product is run
cell = ["rnn", "lstm", "gru"]
seed = { count = 5 }              # 0, 1, 2, 3, 4
[sweep.together]                  # these advance together
initialization = ["orthogonal", "uniform"]
gain = [1.1, 1.0]
[sweep.fixed]
batch = 32

[full]                            # optional: what `rnnbench run --full` changes
cost = "about 6 hours on 2 cores" # said before it starts
set = ["seed = {count = 10}", "sweep.0.axes.cell = [\"lstm\", \"gru\"]"]
"""

from __future__ import annotations

import itertools
import json
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rnnbench.errors import InputError, unknown_name
from rnnbench.probes.base import Probe
from rnnbench.sweeps import overrides, own_files, plugins, toml
from rnnbench.sweeps.overrides import TABLES
from rnnbench.sweeps.own_files import OwnFile
from rnnbench.sweeps.problems import Location, Problems, expectation
from rnnbench.sweeps.trial import Trial

TRIAL_LIMIT = 100_000
"""More trials than this in one sweep are taken for a slip of the pen."""


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Section(_Checked):
    """One [[sweep]]: a probe and where its parameters come from."""

    probe: str
    title: str = ""
    timeout_s: float | None = Field(default=None, gt=0, strict=True, allow_inf_nan=False)
    axes: dict[str, Any] = {}
    together: dict[str, Any] = {}
    fixed: dict[str, Any] = {}


class Full(_Checked):
    """[full]: the sweep at its full size, as overrides of the one that is affordable."""

    cost: str = ""
    set: list[str] = []


class SweepFile(_Checked):
    """The whole file."""

    name: str
    title: str = ""
    description: str = ""
    cost: str = ""
    """What a run takes, said before it starts."""
    full: Full | None = None
    files: list[str] = []
    sweep: list[Section] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", name):
            raise ValueError(
                "expected a plain folder name: at most 100 letters, digits, '.', '_' and '-', no dot in front"
            )
        return name


@dataclass(frozen=True)
class Sweep:
    """A sweep, read and checked: `data` is what its file would say in full, `trials` are its points.

    `files` are a user's own, which `data` names as they lie in the folder of results.
    """

    name: str
    data: dict[str, Any]
    trials: tuple[Trial, ...]
    files: tuple[OwnFile, ...] = ()

    def to_toml(self) -> str:
        """Return the sweep as a file that `rnnbench run` accepts: overrides applied, defaults written out."""
        return toml.dumps(self.data)


def load(
    sweep: str | Path | Mapping[str, Any],
    assignments: Iterable[str] = (),
    full: bool = False,
    code: Iterable[str | Path] = (),
) -> Sweep:
    """Read a sweep from a file or a mapping, with `key=value` overrides, and expand it into trials.

    `full` applies the file's own overrides, its table [full], before the others. `code` are the files, or their
    folders, that the sweep may run; see own_files.py.

    InputError names file, dotted key, value and what was expected; it tells of all mistakes at once.
    """
    source, data = ("sweep", deepcopy(dict(sweep))) if isinstance(sweep, Mapping) else _read(Path(sweep))
    folder = Path() if isinstance(sweep, Mapping) else Path(sweep).parent
    problems = Problems(source)
    try:
        overrides.apply(data, [*_enlarge(source, data, full), *assignments])
        checked = SweepFile.model_validate(data)
    except ValidationError as error:
        problems.add_validation(error, _file_keys)
        raise problems.error() from None
    files = {file: file.register() for file in own_files.read(source, checked.files, folder, code)}
    expansions = [_Expansion(f"sweep.{i}", section, problems) for i, section in enumerate(checked.sweep)]
    problems.raise_any()
    _check_size(source, expansions)
    trials = [trial for expansion in expansions for trial in expansion.trials(files)]
    problems.raise_any()
    resolved = checked.model_dump(exclude_defaults=True, exclude={"sweep", "full"})
    resolved["sweep"] = [expansion.resolved() for expansion in expansions]
    if files:
        resolved["files"] = [f"{own_files.FOLDER}/{file.name}" for file in files]
    unique = tuple({trial.key: trial for trial in reversed(trials)}.values())[::-1]
    return Sweep(checked.name, resolved, unique, tuple(files))


def _enlarge(source: str, data: dict[str, Any], full: bool) -> list[str]:
    """Return the overrides of the table [full], and put its cost into the data; none where it is not asked for."""
    if not full:
        return []
    table = SweepFile.model_validate(data).full
    if table is None:
        raise InputError(f"{source}: has no table [full]; expected one for --full")
    data["cost"] = table.cost
    return table.set


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        return str(path), tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = sorted(str(p) for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise unknown_name("sweep file", str(path), near) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); expected a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).removesuffix(")").partition(" (at ")
        raise InputError(f"{path}: {place or 'syntax'}: {message}; expected TOML") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; expected a TOML file") from None


def _file_keys(location: Location) -> Iterable[str]:
    table = Full if location[0] == "full" else Section
    return (SweepFile if len(location) == 1 else table).model_fields


class _Expansion:
    """One section on its way to trials: names checked against the probe, seeds counted out."""

    def __init__(self, path: str, section: Section, problems: Problems) -> None:
        self.path, self.section, self.problems = path, section, problems
        self.tables: dict[str, dict[str, Any]] = {"axes": {}, "together": {}, "fixed": dict(section.fixed)}
        self.home: dict[str, str] = {}
        self.probe = self._find_probe()
        if self.probe is not None:
            self._check_names(self.probe)
            self._count_out()

    def _find_probe(self) -> Probe | None:
        try:
            return plugins.get(self.section.probe)
        except InputError as error:
            self.problems.add(f"{self.path}.probe", str(error), self.section.probe)
            return None

    def _check_names(self, probe: Probe) -> None:
        known = probe.Parameters.model_fields
        for table in TABLES:
            for name, value in getattr(self.section, table).items():
                here = f"{self.path}.{table}.{name}"
                if name not in known:
                    self.problems.add(here, str(unknown_name("key", name, known)), value)
                elif name in self.home:
                    self.problems.add(here, f"also set in {self.path}.{self.home[name]}; expected one place", value)
                self.home.setdefault(name, table)

    def _count_out(self) -> None:
        """Turn every axis into a list of values: `seed = {count = 5}` and a lone seed included."""
        for table in ("axes", "together"):
            for name, value in getattr(self.section, table).items():
                self.tables[table][name] = self._values(f"{self.path}.{table}.{name}", name, value)
        lengths = {name: len(values) for name, values in self.tables["together"].items()}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{name} has {count}" for name, count in lengths.items())
            self.problems.add(f"{self.path}.together", f"expected lists of equal length; {shown}")

    def _values(self, path: str, name: str, value: Any) -> list[Any]:
        if name == "seed" and isinstance(value, Mapping):
            count = value.get("count")
            if set(value) == {"count"} and type(count) is int and 1 <= count <= TRIAL_LIMIT:
                return list(range(count))
            self.problems.add(path, f"expected {{count = n}} with n from 1 to {TRIAL_LIMIT}", value)
        elif name == "seed" and type(value) is int:
            return [value]
        elif not isinstance(value, list):
            self.problems.add(path, f"expected a list of values; a single one belongs in {self.path}.fixed", value)
        elif not value:
            self.problems.add(path, "expected at least one value", value)
        else:
            return value
        return [None]

    @property
    def size(self) -> int:
        together = [len(values) for values in self.tables["together"].values()][:1]
        return math.prod([len(values) for values in self.tables["axes"].values()] + together)

    def points(self) -> Iterator[dict[str, Any]]:
        """Yield each trial's parameters: the first axis changes slowest, what advances together fastest."""
        axes, together = self.tables["axes"], self.tables["together"]
        rows = list(zip(*together.values(), strict=True)) or [()]
        for *values, row in itertools.product(*axes.values(), rows):
            yield {
                **self.tables["fixed"],
                **dict(zip(axes, values, strict=True)),
                **dict(zip(together, row, strict=True)),
            }

    def trials(self, files: Mapping[OwnFile, frozenset[str]]) -> Iterator[Trial]:
        """Yield the trials whose parameters the probe accepts, and note the mistakes of the others.

        A trial carries those of the files that have what one of its parameters names.
        """
        assert self.probe is not None  # an unknown probe was refused before
        for point in self.points():
            if self.problems.full:
                return
            try:
                # Strict, by way of JSON: 16.0 or "16" is no whole number, yet a list may fill a tuple.
                checked = self.probe.Parameters.model_validate_json(json.dumps(point, default=str), strict=True)
            except ValidationError as error:
                self._add_validation(error)
                continue
            trial = Trial.of(self.probe, checked, self.section.timeout_s)
            said = {value for value in trial.parameters.values() if isinstance(value, str)}
            yield replace(trial, files=tuple(file for file, names in files.items() if names & said))

    def _add_validation(self, error: ValidationError) -> None:
        for detail in error.errors(include_url=False):
            name = str(detail["loc"][0]) if detail["loc"] else ""
            path = ".".join(part for part in (self.path, self.home.get(name, ""), name) if part)
            if detail["type"] == "missing":
                self.problems.add(path, "missing; the probe has no default for it")
            else:
                self.problems.add(path, expectation(detail), detail["input"] if name else ...)

    def resolved(self) -> dict[str, Any]:
        """Return the section in full: seeds counted out, and the probe's defaults among what is fixed."""
        assert self.probe is not None
        section = self.section.model_dump(exclude_defaults=True, exclude=set(TABLES))
        defaults = {
            name: field.get_default(call_default_factory=False)
            for name, field in self.probe.Parameters.model_fields.items()
            if not field.is_required() and name not in self.home
        }
        fixed = {
            **self.tables["fixed"],
            **{name: value for name, value in defaults.items() if value is not None},
        }
        tables = {**self.tables, "fixed": json.loads(json.dumps(fixed, default=str))}
        return {**section, **{name: table for name, table in tables.items() if table}}


def _check_size(source: str, expansions: Sequence[_Expansion]) -> None:
    size = sum(expansion.size for expansion in expansions)
    if size > TRIAL_LIMIT:
        raise InputError(f"{source}: the axes multiply to {size} trials; expected at most {TRIAL_LIMIT}")
