"""Let asv build an environment for HEAD, run a few benchmarks once, publish the site, and check what came out.

usage: benchmark_smoke.py FOLDER [REGEX ...]

Environments, results and site go below FOLDER; each REGEX selects benchmarks as `asv run --bench` does, and a few of
every kind are the default. The exit code of asv says too little (0 where nothing matched or all was skipped), so its
result files are read instead: every benchmark that was selected must have a number there, and a graph on the site.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MACHINE = "smoke"
A_FEW = (
    r"time_layer\('lstm', 'forward_backward', '128x16x64'\)",
    r"peakmem_layer\('rnn', 'forward_backward', ",
    r"timeraw_compile\('rnn'\)",
    r"runner\..*\(10\)",
    r"startup\.",
)


def main(folder: Path, selection: tuple[str, ...]) -> None:
    """Run, publish, check, and print what was measured."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    write_configuration(folder)
    asv(folder, "machine", "--yes", "--machine", MACHINE)  # asv keeps it in ~/.asv-machine.json
    benches = [f"--bench={regex}" for regex in selection]
    asv(folder, "run", "--quick", "--show-stderr", "--machine", MACHINE, *benches, "HEAD^!")
    asv(folder, "publish")
    results = measured(folder / "results")
    for regex in selection:
        chosen = {name: value for name, value in results.items() if re.search(regex, name)}
        if not chosen:
            sys.exit(f"no benchmark matches {regex}; there are {', '.join(results)}")
        for name, value in chosen.items():
            check(folder / "html", name, value)


def write_configuration(folder: Path) -> None:
    """Write asv.conf.json as the repository has it, but for where things are; HEAD need not be on a branch."""
    configuration = json.loads((ROOT / "asv.conf.json").read_text())
    configuration["repo"] = str(ROOT)
    configuration["branches"] = ["HEAD"]
    configuration["benchmark_dir"] = str(ROOT / configuration["benchmark_dir"])
    configuration |= {f"{kind}_dir": str(folder / kind) for kind in ("env", "results", "html")}
    (folder / "asv.conf.json").write_text(json.dumps(configuration, indent=4))


def asv(folder: Path, *arguments: str) -> None:
    """Run asv with the configuration in a folder; it stops the script when it fails."""
    command = [sys.executable, "-m", "asv", *arguments[:1], "--config", str(folder / "asv.conf.json"), *arguments[1:]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"asv {arguments[0]} exited with {done.returncode}")


def measured(results: Path) -> dict[str, float | None]:
    """Return the value of every benchmark of the suite by its name with parameters; None where there is none."""
    suite = json.loads((results / "benchmarks.json").read_text())
    (path,) = [path for path in (results / MACHINE).glob("*.json") if path.name != "machine.json"]
    stored = json.loads(path.read_text())
    column = stored["result_columns"].index("result")
    values: dict[str, float | None] = {}
    for name, benchmark in suite.items():
        if name == "version":
            continue
        names = [f"{name}({', '.join(point)})" if point else name for point in itertools.product(*benchmark["params"])]
        found = stored["results"].get(name, [None])[column] or [None] * len(names)
        values |= dict(zip(names, found, strict=True))
    return values


def check(site: Path, name: str, value: float | None) -> None:
    """Stop the script unless a benchmark has a positive number and a graph on the site."""
    if value is None or not math.isfinite(value) or value <= 0:
        sys.exit(f"{name}: no number but {value}; it failed or was skipped, see above")
    if not any((site / "graphs").rglob(f"{name.partition('(')[0]}.json")):
        sys.exit(f"{name}: measured, but without a graph in {site}")
    print(f"{value:14.6g}  {name}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), tuple(sys.argv[2:]) or A_FEW)
