"""Which machine a run's times were taken on: times of two machines are no comparison of two programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rnnbench.errors import InputError
from rnnbench.report import wording

if TYPE_CHECKING:
    from rnnbench.sweeps.store import Results

HARDWARE = ("cpu", "architecture", "physical_cores", "logical_cores", "available_cores")


def refuse_different(a: Results, b: Results) -> None:
    """Raise InputError, with both sides, unless all that ran into the two folders ran on equal hardware and threads."""
    sides = [[_describe(provenance) for provenance in _provenances(run)] for run in (a, b)]
    differences = []
    for name in sides[0][0]:
        found = [sorted({facts[name] for facts in side}) for side in sides]
        if len({*found[0], *found[1]}) > 1:
            told = (f"{' and '.join(each)} in {run.path}" for each, run in zip(found, (a, b), strict=True))
            differences.append(f"{wording.words(name)}: {', '.join(told)}")
    if differences:
        raise InputError(
            f"the times were taken on different machines: {'; '.join(differences)}. "
            "--different-machines compares them nevertheless"
        )


def _provenances(run: Results) -> list[Mapping[str, Any]]:
    """Return the provenance of the run, and of the earlier ones that trials may have been reused from."""
    return [run.provenance, *run.provenance.get("earlier_runs", [])]


def _describe(provenance: Mapping[str, Any]) -> dict[str, str]:
    machine, variables = provenance.get("machine") or {}, provenance.get("thread_variables") or {}
    facts = {name: str(machine.get(name, "not known")) for name in HARDWARE}
    return facts | {"threads": ", ".join(f"{name}={value}" for name, value in sorted(variables.items())) or "all cores"}
