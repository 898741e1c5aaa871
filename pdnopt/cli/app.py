"""The typer application: which commands there are, and what ``pdnopt --help`` says."""

from __future__ import annotations

from typing import Annotated

import typer

from pdnopt import __version__
from pdnopt.cli import devices as devices_commands
from pdnopt.cli import (
    emulating,
    forecasting,
    journals,
    networks,
    nodes,
    placing,
    reporting,
    risking,
    running,
    solving,
    sweeping,
    training,
)

__all__ = ["app", "main"]

HELP = """Decides how power flows through a data centre, and proves that the decision is safe.

\b
Examples:
  pdnopt cases
  pdnopt validate my_plant.json
  pdnopt solve hall_4n3 --failed ups:UPS-A
  pdnopt solve hall_4n3 --failed ups:UPS-A --load-level 0.9 --report out/report.html
  pdnopt sweep hall_4n3 --components ups
  pdnopt place hall_4n3 racks.csv --report out/place.html
  pdnopt forecast backtest loads.csv --model calibrated_lightgbm --horizon 24
  pdnopt risk hall_4n3 --sensors readings.csv
  pdnopt run hall_4n3 --simulate --scenario demo_hour
  pdnopt report hall_4n3 out/report.html --failed ups:UPS-A

\b
Exit codes:
  0  done; for solve: a plan that the independent checker has verified
  1  no usable plan
  2  bad input; every finding is printed, one a line
  3  internal error
"""

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

# Plain help: rich's costs more start-up time than all the rest together.
app = typer.Typer(
    name="pdnopt",
    help=HELP,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pdnopt {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Hold the options that come before a command."""


app.command("cases", help=networks.CASES_HELP)(networks.cases)
app.command("validate", help=networks.VALIDATE_HELP)(networks.validate)
app.command("solve", help=solving.SOLVE_HELP)(solving.solve)
app.command("sweep", help=sweeping.SWEEP_HELP)(sweeping.sweep)
app.command("place", help=placing.PLACE_HELP)(placing.place)
app.command("risk", help=risking.RISK_HELP)(risking.risk)
app.command("run", help=running.RUN_HELP)(running.run)
app.command("replay", help=journals.REPLAY_HELP)(journals.replay)
app.command("alarms", help=journals.ALARMS_HELP)(journals.alarms)
app.command("report", help=reporting.REPORT_HELP)(reporting.report)

forecast = typer.Typer(
    name="forecast",
    help="What the loads will be: back-tests, forecasts, training.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings=CONTEXT,
)
forecasting.add_commands(forecast)
training.add_commands(forecast)
app.add_typer(forecast)

devices = typer.Typer(
    name="devices",
    help="How devices are reached: device maps, keys and certificates.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings=CONTEXT,
)
devices_commands.add_commands(devices)
app.add_typer(devices)
app.command("gateway", help=devices_commands.GATEWAY_HELP)(devices_commands.gateway)
app.command("node", help=nodes.NODE_HELP)(nodes.node)
app.command("emulate", help=emulating.EMULATE_HELP)(emulating.emulate)


def main() -> None:
    """Run the command line; the console script ``pdnopt``."""
    app(prog_name="pdnopt")
