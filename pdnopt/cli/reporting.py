"""``pdnopt report``: solve, and write the report for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pdnopt.cli.guard import AsJson, Debug, Failed, LoadLevel, Network, TimeLimit, guarded
from pdnopt.cli.solving import solve

__all__ = ["REPORT_HELP", "report"]

REPORT_HELP = """Write the report of a failure: one HTML file with diagrams, actions, loadings and reasons.

\b
Examples:
  pdnopt report hall_4n3 out/report.html --failed ups:UPS-A
  pdnopt report hall_4n3 out/report.html --failed ups:UPS-A --load-level 0.9
  pdnopt report my_plant.json today.html

\b
It opens in any browser, needs nothing else and prints on A4.
Exit codes: 0 verified plan, 1 no usable plan (the report says why), 2 bad input, 3 internal error.
"""


@guarded
def report(
    network: Network,
    file: Annotated[Path, typer.Argument(help="The HTML file to write.")],
    problem: Annotated[str, typer.Option(help="The problem to solve.")] = "reroute",
    failed: Failed = None,
    load_level: LoadLevel = None,
    time_limit_s: TimeLimit = None,
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
