from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, field_validator

from rnnbench.errors import InputError
from rnnbench.probes.base import ProbeParameters
from rnnbench.sweeps import plugins, spec


def sweep_of(*sections: dict[str, Any], name: str = "example") -> dict[str, Any]:
    return {"name": name, "sweep": list(sections)}


def misbehave(**tables: Any) -> dict[str, Any]:
    return {"probe": "misbehave", **tables}


def points(sweep: dict[str, Any], *names: str, assignments: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    trials = spec.load(sweep, assignments).trials
    return [tuple(trial.parameters[name] for name in names) for trial in trials]


def message(sweep: Any, *assignments: str) -> str:
    with pytest.raises(InputError) as caught:
        spec.load(sweep, assignments)
    return str(caught.value)


def test_axes_multiply_and_the_first_changes_slowest() -> None:
    sweep = sweep_of(misbehave(axes={"number": [1, 2], "seconds": [0.5, 1.5]}))
    assert points(sweep, "number", "seconds") == [(1, 0.5), (1, 1.5), (2, 0.5), (2, 1.5)]


def test_together_advances_as_one_axis() -> None:
    sweep = sweep_of(misbehave(axes={"seed": [7, 8]}, together={"number": [1, 2, 3], "seconds": [4, 5, 6]}))
    assert points(sweep, "seed", "number", "seconds") == [
        (seed, number, number + 3) for seed in (7, 8) for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("tables", "seeds"),
    [
        ({"axes": {"seed": {"count": 3}}}, [0, 1, 2]),
        ({"axes": {"seed": [5, 9]}}, [5, 9]),
        ({"axes": {"seed": 4}}, [4]),
        ({"fixed": {"seed": 4}}, [4]),
        ({"together": {"seed": {"count": 2}, "number": [1, 2]}}, [0, 1]),
        ({}, [0]),
    ],
)
def test_seeds_are_counted_listed_or_given(tables: dict[str, Any], seeds: list[int]) -> None:
    assert points(sweep_of(misbehave(**tables)), "seed") == [(seed,) for seed in seeds]


def test_the_same_trial_named_twice_is_one_trial() -> None:
    sweep = sweep_of(misbehave(axes={"number": [1, 2, 2]}), misbehave(axes={"number": [2, 3]}))
    assert points(sweep, "number") == [(1,), (2,), (3,)]


def test_timeout_and_exclusiveness_reach_the_trial_but_not_its_key() -> None:
    plain, late = (spec.load(sweep_of(misbehave(**extra))).trials[0] for extra in ({}, {"timeout_s": 5}))
    assert (plain.timeout_s, late.timeout_s) == (None, 5.0)
    assert plain.key == late.key
    assert not plain.exclusive
    assert spec.load(sweep_of({"probe": "timing"})).trials[0].exclusive


def test_the_resolved_sweep_names_the_same_trials_with_defaults_written_out(tmp_path: Path) -> None:
    sweep = {
        "name": "resolved",
        "title": 'A "quoted" title, µ and \x7f',
        "sweep": [
            misbehave(
                axes={"number": [1, 2], "seed": {"count": 3}},
                together={"deed": ["finish", "sleep"], "seconds": [0, 0.1]},
                timeout_s=2.5,
            ),
            {"probe": "null", "axes": {"seed": [1, 2]}},
        ],
    }
    first = spec.load(sweep, ["number=[4, 5]"])
    path = tmp_path / "sweep.toml"
    path.write_text(first.to_toml(), encoding="utf-8")
    second = spec.load(path)
    assert second.trials == first.trials
    assert len(second.trials) == 2 * 3 * 2 + 2
    assert second.data == first.data
    assert second.data["title"] == sweep["title"]
    assert "timeout_s = 2.5" in first.to_toml()
    assert second.data["sweep"][1]["axes"] == {"seed": [1, 2]}


MISTAKES = [
    (
        sweep_of(misbehave(axes={"numbr": [1]})),
        "sweep.0.axes.numbr = [1]: unknown key 'numbr': did you mean 'number'?",
    ),
    (
        sweep_of(misbehave(fixed={"numbr": 1})),
        "sweep.0.fixed.numbr = 1: unknown key 'numbr': did you mean 'number'?",
    ),
    (
        sweep_of(misbehave(axis={"number": [1]})),
        "sweep.0.axis = {number = [1]}: unknown key 'axis': did you mean 'axes'?",
    ),
    ({**sweep_of(misbehave()), "titel": "x"}, "titel = \"x\": unknown key 'titel': did you mean 'title'?"),
    (
        sweep_of({"probe": "misbehav"}),
        "sweep.0.probe = \"misbehav\": unknown probe 'misbehav': did you mean 'misbehave'?",
    ),
    (sweep_of({}), "sweep.0.probe: missing; expected a value"),
    ({"sweep": [misbehave()]}, "name: missing; expected a value"),
    ({"name": "x"}, "sweep: missing; expected a value"),
    ({"name": "x", "sweep": []}, "sweep = []: expected tables, each begun by [[sweep]]"),
    (
        sweep_of(misbehave(fixed={"seed": -1})),
        "sweep.0.fixed.seed = -1: expected a value greater than or equal to 0",
    ),
    (
        sweep_of(misbehave(axes={"number": [1, "two"]})),
        'sweep.0.axes.number = "two": expected a whole number',
    ),
    (sweep_of(misbehave(fixed={"number": 1.0})), "sweep.0.fixed.number = 1.0: expected a whole number"),
    (sweep_of(misbehave(fixed={"number": "1"})), 'sweep.0.fixed.number = "1": expected a whole number'),
    (sweep_of(misbehave(fixed={"number": True})), "sweep.0.fixed.number = true: expected a whole number"),
    (sweep_of(misbehave(fixed={"seconds": "long"})), 'sweep.0.fixed.seconds = "long": expected a number'),
    (
        sweep_of(misbehave(fixed={"deed": "dance"})),
        "sweep.0.fixed.deed = \"dance\": expected 'finish', 'sleep'",
    ),
    (sweep_of(misbehave(axes={"number": []})), "sweep.0.axes.number = []: expected at least one value"),
    (
        sweep_of(misbehave(axes={"number": 3})),
        "sweep.0.axes.number = 3: expected a list of values; a single one belongs",
    ),
    (
        sweep_of(misbehave(axes={"seed": {"count": 0}})),
        "sweep.0.axes.seed = {count = 0}: expected {count = n}",
    ),
    (
        sweep_of(misbehave(axes={"seed": {"cuont": 3}})),
        "sweep.0.axes.seed = {cuont = 3}: expected {count = n}",
    ),
    (
        sweep_of(misbehave(together={"number": [1, 2], "seed": [1, 2, 3]})),
        "sweep.0.together: expected lists of equal length; number has 2, seed has 3",
    ),
    (
        sweep_of(misbehave(axes={"number": [1]}, fixed={"number": 1})),
        "sweep.0.fixed.number = 1: also set in sweep.0.axes; expected one place",
    ),
    (sweep_of(misbehave(timeout_s=-1)), "sweep.0.timeout_s = -1: expected a value greater than 0"),
    (sweep_of(misbehave(timeout_s="5")), 'sweep.0.timeout_s = "5": expected a number'),
    (sweep_of(misbehave(axes=[1])), "sweep.0.axes = [1]: expected a table"),
    ({"name": "x", "sweep": misbehave()}, "sweep: expected tables, each begun by [[sweep]]"),
    (
        sweep_of(misbehave(axes={"seed": {"count": 1000}, "number": list(range(101))})),
        "the axes multiply to 101000 trials; expected at most 100000",
    ),
]


@pytest.mark.parametrize(("sweep", "expected"), MISTAKES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_mistake_is_told_with_key_value_and_what_was_expected(sweep: dict[str, Any], expected: str) -> None:
    assert message(sweep).startswith(f"sweep: {expected}")


@pytest.mark.parametrize("name", ["../escape", "a/b", "..", ".hidden", "", "a b", "x" * 101, "tab\t", "new\n"])
def test_a_name_cannot_leave_the_results_folder(name: str) -> None:
    assert "expected a plain folder name" in message(sweep_of(misbehave(), name=name))


def test_every_mistake_is_told_once_and_at_most_ten() -> None:
    text = message(sweep_of(misbehave(fixed={"seed": -1, "deed": "dance"}, axes={"number": [1, 2, 3]})))
    assert len(text.splitlines()) == 2
    assert len(message(sweep_of(misbehave(axes={"seed": list(range(-50, 0))}))).splitlines()) == 10


class Named(ProbeParameters):
    """Parameters without defaults, and with a validator of their own."""

    cell: str
    length: int = Field(gt=0)

    @field_validator("cell")
    @classmethod
    def _known(cls, cell: str) -> str:
        if cell != "lstm":
            raise InputError(f"unknown cell '{cell}': did you mean 'lstm'?")
        return cell


def test_a_validators_own_words_and_missing_parameters_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(plugins.get("misbehave")), "Parameters", Named)
    assert message(sweep_of(misbehave(fixed={"cell": "lstn", "length": -5}))).splitlines() == [
        "sweep: sweep.0.fixed.cell = \"lstn\": unknown cell 'lstn': did you mean 'lstm'?",
        "sweep: sweep.0.fixed.length = -5: expected a value greater than 0",
    ]
    text = message(sweep_of(misbehave(fixed={"cell": "lstm"})))
    assert text == "sweep: sweep.0.length: missing; the probe has no default for it"


def test_the_file_is_named_with_line_and_column_of_a_syntax_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text('name = "x"\n[[sweep]]\nprobe = null\n')
    assert re.fullmatch(rf"{path}: line 3, column 9: Invalid value; expected TOML", message(path))
    path.write_bytes(b'name = "\xff"')
    assert message(path) == f"{path}: not UTF-8 text (byte 8); expected a TOML file"
    assert message(tmp_path).startswith(f"{tmp_path}: cannot be read: Is a directory")


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "quickstart.toml").write_text("")
    text = message(tmp_path / "quickstar.toml")
    assert text.startswith("unknown sweep file")
    assert f"did you mean '{tmp_path / 'quickstart.toml'}'" in text


def test_a_sweep_file_names_no_module_to_import() -> None:
    assert "unknown probe 'os:system'" in message(sweep_of({"probe": "os:system"}))


TWO = sweep_of(misbehave(axes={"number": [1, 2]}, fixed={"seconds": 0.5}), {"probe": "null"})


def test_an_override_applies_to_every_section_that_has_the_parameter() -> None:
    assert points(TWO, "seed", assignments=("seed=[3, 4]",)) == [(3,), (4,)] * 2 + [(3,), (4,)]
    assert points(TWO, "seed", assignments=("number=9", "seed=1")) == [(1,), (1,)]


def test_an_override_moves_a_parameter_between_axes_and_fixed() -> None:
    assert spec.load(TWO, ["number=9"]).data["sweep"][0]["fixed"]["number"] == 9
    assert spec.load(TWO, ["seconds=[1, 2]"]).data["sweep"][0]["axes"] == {
        "number": [1, 2],
        "seconds": [1, 2],
    }
    assert spec.load(TWO, ["sweep.0.axes.seconds=[1]"]).data["sweep"][0]["axes"]["seconds"] == [1]
    assert "seconds" not in spec.load(TWO, ["sweep.0.axes.seconds=[1]"]).data["sweep"][0]["fixed"]


def test_an_override_of_what_advances_together_stays_there() -> None:
    sweep = sweep_of(misbehave(together={"number": [1, 2], "seconds": [1, 2]}))
    assert spec.load(sweep, ["number=[5, 6]"]).data["sweep"][0]["together"]["number"] == [5, 6]
    assert "expected lists of equal length" in message(sweep, "number=[5, 6, 7]")


def test_overrides_set_names_words_seeds_and_time_limits() -> None:
    assert spec.load(TWO, ["name=other-1"]).name == "other-1"
    assert spec.load(TWO, ["deed=raise"]).trials[0].parameters["deed"] == "raise"
    assert len(spec.load(TWO, ["seed={count = 3}"]).trials) == 2 * 3 + 3
    assert {trial.timeout_s for trial in spec.load(TWO, ["timeout_s=3"]).trials} == {3.0}
    timeouts = [trial.timeout_s for trial in spec.load(TWO, ["sweep.1.timeout_s=4"]).trials]
    assert timeouts == [None, None, 4.0]


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("numbr=3", "--set numbr=3: unknown key 'numbr': did you mean 'number'?"),
        ("number", "--set number: expected key=value"),
        ("=3", "--set =3: expected key=value"),
        ("number=[1, 2", "--set number=[1, 2: '[1, 2' is not a TOML value"),
        (
            "sweep.5.axes.number=[1]",
            "--set sweep.5.axes.number=[1]: there is no sweep.5; the last is sweep.1",
        ),
        (
            "sweep.0.axis.number=[1]",
            "--set sweep.0.axis.number=[1]: unknown table 'axis': did you mean 'axes'?",
        ),
        ("number.x=1", "--set number.x=1: expected a path such as"),
        (
            "sweep.0.axes.numbr=[1]",
            "sweep: sweep.0.axes.numbr = [1]: unknown key 'numbr': did you mean 'number'?",
        ),
        ("sweep.0.prob=x", "sweep: sweep.0.prob = \"x\": unknown key 'prob': did you mean 'probe'?"),
        ("number=-1.5", "sweep: sweep.0.fixed.number = -1.5: expected a whole number"),
        ("name=..", "--set name=..: '..' is not a TOML value"),
    ],
)
def test_an_override_that_hits_nothing_or_says_nothing_is_refused(assignment: str, expected: str) -> None:
    assert message(TWO, assignment).startswith(expected)


def test_overrides_leave_the_mapping_of_the_caller_alone() -> None:
    spec.load(TWO, ["number=9"])
    assert TWO["sweep"][0]["axes"] == {"number": [1, 2]}


FULL = {**TWO, "cost": "a second", "full": {"cost": "a year", "set": ["name=whole", "seed={count = 3}"]}}


def test_the_full_size_is_a_table_of_overrides_before_those_of_the_command_line() -> None:
    small, whole = spec.load(FULL), spec.load(FULL, full=True)
    assert (small.name, len(small.trials), small.data["cost"]) == ("example", 3, "a second")
    assert (whole.name, len(whole.trials), whole.data["cost"]) == ("whole", 9, "a year")
    assert "full" not in small.data
    assert "full" not in whole.data
    assert len(spec.load(FULL, ["seed=1"], full=True).trials) == 3
    assert FULL["full"]["set"] == ["name=whole", "seed={count = 3}"]


def test_a_full_size_that_is_not_there_or_says_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"sweep: has no table \[full\]; expected one for --full"):
        spec.load(TWO, full=True)
    with pytest.raises(InputError, match="--set numbr=3: unknown key 'numbr'"):
        spec.load({**TWO, "full": {"set": ["numbr=3"]}}, full=True)
    assert "unknown key 'csot': did you mean 'cost'?" in message({**TWO, "full": {"csot": "much"}})
