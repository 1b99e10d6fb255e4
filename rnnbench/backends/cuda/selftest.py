"""What a machine with a GPU has to say about the cuda backend:   python -m rnnbench.backends.cuda.selftest

It prints what is installed; compares layers and training with the reference backend, run after run (comparisons.py);
and times layers against PyTorch (cuDNN), where it is there, and the floor. The table of times comes last. Exit code 0:
all agrees; 1: something does not, or did not run; 2: there is no GPU to run on.

On a GPU the cases run in a process of their own. Where one of them fails, kills it or hangs, a new process goes on:
what a kernel has damaged may be all that comes after it. --out keeps a row of every case, a line of JSON each.

With NUMBA_ENABLE_CUDASIM=1 it runs on a simulated GPU, at sizes for one, in this process.

`rnnbench run experiments/gpu.toml` stores such times as the rows of a run, with figures.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rnnbench import cells
from rnnbench.backends.cuda import comparisons, peers, timing, toolkit
from rnnbench.backends.cuda.comparisons import Case
from rnnbench.backends.cuda.gemm import products
from rnnbench.backends.cuda.passes import Sizes
from rnnbench.cells import entries as known_cells
from rnnbench.errors import InputError

TIMED_CELLS = ("lstm", "gru", "rnn")
GRID = ((64, 128, 256, 512, 768, 1024), (1, 16, 64), 1024)
"""H, B and T of the timings."""
SIMULATED_GRID = ((8,), (2,), 3)
MARK = "selftest row: "
"""Before a row that a process of cases prints."""
STDERR = 2


def timings(device: Any, names: Sequence[str], repeats: int) -> Iterator[Case]:
    """Yield a case for each layer that is timed."""
    widths, batches, steps = SIMULATED_GRID if device.simulated else GRID
    for cell in names:
        for hidden in widths:
            for batch in batches:
                run = partial(timed_row, device, cell, Sizes(steps, batch, hidden, hidden), repeats)
                yield Case(f"{cell} H={hidden} B={batch} time", run)


def timed_row(device: Any, cell: str, sizes: Sizes, repeats: int) -> dict[str, Any]:
    """Return one layer's microseconds a step: here, of the floor, and in PyTorch by precision."""
    step_us, notes, written = 1e6 / sizes.steps, {}, timing.filler_bytes(device.limits)
    times = {"cell": cell, "H": sizes.hidden, "B": sizes.batch} | own_times(device, cell, sizes, repeats, step_us)
    for precision in peers.PRECISIONS:
        try:
            found = peers.torch_seconds(cell, sizes, precision, repeats, written)
        except Exception as error:  # cuDNN's, or of how PyTorch is installed
            notes[precision] = told(error)
            continue
        times |= {f"{precision} {direction}": seconds * step_us for direction, seconds in (found or {}).items()}
    return {"times": times} | ({"notes": notes} if notes else {})


def own_times(device: Any, cell: str, sizes: Sizes, repeats: int, step_us: float) -> dict[str, Any]:
    """Return which way a layer runs here, its times and floor; its memory is free again afterwards."""
    problem = timing.Problem(device, cells.get(cell), sizes, np.dtype(np.float32))
    floor = timing.floor_seconds(device, problem.plan, sizes, 4)
    return {
        "path": problem.plan.path,
        "forward": float(np.median(problem.forward(repeats))) * step_us,
        "both": float(np.median(problem.forward_backward(repeats))) * step_us,
        "floor": None if floor is None else floor * step_us,
    }


def attempted(case: Case) -> dict[str, Any]:
    """Return the case's row; if it ends in an error, a row that says which."""
    try:
        return {"name": case.name} | case.run()
    except InputError as error:  # such as too little memory
        return {"name": case.name, "left_out": told(error)}
    except Exception as error:
        return {"name": case.name, "failed": told(error)}


def told(error: BaseException) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def answer(cases: Sequence[Case], limit_s: float) -> None:
    """Print a row for each case, until one fails: by itself it is tried once more, in a process that it begins."""
    for k, case in enumerate(cases):
        faulthandler.dump_traceback_later(limit_s, exit=True, file=STDERR)
        found = attempted(case)
        faulthandler.cancel_dump_traceback_later()
        if "passed" not in found and "times" not in found and k > 0:
            return
        print(MARK + json.dumps(found), flush=True)
        if "failed" in found:
            return


def in_processes(cases: Sequence[Case], arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield a row for each case, from processes of this module with these arguments, which print them by `answer`."""
    done = 0
    while done < len(cases):
        first = done
        command = [sys.executable, "-m", "rnnbench.backends.cuda.selftest", *arguments, "--answer-from", str(first)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(MARK):
                    done += 1
                    yield json.loads(line.removeprefix(MARK))
                else:
                    print(line, end="", flush=True)
        if done == first:
            reason = f"its process ended with {process.returncode}; what it said is above"
            yield {"name": cases[first].name, "failed": reason}
            done += 1


def line(row: dict[str, Any]) -> str:
    """Return a row as a line of text."""
    for word in ("failed", "left_out"):
        if word in row:
            return f"{word.upper():<8} {row['name']}: {row[word]}"
    if "times" in row:
        notes = "".join(f"; PyTorch {precision}: {text}" for precision, text in row.get("notes", {}).items())
        return f"timed    {row['name']} {json.dumps(row['times'])}{notes}"
    return (
        f"{'ok' if row['passed'] else 'WRONG':<8} {row['name']:<45} forward {row['forward_error']:.1e} backward "
        f"{row['backward_error']:.1e} {'same bits' if row['same_bits'] else 'OTHER BITS ANOTHER TIME'}, {row['path']}: "
        f"{row['blocks']} blocks of {row['shared_kib']} KiB"
    )


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """Return what the comparisons came to, what failed, and the largest launches among those that passed."""
    compared = [row for row in rows if "passed" in row]
    passed = [row for row in compared if row["passed"]]
    bad = [row for row in rows if "failed" in row or not row.get("passed", True)]
    shared = max((row["shared_kib"] for row in passed), default=0)
    blocks = max((row["blocks"] for row in passed if row["path"] == "persistent"), default=0)
    return "\n".join(
        [
            *(line(row) for row in bad),
            f"{len(passed)} of {len(compared)} comparisons passed; up to {shared} KiB of shared memory a block, and up "
            f"to {blocks} blocks that meet; {sum('failed' in row for row in rows)} cases failed to run, "
            f"{sum('left_out' in row for row in rows)} were left out",
        ]
    )


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return all times as a table of microseconds a step."""
    timed = [row["times"] for row in rows if "times" in row]
    columns = [*dict.fromkeys(name for times in timed for name in times)]
    text = [columns, *([_cell(times.get(name)) for name in columns] for times in timed)]
    widths = [max(len(each[k]) for each in text) for k in range(len(columns))]
    return "\n".join("  ".join(value.rjust(width) for value, width in zip(each, widths, strict=True)) for each in text)


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def versions() -> dict[str, Any]:
    """Return what is installed, as far as results depend on it."""
    found = {"python": platform.python_version(), "numba": toolkit.version("numba")} | toolkit.describe()
    return found if toolkit.missing() else found | {"products": products(toolkit.device(), np.dtype(np.float32)).name}


def parsed() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", nargs="+", choices=sorted(known_cells()), default=sorted(known_cells()), metavar="C")
    parser.add_argument("--runs", type=int, default=10, help="runs of each pass that are compared, bit by bit")
    parser.add_argument("--repeats", type=int, default=15, help="timed passes of each layer")
    parser.add_argument("--no-comparisons", action="store_true", help="time only")
    parser.add_argument("--no-timings", action="store_true", help="compare only")
    parser.add_argument("--limit", type=float, default=180, help="seconds after which a case counts as hung")
    parser.add_argument("--out", type=Path, help="a file for the rows, a line of JSON each")
    parser.add_argument("--answer-from", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def chosen(options: argparse.Namespace, device: Any) -> list[Case]:
    """Return the cases that the options ask for."""
    runs, repeats = (2, 1) if device.simulated else (options.runs, options.repeats)
    compared = [] if options.no_comparisons else comparisons.cases(device, options.cells, runs)
    timed = () if options.no_timings else [cell for cell in TIMED_CELLS if cell in options.cells]
    return [*compared, *timings(device, timed, repeats)]


def main() -> int:
    """Run it all; see the module."""
    options = parsed()
    if options.answer_from is not None:
        answer(chosen(options, toolkit.device())[options.answer_from :], options.limit)
        return 0
    print(json.dumps(versions() | peers.versions(), indent=2), flush=True)
    if reason := toolkit.missing():
        print(f"error: {reason}", file=sys.stderr)
        return 2
    device, rows = toolkit.device(), []
    cases = chosen(options, device)
    for row in map(attempted, cases) if device.simulated else in_processes(cases, sys.argv[1:]):
        rows.append(row)
        print(line(row), flush=True)
        if options.out:
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
    print(summary(rows))
    if any("times" in row for row in rows):
        print("microseconds a step")
        print(table(rows))
    return 0 if all(row.get("passed", "times" in row) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
