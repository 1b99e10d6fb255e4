"""The rows of training that belong to an application: which task, on whose data, through which wiring, how well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rnnbench.report import wording
from rnnbench.report.rows import Rows, groups, settings

if TYPE_CHECKING:
    from rnnbench.tasks.base import Task


@dataclass(frozen=True)
class Application:
    """One task in one setting, over its cells and seeds."""

    task: type[Task]
    setting: Mapping[str, Any]
    trials: pd.DataFrame
    """One row a trial: its parameters and scalar quantities."""
    unit: str

    @property
    def label(self) -> str:
        """The task in words, with its setting where it has several."""
        name, where = wording.heading(self.task.name), wording.setting(self.setting)
        return f"{name} ({where})" if where else name

    @property
    def baseline(self) -> float:
        """Score of the naive baseline."""
        return float(self.trials["baseline_score"].median())

    @property
    def threshold(self) -> float:
        """Score from which on the task counts as solved."""
        return float(self.trials["solved_threshold"].median())

    @property
    def references(self) -> dict[str, float]:
        """Scores of other simple predictors, by name in words."""
        prefix = "reference_score_"
        named = {str(column): self.trials[column].median() for column in self.trials if str(column).startswith(prefix)}
        return {wording.words(name.removeprefix(prefix)): float(v) for name, v in named.items() if np.isfinite(v)}

    def scores(self, cell: str) -> np.ndarray:
        """Final scores of a cell's seeds that have one."""
        found = self.trials.loc[self.trials["cell"] == cell, "final_score"].to_numpy(dtype=float)
        return found[np.isfinite(found)]

    def solved(self, cell: str) -> tuple[int, int]:
        """Return how many of a cell's trials have a final score that solves the task, and how many it has."""
        scores = self.scores(cell)
        sign = 1 if self.task.higher_is_better else -1
        return int((sign * scores >= sign * self.threshold).sum()), len(scores)

    def skill(self, scores: Any) -> Any:
        """Return the share of the baseline's error that is gone: 1 - error / error of the baseline.

        The error is the score where lower is better, and 1 minus the score where 1 is the best.
        """
        worst = self.baseline
        return 1 - (1 - scores) / (1 - worst) if self.task.higher_is_better else 1 - scores / worst

    @property
    def cells(self) -> list[str]:
        """The cells that came to a score."""
        found = [str(values["cell"]) for values, _ in groups(self.trials, ["cell"])]
        return [cell for cell in found if len(self.scores(cell))]


def applications(rows: Rows) -> list[Application]:
    """Return the applications among the tasks of these rows; none where quantities are missing."""
    from rnnbench import tasks  # loads every task's module, which pages without training need not

    wide = rows.wide()
    if not {"task", "final_score", "baseline_score", "solved_threshold"} <= set(wide.columns):
        return []
    found = []
    units = rows.quantity("final_score").set_index("key")["unit"]
    for values, part in groups(wide, ["task"]):
        kind = tasks.entries().get(str(values["task"]))
        if kind is None or not kind.application:
            continue
        for setting, rest in settings(part, rows.varying(part, besides=("task",))):
            unit = str(units.get(rest["key"].iloc[0], ""))
            found.append(Application(kind, setting, rest, unit))
    return [application for application in found if application.cells]
