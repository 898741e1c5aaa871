"""``pdnopt sweep``: every single failure of a network, as a table."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Annotated, Any

import typer

from pdnopt.cli.guard import EXIT_NOT_USABLE, AsJson, Debug, LoadLevel, Network, guarded, print_json, writable
from pdnopt.cli.solving import load_level_kw

__all__ = ["SWEEP_HELP", "sweep"]

SWEEP_HELP = """Solve every contingency of a network and print one line for each.

\b
Examples:
  pdnopt sweep two_feed
  pdnopt sweep hall_4n3 --components ups --components trafo --load-level 0.9 --out out/sweep.csv
  pdnopt sweep hall_2n --k 2 --components ups --json
  pdnopt sweep hall_4n3 --load-level 0.9 --report out/sweep.html

\b
Exit codes: 0 a verified plan for each, 1 not for all, 2 bad input, 3 internal error.
"""


@guarded
def sweep(
    network: Network,
    k: Annotated[int, typer.Option("--k", help="Components that fail together, 1 or 2.")] = 1,
    components: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help='What may fail: a table, a component, or "all"; once for each.'),
    ] = None,
    load_level: LoadLevel = None,
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
    keywords: dict[str, Any] = {} if time_limit_s is None else {"time_limit_s": time_limit_s}
    if load_level is not None:
        keywords["p_load_kw"] = load_level_kw(net, load_level)
    asked = "all" if components == ["all"] else components
    frame = _with_bar(lambda progress: pdnopt.sweep(net, k, asked, progress=progress, **keywords))
    if as_json:
        rows = frame.to_dict(orient="records")
        print_json([{name: None if value == inf else value for name, value in row.items()} for row in rows])
    else:
        shown = frame.drop(columns=["total_s"]).round(1)
        typer.echo(shown.to_string(index=False) if len(shown) else "no contingency to solve")
        typer.echo(_summary(frame))
    if report is not None:
        from pdnopt.report import write_sweep_report

        facts = _facts(net, network, k, components, load_level, time_limit_s)
        written = writable(report, lambda: write_sweep_report(frame, facts, report))
        typer.echo(f"report: {written}", err=as_json)
    if out is not None:
        writable(out, lambda: _write(frame, out))
    if not frame["status"].isin(["optimal", "feasible"]).all():
        raise typer.Exit(EXIT_NOT_USABLE)


def _facts(
    net: Any,
    network: str,
    k: int,
    components: list[str] | None,
    load_level: float | None,
    time_limit_s: float | None,
) -> dict[str, str]:
    """Return what went in, for the report."""
    from pdnopt.report import fingerprint

    facts = {
        "Network": str(getattr(net, "name", "") or network),
        "Fail together": str(k),
        "May fail": ", ".join(components) if components else "everything but final rack circuits",
        "Load level": "as given" if load_level is None else f"{100.0 * load_level:g} % of installed UPS kW",
    }
    if time_limit_s is not None:
        facts["Time limit"] = f"{time_limit_s:g} s each"
    return {**facts, "Fingerprint": fingerprint(net)}


def _with_bar(run: Any) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("")
        return run(
            lambda number, total, name: bar.update(task, completed=number, total=total, description=name)
        )


def _summary(frame: Any) -> str:
    if not len(frame):
        return ""
    good = int(frame["status"].isin(["optimal", "feasible"]).sum())
    dark = int((frame["unserved_kw"] > 0.1).sum())
    worst = frame.loc[frame["unserved_kw"].idxmax()]
    text = f"{good} of {len(frame)} contingencies have a verified plan; {dark} leave load unserved"
    return text + (f", most {worst['unserved_kw']:.1f} kW: {worst['contingency']}" if dark else "")


def _write(frame: Any, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out, index=False)
