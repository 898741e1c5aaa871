"""``pdnopt solve``: from what failed to a verified plan on the screen, in a report and in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pdnopt.cli.guard import (
    EXIT_NOT_USABLE,
    AsJson,
    Debug,
    Failed,
    LoadLevel,
    Network,
    TimeLimit,
    guarded,
    print_json,
    working,
    writable,
)
from pdnopt.cli.risks import read_risks
from pdnopt.cli.tables import read_loads, read_pairs, read_spectra_table
from pdnopt.errors import InputError, Issue

__all__ = ["SOLVE_HELP", "at_load_level", "load_level_kw", "solve"]

SOLVE_HELP = """Find a verified, ordered plan for a network: after a failure (reroute), or before one (reserve).

\b
Examples:
  pdnopt solve hall_4n3 --failed ups:UPS-A
  pdnopt solve hall_4n3 --failed ups:UPS-A --load-level 0.9 --report out/report.html
  pdnopt solve two_feed --failed ups:UPS-A --failed switch:QB@stuck_closed --out plan.json
  pdnopt solve feeder.json --minimize unserved,losses --json
  pdnopt solve ring_bus reserve --evacuate ups:R2 --max-moves 4
  pdnopt solve ring_bus reserve --loads quantiles.csv --peaks 3 --doubles ups:R1,ups:P1
  pdnopt solve mim_pod balance --stale asymmetric_sgen:MIM-A1 --max-ramp-kva 0.5
  pdnopt solve mim_pod balance --spectra spectra.csv
  pdnopt solve hall_4n3 shift --risk "transfer:STS-A-B@stuck + ups:UPS-A=0.02/h" --risk ups:UPS-A=0.1/h

\b
What can fail: "table:name" or "table:index", with an optional milder form:
  ups:X  ups:X@rectifier  ups:X@to_bypass  ups:X@module  bus:X  line:X  trafo:X  ext_grid:X
  transfer:X  transfer:X@stuck  switch:X  switch:X@stuck_open  switch:X@stuck_closed  load:X@psu

\b
What may fail (shift): the same names with a rate by hour or a probability by step; names joined by " + " fail together.

\b
Exit codes: 0 verified plan, 1 no usable plan, 2 bad input, 3 internal error.
"""


@guarded
def solve(
    network: Network,
    problem: Annotated[str, typer.Argument(help="The problem to solve.")] = "reroute",
    failed: Failed = None,
    load_level: LoadLevel = None,
    time_limit_s: TimeLimit = None,
    horizon_s: Annotated[
        float | None,
        typer.Option(metavar="S", help="How long the end state must hold, in s. [default: 3600]"),
    ] = None,
    latency_s: Annotated[
        float | None,
        typer.Option(metavar="S", help="From the failure to the first command, in s. [default: 0.5]"),
    ] = None,
    minimize: Annotated[
        str | None,
        typer.Option(metavar="TERMS", help="Terms in lexicographic order, for instance unserved,losses."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain/--no-explain", help="Find the reason of every kW that is not served.")
    ] = True,
    loads: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="reserve, shift, balance: load vectors in kW, CSV or Parquet: first column the row of net.load (balance: "
            "of net.asymmetric_load) or names, then a column each: steps, or step@quantile.",
        ),
    ] = None,
    peaks: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="reserve: at most K racks at their peak at once; --loads has the columns usual and peak.",
        ),
    ] = None,
    components: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help='reserve, shift: what may fail: a table, a component, or "all"; once for each.',
        ),
    ] = None,
    doubles: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B", help="reserve: two components that may fail together; once for each pair."
        ),
    ] = None,
    evacuate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE:NAME",
            help="reserve: shall carry as little as possible from now on; once for each.",
        ),
    ] = None,
    risk: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=P|FILE",
            help="reserve, shift: what may fail, NAME=0.02/h (a rate) or NAME=0.001 (by step), once for each; or a table, "
            "CSV or Parquet: first column the component, then one column a step.",
        ),
    ] = None,
    horizon: Annotated[
        int | None,
        typer.Option(metavar="STEPS", help="Steps looked ahead. [default: 12; balance: those of --loads]"),
    ] = None,
    step_s: Annotated[
        float | None, typer.Option(metavar="S", help="shift, balance: length of a step, in s. [default: 300]")
    ] = None,
    max_moves: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="At most N devices move, in this plan (reserve) or in a step (shift); balance: racks change their phase.",
        ),
    ] = None,
    max_shift_kw: Annotated[
        float | None, typer.Option(metavar="KW", help="shift: at most so much load moves in a step.")
    ] = None,
    stale: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TABLE:NAME",
            help="balance: an inverter that does not answer and stays as it is; once for each.",
        ),
    ] = None,
    max_ramp_kva: Annotated[
        float | None,
        typer.Option(
            metavar="KVA", help="balance: P and Q of a phase change by at most so much (in a step)."
        ),
    ] = None,
    zones: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="balance: solve by zones of at most N inverters: for hundreds and more."
        ),
    ] = None,
    spectra: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="balance: measured harmonic currents, CSV or Parquet: circuit, order, phase, i_a or percent, angle_degree.",
        ),
    ] = None,
    corrective: Annotated[
        bool, typer.Option("--corrective", help="reserve: count on a reroute after each failure.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report (one HTML file) here.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the plan as JSON here, if it is verified.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Solve one problem on one network."""
    import pdnopt

    asked: dict[str, Any] = {
        "loads": None if loads is None else read_loads(loads),
        "peaks": peaks,
        "components": "all" if components == ["all"] else components,
        "doubles": read_pairs(doubles) if doubles else None,
        "evacuate": evacuate,
        "risk": read_risks(risk, horizon, step_s),
        "horizon": horizon,
        "step_s": step_s,
        "max_moves": max_moves,
        "max_shift_kw": max_shift_kw,
        "corrective": corrective or None,
        "stale": stale,
        "max_ramp_kva": max_ramp_kva,
        "zones": zones,
        "spectra": None if spectra is None else read_spectra_table(spectra),
    }

    with working("reading the network"):
        net = pdnopt.load_case(network)
    keywords: dict[str, Any] = {
        "failed": failed or [],
        "time_limit_s": time_limit_s,
        "horizon_s": horizon_s,
        "latency_s": latency_s,
        "minimize": _terms(minimize),
        "p_load_kw": None if load_level is None else load_level_kw(net, load_level),
        **asked,
    }
    keywords = {name: value for name, value in keywords.items() if value is not None}
    with working("building the model"):  # outside the time limit: that is for the answer
        session = pdnopt.Session(net, problem, explain=explain, **keywords)
    with working("solving"):
        result = session.solve()
    if as_json:
        print_json(result.to_dict())
    else:
        typer.echo(str(result))
    if report is not None:
        from pdnopt.report import write_report

        with working("writing the report"):
            written = writable(report, lambda: write_report(result, net, report))
        typer.echo(f"report: {written}", err=as_json)
    if out is not None:
        if result.ok:
            writable(out, lambda: _write(out, result.plan.to_json()))
            typer.echo(f"plan: {out.resolve()}", err=as_json)
        else:
            typer.echo(f"plan: not written to {out}, because no plan was verified", err=True)
    if not result.ok:
        raise typer.Exit(EXIT_NOT_USABLE)


def _terms(text: str | None) -> tuple[str, ...] | None:
    """Return the terms of ``--minimize``."""
    if text is None:
        return None
    terms = tuple(term.strip() for term in text.split(",") if term.strip())
    if not terms:
        raise InputError(Issue("Format", "--minimize", "", text, "terms with commas between", "Name a term."))
    return terms


def load_level_kw(net: Any, level: float) -> Any:
    """Return the demand of every load at a part of the installed UPS kW."""
    if not 0.0 < level <= 2.0:
        todo = "Write 0.9 for 90 %."
        raise InputError(Issue("Range", "--load-level", "", level, "a number above 0, up to 2", todo))
    if "ups" not in net or not len(net["ups"]):
        todo = "Leave the option out, or scale the loads in the file."
        raise InputError(Issue("NoUps", "--load-level", "net.ups", level, "a network with a UPS", todo))
    from cases import hall

    return hall.load_level_kw(net, level)


def at_load_level(net: Any, level: float) -> Any:
    """Return a copy of the network with all load at a part of the installed UPS kW."""
    load_level_kw(net, level)  # which checks the level and the network
    from cases import hall

    return hall.with_load(net, level)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
