"""Shares of a step, from made-up rows."""

from __future__ import annotations

import pytest

from rnnbench.report.document import compose


def test_bars_are_the_shares_of_a_step(build):
    (drawing,) = compose(build("step_profile")).drawings
    figure = drawing.figure()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["RNN", "LSTM", "GRU"]
    widths = [[bar.get_width() for bar in bars] for bars in figure.axes[0].containers]
    assert widths == [pytest.approx([share] * 2) for share in (0.3, 0.2, 0.3, 0.2)]
    assert [text.get_text() for text in figure.axes[0].texts] == ["160 µs, call 0.62", "10 µs, call 10"]


def test_the_finding_has_the_shares_and_the_dearest_call(build):
    (drawing,) = compose(build("step_profile")).drawings
    assert drawing.finding == (
        "The recurrent product takes 50 % of a step; 60 % of that is what the machine needs at least. Gates and states "
        "take 20 %. A call costs as much as 10 steps at B 1, H 64 (RNN), 0.16 at the least."
    )
