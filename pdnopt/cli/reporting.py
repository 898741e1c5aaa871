"""``pdnopt report``: solve, and write the report for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pdnopt.cli.guard import AsJson, Debug, Network, guarded
from pdnopt.cli.solving import solve

__all__ = ["REPORT_HELP", "report"]

REPORT_HELP = """Write the report of a failure: one HTML file with diagrams, actions, loadings and reasons.

\b
Examples:
  pdnopt report hall_4n3 out/report.html --failed ups:UPS-A
  pdnopt report hall_4n3 out/report.html --failed ups:UPS-A --load-level 0.9
  pdnopt report my_plant.json today.html

\b
It opens in any browser, needs nothing else and prints on A4 or A3.
Exit codes: 0 verified plan, 1 no usable plan (the report says why), 2 bad input, 3 internal error.
"""


@guarded
def report(
    network: Network,
    file: Annotated[Path, typer.Argument(help="The HTML file to write.")],
    problem: Annotated[str, typer.Option(help="The problem to solve.")] = "reroute",
    failed: Annotated[
        list[str] | None,
        typer.Option("--failed", "-f", metavar="TABLE:NAME", help="What failed; once for each outage."),
    ] = None,
    load_level: Annotated[
        float | None,
        typer.Option(
            metavar="PART", help="Scale all load to this part of the installed UPS kW, for instance 0.9."
        ),
    ] = None,
    time_limit_s: Annotated[
        float | None, typer.Option(metavar="S", help="Wall time in s after which to stop.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Solve one problem on one network and write its report."""
    solve(
        network,
        problem,
        failed=failed,
        load_level=load_level,
        time_limit_s=time_limit_s,
        report=file,
        as_json=as_json,
        debug=debug,
    )
