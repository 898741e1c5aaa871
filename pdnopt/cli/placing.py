"""``pdnopt place``: which new racks fit where, every single failure carried."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pdnopt.cli.guard import (
    EXIT_NOT_USABLE,
    AsJson,
    Debug,
    Network,
    TimeLimit,
    guarded,
    print_json,
    working,
    writable,
)
from pdnopt.errors import InputError, Issue

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PLACE_HELP", "place"]

PLACE_HELP = """Find which new racks fit where, so that every single failure is carried.

\b
Examples:
  pdnopt place hall_4n3 racks.csv
  pdnopt place hall_4n3 racks.csv --out placed.csv --report out/place.html
  pdnopt place my_plant.json racks.csv --place "PDU A1" --place "PDU B1" --save with_racks.json
  pdnopt place hall_4n3 racks.csv --online lookahead --json

\b
RACKS is a CSV file with a line for each rack: name, p_kw, and optionally cords (1 or 2), priority, min_p_kw
(power cap floor; empty: cannot be capped), redundant (True: may be shed in an emergency), breaker_a (of each cord),
deployment (racks that are placed together or not at all).

\b
Exit codes: 0 every rack placed and verified by AC power flow, 1 not all, 2 bad input, 3 internal error.
"""


@guarded
def place(
    network: Network,
    racks: Annotated[Path, typer.Argument(help="A CSV file of new racks.")],
    places: Annotated[
        list[str] | None,
        typer.Option(
            "--place",
            metavar="BUS",
            help="A bus that new racks may hang on, or two with a + between; once for each. "
            "Default: where racks hang now.",
        ),
    ] = None,
    online: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="One at a time, in order: lookahead, round_robin, first_fit or balanced. Default: all at once.",
        ),
    ] = None,
    shed_priority: Annotated[
        list[int] | None,
        typer.Option(metavar="P", help="Racks of the network of this priority may be shed; once for each."),
    ] = None,
    emergency_s: Annotated[
        float | None, typer.Option(metavar="S", help="Until racks are capped and shed, in s. [default: 10]")
    ] = None,
    hold_s: Annotated[
        float | None,
        typer.Option(metavar="S", help="How long the state after that must last, in s. [default: 10800]"),
    ] = None,
    time_limit_s: TimeLimit = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report (one HTML file) here.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as CSV here.")] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the network with the placed racks here, as JSON."),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Place new racks in one network."""
    import pdnopt

    table = _read(racks)
    with working("reading the network"):
        net = pdnopt.load_case(network)
    keywords: dict[str, Any] = {
        "places": [_place(text) for text in places] if places else None,
        "shed_priorities": shed_priority,
        "emergency_s": emergency_s,
        "hold_s": hold_s,
        "time_limit_s": time_limit_s,
        "online": True if online is not None else None,
        "rule": online,
    }
    keywords = {name: value for name, value in keywords.items() if value is not None}
    with working("placing"):
        found = pdnopt.place(net, table, **keywords)
    if as_json:
        print_json(found.to_dict())
    else:
        typer.echo(str(found))
    if report is not None:
        from pdnopt.report import write_placement_report

        written = writable(report, lambda: write_placement_report(found, net, report))
        typer.echo(f"report: {written}", err=as_json)
    if out is not None:
        writable(out, lambda: _write(found.to_frame(), out))
    if save is not None:
        from pdnopt.plant.files import write_network

        writable(save, lambda: write_network(found.apply(net), save))
    if found.refused or not found.verified:
        raise typer.Exit(EXIT_NOT_USABLE)


def _read(path: Path) -> pd.DataFrame:
    """Return the table of a CSV file. Raises InputError where it cannot be read."""
    import pandas as pd

    todo = "Give a CSV file with the columns name and p_kw."
    try:
        return pd.read_csv(path, dtype={"name": str, "deployment": str})
    except OSError as error:
        raise InputError(
            Issue("File", "racks", "", str(path), f"a readable file ({error.strerror})", todo)
        ) from None
    except (ValueError, pd.errors.ParserError) as error:
        text = str(error).splitlines()[0]
        raise InputError(
            Issue("Format", "racks", "", str(path), f"a table with commas between ({text})", todo)
        ) from None


def _place(text: str) -> Any:
    """Return what ``--place`` names: a bus, or a pair of buses."""
    parts = [part.strip() for part in text.split("+")]
    return parts[0] if len(parts) == 1 else tuple(parts)


def _write(frame: pd.DataFrame, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out, index=False)
