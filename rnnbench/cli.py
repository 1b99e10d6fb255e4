"""The command line. Every command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import io
import platform
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rnnbench.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="rnnbench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Measure what recurrent networks can remember, and what they cost.\n\n"
    "Start with `rnnbench list`, then `rnnbench run experiments/quickstart.toml`.",
    epilog="Exit codes: 0 done; 1 some trials failed, each recorded with its reason; 2 the input is wrong.",
)


def _examples(*lines: str) -> str:
    """Return command lines as the examples below a command's help, one a line."""
    return "Examples:\n\n" + "\n\n".join(f"`{line}`" for line in lines)


class Format(StrEnum):
    """What a report can be written as."""

    html = "html"
    svg = "svg"
    pdf = "pdf"
    png = "png"
    csv = "csv"


class Kind(StrEnum):
    """What can be listed."""

    cells = "cells"
    tasks = "tasks"
    datasets = "datasets"
    probes = "probes"
    backends = "backends"
    implementations = "implementations"
    experiments = "experiments"


RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A folder of results, such as results/quickstart.")]


@app.command(
    epilog=_examples(
        "rnnbench run experiments/quickstart.toml",
        "rnnbench run experiments/quickstart.toml --set 'hidden=[16, 32]' --set seed=0",
        "rnnbench run experiments/quickstart.toml --set sweep.0.fixed.batch=8",
        "rnnbench run experiments/memory.toml --full --plan",
        "rnnbench run my_sweep.toml --out runs --jobs 4 --timeout 600",
        "rnnbench run my_sweep.toml --scheduler tcp://10.0.0.5:8786",
        "rnnbench run experiments/own_cell.toml --code experiments/own_cell",
    )
)
def run(
    sweep: Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file (TOML).")],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override a parameter everywhere, or at a dotted path. The value is TOML; repeatable.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the folder named after the sweep goes.")] = Path(
        "results"
    ),
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Worker processes; default: one a core. 0: this process, without time limits.",
        ),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on the Dask cluster at this address.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(metavar="S", help="Stop a trial after this many seconds.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run finished trials again as well.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Run the sweep at its full size, as its table [full] says, after its cost.")
    ] = False,
    code: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="A Python file that the sweep names, or a folder of them: run it for its cells and tasks. Repeatable.",
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what would run, how long, and in how much memory.")
    ] = False,
) -> None:
    """Run what a sweep has not run yet, store every trial, and write the report.

    A trial that fails, hangs, runs out of memory or is killed becomes a row with its reason; others go on.
    The same command continues a run that was interrupted.
    """
    if plan:
        from rnnbench.sweeps import plan as plans

        for line in plans.plan(sweep, out, jobs, set_ or (), timeout, fresh, scheduler, full, code or ()).lines():
            typer.echo(line)
        return
    from rnnbench.sweeps import engine

    summary = engine.execute(sweep, out, jobs, set_ or (), timeout, fresh, scheduler, full=full, code=code or ())
    counts = f"{summary.ok} ok, {summary.failed} failed"
    typer.echo(counts + (f", {summary.reused} finished before" if summary.reused else ""))
    from rnnbench import report

    typer.echo(report.write(summary.path, ["html"])[0])
    if summary.failed:
        raise typer.Exit(1)


@app.command(
    "report",
    epilog=_examples(
        "rnnbench report results/quickstart",
        "rnnbench report results/quickstart --format pdf --format csv",
        "rnnbench report results/quickstart --columns 2",
    ),
)
def report_command(
    run: RunArgument,
    format: Annotated[list[Format] | None, typer.Option(help="What to write; repeatable.")] = None,
    columns: Annotated[
        int | None, typer.Option(min=1, max=2, help="PDF as wide as so many columns of a paper.")
    ] = None,
) -> None:
    """Write the report of a run again, or its figures as files for a paper."""
    _check_run(run)
    from rnnbench import report

    for path in report.write(run, [f.value for f in format or [Format.pdf if columns else Format.html]], columns):
        typer.echo(path)


@app.command(epilog=_examples("rnnbench show results/quickstart"))
def show(run: RunArgument) -> None:
    """Show a run in the terminal: what was found, what failed and why."""
    _check_run(run)
    from rnnbench import report

    report.show(run, _console())


@app.command(
    epilog=_examples(
        "rnnbench compare results/before results/after",
        "rnnbench compare results/before results/after --threshold 5 --csv changes.csv --figure changes.pdf",
    )
)
def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="The run to compare with, such as results/before.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The run in question, such as results/after.")],
    threshold: Annotated[
        float, typer.Option(metavar="PERCENT", help="Times that differ by less than this are the same.")
    ] = 3.0,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the whole table of times as CSV.")] = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the ratios with intervals: .svg, .pdf or .png.")
    ] = None,
    different_machines: Annotated[
        bool, typer.Option("--different-machines", help="Compare times of different CPUs, cores or threads as well.")
    ] = False,
) -> None:
    """Compare two runs: which points became faster or slower in B, and which other values changed.

    Trials are joined by probe and parameters; the source of the kernels and versions may differ. A ratio is the time
    in B over the time in A, with a 95 % interval. Faster and slower are changes beyond the threshold, with false
    discoveries among all points held to 5 % (q), and beyond what the machine's own matrix product changed by in the
    same trials; same means that the whole interval is within the threshold; cannot tell is everything else. Several
    seeds tell changes from differences between processes.

    Scores, norms and other values that do not hang on speed are counted as identical or not, a line a quantity.
    Points and seeds that only one run has, failed trials and trials that have not run are left out, and counted.

    The exit code is 0 whatever became slower: this reports, and decides nothing.
    """
    for run in (run_a, run_b):
        _check_run(run)
    _check_file("--csv", csv)
    _check_file("--figure", figure, (".svg", ".pdf", ".png"))
    from rnnbench.regressions import terminal
    from rnnbench.regressions.compare import compare as compare_runs
    from rnnbench.sweeps.store import Results

    comparison = compare_runs(Results.load(run_a), Results.load(run_b), threshold / 100, different_machines)
    terminal.show(comparison, _console())
    if csv:
        from rnnbench.sweeps.folder import write_text

        write_text(csv, comparison.points.to_csv(index=False))
        typer.echo(csv)
    if figure:
        from rnnbench.regressions import figure as forest_plot

        forest_plot.write(comparison, figure)
        typer.echo(figure)


@app.command(
    epilog=_examples("rnnbench gate --base origin/main", "rnnbench gate --base v0.1 --bench lstm --markdown gate.md")
    + "\n\nExit codes: 0 nothing is slower; 1 something is, or is broken; 2 the input is wrong; 3 cannot tell; "
    "4 nothing was measured."
)
def gate(
    base: Annotated[str, typer.Option(metavar="REF", help="The commit to compare with.")] = "origin/main",
    head: Annotated[str, typer.Option(metavar="REF", help="The commit in question.")] = "HEAD",
    bench: Annotated[
        list[str] | None,
        typer.Option(metavar="REGEX", help="Time what matches; repeatable. Default: `gate` in asv.conf.json."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(metavar="PERCENT", help="A slowdown that must not pass; alarms start from half of it.")
    ] = 5.0,
    minutes: Annotated[
        float, typer.Option(metavar="M", help="Measure no longer than this; builds come on top.")
    ] = 10.0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget the rounds of an earlier gate of these commits.")
    ] = False,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as Markdown.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write everything as JSON.")] = None,
) -> None:
    """Say whether a commit is slower than another: same, regressed, or cannot tell.

    asv builds both in environments of their own, and the base once more as a control. Rounds of fresh processes follow,
    in which the benchmarks of all sides are timed in turn, until every benchmark is clear. At most 1 % of gates raise a
    false alarm, benchmarks together, and at most 1 % pass although a benchmark is slower by the threshold.

    Ctrl-C loses nothing: rounds are stored below .asv/gate, and the same command goes on with them.
    """
    _check_file("--markdown", markdown)
    _check_file("--json", json)
    from rnnbench.regressions.gate import builds, report, result, run
    from rnnbench.sweeps.folder import write_text

    settings = run.Settings(base, head, bench or (), threshold / 100, minutes, fresh)
    try:
        found = run.run(settings, Path(), lambda line: typer.echo(line, err=True))
    except builds.NothingMeasured as error:
        typer.echo(f"error: nothing was measured: {error}", err=True)
        raise typer.Exit(result.EXIT_NOTHING) from None
    except KeyboardInterrupt:
        typer.echo("interrupted: finished rounds are stored, and the same command goes on with them", err=True)
        raise
    report.show(found, _console())
    for path, text in ((markdown, report.markdown(found)), (json, found.to_json())):
        if path:
            write_text(path, text)
            typer.echo(path)
    raise typer.Exit(found.exit_code)


@app.command(
    "export-asv",
    epilog=_examples("rnnbench export-asv results/throughput", "asv publish && asv preview"),
)
def export_asv(
    run: RunArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="asv's results folder.")] = Path("results", "asv"),
    machine: Annotated[str, typer.Option(metavar="NAME", help="The machine that asv files the results under.")] = "",
    commit: Annotated[
        str | None, typer.Option(metavar="REF", help="The commit that was measured; default: the run's provenance.")
    ] = None,
) -> None:
    """Export the times of a run, with all samples, to results of asv: `asv publish` draws them commit by commit.

    Each timed quantity becomes a benchmark, PROBE.QUANTITY, with the parameters of its points. What else is in the
    folder stays. `asv run` lists in benchmarks.json what is in its suite alone: export after it.
    """
    _check_run(run)
    from rnnbench.regressions import asv_results
    from rnnbench.sweeps.store import Results

    typer.echo(asv_results.export(Results.load(run), out, machine or platform.node(), commit))


@app.command(epilog=_examples("rnnbench verify results/quickstart", "rnnbench verify results/quickstart --sample 10"))
def verify(
    run: RunArgument,
    sample: Annotated[int, typer.Option(metavar="N", min=0, help="Trials to run again.")] = 3,
) -> None:
    """Check a run: files intact, rows as recorded, figures drawn again byte for byte, some trials run again.

    Exit codes: 0 nothing is wrong; 1 something is; 2 the input is wrong. What cannot be told here, such as trials of
    other source or of another machine, is said and counts as nothing wrong.
    """
    _check_run(run)
    from rnnbench.regressions import verification

    checks = verification.verify(run, sample, tell=lambda text: typer.echo(text, err=True))
    for check in checks:
        typer.echo(f"{check.name}: {check.verdict}: {check.detail}")
    if any(check.verdict == "false" for check in checks):
        raise typer.Exit(1)


@app.command("list", epilog=_examples("rnnbench list", "rnnbench list probes"))
def list_command(
    kind: Annotated[Kind | None, typer.Argument(help="What to list; everything if left out.")] = None,
) -> None:
    """List what a sweep file can name: cells, tasks, datasets, probes, backends; and the sweeps at hand."""
    console = _console()
    for each in [kind] if kind else list(Kind):
        _print_entries(console, each)


@app.command(epilog=_examples("rnnbench info", "rnnbench info --json"))
def info(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show versions, CPU, cores, threads, BLAS, the cache of compiled kernels, the backends, and what CUDA finds."""
    from rnnbench.sweeps.provenance import describe_installation

    description = describe_installation()
    if json:
        import json as json_module

        typer.echo(json_module.dumps(description, indent=2))
        return
    _print_tree(_console(), description)


def _console() -> Console:
    from rich.console import Console

    if sys.stdout.isatty():
        return Console()
    return Console(soft_wrap=True, width=200)  # a file or a pipe: no line of a table needs to be broken


def _check_run(path: Path) -> None:
    """Raise InputError, with the nearest runs at hand, unless the folder holds a run."""
    if (path / "provenance.json").is_file():
        return
    from rnnbench.errors import unknown_name

    found = {run for folder in (path, path.parent, Path("results")) for run in folder.glob("*/provenance.json")}
    runs = sorted(str(run.parent) for run in found)
    if path.is_dir():
        raise InputError(f"{path}: not the results of a run; runs at hand: {', '.join(runs) or 'none'}")
    raise unknown_name("run", str(path), runs)


def _check_file(option: str, path: Path | None, suffixes: tuple[str, ...] = ()) -> None:
    """Raise InputError, before any work is done for it, unless a file of such a name can be put there."""
    if path is None:
        return
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"{option} {path}: expected a name that ends in {', '.join(suffixes[:-1])} or {suffixes[-1]}")
    if path.is_dir() or not path.parent.is_dir():
        found = "is a folder" if path.is_dir() else f"has no folder {path.parent} to go to"
        raise InputError(f"{option} {path}: expected the name of a file, and this {found}")


def _print_entries(console: Console, kind: Kind) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(kind.value, "", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name, summary in _entries(kind).items():
        table.add_row(Text(name), Text(summary))  # what a file says is no markup
    console.print(table)
    console.print()


def _entries(kind: Kind) -> dict[str, str]:
    """Return name and one line of description for everything of a kind."""
    import importlib

    if kind is Kind.experiments:
        return _experiments()
    module = "rnnbench.sweeps.plugins" if kind is Kind.probes else f"rnnbench.{kind.value}"
    entries: dict[str, Any] = importlib.import_module(module).entries()
    found = {name: _summary(entries[name]) for name in sorted(entries)}
    if kind in (Kind.implementations, Kind.backends):
        absent = {name: entries[name].missing() for name in found}
        found = {name: f"{text} ({absent[name]})" if absent[name] else text for name, text in found.items()}
    return found


def _summary(entry: Any) -> str:
    text = getattr(entry, "summary", None) or entry.__doc__ or ""
    return text.strip().splitlines()[0] if text.strip() else ""


def _experiments() -> dict[str, str]:
    import tomllib

    found = {}
    for path in sorted(Path("experiments").glob("*.toml")):
        try:
            found[str(path)] = str(tomllib.loads(path.read_text(encoding="utf-8")).get("title", ""))
        except (OSError, ValueError) as error:
            found[str(path)] = f"cannot be read: {error}"
    return found


def _print_tree(console: Console, description: dict[str, Any], indent: int = 0) -> None:
    """Print nested names and values, one a line; lists of libraries one library a line."""
    for name, value in description.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = {str(i): " ".join(map(str, each.values())) for i, each in enumerate(value)}
        nested = isinstance(value, dict)
        text = "" if nested else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        console.print(f"{'  ' * indent}{name}: {text}".rstrip(), markup=False, highlight=False)
        if nested:
            _print_tree(console, value, indent + 1)


def main() -> None:
    """Run the command line; a mistake of the user's ends in one message and exit code 2, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the signs used shows "?" in their place
    try:
        app()
    except InputError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        typer.echo(f"error: {error.filename or 'a file'}: {error.strerror or error}", err=True)
        sys.exit(1)
    except RuntimeError as error:
        from rnnbench.sweeps.folder import RunStopped

        if not isinstance(error, RunStopped):
            raise
        typer.echo(f"error: {error}; finished trials are kept, and the same command runs the rest", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
