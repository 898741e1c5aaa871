"""The emulated plant over real sockets: Modbus TCP servers, a gateway before them, the controller's driver before that."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

import pdnopt
from pdnopt.devicemap import read_device_map, read_gateway_map
from pdnopt.emulator import EmulatedPlant, Lie
from pdnopt.emulator.deployment import write_deployment
from pdnopt.emulator.live import LivePlant
from pdnopt.emulator.modbus import ModbusServers, stations_of
from pdnopt.executor.drivers.opening import open_paths
from pdnopt.gateway.running import open_gateway
from pdnopt.protocols.clocks import SystemClock
from pdnopt.protocols.commands import Command, Refusal
from pdnopt.protocols.readings import Quality
from pdnopt.protocols.registers import READ_WORDS, decode_block

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def live() -> LivePlant:
    return LivePlant(EmulatedPlant(pdnopt.load_case("two_feed"), start_utc_s=CLOCK.utc_s()), CLOCK)


@pytest.fixture(scope="module")
def servers(live: LivePlant) -> Iterator[ModbusServers]:
    found = ModbusServers(live, stations_of(live.plant))
    yield found
    found.close()


@pytest.fixture(scope="module")
def driver(servers: ModbusServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    files = write_deployment(tmp_path_factory.mktemp("plant"), servers, port)
    gateway = open_gateway(read_gateway_map(files.gateway), CLOCK)
    paths = open_paths(read_device_map(files.devices), CLOCK)
    yield paths.drivers["gateway"]
    for way in paths.drivers.values():
        way.close()
    gateway.close()


def shown(driver: Any, device: str) -> dict[str, Any]:
    return {r.quantity: r.value for r in driver.read([device])}


def order(number: int, device: str, action: str, value: Any, expects: Any = None) -> Command:
    now_s = CLOCK.utc_s()
    return Command(f"m{number}", device, action, value, expects, number, now_s, now_s + 20.0, "h", 1)


def test_every_device_is_a_unit_of_one_station(live: LivePlant) -> None:
    stations = stations_of(live.plant)
    devices = [device for station in stations for device in station.devices]
    assert sorted(devices) == sorted(live.plant.devices)
    assert [s.name for s in stations if len(s.devices) == 1] == ["ups UPS-A", "ups UPS-B"]
    assert "rack:R1" in next(s for s in stations if s.name == "pdu PDU A").devices
    campus_like = EmulatedPlant(pdnopt.load_case("hall_4n3"))
    assert all(len(station.devices) <= 247 for station in stations_of(campus_like))


def test_what_the_meters_show_comes_through_three_layers(live: LivePlant, driver: Any) -> None:
    found = driver.read(list(live.plant.devices))
    assert all(r.quality is Quality.GOOD for r in found), [r for r in found if r.quality is not Quality.GOOD]
    told = {(r.device, r.quantity): r.value for r in found}
    for device in ("ups:UPS-B", "load:R3/B", "switch:QX", "bus:PDU A", "rack:R5", "ext_grid:Utility-A"):
        for quantity, true in live.ask(lambda plant, device=device: plant.meters.truth(device)).items():
            got = told[device, quantity]
            assert got == (pytest.approx(true, abs=0.01) if isinstance(true, float) else true), (
                device,
                quantity,
            )
    assert abs(found[0].stamp_s - CLOCK.utc_s()) < 5.0


def test_a_command_moves_the_plant_once_and_is_read_back(live: LivePlant, driver: Any) -> None:
    command = order(1, "rack:R8", "cap", 4.5)
    selected = driver.select(command)
    assert selected.accepted, selected
    assert driver.operate(command, selected.ticket).accepted
    assert driver.operate(command, selected.ticket).accepted  # the same again: answered, not done
    assert shown(driver, "rack:R8")["limit_kw"] == pytest.approx(4.5)
    assert live.actuations["rack:R8"] == 1
    command = order(2, "ups:UPS-A", "mode", "bypass", "online")
    assert driver.operate(command, driver.select(command).ticket).accepted
    for _ in range(50):
        if shown(driver, "ups:UPS-A")["mode"] == "bypass":
            break
        time.sleep(0.02)
    assert live.ask(lambda plant: plant.state_of("ups:UPS-A", "mode")) == "bypass"


def test_refusals_of_the_device_come_back(live: LivePlant, driver: Any) -> None:
    command = order(3, "switch:QG", "close", True, False)
    selected = driver.select(command)
    reply = driver.operate(command, selected.ticket) if selected.accepted else selected
    assert not reply.accepted
    assert reply.refusal is Refusal.INTERLOCK
    live.plant.local.add("rack:R7")
    assert driver.select(order(4, "rack:R7", "shed", 0.0)).refusal is Refusal.LOCAL
    assert shown(driver, "rack:R7")["available"] is False
    live.plant.local.discard("rack:R7")


def test_a_dead_meter_is_missing_and_a_frozen_one_is_not(live: LivePlant, driver: Any) -> None:
    live.plant.meters.lie("load:R1/A", Lie("missing"))
    live.plant.meters.lie("load:R2/A", Lie("frozen"))
    dead = driver.read(["load:R1/A"])
    assert all(r.value is None and r.quality is Quality.MISSING for r in dead)
    assert all(r.quality is Quality.GOOD for r in driver.read(["load:R2/A"]))
    for name in ("R1", "R2"):
        live.plant.meters.tell_the_truth(f"load:{name}/A")


def test_what_is_no_command_is_refused_and_moves_nothing(live: LivePlant, servers: ModbusServers) -> None:
    from pymodbus.client import ModbusTcpClient

    before = sum(live.actuations.values())
    port = servers.ports["ups UPS-B"]
    client = ModbusTcpClient("127.0.0.1", port=port, timeout=3)
    assert client.connect()
    for address, words in ((0, [1, 2]), (64, [5, 1]), (12, [1]), (65, [0] * 12)):
        assert client.write_registers(address, words, device_id=1).isError()
    assert client.write_register(64, 5, device_id=1).isError()
    assert client.read_holding_registers(60, count=48, device_id=1).isError()
    assert client.read_holding_registers(0, count=48, device_id=77).isError()
    assert not client.write_registers(64, [5, 99, *[0] * 11], device_id=1).isError()  # no such mode
    header, _ = decode_block("ups", client.read_holding_registers(0, count=READ_WORDS, device_id=1).registers)
    assert header is not None
    assert header.result == 7  # malformed
    client.close()
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(bytes(range(256)) * 20)
    client = ModbusTcpClient("127.0.0.1", port=port, timeout=3)
    assert client.connect()
    assert not client.read_holding_registers(0, count=READ_WORDS, device_id=1).isError()
    client.close()
    assert sum(live.actuations.values()) == before
