"""Real processes of a small plant: Modbus devices, the gateway before them, a mosquitto with TLS and an access list."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pdnopt.protocols.broker import write_broker_files
from pdnopt.protocols.certificates import Authority, client_context
from pdnopt.protocols.signing import make_keys

ROOT = Path(__file__).parents[2]
START_S = 30.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Process:
    """A child that says in one line of JSON when it is ready."""

    def __init__(self, *command: str, wait: bool = True) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.child = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.child.stdout is not None
        self.said: dict[str, Any] = {}
        if wait:
            line = self.child.stdout.readline()
            assert line, f"{command} ended with {self.child.wait()}"
            self.said = json.loads(line)

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        """End it by a signal and return what else it said."""
        self.child.send_signal(number)
        rest, _ = self.child.communicate(timeout=30)
        return rest


def python(module: str, *arguments: str) -> Process:
    return Process(sys.executable, "-m", module, *arguments)


class Broker:
    """A mosquitto of its own on a free port."""

    def __init__(
        self, folder: Path, authority: Authority, gateways: dict[str, list[str]], retain: bool = False
    ) -> None:
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
        self.port = free_port()
        identity = authority.issue("broker")
        config = write_broker_files(folder, identity, "127.0.0.1", self.port, ["controller"], gateways)
        if retain:
            config.write_text(config.read_text().replace("retain_available false", "retain_available true"))
        if os.getuid() == 0:  # it would become somebody who may not read the key
            config.write_text(config.read_text() + "user root\n")
        self._program, self._config = program, config
        self._probe = client_context(authority.issue("probe"))
        self.start()

    def start(self) -> None:
        """Start it, again if need be, and wait until it takes connections."""
        self.output = open(self._config.with_suffix(".log"), "ab")  # noqa: SIM115 - the child's, until `end`
        command = [self._program, "-c", str(self._config)]
        self.child = subprocess.Popen(command, stderr=self.output, stdout=self.output)
        end_s = time.monotonic() + START_S
        while True:
            try:
                with (
                    socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as plain,
                    self._probe.wrap_socket(plain, server_hostname="127.0.0.1"),
                ):
                    return
            except OSError:
                assert self.child.poll() is None, self._config.with_suffix(".log").read_text()
                assert time.monotonic() < end_s
                time.sleep(0.02)

    def end(self) -> None:
        self.child.terminate()
        self.child.wait(timeout=30)
        self.output.close()


class RealPlant:
    """Devices, gateway and broker as processes, and the controller's device map with two ways to each device."""

    SWITCHES = 5

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self.authority.issue("controller")
        self.authority.issue("gateway")
        make_keys(folder / "signing.key", folder / "signing.pub")
        self.names = [f"switch:S{k}" for k in range(self.SWITCHES)] + ["transfer:T"]
        topics = [name.partition(":")[2] for name in self.names]
        self.broker = Broker(folder, self.authority, {"gateway": topics})
        self.devices = python("tests.security.plant_process", str(self.SWITCHES))
        self.modbus_port = int(self.devices.said["port"])
        self.gateway_port = free_port()
        self.gateway_file = self._gateway_file()
        self.gateway = self.start_gateway()
        self.map_file = self._map_file("gw", "mqtt")
        self.map_file_turned = self._map_file("mqtt", "gw")

    def start_gateway(self) -> Process:
        return python("pdnopt", "gateway", str(self.gateway_file))

    def end(self) -> None:
        self.gateway.end()
        self.devices.end()
        self.broker.end()

    def _gateway_file(self) -> Path:
        entries = []
        for unit, name in enumerate(self.names, 1):
            positions = ', positions: ["switch:T1", "switch:T2"]' if name == "transfer:T" else ""
            entries.append(
                f'  "{name}": {{host: 127.0.0.1, port: {self.modbus_port}, unit: {unit}{positions}}}'
            )
        path = self.folder / "gateway.yaml"
        path.write_text(
            f"""\
pdnopt: gateway
version: 1
listen: {{host: 127.0.0.1, port: {self.gateway_port}}}
security: {{ca: ca.pem, certificate: gateway.pem, key: gateway.key, controller_key: signing.pub}}
controllers: [controller]
state: state
mqtt: {{host: 127.0.0.1, port: {self.broker.port}, publish_s: 0.1}}
devices:
"""
            + "\n".join(entries)
        )
        return path

    def _map_file(self, *order: str) -> Path:
        entries = []
        for name in self.names:
            ways = {"gw": "{via: gw}", "mqtt": f"{{via: mqtt, topic: {name.partition(':')[2]}}}"}
            entries.append(
                f'  "{name}": {{area: hall, paths: [{ways[order[0]]}, {ways[order[1]]}], takes_s: 0.05}}'
            )
        path = self.folder / f"devices-{order[0]}.yaml"
        path.write_text(
            f"""\
pdnopt: device map
version: 1
security: {{ca: ca.pem, certificate: controller.pem, key: controller.key, signing_key: signing.key}}
connections:
  gw: {{kind: gateway, host: 127.0.0.1, port: {self.gateway_port}}}
  mqtt: {{kind: mqtt, host: 127.0.0.1, port: {self.broker.port}, stale_s: 1.0}}
areas:
  hall: {{mode: automatic}}
devices:
"""
            + "\n".join(entries)
        )
        return path
