"""``pdnopt emulate``: a plant on Modbus TCP that a controller can run, on one machine."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from pdnopt.cli.guard import AsJson, Debug, LoadLevel, guarded, print_json
from pdnopt.errors import InputError, Issue

__all__ = ["EMULATE_HELP", "emulate"]

EMULATE_HELP = """Emulate a plant behind Modbus TCP, and write the files by which it is found.

\b
Examples:
  pdnopt emulate two_feed --devices-out plant/ --scenario two_feed_storm
  pdnopt emulate hall_4n3 --devices-out plant/ --load-level 0.9 --speed 10
\b
Then, in other terminals:
  pdnopt gateway plant/gateway.yaml
  pdnopt run two_feed --devices plant/devices.yaml

With --broker the gateway also speaks MQTT (plant/broker.pem is for the broker).

Prints one line of JSON when all servers listen. Ends with Ctrl-C, or after --hours; then it says what has happened.
"""


@guarded
def emulate(
    network: Annotated[
        str, typer.Argument(help="A case's name (see `pdnopt cases`) or the path of a JSON file.")
    ],
    devices_out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where keys, gateway.yaml and devices.yaml go.")
    ],
    scenario: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What happens: a scenario that comes along, or a YAML file."),
    ] = None,
    speed: Annotated[float, typer.Option(metavar="X", help="Seconds of the plant in one second.")] = 1.0,
    gateway_port: Annotated[int, typer.Option(metavar="PORT", help="Where the gateway will listen.")] = 7001,
    mode: Annotated[str, typer.Option(help="Of its area: disabled, manual or automatic.")] = "automatic",
    broker: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="An MQTT broker with TLS: a second way to every device."),
    ] = None,
    load_level: LoadLevel = None,
    hours: Annotated[
        float | None, typer.Option(metavar="H", help="End after so many hours of the plant.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the meters' noise; a scenario's own goes before.")] = 0,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Emulate until a signal ends it."""
    _check(speed, gateway_port, mode, hours)
    second_way = None if broker is None else _broker(broker)
    import pdnopt
    from pdnopt.emulator import EmulatedPlant, load_scenario, play
    from pdnopt.emulator.deployment import write_deployment
    from pdnopt.emulator.live import LivePlant
    from pdnopt.emulator.modbus import ModbusServers, stations_of
    from pdnopt.protocols.clocks import SystemClock

    told = None if scenario is None else load_scenario(scenario)
    net = pdnopt.load_case(network)
    if load_level is not None:
        from pdnopt.cli.solving import at_load_level

        net = at_load_level(net, load_level)
    clock = SystemClock()
    plant = EmulatedPlant(net, seed if told is None else told.seed, start_utc_s=clock.utc_s())
    if told is not None:
        play(plant, told)
    live = LivePlant(plant, clock, speed)
    servers = ModbusServers(live, stations_of(plant))
    try:
        files = write_deployment(devices_out, servers, gateway_port, mode=mode, broker=second_way)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda signum, frame: ended.set())
        said = {
            "emulates": network,
            "servers": len(servers.ports),
            "devices": len(plant.devices),
            "gateway": str(files.gateway),
            "map": str(files.devices),
        }
        typer.echo(json.dumps(said))
        limit_s = float("inf") if hours is None else hours * 3600.0
        while not ended.wait(0.2) and live.live() < limit_s:
            pass
    finally:
        servers.close()
    ledger = plant.ledger
    if as_json:
        print_json({"t_s": plant.t_s, **ledger.to_dict(), "actuations": dict(live.actuations)})
        return
    typer.echo(f"{plant.t_s:.0f} s emulated; what really happened:")
    for item in ledger.happenings:
        typer.echo(f"  {item.t_s:9.2f} s  {item.component} {item.what} {item.detail}".rstrip())


def _broker(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if host and port.isdigit() and 1 <= int(port) <= 65535:
        return host, int(port)
    todo = "Write for instance 127.0.0.1:8883."
    raise InputError(Issue("Format", "--broker", "", text, "HOST:PORT", todo))


def _check(speed: float, port: int, mode: str, hours: float | None) -> None:
    issues = []
    if not 0.01 <= speed <= 1000:
        issues.append(Issue("Range", "--speed", "", speed, "0.01 to 1000", "Write 1 for real time."))
    if not 1 <= port <= 65535:
        issues.append(Issue("Range", "--gateway-port", "", port, "1 to 65535", "Choose a free port."))
    if mode not in ("disabled", "manual", "automatic"):
        issues.append(Issue("Enum", "--mode", "", mode, "disabled, manual or automatic", "Correct the word."))
    if hours is not None and not hours > 0:
        issues.append(Issue("Range", "--hours", "", hours, "a number above 0", "Leave it out for no end."))
    if issues:
        raise InputError(issues)
