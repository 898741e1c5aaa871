"""``pdnopt replay`` and ``pdnopt alarms``: what a controller has done, and what it has to tell."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pdnopt.cli.guard import AsJson, Debug, guarded, in_range, print_json, working, writable
from pdnopt.errors import InputError, Issue

__all__ = ["ALARMS_HELP", "REPLAY_HELP", "Report", "alarms", "clock", "replay", "write_report_of"]

REPLAY_HELP = """Show what a journal holds: what happened, and what another decision would have come to.

\b
Examples:
  pdnopt replay journal.db
  pdnopt replay journal.db --at 1800                      how the plant stood half an hour after the beginning
  pdnopt replay journal.db --at 1799 --instead reserve    solves it then, and lets three emulated plants live on
  pdnopt replay journal.db --report run.html               for people: figures, course, commands, alarms
  pdnopt replay journal.db --export tables/               every table as Parquet
"""

ALARMS_HELP = """Show the alarms of a journal, and acknowledge them. The controller may be running.

\b
Examples:
  pdnopt alarms journal.db
  pdnopt alarms journal.db --all
  pdnopt alarms journal.db --acknowledge 7 --who ann
"""

JournalFile = Annotated[Path, typer.Argument(metavar="JOURNAL", help="What `pdnopt run` has written.")]
Report = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a report of the run: one HTML file.")
]


@guarded
def replay(
    journal: JournalFile,
    at: Annotated[
        float | None,
        typer.Option(metavar="S", help="A moment: seconds after the first scan, or UTC seconds."),
    ] = None,
    instead: Annotated[
        str | None, typer.Option(metavar="PROBLEM", help="Solve this at that moment, and compare.")
    ] = None,
    horizon_s: Annotated[
        float, typer.Option(metavar="S", help="How long the emulated plants live on.")
    ] = 900.0,
    export: Annotated[Path | None, typer.Option(metavar="DIR", help="Write every table as Parquet.")] = None,
    report: Report = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Play a journal back."""
    from pdnopt.journal import read_past

    in_range(horizon_s=horizon_s)
    past = read_past(journal)
    try:
        if export is not None:
            for path in past.export(export):
                typer.echo(str(path), err=as_json)
        if report is not None:
            write_report_of(past, report, as_json)
        if instead is not None and at is None:
            todo = "Say when, for instance --at 600."
            raise InputError(Issue("Missing", "--at", "", None, "a moment, with --instead", todo))
        first_s, _ = past.span_s()
        when_s = None if at is None else at if at > 1e8 else first_s + at
        if when_s is None:
            _show_events(past, first_s, as_json)
        elif instead is None:
            _show_moment(past, when_s, as_json)
        else:
            from pdnopt.runs import replay_at

            with working("letting three plants live on"):
                found = replay_at(past, when_s, instead, horizon_s)
            _show_comparison(found, first_s, as_json)
    finally:
        past.close()


@guarded
def alarms(
    journal: JournalFile,
    everything: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    acknowledge: Annotated[
        int | None, typer.Option(metavar="N", help="The number of an alarm that you have seen.")
    ] = None,
    who: Annotated[str, typer.Option(metavar="NAME", help="Your name.")] = "",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show and acknowledge alarms."""
    from pdnopt.journal import Journal, read_past

    read_past(journal).close()  # an error says so before anything is opened to write
    book = Journal(journal)
    try:
        if acknowledge is not None:
            if not who:
                raise InputError(Issue("Missing", "--who", "", "", "a name", "Say who has seen it."))
            if not book.alarm_acknowledged(acknowledge, datetime.datetime.now(datetime.UTC).timestamp(), who):
                allowed = "the number of an alarm that nobody has acknowledged"
                raise InputError(
                    Issue(
                        "InvalidId", "--acknowledge", str(acknowledge), acknowledge, allowed, "See the list."
                    )
                )
        rows = book.alarms(only_open=not everything)
    finally:
        book.close()
    if as_json:
        print_json({"alarms": rows})
        return
    for row in rows:
        seen = f", seen by {row['acknowledged_by']}" if row["acknowledged_by"] else ""
        over = f", over since {clock(row['ended_s'])}" if row["ended_s"] is not None else ""
        typer.echo(f"{row['id']:>5}  {clock(row['t_s'])}  {row['severity']:8} {row['text']}{seen}{over}")
        typer.echo(f"{'':>5}  {'':19}  {'':8} {row['recommended']}")
    if not rows:
        typer.echo("no alarms")


def write_report_of(past: Any, path: Path, as_json: bool) -> None:
    """Write the report of a journal and say where."""

    from pdnopt.report import write_run_report

    written = writable(path, lambda: write_run_report(past, path))
    typer.echo(f"report: {written}", err=as_json)


def _show_events(past: Any, first_s: float, as_json: bool) -> None:
    events = [
        {"t_s": t_s, "kind": kind, **{k: v for k, v in body.items() if k != "happenings"}}
        for t_s, kind, body in past.events()
    ]
    commands = past.connection.execute(
        "SELECT command.t_s, device, body, outcome.outcome FROM command LEFT JOIN outcome ON command.id = outcome.command"
        " ORDER BY command.rowid"
    ).fetchall()
    if as_json:
        told = [{"t_s": t, "device": d, "outcome": o} for t, d, _, o in commands]
        print_json({"events": events, "commands": told})
        return
    lines = [(e["t_s"], _event_line(e)) for e in events]
    for t_s, device, body, outcome in commands:
        item = json.loads(body)
        lines.append((t_s, f"  {device}: {item['action']} {item['value']!r}: {outcome or 'open'}"))
    for t_s, line in sorted(lines, key=lambda pair: pair[0]):
        typer.echo(f"{t_s - first_s:9.1f} s  {line}")


def _event_line(event: dict[str, Any]) -> str:
    body = ", ".join(f"{k} {v}" for k, v in event.items() if k not in ("t_s", "kind", "plan"))
    return f"{event['kind']}: {body}" if body else str(event["kind"])


def _show_moment(past: Any, when_s: float, as_json: bool) -> None:
    from pdnopt.control.picture import Pictures
    from pdnopt.control.standing import standing_of
    from pdnopt.runs.replaying import network_of, picture_at

    pictures = Pictures(network_of(past))
    picture = picture_at(past, pictures, when_s)
    standing = standing_of(pictures, picture)
    found = {
        "t_s": when_s,
        "failed": list(picture.failed),
        "demand_kw": picture.total_kw,
        "unserved_kw": {str(k): v for k, v in standing.unserved_by_priority.items()},
        "limits_kw": dict(picture.limits_kw),
        "unknown": sorted(picture.unknown),
        "fingerprint": picture.fingerprint,
    }
    if as_json:
        print_json(found)
        return
    typer.echo(f"at {clock(when_s)}")
    typer.echo(f"  failed    {', '.join(picture.failed) or 'nothing'}")
    typer.echo(f"  demand    {picture.total_kw:.1f} kW, of which not served {standing.unserved_kw:.1f} kW")
    typer.echo(f"  limited   {len(picture.limits_kw)} units")
    typer.echo(f"  unknown   {', '.join(sorted(picture.unknown)) or 'nothing'}")


def _show_comparison(found: Any, first_s: float, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "t_s": found.t_s,
                "failed": list(found.failed),
                "status": found.status,
                "courses": [vars(course) for course in found.courses],
            }
        )
        return
    typer.echo(
        f"{found.t_s - first_s:.1f} s after the beginning; failed: {', '.join(found.failed) or 'nothing'}"
    )
    typer.echo(f"  {'decision':24} {'actions':>7} {'unserved kWh by priority':28} {'trips':>5}  worst")
    for course in found.courses:
        kwh = "  ".join(f"{k}: {v:.3f}" for k, v in course.unserved_kwh.items())
        typer.echo(f"  {course.name:24} {course.actions:>7} {kwh:28} {course.trips:>5}  {course.worst}")
    if found.plan is None:
        typer.echo(f"  no verified plan by the other problem: {found.status}")


def clock(t_s: float) -> str:
    """Return UTC as people write it."""
    return datetime.datetime.fromtimestamp(t_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
