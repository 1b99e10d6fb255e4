"""The figures and tables of applications, on made-up scores of real tasks."""

import io
import itertools

import numpy as np
import pytest
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from rnnbench.network import WIRINGS
from rnnbench.report import style
from rnnbench.report.document import compose
from rnnbench.report.figures import training_wirings
from rnnbench.report.figures._applications import applications
from rnnbench.report.rows import Rows

SCORES = {  # task: (unit, baseline, threshold, higher is better, scores of RNN, LSTM and GRU)
    "date_translation": ("fraction exact", 0.002, 0.99, True, (0.5, 0.995, 0.995)),
    "digit_images": ("fraction correct", 0.1, 0.97, True, (0.98, 0.98, 0.98)),
    "stock_returns": ("%", 3.0, 2.985, False, (3.03, 3.01, 3.02)),
    "named_entities": ("F1", 0.4, 0.9, True, (0.95, 0.97, 0.97)),
    "sentiment": ("fraction correct", 0.5, 0.9, True, (0.95, 0.95, 0.96)),
    "digit_captions": ("fraction exact", 0.1, 0.95, True, (0.96, 0.96, 0.96)),
}


def made_up(run, tasks=SCORES, seeds=3):
    for task in tasks:
        unit, baseline, threshold, higher, scores = SCORES[task]
        for cell, score in zip(("rnn", "lstm", "gru"), scores, strict=True):
            for seed in range(seeds):
                key = run.trial("training", task=task, cell=cell, hidden=64, seed=seed)
                own = score + 0.001 * (seed - 1) * (3 if task == "stock_returns" else 1)
                run.add(key, "baseline_score", unit, (None, baseline))
                run.add(key, "solved_threshold", unit, (None, threshold))
                run.add(key, "score_higher_is_better", "1", (None, float(higher)))
                run.add(key, "final_score", unit, (None, own))
                run.add(key, "solved", "1", (None, 1.0))
                if task == "sentiment":
                    run.add(key, "reference_score_valences_without_negation", unit, (None, 0.17))
                run.add(key, "evaluation_score", unit, (100, own))
    return run


@pytest.fixture
def document(empty_run):
    return compose(made_up(empty_run).results())


def drawing(document, name):
    return next(found for found in document.drawings if found.name == name)


def test_skill_is_the_share_of_the_baselines_error_that_is_gone(empty_run):
    found = {a.task.name: a for a in applications(Rows.of(made_up(empty_run).results(), "training"))}
    assert set(found) == set(SCORES)
    assert found["digit_images"].skill(0.1) == 0
    assert found["digit_images"].skill(1.0) == 1
    assert found["digit_images"].skill(0.55) == pytest.approx(0.5)
    assert found["stock_returns"].skill(3.0) == 0
    assert found["stock_returns"].skill(1.5) == 0.5


def test_the_finding_counts_what_is_solved_and_says_where_nothing_is_won(document):
    finding = drawing(document, "training_skill").finding
    assert finding.startswith("4 of 6 tasks solved by every cell in every trial; solved in part: ")
    assert "Date translation: RNN 0 of 3, LSTM 3 of 3 and GRU 3 of 3." in finding
    assert (
        "No cell beats a return of zero in Stock returns on average: at best −0.33 % of its error is gone." in finding
    )


def test_every_score_is_drawn_at_its_skill_in_its_cells_colour(document):
    (axes,) = drawing(document, "training_skill").figure().axes
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    row = labels.index("image classification\n(digit images)")
    points = [line for line in axes.lines if line.get_color() == style.MARKS["lstm"].color]
    drawn = [x for line in points for x, y in line.get_xydata() if abs(y - row) < 0.3]
    assert drawn == pytest.approx([(0.979 - 0.1) / 0.9, (0.98 - 0.1) / 0.9, (0.981 - 0.1) / 0.9])


def test_tables_have_the_baseline_beside_the_score_and_the_licence(document):
    scores, sources, *_ = document.sections[0].tables
    rows = {row[1]: dict(zip((c.title for c in scores.columns), row, strict=True)) for row in scores.rows}
    assert rows["Sentiment"]["naive baseline"] == "always answer the commoner class"
    assert rows["Sentiment"]["its score"] == "0.500"
    assert rows["Sentiment"]["other simple predictors"] == "valences without negation 0.170"
    assert rows["Stock returns"]["solved, trials"] == "0 of 9"
    assert rows["Date translation"]["solved, trials"] == "6 of 9"
    licences = {row[0]: row[2:] for row in sources.rows}
    assert licences["Date translation"] == ["synthetic", "made by rule", "none needed"]
    assert licences["Sentiment"][0] == "synthetic, of real vader words"
    assert licences["Sentiment"][2] == "MIT"
    assert licences["Digit images"][0] == "real: digits"


def test_a_run_without_applications_has_neither_figure(build):
    names = [found.name for found in compose(build("training", seeds=1)).drawings]
    assert not {"training_skill", "training_wirings"} & set(names)


def test_the_wirings_of_the_run_are_drawn_in_one_figure(document):
    found = drawing(document, "training_wirings")
    panels = found.figure().axes
    assert [axes.get_title(loc="left") for axes in panels] == list(WIRINGS)
    assert "Sequence-to-sequence: machine translation." in found.finding
    assert "decoder step 6 reads answer 1, gives answer 2" in found.alternative


@pytest.mark.parametrize("name", WIRINGS)
@pytest.mark.parametrize("both_ways", [False, True])
def test_a_diagram_has_a_box_a_step_and_an_arrow_for_all_that_is_read_fed_and_answered(name, both_ways):
    steps = training_wirings._steps(WIRINGS[name])
    with style.context():
        _, grid = style.panels(1)
        training_wirings.paint_steps(grid[0, 0], steps, both_ways)
    patches = grid[0, 0].patches
    kinds = (FancyBboxPatch, Circle, FancyArrowPatch)
    counts = {kind: sum(isinstance(patch, kind) for patch in patches) for kind in kinds}
    read, fed, answered = (sum(getattr(s, field) is not None for s in steps) for field in ("reads", "feeds", "answers"))
    assert counts[FancyBboxPatch] == len(steps)
    assert counts[Circle] == read + answered
    assert counts[FancyArrowPatch] == read + fed + answered + (1 + both_ways) * (len(steps) - 1)
    dashed = [p for p in patches if isinstance(p, FancyArrowPatch) and p.get_linestyle() == "--"]
    assert len(dashed) == fed


def test_labels_of_long_settings_leave_room_for_the_scores_and_each_other(empty_run):
    run = made_up(empty_run, ("named_entities", "stock_returns"), seeds=2)
    for record in run.records:
        record |= {"length": 100 + record["seed"], "batch": 1600 - record["seed"], "evaluation_size": 10000}
        record |= {"evaluation_size": 9000} if record["seed"] else {}
    figure = drawing(compose(run.results()), "training_skill").figure("run")
    with style.context():
        figure.savefig(io.BytesIO(), format="svg")
    figure.set_dpi(720)  # where letters are as wide as their outlines
    width, height = figure.get_size_inches() * figure.dpi
    (axes,) = figure.axes
    box = axes.get_tightbbox()
    assert -1 <= box.x0 < box.x1 <= width + 1
    assert -1 <= box.y0 < box.y1 <= height + 1
    labels = sorted((label.get_window_extent() for label in axes.get_yticklabels()), key=lambda label: label.y0)
    assert any("\n" in label.get_text().partition("\n")[2] for label in axes.get_yticklabels())
    assert all(above.y0 >= below.y1 - 0.5 for below, above in itertools.pairwise(labels))


def test_one_cell_and_one_seed_draw_too(empty_run):
    run = made_up(empty_run, ("stock_returns",), seeds=1)
    run.records = run.records[:1]
    run.rows = [row for row in run.rows if row[0] == run.records[0]["key"]]
    found = compose(run.results())
    assert "nan" not in drawing(found, "training_skill").finding.lower()
    assert drawing(found, "training_skill").figure().axes


def test_what_a_network_writes_is_in_a_table(empty_run):
    run = empty_run
    for seed, text in enumerate(("The end.\nA", "Other text")):
        key = run.trial("training", task="character_prose", cell="gru", hidden=8, seed=seed)
        run.add(key, "prompt_character", "code point", *enumerate(map(ord, "Once ")))
        run.add(key, "written_character", "code point", *enumerate(map(ord, text)))
        run.add(key, "final_score", "bit/character", (None, 2.0 + seed))
    tables = compose(run.results()).sections[0].tables
    (table,) = [table for table in tables if table.caption.startswith("What trained networks write")]
    assert [row[-2:] for row in table.rows] == [["Once ", "The end. ¶ A"]]
    assert np.all([len(row) == len(table.columns) for row in table.rows])


def test_networks_that_read_both_ways_have_a_diagram_of_their_own(empty_run):
    run = made_up(empty_run, ("named_entities", "stock_returns"), seeds=1)
    for record in run.records:
        record |= {"bidirectional": record["task"] == "named_entities", "layers": 1}
    found = drawing(compose(run.results()), "training_wirings")
    assert "Many-to-many, both directions: named entity recognition." in found.finding
    many_to_one, many_to_many = found.figure().axes
    assert many_to_many.get_title(loc="left") == "many-to-many, both directions"
    assert len(many_to_many.patches) == len(many_to_one.patches) + 2 * 2 + 2  # two answers more, two states' way back
