"""What a network that has learned a text writes: a table, for there is nothing to draw."""

from __future__ import annotations

import pandas as pd

from rnnbench.report import wording
from rnnbench.report.figures.base import Drawing, Plot
from rnnbench.report.rows import Rows, groups, natural_order
from rnnbench.report.tables import Column, Table, setting_cells, setting_columns

LINE_END = "¶"


class TrainingText(Plot):
    """Text that trained networks write: for each setting, that of the first seed."""

    name = "training_text"
    title = "What the networks write"
    probe = "training"
    rank = 2

    def draw(self, rows: Rows) -> list[Drawing]:
        """Return nothing: the text is in the table."""
        return []

    def tables(self, rows: Rows) -> list[Table]:
        """Return one table a task that networks wrote text for."""
        written = rows.quantity("written_character")
        return [_table(rows, wording.setting(where), part) for where, part in groups(written, ["task"])]


def _table(rows: Rows, task: str, written: pd.DataFrame) -> Table:
    names = rows.distinct(written)
    columns = [*setting_columns(names), Column("read", numeric=False), Column("written after it", numeric=False)]
    prompts = rows.quantity("prompt_character")
    body = []
    for values, part in groups(written, names):
        first = min(part["key"].unique(), key=lambda key: natural_order(_seed(part, key)))
        body.append([*setting_cells(values), _text(prompts, first), _text(part, first)])
    caption = f"What trained networks write{f', {task}' if task else ''}: the first seed, one draw."
    note = f"Each character is drawn from the network's own probabilities and fed back. {LINE_END}: end of a line."
    return Table(caption, columns, body, note)


def _seed(part: pd.DataFrame, key: str) -> object:
    return part.loc[part["key"] == key, "seed"].iloc[0] if "seed" in part else key


def _text(characters: pd.DataFrame, key: str) -> str:
    own = characters[characters["key"] == key].sort_values("index")
    return "".join(chr(int(code)) for code in own["value"]).replace("\n", f" {LINE_END} ")
