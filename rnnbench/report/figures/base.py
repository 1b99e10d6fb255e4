"""What a figure is: a plot looks at one probe's rows and returns drawings, each with a finding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from matplotlib.figure import Figure

from rnnbench.report import style
from rnnbench.report.rows import Rows
from rnnbench.report.tables import Table


@dataclass(frozen=True)
class Drawing:
    """One figure to be: its words are computed from the rows at once, its ink only when asked for."""

    name: str
    """File stem, unique in a report."""
    title: str
    finding: str
    """What is seen, in sentences computed from the rows."""
    reading: str
    """How to read the figure: what lines, bands and points are."""
    alternative: str
    """Text for who cannot see the figure."""
    paint: Callable[[], Figure]

    def figure(self, source: str = "", width: float = style.WIDTH_INCHES) -> Figure:
        """Draw the figure in the house style, `width` inches wide, signed with the run it came from."""
        with style.context(width):
            figure = self.paint()
            style.sign(figure, source)
        return figure


class Plot(ABC):
    """One kind of figure. A subclass in its own file is found by name."""

    name: ClassVar[str]
    title: ClassVar[str]
    probe: ClassVar[str]
    rank: ClassVar[int] = 0
    """Where it stands among the plots of its probe; equals stand by name."""

    @abstractmethod
    def draw(self, rows: Rows) -> list[Drawing]:
        """Return the drawings these rows allow: none where a quantity is missing, several for many tasks."""

    def tables(self, rows: Rows) -> list[Table]:
        """Return the tables that go with the drawings."""
        return []
