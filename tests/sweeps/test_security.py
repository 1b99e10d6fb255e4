"""Sweep files, results and data are data: nothing in them is run, none leaves its folder, no port is open to others."""

from __future__ import annotations

import ast
import json
import pickle
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rnnbench
from rnnbench import report
from rnnbench.errors import InputError
from rnnbench.sweeps import engine, spec
from rnnbench.sweeps.cluster import Pool
from rnnbench.sweeps.store import DamagedTrial, Results, read_trial
from rnnbench.sweeps.trial import SCHEMA_VERSION

SCRIPT = "<script>alert(1)</script>"


def test_a_trial_named_script_is_text_in_the_report_and_in_a_notebook(tmp_path: Path) -> None:
    sweep = {
        "name": "escaped",
        "title": SCRIPT,
        "description": SCRIPT,
        "sweep": [{"probe": "named", "title": SCRIPT, "axes": {"label": [SCRIPT, "plain"]}}],
    }
    summary = engine.execute(sweep, tmp_path, jobs=0, progress=False)
    assert summary.failed == 2
    page = report.write(summary.path, ["html"])[0].read_text()
    assert SCRIPT not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert SCRIPT not in Results.load(summary.path)._repr_html_()


@pytest.mark.parametrize("name", ["../outside", "..", ".", "/tmp/outside", "a/b", "a\\b", ".hidden", "", "a\0b", "~"])
def test_no_name_in_a_sweep_leaves_the_folder_of_results(tmp_path: Path, name: str) -> None:
    sweep: dict[str, Any] = {"name": name, "sweep": [{"probe": "null"}]}
    with pytest.raises(InputError, match="plain folder name"):
        spec.load(sweep)
    with pytest.raises(InputError, match=r"plain folder name|not a TOML value"):
        spec.load({**sweep, "name": "x"}, [f"name={json.dumps(name)}"])
    with pytest.raises(InputError):
        engine.execute(sweep, tmp_path / "out", jobs=0, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["../../outside", "/etc/passwd", "a\0b", "0123456789ABCDEF", "0123456789abcdef0"])
def test_no_key_in_a_run_leaves_the_folder_of_its_trials(tmp_path: Path, key: str) -> None:
    summary = engine.execute({"name": "x", "sweep": [{"probe": "null"}]}, tmp_path, jobs=0, progress=False)
    (summary.path / "trials.txt").write_text(f"{key}\n")
    with pytest.raises(InputError, match=r"trials\.txt: .* is no key of a trial"):
        Results.load(summary.path)


def test_a_sweep_names_installed_probes_and_nothing_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for probe in ("evil", "evil:Probe", "evil.Probe", "tests.evil", "./evil.py"):
        with pytest.raises(InputError, match="unknown probe"):
            spec.load({"name": "x", "sweep": [{"probe": probe}]})
    for parameter in ("cell", "task", "backend"):
        with pytest.raises(InputError, match=f"unknown {parameter}"):
            spec.load({"name": "x", "sweep": [{"probe": "training", "fixed": {parameter: "evil"}}]})


class Bomb:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exit, (13,))


def test_what_is_pickled_in_a_result_is_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / ("0" * 16 + ".parquet")
    bomb = pickle.dumps(Bomb())
    path.write_bytes(bomb)
    with pytest.raises(DamagedTrial):
        read_trial(path)
    record = {"schema_version": SCHEMA_VERSION, "key": path.stem, "reason": bomb.hex()}
    metadata = {b"rnnbench": json.dumps(record).encode(), b"pandas": bomb, b"ARROW:schema": bomb}
    pq.write_table(pa.table({"quantity": [bomb]}).replace_schema_metadata(metadata), path)
    with pytest.raises(DamagedTrial):
        read_trial(path)


def test_no_module_can_run_what_it_reads() -> None:
    """Nothing calls eval or exec, imports pickle or shelve, has NumPy unpickle, or TOML and YAML make objects.

    But for what ALLOWED names, and why.
    """
    forbidden_calls = {"eval", "exec", "compile"}
    forbidden_modules = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "joblib", "yaml"}
    package = Path(rnnbench.__file__).parent
    for path in package.rglob("*.py"):
        where = path.relative_to(package).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = {node.func.id} & forbidden_calls if isinstance(node.func, ast.Name) else set()
                assert called <= ALLOWED.get(where, set()), f"{where}:{node.lineno} calls {called}"
                options = {k.arg for k in node.keywords} & {"allow_pickle", "shell"}
                assert options <= ALLOWED.get(where, set()), f"{where}:{node.lineno} uses {options}"
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found = forbidden_modules & {name.partition(".")[0] for name in imported}
            assert not found - ALLOWED.get(where, set()), f"{where} imports {found}"


ALLOWED = {
    # Pipes between a process and the children that it starts itself.
    "implementations/processes.py": {"pickle"},
    "implementations/worker.py": {"pickle"},
    # Compiled kernels in the user's own cache, where Numba keeps pickled ones as well.
    "backends/cuda/toolkit/kernels.py": {"pickle"},
    # Reviews of films, as they are published; only of a file that has the published checksum.
    "datasets/_archives.py": {"allow_pickle"},
    # Source that rnnbench writes itself, out of a cell's functions.
    "backends/cuda/elements.py": {"exec"},
    "cells/_derivation.py": {"exec"},
    # A user's own files, which the command line has to name.
    "sweeps/own_files.py": {"exec", "compile"},
}


def test_ports_of_the_local_cluster_listen_on_the_loopback_interface_only() -> None:
    before = listening()
    with Pool(1) as pool:
        assert pool.client.submit(abs, -1).result() == 1
        opened = listening() - before
    assert len(opened) >= 3  # scheduler, its page, nanny, worker
    assert {host for host, _ in opened} <= {"127.0.0.1", "::1"}, opened


def listening() -> set[tuple[str, int]]:
    """Return (address, port) of everything that this process and its children listen on."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = [each for process in processes for each in process.net_connections("tcp")]
    return {(each.laddr.ip, each.laddr.port) for each in found if each.status == psutil.CONN_LISTEN}
