"""``pdnopt node``: the process of a power node."""

from __future__ import annotations

import json
import logging
import signal
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from pdnopt.cli.guard import AsJson, Debug, guarded, print_json

__all__ = ["NODE_HELP", "node"]

NODE_HELP = """Run the agent of a power node. Ends with Ctrl-C.

It says how its devices are by MQTT over mutual TLS, obeys set-points that the controller has signed, goes by its own rule
when the controller is silent, and forecasts its circuits with the deployed model. The file is explained in docs/NODE.md.

\b
Examples:
  pdnopt node --config node-17.yaml
  pdnopt node --config node-17.yaml --check        every fault of the file, with its line

Prints one line of JSON when it runs: {"node": "...", "devices": 2}.
"""


@guarded
def node(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The node's YAML file.")],
    check: Annotated[bool, typer.Option("--check", help="Check the file and stop.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run a node until a signal ends it."""
    from pdnopt.node.settings import read_node_settings

    settings = read_node_settings(config)
    if check:
        if as_json:
            print_json({"file": str(config), "kind": "node", "devices": len(settings.devices)})
        else:
            typer.echo(f"{config}: a good node of {len(settings.devices)} devices")
        return
    from pdnopt.node.opening import open_node
    from pdnopt.protocols.clocks import SystemClock

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, frame: ended.set())
    running = open_node(settings, SystemClock())
    typer.echo(json.dumps({"node": settings.name, "devices": len(settings.devices)}))
    running.run(ended)
    running.close()
