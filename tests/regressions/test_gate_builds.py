"""What the gate asks of asv: environments, builds and the list of benchmarks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import made_up_project
import pytest
from made_up_project import NAMES, git

from rnnbench.errors import InputError
from rnnbench.regressions.gate.builds import BASE, HEAD, Build, NothingMeasured, Repository

pytest.importorskip("asv", reason="asv comes with the extra 'gate'")
EVERYTHING = [""]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A project whose environment is the interpreter that runs the tests, which asv calls an existing one."""
    project = made_up_project.make(tmp_path / "project")
    configure(project, environment_type="existing")
    monkeypatch.chdir(project)
    return Repository.find(project)


def configure(project: Path, **changes: object) -> None:
    file = project / "asv.conf.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def head(repository: Repository) -> Build:
    return Build(HEAD, git(repository.root, "rev-parse", "HEAD"), sys.executable, {})


def test_asv_lists_the_timings_with_their_parameters(repository: Repository) -> None:
    found = repository.timings(head(repository), EVERYTHING)
    assert found == {**NAMES, "spinning.timeraw_nothing": "spinning.timeraw_nothing"}
    assert repository.timings(head(repository), ["'one'", "nothing to be found"]) == {
        identifier: name for identifier, name in NAMES.items() if "one" in name
    }


def test_a_selection_that_finds_nothing_is_the_user_s_to_mend(repository: Repository) -> None:
    with pytest.raises(InputError, match=r"no timing of .*suite matches lstm; there are spinning\.Spin\.time_spin, "):
        repository.timings(head(repository), ["lstm"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the suite has no benchmark that takes a time"),
        ("import nothing_of_this_name", "cannot be imported with head"),
    ],
)
def test_an_empty_suite_and_one_that_cannot_be_imported_measure_nothing(
    repository: Repository, text: str, message: str
) -> None:
    (repository.suite / "spinning.py").write_text(text)
    with pytest.raises(NothingMeasured, match=message):
        repository.timings(head(repository), EVERYTHING)


def test_a_matrix_of_several_environments_is_refused(repository: Repository) -> None:
    configure(repository.root, environment_type="virtualenv", matrix={"env": {"THREADS": ["1", "2"]}})
    with pytest.raises(InputError, match=r"asv.conf.json: the matrix names 2 environments that can be made here"):
        Repository.find(repository.root).build(BASE, "0" * 40)


def test_a_build_that_fails_says_how(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    from asv.util import ProcessError

    def install(*arguments: object) -> None:
        raise ProcessError(["python", "-m", "build"], 1, "building\n", "no such backend\n")

    environment = SimpleNamespace(create=lambda: None, install_project=install)
    monkeypatch.setattr(Repository, "_environment", lambda self, side: environment)
    with pytest.raises(
        NothingMeasured, match=r"(?s)head 0000000000 cannot be built: .*exit status 1\n.*no such backend"
    ):
        repository.build(HEAD, "0" * 40)


def test_a_build_has_an_environment_and_a_cache_of_its_own(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = SimpleNamespace(
        create=lambda: None,
        install_project=lambda *arguments: None,
        find_executable=lambda name: f"/environment/bin/{name}",
        env_vars={"RNNBENCH_THREADS": "1"},
    )
    monkeypatch.setattr(Repository, "_environment", lambda self, side: environment)
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    made = {side: repository.build(side, "0" * 40) for side in (BASE, HEAD)}
    assert {build.python for build in made.values()} == {"/environment/bin/python"}
    caches = [build.environment["RNNBENCH_CACHE_DIR"] for build in made.values()]
    assert len(set(caches)) == 2
    assert len({len(cache) for cache in caches}) == 1, "the length of a path moves what lies behind it in memory"
    for build in made.values():
        assert build.environment["RNNBENCH_THREADS"] == "1"
        assert build.environment["PATH"].startswith("/environment/bin:")
        assert "PYTHONPATH" not in build.environment


@pytest.mark.parametrize("text", ["{", "{}"])
def test_a_configuration_that_is_none_is_refused(repository: Repository, text: str) -> None:
    (repository.root / "asv.conf.json").write_text(text)
    with pytest.raises(InputError, match=r"asv\.conf\.json"):
        Repository.find(repository.root)
