"""``pdnopt sweep``: every contingency of a network, as a table."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pdnopt.cli.guard import EXIT_NOT_USABLE, AsJson, Debug, LoadLevel, Network, guarded, print_json, writable
from pdnopt.cli.solving import load_level_kw
from pdnopt.errors import InputError, Issue

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SWEEP_HELP", "sweep"]

SWEEP_HELP = """Solve every contingency of a network and print one line for each.

\b
Examples:
  pdnopt sweep two_feed
  pdnopt sweep hall_4n3 --components ups --components trafo --load-level 0.9 --out out/sweep.csv
  pdnopt sweep hall_2n --k 2 --components ups --json
  pdnopt sweep hall_4n3 --load-levels 0.7,0.8,0.9 --workers 2 --resume out/sweep.parquet
  pdnopt sweep hall_4n3 --k 2 --components ups --cluster tcp://10.0.0.5:8786
  pdnopt sweep hall_4n3 --load-level 0.9 --report out/sweep.html

\b
Exit codes: 0 a verified plan for each, 1 not for all, 2 bad input, 3 internal error.
"""

WORST = 5
"""Contingencies that the summary names."""

SHOWN = 0.1
"""Unserved kW from which on a contingency leaves load unserved."""


@guarded
def sweep(
    network: Network,
    k: Annotated[int, typer.Option("--k", help="Components that fail together, 1 or 2.")] = 1,
    components: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help='What may fail: a table, a component, or "all"; once for each.'),
    ] = None,
    load_level: LoadLevel = None,
    load_levels: Annotated[
        str | None,
        typer.Option(
            metavar="PARTS", help="Several levels, for instance 0.7,0.8,0.9: one line for each of them."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes; 1: none but this one. Default: all cores, where it pays."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Solve on this Dask cluster, for instance tcp://10.0.0.5:8786."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Keep the rows here as Parquet, and go on from what is there."),
    ] = None,
    time_limit_s: Annotated[
        float | None, typer.Option(metavar="S", help="Wall time in s of each solve.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report (one HTML file) here.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as CSV here.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Solve every contingency of one network."""
    import pdnopt

    net = pdnopt.load_case(network)
    keywords: dict[str, Any] = {"workers": workers, "cluster": cluster, "resume": resume}
    if time_limit_s is not None:
        keywords["time_limit_s"] = time_limit_s
    keywords |= _loads(net, load_level, load_levels)
    asked = "all" if components == ["all"] else components
    frame = _with_bar(lambda progress: pdnopt.sweep(net, k, asked, progress=progress, **keywords))
    if as_json:
        rows = frame.to_dict(orient="records")
        print_json([{name: None if value == inf else value for name, value in row.items()} for row in rows])
    else:
        hidden = ["total_s"] if (frame["answer"] != "solved").any() else ["total_s", "answer", "same_as"]
        shown = frame.drop(columns=hidden).round(1)
        typer.echo(shown.to_string(index=False) if len(shown) else "no contingency to solve")
        typer.echo(_summary(frame))
    if report is not None:
        from pdnopt.report import write_sweep_report

        level = load_levels if load_level is None else f"{load_level:g}"
        facts = {"Answers": _answered(frame)} | _facts(net, network, k, components, level, time_limit_s)
        written = writable(report, lambda: write_sweep_report(frame, facts, report))
        typer.echo(f"report: {written}", err=as_json)
    if out is not None:
        writable(out, lambda: _write(frame, out))
    if not frame["status"].isin(["optimal", "feasible"]).all():
        raise typer.Exit(EXIT_NOT_USABLE)


def _loads(net: Any, level: float | None, levels: str | None) -> dict[str, Any]:
    """Return the keyword that says what the loads are, if any."""
    if level is not None and levels is not None:
        todo = "Give one of them."
        raise InputError(Issue("Conflict", "--load-levels", "", levels, "nothing beside --load-level", todo))
    if level is not None:
        return {"p_load_kw": load_level_kw(net, level)}
    if levels is None:
        return {}
    import pandas as pd

    try:
        parts = [float(text) for text in levels.split(",")]
    except ValueError:
        todo = "Write for example 0.7,0.8,0.9."
        raise InputError(
            Issue("Format", "--load-levels", "", levels, "numbers with commas between", todo)
        ) from None
    cases = pd.concat([load_level_kw(net, part) for part in parts], axis=1)
    cases.columns = pd.Index(parts)
    return {"loads": cases}


def _facts(
    net: Any,
    network: str,
    k: int,
    components: list[str] | None,
    level: str | None,
    time_limit_s: float | None,
) -> dict[str, str]:
    """Return what went in, for the report."""
    from pdnopt.report import fingerprint

    levels = [f"{100.0 * float(part):g} %" for part in level.split(",")] if level else []
    facts = {
        "Network": str(getattr(net, "name", "") or network),
        "Fail together": str(k),
        "May fail": ", ".join(components) if components else "everything but final rack circuits",
        "Load level": f"{', '.join(levels)} of installed UPS kW" if levels else "as given",
    }
    if time_limit_s is not None:
        facts["Time limit"] = f"{time_limit_s:g} s each"
    return {**facts, "Fingerprint": fingerprint(net)}


def _with_bar(run: Callable[[Callable[[int, int, str], None]], Any]) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("")
        return run(
            lambda number, total, name: bar.update(task, completed=number, total=total, description=name)
        )


def _summary(frame: pd.DataFrame) -> str:
    """Return what a planner wants to know first: counts, what was not solved, and the worst contingencies."""
    if not len(frame):
        return ""
    good = int(frame["status"].isin(["optimal", "feasible"]).sum())
    dark = frame[frame["unserved_kw"] > SHOWN].sort_values("unserved_kw", ascending=False, kind="stable")
    counts = ", ".join(f"{n} {status}" for status, n in frame["status"].value_counts().items())
    lines = [
        f"{good} of {len(frame)} contingencies have a verified plan; {len(dark)} leave load unserved ({counts})",
        _answered(frame),
    ]
    labels = frame.attrs["load_case"]
    for row in dark.head(WORST).to_dict(orient="records"):
        case = ", ".join(f"{name} {row[name]}" for name in labels)
        lines.append(
            f"  {row['unserved_kw']:10.1f} kW not served: {row['contingency']}"
            + (f" ({case})" if case else "")
        )
    if len(dark) > WORST:
        lines.append(f"  and {len(dark) - WORST} more")
    return "\n".join(lines)


def _answered(frame: pd.DataFrame) -> str:
    """Return how many contingencies were solved, and how many were answered without."""
    told = frame.attrs
    text = f"{told['pruned']} pruned, {told['shared']} shared with another one"
    text += f", {(frame['answer'] == 'solved').sum()} solved"
    text += f" ({told['singles']} single failures besides)" if told["singles"] else ""
    return text + (f", {told['resumed']} were there already" if told["resumed"] else "")


def _write(frame: pd.DataFrame, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out, index=False)
