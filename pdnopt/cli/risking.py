"""``pdnopt risk``: how likely components are to fail, why, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pdnopt.cli.guard import AsJson, Debug, guarded, print_json, working, writable
from pdnopt.errors import InputError, Issue

if TYPE_CHECKING:
    from pdnopt.risk import Assessment

__all__ = ["RISK_HELP", "risk"]

RISK_HELP = """Judge from sensor readings how likely components are to fail, why, and what to do.

\b
Examples:
  pdnopt risk ring_bus --sensors readings.csv
  pdnopt risk ring_bus --sensors readings.csv --horizon 12 --step-s 300 --out risk.csv
  pdnopt risk ring_bus --sensors readings.csv --history failures.csv --json
  pdnopt risk demo                 a transfer switch that wears out; synthetic, and marked so

\b
The readings are a CSV or Parquet file with the columns time (with a zone), component (transfer:ATS-3), sensor, value and
unit. Sensors: temperature, ambient_temperature, current, power, speed, voltage, voltage_fluctuation, thd, vibration,
acceleration, humidity, battery_capacity, state_of_health. --history: kind (ups, transfer, ...), failures, unit_years.

\b
Exit codes: 0 done, 2 bad input, 3 internal error.
"""

DEMO = "demo"
DEMO_SEED, DEMO_SIZE, DEMO_SHOWN, DEMO_DAYS, DEMO_BEFORE_DAYS = 7, 8, 3, 100.0, 3.0


@guarded
def risk(
    network: Annotated[
        str, typer.Argument(help="A case's name, the path of a JSON file, or `demo` for synthetic readings.")
    ],
    sensors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sensor readings, CSV or Parquet.")
    ] = None,
    horizon: Annotated[int, typer.Option(metavar="N", help="Steps of the horizon.")] = 12,
    step_s: Annotated[float, typer.Option(metavar="S", help="Length of a step, in s.")] = 300.0,
    learn_days: Annotated[
        float,
        typer.Option(metavar="D", help="Days from the first reading on in which all is taken to be well."),
    ] = 14.0,
    history: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The plant's own failures: kind,failures,unit_years.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the probabilities by step as CSV here.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Judge the components of one network."""
    from pdnopt.risk import assess, read_sensor_file

    keywords: dict[str, Any] = {"horizon": horizon, "step_s": step_s, "learn_s": learn_days * 86400.0}
    if history is not None:
        keywords["history"] = read_sensor_file(history)
    if network == DEMO:
        if sensors is not None:
            todo = "Name the network that the readings belong to, or leave --sensors out."
            raise InputError(
                Issue("Conflict", "--sensors", "", str(sensors), "no readings with `demo`", todo)
            )
        with working("simulating"):
            found = _demo(keywords)
    else:
        if sensors is None:
            todo = "Give --sensors FILE, or say `pdnopt risk demo`."
            raise InputError(Issue("Missing", "--sensors", "", None, "a file of sensor readings", todo))
        import pdnopt

        with working("reading"):
            table, net = read_sensor_file(sensors), pdnopt.load_case(network)
        with working("judging"):
            found = assess(table, net, **keywords)
    if as_json:
        print_json(found.to_dict())
    else:
        typer.echo(str(found))
    if out is not None:
        writable(out, lambda: _write(found, out))
        typer.echo(f"probabilities: {out.resolve()}", err=as_json)


def _demo(keywords: dict[str, Any]) -> Assessment:
    """Return the judgement of a synthetic fleet of transfer switches, three days before the first of them wears out."""
    import numpy as np

    from pdnopt.risk import assess, ats_fleet

    fleet = ats_fleet(DEMO_SIZE, DEMO_DAYS, DEMO_SEED)
    first = float(fleet.failure_s[fleet.worn].min())
    alive = np.flatnonzero(fleet.failure_s >= first)
    shown = [int(k) for k in alive[np.argsort(fleet.failure_s[alive], kind="stable")][:DEMO_SHOWN]]
    return assess(fleet.to_frame(shown, until_s=first - DEMO_BEFORE_DAYS * 86400.0), **keywords)


def _write(found: Assessment, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    frame = found.frame.copy()
    if found.synthetic:
        frame["synthetic"] = [", ".join(c.synthetic) for c in found.components]
    frame.to_csv(out)
