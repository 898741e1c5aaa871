"""Modbus TCP servers before an emulated plant: one a switchboard, UPS, transfer device or PDU, each on its own port."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pdnopt.emulator.live import LivePlant
from pdnopt.emulator.plant import EmulatedPlant
from pdnopt.errors import InputError, Issue
from pdnopt.protocols.extras import need
from pdnopt.protocols.registers import COMMAND_ADDRESS, COMMAND_WORDS, READ_WORDS

__all__ = ["ModbusServers", "Station", "stations_of"]

MOST_UNITS = 247
LIVE_S = 0.05
START_S = 30.0
OWN_STATION = ("ups", "transfer", "storage", "asymmetric_sgen")


@dataclass(frozen=True)
class Station:
    """One server: its name and its devices; unit k + 1 is the k-th of them."""

    name: str
    devices: tuple[str, ...]

    def unit(self, device: str) -> int:
        """Return the unit number of a device."""
        return self.devices.index(device) + 1


def stations_of(plant: EmulatedPlant) -> list[Station]:
    """Share the devices of a plant out to servers.

    A UPS, transfer device, battery or inverter has its own; the loads at one bus are metered by its PDU, which also caps
    and sheds the racks whose first cord hangs there; switches, sources, lines, transformers and bus voltages are shown by
    switchboards of at most 247 units.
    """
    w = plant.world
    groups: dict[str, list[str]] = {}
    board: list[str] = []
    bus_name = w.view.names["bus"]
    at = {name: bus_name[w.demand.node[k]] for k, name in enumerate(w.demand.cord_name)}
    for k, name in enumerate(w.demand.name):
        at.setdefault(name, bus_name[w.demand.node[w.demand.start[k]]])
    for device in plant.devices:
        table, _, name = device.partition(":")
        if table in OWN_STATION:
            groups[f"{table} {name}"] = [device]
        elif table in ("load", "asymmetric_load", "rack"):
            groups.setdefault(f"pdu {at[device].partition(':')[2]}", []).append(device)
        else:
            board.append(device)
    groups["switchboard"] = board
    out = []
    for name, devices in groups.items():
        for first in range(0, len(devices), MOST_UNITS):
            part = devices[first : first + MOST_UNITS]
            suffix = f" {first // MOST_UNITS + 1}" if len(devices) > MOST_UNITS else ""
            out.append(Station(name + suffix, tuple(part)))
    return out


class ModbusServers:
    """Serves stations until it is closed, all in one thread beside the caller's.

    Parameters
    ----------
    live : LivePlant
    stations : sequence of Station
    host : str
    ports : mapping of str to int, optional
        By station name; those without one get a free port.

    Attributes
    ----------
    ports : dict of str to int
        Where each station listens.

    Raises
    ------
    InputError
        A port cannot be used.
    """

    def __init__(
        self,
        live: LivePlant,
        stations: Sequence[Station],
        host: str = "127.0.0.1",
        ports: Mapping[str, int] | None = None,
    ) -> None:
        self.live, self.stations, self.host = live, tuple(stations), host
        self.ports = {
            station.name: (ports or {}).get(station.name) or _free_port(host) for station in stations
        }
        self._server = need("pymodbus.server")
        self._simulator = need("pymodbus.simulator")
        self._codes = need("pymodbus.constants").ExcCodes
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready, self._end = threading.Event(), asyncio.Event()
        self._wrong: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="emulated-modbus", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_S) or self._wrong is not None:
            value = str(self._wrong or "no answer")
            raise InputError(
                Issue("Port", "emulate", "", value, "free ports", "Choose other ports.")
            ) from None

    def close(self) -> None:
        """Stop serving."""
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # told to the thread that started it
            self._wrong = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        servers = []
        try:
            for station in self.stations:
                devices = [self._device(k + 1, name) for k, name in enumerate(station.devices)]
                address = (self.host, self.ports[station.name])
                server = self._server.ModbusTcpServer([self._nobody(), *devices], address=address)
                await server.serve_forever(background=True)
                servers.append(server)
            self._ready.set()
            while not self._end.is_set():
                self.live.live()
                try:
                    await asyncio.wait_for(self._end.wait(), LIVE_S)
                except TimeoutError:
                    continue
        finally:
            for server in servers:
                await server.shutdown()

    def _device(self, unit: int, name: str) -> Any:
        sim = self._simulator
        words = sim.SimData(
            0, count=COMMAND_ADDRESS + COMMAND_WORDS, values=0, datatype=sim.DataType.REGISTERS
        )
        return sim.SimDevice(unit, simdata=[words], action=partial(self._asked, name))

    def _nobody(self) -> Any:
        """Unit 0 answers for every unit that is not there."""
        sim = self._simulator
        words = sim.SimData(0, count=1, values=0, datatype=sim.DataType.REGISTERS)
        return sim.SimDevice(0, simdata=[words], action=self._not_there)

    async def _not_there(self, *_: Any) -> Any:
        return self._codes.GATEWAY_NO_RESPONSE

    async def _asked(
        self,
        name: str,
        function_code: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        values: list[int] | None,
    ) -> Any:
        """Fill in the registers that are read; carry out what is written, if it is a command and nothing but."""
        if self.live.silent(name):
            return self._codes.GATEWAY_NO_RESPONSE
        if values is None:
            if address < READ_WORDS:
                registers[:READ_WORDS] = self.live.words(name)
            return None
        if function_code != 16 or address != COMMAND_ADDRESS or len(values) != COMMAND_WORDS:
            return self._codes.ILLEGAL_ADDRESS
        self.live.tell(name, [int(word) for word in values])
        return None


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])
