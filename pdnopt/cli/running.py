"""``pdnopt run``: the control loop, on an emulated plant or on real devices."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from pdnopt.cli.guard import EXIT_NOT_USABLE, AsJson, Debug, Network, guarded, in_range, print_json, working
from pdnopt.cli.journals import Report, clock, write_report_of
from pdnopt.errors import InputError, Issue

__all__ = ["RUN_HELP", "run"]

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
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Lines instead of a live view, as where the output is no terminal."),
    ] = False,
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
    in_range(interval_s=interval_s, hours=hours, speed=speed, reserve_s=reserve_s, balance_s=balance_s)
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
    asks = mode == "manual" or devices is not None  # a question at the terminal needs lines
    lines = None if as_json else plain or asks or not sys.stdout.isatty()
    try:
        if devices is not None:
            from pdnopt.runs import run_devices

            keywords["watched"] = partial(_watched, lines=lines)
            loop = run_devices(
                net, devices, journal, hours=hours, lease_path=lease, holder=holder, **keywords
            )
            summary: dict[str, Any] = {"journal": str(journal), "halted": loop.halted}
        else:
            loop, summary = _simulate(net, scenario, journal, hours, speed, mode, lines, keywords)
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
            write_report_of(past, report, as_json)
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
    lines: bool | None,
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
        default_s = 3600.0 if told is None else told.duration_s
        with _watched(made.loop, lines, made.plant.start_utc_s):
            made.run(default_s if hours is None else 3600.0 * hours)
    finally:
        journal.close()
    truth = made.truth()
    truth.pop("happenings")
    return made.loop, {"journal": str(path), "halted": made.loop.halted, "truth": truth}


def _network(name: str, load_level: float | None) -> Any:
    """Return the network, its loads at a part of the installed UPS kW. Raises InputError where it is not valid."""
    import pdnopt
    from pdnopt.cli.solving import at_load_level
    from pdnopt.validation import validate

    net = pdnopt.load_case(name)
    if load_level is not None:
        net = at_load_level(net, load_level)
    errors = [issue for issue in validate(net) if issue.severity == "error"]
    if errors:
        raise InputError(errors)
    return net


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


@contextmanager
def _watched(loop: Any, lines: bool | None, start_s: float | None = None) -> Iterator[None]:
    """Show a loop at work: as a live view, in lines, or (None) not at all."""
    if lines is None:
        yield
    elif lines:
        loop.on_tick = partial(_show, start_s=start_s)
        yield
    else:
        from pdnopt.cli.live import LiveView

        with LiveView(loop, start_s):
            yield


def _show(tick: Any, start_s: float | None = None) -> None:
    """Print what a tick came to, if it is more than looking."""
    from pdnopt.control.ticks import LOOKS

    if tick.did.startswith(LOOKS):
        return
    when = clock(tick.t_s) if start_s is None else f"{tick.t_s - start_s:9.1f} s"
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
