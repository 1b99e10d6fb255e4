"""Prove the gate on this machine: no alarm between equal commits, an injected slowdown caught, nothing broken passes.

usage: gate_proof.py [--gates N] [--slower PERCENT] [--bench REGEX] [--minutes M] [--noise FILE]

In a clone of HEAD in a temporary folder, `rnnbench gate` is run

    N times     HEAD against HEAD                                   expected: never 1 (regressed)
    N times     HEAD against a commit that is slower, by injection  expected: always 1
    once each   against a commit that does not build, one that cannot be imported, one that crashes, and with a suite
                that is empty                                       expected: never 0 (same)

and the exit codes are counted. The default, 20 gates of each kind, takes hours; `--gates 2` shows that it works.
--noise writes the log ratios of the gates of equal commits as CSV, for the tests to replay. Exit code 0 if all is as
expected, 1 if not.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rnnbench.regressions.gate.builds import FOLDER

ROOT = Path(__file__).resolve().parents[1]
SLOWER = '''

def _slower(method):
    """Make a method take {percent} % longer: it runs, and spins."""
    import functools
    import time

    @functools.wraps(method)
    def slowed(*arguments, **options):
        begun = time.perf_counter()
        answer = method(*arguments, **options)
        until = begun + {factor} * (time.perf_counter() - begun)
        while time.perf_counter() < until:
            pass
        return answer

    return slowed


Layer.forward, Layer.backward = _slower(Layer.forward), _slower(Layer.backward)
'''
CRASH = "\n\nimport os\n\nLayer.forward = lambda *arguments, **options: os._exit(9)\n"


def main() -> int:
    """Run the gates, print what came out, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gates", type=int, default=20, metavar="N")
    parser.add_argument("--slower", type=float, default=10.0, metavar="PERCENT")
    parser.add_argument("--bench", default=r"'(rnn|lstm|gru)', 'forward', '128x(1x32|16x64)'", metavar="REGEX")
    parser.add_argument("--minutes", type=float, default=10.0, metavar="M", help="of measuring, each gate")
    parser.add_argument("--noise", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        git(ROOT, "clone", "--quiet", str(ROOT), str(clone))
        git(clone, "config", "user.name", "proof")
        git(clone, "config", "user.email", "proof@localhost")
        base = git(clone, "rev-parse", "HEAD")
        layer, project = Path("rnnbench", "layer.py"), Path("pyproject.toml")
        slower = SLOWER.format(percent=options.slower, factor=1 + options.slower / 100)
        heads = {
            "equal": base,
            "slower": changed(clone, base, layer, (clone / layer).read_text() + slower),
            "does not build": changed(clone, base, project, "[project]\n"),
            "cannot be imported": changed(
                clone, base, Path("rnnbench", "__init__.py"), "raise ImportError('injected')\n"
            ),
            "crashes": changed(clone, base, layer, (clone / layer).read_text() + CRASH),
        }
        selection = ["--bench", options.bench, "--minutes", str(options.minutes)]
        found: dict[str, Counter[int]] = {kind: Counter() for kind in (*heads, "empty suite")}
        for kind, count in (("equal", options.gates), ("slower", options.gates)):
            for number in range(count):
                found[kind][gate(clone, f"{kind} {number + 1}", base, heads[kind], *selection)] += 1
                if options.noise and kind == "equal":
                    keep_noise(clone, options.noise, number)
        for kind in list(heads)[2:]:
            found[kind][gate(clone, kind, base, heads[kind], *selection)] += 1
        for file in (clone / "experiments" / "benchmarks").glob("[a-z]*.py"):
            git(clone, "rm", "--quiet", str(file))
        git(clone, "commit", "--quiet", "--message", "An empty suite")
        found["empty suite"][gate(clone, "empty suite", base, "HEAD")] += 1
    return judge(found, options.slower)


def judge(found: dict[str, Counter[int]], percent: float) -> int:
    """Print the exit codes of each kind, and return 1 where any is not what it has to be."""
    alarms, caught, gates = found["equal"][1], found["slower"][1], found["equal"].total()
    passed = [kind for kind, codes in found.items() if kind not in ("equal", "slower") and codes[0]]
    passed += [kind for kind in ("equal", "slower") if found[kind].keys() & {2, 4}]
    for kind, codes in found.items():
        told = ", ".join(f"{count} × exit {code}" for code, count in sorted(codes.items()))
        print(f"{kind:20s} {told}")
    print(f"{alarms} alarms in {gates} gates of equal commits; {percent:g} % caught {caught} times of {gates}")
    return int(bool(alarms or caught < gates or passed))


def gate(clone: Path, title: str, base: str, head: str, *options: str) -> int:
    """Run one gate from its first round, print a line, and return its exit code."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "rnnbench", "gate", "--base", base, "--head", head, "--fresh", *options]
    done = subprocess.run(
        command, cwd=clone, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("Gate:", "error:"))]
    print(f"{title}: exit {done.returncode}, {time.perf_counter() - begun:.0f} s: {' '.join(said)[:200]}", flush=True)
    return done.returncode


def environment() -> dict[str, str]:
    """Return this process's variables, with this tree's rnnbench: the clone holds what is measured."""
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


def changed(clone: Path, base: str, file: Path, text: str) -> str:
    """Commit other contents of a file on top of a commit, on no branch; return the hash."""
    (clone / file).write_text(text)
    git(clone, "commit", "--quiet", "--all", "--message", f"Changed {file}")
    commit = git(clone, "rev-parse", "HEAD")
    git(clone, "reset", "--quiet", "--hard", base)
    git(clone, "branch", f"kept-{commit[:10]}", commit)
    return commit


def git(path: Path, *arguments: str) -> str:
    """Return what git prints."""
    return subprocess.run(
        ["git", "-C", str(path), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def keep_noise(clone: Path, path: Path, number: int) -> None:
    """Append the log ratios of the gate that ran last to a CSV file."""
    with path.open("a" if number else "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not number:
            writer.writerow(["gate", "round", "benchmark", "sides", "log_ratio"])
        for row in log_ratios(clone):
            writer.writerow([number, *row])


def log_ratios(clone: Path) -> Iterator[tuple[int, str, str, str]]:
    """Yield round, benchmark, sides and log ratio of the gate that ran last."""
    latest = max((clone / FOLDER / "rounds").glob("*/rounds.jsonl"), key=lambda file: file.stat().st_mtime)
    for index, line in enumerate(map(json.loads, latest.read_text().splitlines())):
        base = line["medians"].get("base", {})
        for side in ("head", "again"):
            for benchmark, seconds in line["medians"].get(side, {}).items():
                if benchmark in base:
                    yield index, benchmark, f"{side}/base", f"{math.log(seconds / base[benchmark]):.6f}"


if __name__ == "__main__":
    sys.exit(main())
