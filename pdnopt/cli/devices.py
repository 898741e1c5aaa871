"""``pdnopt devices`` and ``pdnopt gateway``: files, keys, and the process beside plain Modbus devices."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from pdnopt.cli.guard import EXIT_NOT_USABLE, AsJson, Debug, guarded, print_json
from pdnopt.errors import InputError, Issue

__all__ = ["GATEWAY_HELP", "add_commands", "gateway"]

CHECK_HELP = """Check a device map, or a gateway's file: every fault at once, with its line.

\b
Examples:
  pdnopt devices check devices.yaml
  pdnopt devices check gateway-a.yaml
  pdnopt devices check devices.yaml --network hall.json     every device of it is in this network
  pdnopt devices check devices.yaml --connect               asks every device by every path; tells nobody to move
"""

KEYS_HELP = """Make an own certificate authority, certificates and signing keys in a folder.

\b
Examples:
  pdnopt devices keys keys/                                  controller, gateway, broker
  pdnopt devices keys keys/ --name gateway-b --host 10.1.0.6 one more, of the same authority
"""

GATEWAY_HELP = """Run the gateway of a file: guards before plain Modbus devices. Ends with Ctrl-C.

\b
Example:
  pdnopt gateway gateway-a.yaml

Prints one line of JSON when it listens: {"gateway": "...", "port": 7001}.
"""


def add_commands(devices: typer.Typer) -> None:
    """Give ``pdnopt devices`` its commands."""
    devices.command("check", help=CHECK_HELP)(check)
    devices.command("keys", help=KEYS_HELP)(keys)


@guarded
def check(
    file: Annotated[Path, typer.Argument(help="The YAML file.")],
    network: Annotated[
        str | None, typer.Option(metavar="NETWORK", help="A case's name or the path of a JSON file.")
    ] = None,
    connect: Annotated[bool, typer.Option("--connect", help="Ask every device by every path.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check a file."""
    from pdnopt.protocols.documents import read_document

    data = read_document(file).data
    if isinstance(data, dict) and data.get("pdnopt") == "gateway":
        from pdnopt.devicemap import read_gateway_map

        names = list(read_gateway_map(file).devices)
        found: dict[str, Any] = {"file": str(file), "kind": "gateway", "devices": len(names)}
    else:
        from pdnopt.devicemap import read_device_map

        devices = read_device_map(file)
        names = list(devices.devices)
        found = {"file": str(file), "kind": "device map", "devices": len(names)}
        found["one_path"] = [name for name, entry in devices.devices.items() if len(entry.paths) < 2]
        if connect:
            found["silent"] = _silent(devices)
    if network is not None:
        _in_network(names, network, file)
    if as_json:
        print_json(found)
    else:
        typer.echo(f"{file}: a good {found['kind']} of {len(names)} devices")
        if found.get("one_path"):
            typer.echo(f"  {len(found['one_path'])} of them have one path only: {_some(found['one_path'])}")
        for item in found.get("silent", ()):
            typer.echo(f"  {item['device']} by {item['path']}: {item['detail']}")
    if found.get("silent"):
        raise typer.Exit(EXIT_NOT_USABLE)


@guarded
def keys(
    folder: Annotated[Path, typer.Argument(help="Where to; made where it is missing.")],
    name: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Whose certificate; once for each.")
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Name or address that a server is called by; once for each."),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Make keys."""
    from pdnopt.protocols.certificates import Authority
    from pdnopt.protocols.signing import make_keys

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        todo = "Choose a folder that you may write to."
        raise InputError(
            Issue("File", "FOLDER", "", str(folder), f"a folder ({error.strerror})", todo)
        ) from None
    authority = Authority(folder)
    hosts = tuple(host or ("localhost", "127.0.0.1"))
    made = [authority.issue(item, hosts).certificate for item in name or ("controller", "gateway", "broker")]
    if not (folder / "signing.key").exists():
        make_keys(folder / "signing.key", folder / "signing.pub")
        made.append(folder / "signing.pub")
    if as_json:
        print_json({"made": [str(path) for path in made]})
    else:
        typer.echo("\n".join(str(path) for path in made))
        typer.echo(
            "Private keys (.key) are readable by you only. Keep ca.key off every machine of the plant."
        )


@guarded
def gateway(
    file: Annotated[Path, typer.Argument(help="The gateway's YAML file.")],
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run until a signal ends it."""
    from pdnopt.devicemap import read_gateway_map
    from pdnopt.gateway.running import open_gateway
    from pdnopt.protocols.clocks import SystemClock

    running = open_gateway(read_gateway_map(file), SystemClock())
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, frame: ended.set())
    typer.echo(f'{{"gateway": "{file.stem}", "port": {running.server.port}}}')
    ended.wait()
    running.close()


def _silent(devices: Any) -> list[dict[str, str]]:
    """Ask every device by every path; return what has no good reading."""
    from pdnopt.executor.drivers.mqtt import MqttDriver
    from pdnopt.executor.drivers.opening import open_paths
    from pdnopt.protocols.clocks import SystemClock
    from pdnopt.protocols.readings import Quality

    paths = open_paths(devices, SystemClock())
    for driver in paths.drivers.values():
        if isinstance(driver, MqttDriver) and driver.link.wait_ready(5.0):
            threading.Event().wait(1.5)  # until everybody has published once
    readings = paths.read_every_path(devices.devices)
    paths.close()
    good = {(item.device, item.path) for item in readings if item.quality == Quality.GOOD}
    detail = {(item.device, item.path): item.detail or "no answer" for item in readings}
    return [
        {"device": name, "path": way.via, "detail": detail.get((name, way.via), "no answer")}
        for name, entry in devices.devices.items()
        for way in entry.paths
        if (name, way.via) not in good
    ]


def _in_network(names: list[str], network: str, file: Path) -> None:
    from pdnopt.library import load_case
    from pdnopt.plant.names import find_component

    net = load_case(network)
    issues: list[Issue] = []
    for name in names:
        try:
            find_component(net, name, f"{file.name} devices")
        except InputError as error:
            issues += error.issues
    if issues:
        raise InputError(issues)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
