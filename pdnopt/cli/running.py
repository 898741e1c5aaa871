"""``pdnopt run``, ``pdnopt replay``, ``pdnopt alarms``: the control loop, what it has done, and what it has to tell."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from pdnopt.cli.guard import EXIT_NOT_USABLE, AsJson, Debug, Network, guarded, print_json, working, writable
from pdnopt.errors import InputError, Issue

__all__ = ["ALARMS_HELP", "REPLAY_HELP", "RUN_HELP", "alarms", "replay", "run"]

RUN_HELP = """Control a plant: an emulated one (--simulate) or real devices (--devices).

\b
Examples:
  pdnopt run hall_4n3 --simulate --scenario demo_hour
  pdnopt run hall_4n3 --simulate --scenario demo_hour --report out/run.html
  pdnopt run two_feed --simulate --scenario my_storm.yaml --speed 10
  pdnopt run hall.json --devices devices.yaml --journal /var/lib/pdnopt/journal.db
  pdnopt run hall.json --devices devices.yaml --journal j.db --lease /shared/lease.db --holder north

\b
A journal that exists is gone on with: what it holds open is read back first, nothing is sent again. Ctrl-C ends the run.
Areas whose mode is manual ask at the terminal before every step. --mode sets the modes of a simulated plant's areas.

\b
Exit codes: 0 done, 1 the run ended without being able to command, 2 bad input, 3 internal error.
"""

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
SHOWN = ("watches", "prepares", "observes")


@guarded
def run(
    network: Network,
    simulate: Annotated[bool, typer.Option("--simulate", help="Control an emulated plant.")] = False,
    devices: Annotated[Path | None, typer.Option(metavar="FILE", help="The map of real devices.")] = None,
    scenario: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What happens to the emulated plant: a name or a YAML file."),
    ] = None,
    journal: Annotated[Path, typer.Option(metavar="FILE", help="Where everything is written.")] = Path(
        "out/journal.db"
    ),
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin a new journal in place of an old one.")
    ] = False,
    hours: Annotated[
        float | None,
        typer.Option(metavar="H", help="How long. [default: the scenario's duration; devices: for ever]"),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(metavar="X", help="Simulated seconds a second. [default: as fast as it goes]"),
    ] = None,
    interval_s: Annotated[float, typer.Option(metavar="S", help="From one look to the next, s.")] = 5.0,
    load_level: Annotated[
        float | None,
        typer.Option(metavar="PART", help="--simulate: all load at this part of the installed UPS kW."),
    ] = None,
    mode: Annotated[
        str, typer.Option(metavar="MODE", help="--simulate: disabled, manual or automatic.")
    ] = "automatic",
    reserve_s: Annotated[
        float | None, typer.Option(metavar="S", help="Solve the reserve problem so often. [default: never]")
    ] = None,
    balance_s: Annotated[
        float | None, typer.Option(metavar="S", help="Solve the balance problem so often. [default: never]")
    ] = None,
    lease: Annotated[
        Path | None, typer.Option(metavar="FILE", help="--devices: shared with a standby controller.")
    ] = None,
    holder: Annotated[str, typer.Option(metavar="NAME", help="This controller's name.")] = "controller",
    report: Report = None,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="POST every new alarm there, over HTTPS.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run the control loop."""
    from pdnopt.alarms import Messenger, WebhookHook
    from pdnopt.executor import confirm_on_terminal
    from pdnopt.loop import LoopSettings

    if simulate == (devices is not None):
        todo = "Say --simulate, or give --devices FILE."
        raise InputError(Issue("Conflict", "run", "", "", "either --simulate or --devices", todo))
    _in_range(interval_s=interval_s, hours=hours, speed=speed, reserve_s=reserve_s, balance_s=balance_s)
    messenger = None if webhook is None else Messenger([WebhookHook(webhook)])
    with working("reading the network"):
        net = _network(network, load_level)
    settings = LoopSettings(interval_s=interval_s, reserve_s=reserve_s, balance_s=balance_s)
    if simulate and speed is None:
        # simulated time stands still while the solver works: a busy machine shall not change what comes out
        settings = replace(settings, soft_s=10.0, ahead_s=60.0)
    if fresh:
        _remove(journal)
    journal.parent.mkdir(parents=True, exist_ok=True)
    keywords: dict[str, Any] = {
        "settings": settings,
        "told": None if messenger is None else messenger.send,
        "confirm": None if as_json else confirm_on_terminal,
    }
    try:
        if devices is not None:
            from pdnopt.runs import run_devices

            keywords["on_tick"] = None if as_json else _show
            loop = run_devices(
                net, devices, journal, hours=hours, lease_path=lease, holder=holder, **keywords
            )
            summary: dict[str, Any] = {"journal": str(journal), "halted": loop.halted}
        else:
            loop, summary = _simulate(net, scenario, journal, hours, speed, mode, as_json, keywords)
    finally:
        if messenger is not None:
            messenger.close()
    summary["alarms"] = [f"{a.severity} {a.device} {a.kind}: {a.text}" for a in loop.board.up]
    if as_json:
        print_json(summary)
    else:
        _tell(summary)
    if report is not None:
        from pdnopt.journal import read_past

        past = read_past(journal)
        try:
            _report(past, report, as_json)
        finally:
            past.close()
    if loop.halted:
        raise typer.Exit(EXIT_NOT_USABLE)


def _simulate(
    net: Any,
    scenario: str | None,
    path: Path,
    hours: float | None,
    speed: float | None,
    mode: str,
    as_json: bool,
    keywords: dict[str, Any],
) -> tuple[Any, dict[str, Any]]:
    from pdnopt.emulator.scenario import load_scenario
    from pdnopt.executor import Modes
    from pdnopt.journal import Journal
    from pdnopt.runs import Simulation

    told = None if scenario is None else load_scenario(scenario)
    modes = Modes()
    modes.set("", mode)
    journal = Journal(path)
    try:
        made = Simulation(net, journal, told, speed=speed, modes=modes, **keywords)
        if not as_json:
            start_s = made.plant.start_utc_s
            made.loop.on_tick = lambda tick: _show(tick, start_s)
        default_s = 3600.0 if told is None else told.duration_s
        made.run(default_s if hours is None else 3600.0 * hours)
    finally:
        journal.close()
    truth = made.truth()
    truth.pop("happenings")
    return made.loop, {"journal": str(path), "halted": made.loop.halted, "truth": truth}


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

    _in_range(horizon_s=horizon_s)
    past = read_past(journal)
    try:
        if export is not None:
            for path in past.export(export):
                typer.echo(str(path), err=as_json)
        if report is not None:
            _report(past, report, as_json)
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
        over = f", over since {_clock(row['ended_s'])}" if row["ended_s"] is not None else ""
        typer.echo(f"{row['id']:>5}  {_clock(row['t_s'])}  {row['severity']:8} {row['text']}{seen}{over}")
        typer.echo(f"{'':>5}  {'':19}  {'':8} {row['recommended']}")
    if not rows:
        typer.echo("no alarms")


def _report(past: Any, path: Path, as_json: bool) -> None:
    from pdnopt.report import write_run_report

    written = writable(path, lambda: write_run_report(past, path))
    typer.echo(f"report: {written}", err=as_json)


def _network(name: str, load_level: float | None) -> Any:
    """Return the network, its loads at a part of the installed UPS kW. Raises InputError where it is not valid."""
    import pdnopt
    from pdnopt.cli.solving import load_level_kw
    from pdnopt.validation import validate

    net = pdnopt.load_case(name)
    if load_level is not None:
        level_kw = load_level_kw(net, load_level)
        rows = level_kw.index
        given_kw = 1e3 * (net.load.loc[rows, "p_mw"] * net.load.loc[rows, "scaling"])
        factor = (level_kw / given_kw.where(given_kw > 0, 1.0)).to_numpy(float)
        net.load.loc[rows, "p_mw"] *= factor
        net.load.loc[rows, "q_mvar"] *= factor
    errors = [issue for issue in validate(net) if issue.severity == "error"]
    if errors:
        raise InputError(errors)
    return net


def _in_range(**values: float | None) -> None:
    issues = [
        Issue("Range", f"--{name.replace('_', '-')}", "", value, "a number above 0", "Correct the value.")
        for name, value in values.items()
        if value is not None and not 0 < value < float("inf")
    ]
    if issues:
        raise InputError(issues)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _show(tick: Any, start_s: float | None = None) -> None:
    """Print what a tick came to, if it is more than looking."""
    if tick.did.startswith(SHOWN):
        return
    when = _clock(tick.t_s) if start_s is None else f"{tick.t_s - start_s:9.1f} s"
    parts = [f"unserved {tick.standing.unserved_kw:.1f} kW of {tick.picture.total_kw:.0f} kW"]
    parts += [f"{name} over its rating" for name in tick.overloaded[:2]]
    typer.echo(f"{when}  {tick.did}; {', '.join(parts)}")


def _tell(summary: dict[str, Any]) -> None:
    truth = summary.get("truth")
    if truth is not None:
        typer.echo("what really happened, by the emulated plant:")
        kwh = ", ".join(f"priority {k}: {v:.3f}" for k, v in truth["unserved_kwh"].items())
        typer.echo(f"  unserved kWh   {kwh}")
        kw = ", ".join(f"priority {k}: {v:.1f}" for k, v in truth["interrupted_kw"].items()) or "none"
        typer.echo(f"  interrupted kW {kw}")
        typer.echo(
            f"  trips {len(truth['trips'])}, transfers {truth['transfers']}, commands {truth['commands']}"
        )
    for line in summary["alarms"]:
        typer.echo(f"  alarm: {line}")
    typer.echo(f"journal: {summary['journal']}")


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
    import json

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
    typer.echo(f"at {_clock(when_s)}")
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


def _clock(t_s: float) -> str:
    return datetime.datetime.fromtimestamp(t_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
