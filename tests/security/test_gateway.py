"""Real sockets: who may not, moves nothing; who floods, disturbs nobody who may."""

from __future__ import annotations

import json
import random
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pdnopt.errors import InputError
from pdnopt.executor import Executor, Mode, Modes, Paths, State, procedure_of
from pdnopt.gateway.guard import GuardSettings
from pdnopt.gateway.server import GatewayServer
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action
from pdnopt.protocols.certificates import Authority, client_context
from pdnopt.protocols.commands import Refusal
from pdnopt.protocols.messages import Heartbeat, operate_text, select_text
from pdnopt.protocols.readings import Quality
from pdnopt.protocols.signing import Signer, Verifier, make_keys
from pdnopt.protocols.wire import MAX_BYTES, parse_reply, request_bytes
from tests.executor.bench import Notes
from tests.security.place import EXPIRED, Place

pytest.importorskip("cryptography", reason="the extra 'devices' is not installed")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def server(place: Place) -> Iterator[GatewayServer]:
    server = place.serve()
    yield server
    server.close()


class Line:
    """A hand-made client: sends what a test likes."""

    def __init__(self, place: Place, port: int) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=5.0)
        self.line = client_context(place.controller).wrap_socket(plain, server_hostname="127.0.0.1")
        self.file = self.line.makefile("rb")

    def ask(self, raw: bytes) -> bytes:
        self.line.sendall(raw + b"\n")
        return self.file.readline()

    def close(self) -> None:
        self.file.close()
        self.line.close()


def test_reads_selects_operates(place: Place, server: GatewayServer) -> None:
    driver = place.driver(server.port)
    found = {
        (item.device, item.value, item.quality) for item in driver.read(["switch:A", "switch:B", "switch:Z"])
    }
    assert found == {
        ("switch:A", True, Quality.GOOD),
        ("switch:B", False, Quality.GOOD),
        ("switch:Z", None, Quality.MISSING),
    }
    command = place.command()
    reply = driver.select(command)
    assert reply.accepted
    assert driver.operate(command, reply.ticket).accepted
    assert place.told == 1
    assert driver.heartbeat(Heartbeat(1, 1, place.clock.utc_s()))
    assert not driver.heartbeat(Heartbeat(1, 1, place.clock.utc_s()))
    driver.close()


def test_a_sequence_over_tls(place: Place, server: GatewayServer) -> None:
    driver, notes = place.driver(server.port), Notes()
    executor = Executor(Paths({"first": driver}), notes, place.clock, Modes(default=Mode.AUTOMATIC))
    plan = Plan(
        actions=(
            Action(1, 0.0, "switch:B", "close", False, True),
            Action(2, 0.1, "switch:A", "open", True, False),
        )
    )
    assert executor.run(executor.begin(procedure_of(plan, fencing=1))) is State.DONE
    assert place.told == 2
    driver.close()


def test_wrong_certificates_do_not_pass_the_handshake(
    place: Place, server: GatewayServer, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other").issue("controller")
    expired = place.authority.issue("late", valid=EXPIRED)
    for identity in (replace(stranger, ca=place.authority.ca), expired):
        driver = place.driver(server.port, identity)
        assert driver.select(place.command()).refusal is Refusal.UNREACHABLE
        assert driver.read(["switch:A"])[0].quality is Quality.MISSING
        driver.close()
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.load_verify_locations(place.authority.ca)
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=5.0)
    try:  # the client's handshake ends before the server has looked for its certificate
        line = nobody.wrap_socket(plain, server_hostname="127.0.0.1")
        with line:
            line.sendall(b"{}\n")
            heard = line.recv(100)
    except OSError:
        heard = b""
    plain.close()
    assert heard == b""
    until_s = time.monotonic() + 20.0
    while server.refused["no handshake"] < 3 and time.monotonic() < until_s:
        time.sleep(0.01)  # the server counts on a thread of its own
    assert server.refused["no handshake"] == 3
    assert place.told == 0


def test_a_server_of_another_authority_is_not_spoken_to(place: Place, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    place.gateway_identity = Authority(tmp_path / "other").issue("gateway")
    server = place.serve()
    driver = place.driver(server.port)
    assert driver.select(place.command()).refusal is Refusal.UNREACHABLE
    driver.close()
    server.close()


def test_others_of_the_plant_may_only_read(place: Place, server: GatewayServer) -> None:
    driver = place.driver(server.port, place.authority.issue("console"))
    assert driver.read(["switch:A"])[0].value is True
    assert not driver.select(place.command()).accepted
    driver.close()


def test_a_certificate_without_the_signing_key_moves_nothing(place: Place, server: GatewayServer) -> None:
    make_keys(place.folder / "own.key", place.folder / "own.pub")
    driver = place.driver(server.port, sign=Signer(place.folder / "own.key"))
    command = place.command()
    assert driver.select(command).refusal is Refusal.BAD_SIGNATURE
    assert driver.operate(command, 1).refusal is Refusal.BAD_SIGNATURE
    assert place.told == 0
    driver.close()


def test_replayed_altered_late_and_swapped(place: Place, server: GatewayServer) -> None:
    """Everything is sent as it would be by somebody who has recorded or intercepted it."""
    line = Line(place, server.port)
    command = place.command()
    select = request_bytes("select", command=command, signature=place.sign(select_text(command)))
    ticket = parse_reply(line.ask(select)).ticket
    operate = request_bytes(
        "operate", command=command, ticket=ticket, signature=place.sign(operate_text(command, ticket))
    )
    altered = operate.replace(b'"value":true', b'"value":false')
    assert altered != operate
    assert parse_reply(line.ask(altered)).refusal is Refusal.BAD_SIGNATURE
    # a signature under the selection operates nothing
    stolen = request_bytes(
        "operate", command=command, ticket=ticket, signature=place.sign(select_text(command))
    )
    assert parse_reply(line.ask(stolen)).refusal is Refusal.BAD_SIGNATURE
    assert place.told == 0
    assert parse_reply(line.ask(operate)).accepted
    assert place.told == 1
    for _ in range(3):  # again: answered, not done
        assert parse_reply(line.ask(operate)).accepted
        assert parse_reply(line.ask(select)).refusal is Refusal.OLD_SEQUENCE
    assert place.told == 1
    # swapped: the later of two is operated first, then the earlier one comes
    first, second = place.command("switch:A", False), place.command("switch:A", False)
    for one in (second, first):
        raw = request_bytes("select", command=one, signature=place.sign(select_text(one)))
        reply = parse_reply(line.ask(raw))
        if reply.accepted:
            text = operate_text(one, reply.ticket)
            raw = request_bytes("operate", command=one, ticket=reply.ticket, signature=place.sign(text))
            assert parse_reply(line.ask(raw)).accepted
    assert place.machines["switch:A"].told == 1
    # late
    late = place.command(valid_s=0.2)
    raw = request_bytes("select", command=late, signature=place.sign(select_text(late)))
    ticket = parse_reply(line.ask(raw)).ticket
    raw = request_bytes(
        "operate", command=late, ticket=ticket, signature=place.sign(operate_text(late, ticket))
    )
    time.sleep(0.25)
    assert parse_reply(line.ask(raw)).refusal is Refusal.EXPIRED
    # for another device
    other = replace(place.command("switch:A", True), device="switch:B")
    raw = request_bytes(
        "select", command=other, signature=place.sign(select_text(replace(other, device="switch:A")))
    )
    assert parse_reply(line.ask(raw)).refusal is Refusal.BAD_SIGNATURE
    assert place.told == 2
    line.close()


def test_oversized_deep_and_garbage_lines(place: Place, server: GatewayServer) -> None:
    line = Line(place, server.port)
    deep = b'{"ask":' + b"[" * 20000 + b"]" * 20000 + b"}"
    assert json.loads(line.ask(deep))["error"]["status"] == 413
    assert json.loads(line.ask(b'{"ask":"select","x":1}'))["error"]["status"] == 422
    line.line.sendall(b"x" * (MAX_BYTES + 1))
    assert json.loads(line.file.readline())["error"]["status"] == 413
    assert line.file.readline() == b""  # shown out
    line.close()
    line = Line(place, server.port)
    answers = [line.ask(b"\x00garbage") for _ in range(10)]
    assert all(json.loads(answer)["error"]["status"] == 422 for answer in answers)
    assert line.file.readline() == b""
    line.close()


def test_a_flood_disturbs_nobody(place: Place, server: GatewayServer) -> None:
    """Connections without end, half-open handshakes and garbage beside a controller at work."""
    driver = place.driver(server.port)
    assert driver.read(["switch:A"])[0].quality is Quality.GOOD
    ended = threading.Event()
    chance = random.Random(9)

    def flood() -> None:
        kept = []
        while not ended.is_set():
            try:
                enemy = socket.create_connection(("127.0.0.1", server.port), timeout=0.5)
                enemy.sendall(chance.randbytes(chance.choice((0, 5, 500, 20000))))
                kept.append(enemy)
            except OSError:
                ended.wait(0.002)
            if len(kept) > 40:
                kept.pop(0).close()
        for enemy in kept:
            enemy.close()

    enemies = [threading.Thread(target=flood) for _ in range(2)]
    for enemy in enemies:
        enemy.start()
    end_s, done = time.monotonic() + 1.5, 0
    while time.monotonic() < end_s:
        command = place.command(value=done % 2 == 0)
        reply = driver.select(command)
        assert reply.accepted, reply
        assert driver.operate(command, reply.ticket).accepted
        done += 1
    ended.set()
    for enemy in enemies:
        enemy.join()
    assert place.told == done > 5
    assert server.refused["too many connections"] > 10
    driver.close()


def test_silence_of_the_controller_ends_external_set_points(place: Place) -> None:
    server = place.serve(GuardSettings(watchdog_s=0.3))
    driver = place.driver(server.port)
    for number in range(1, 5):
        assert driver.heartbeat(Heartbeat(number, 1, place.clock.utc_s()))
        time.sleep(0.1)
    assert [machine.reverts for machine in place.machines.values()] == [0, 0]
    end_s = time.monotonic() + 10
    while not all(machine.reverts for machine in place.machines.values()):
        assert time.monotonic() < end_s
        time.sleep(0.05)
    driver.close()
    server.close()


def test_the_gateway_is_restarted(place: Place) -> None:
    server = place.serve()
    driver = place.driver(server.port)
    command = place.command()
    ticket = driver.select(command).ticket
    assert driver.operate(command, ticket).accepted
    port = server.port
    server.close()
    assert driver.select(place.command()).refusal is Refusal.UNREACHABLE
    context_server = GatewayServer(place.desk(), "127.0.0.1", port, server.context, {"controller"})
    time.sleep(1.05)  # the driver's pause
    assert driver.operate(command, ticket).accepted  # remembered on disk
    assert place.told == 1
    driver.close()
    context_server.close()


def test_keys_are_for_their_owner(tmp_path: Path) -> None:
    make_keys(tmp_path / "k.key", tmp_path / "k.pub")
    assert stat.S_IMODE((tmp_path / "k.key").stat().st_mode) == 0o600
    assert Verifier(tmp_path / "k.pub")(b"text", Signer(tmp_path / "k.key")(b"text"))
    with pytest.raises(InputError, match="Move the old key away"):
        make_keys(tmp_path / "k.key", tmp_path / "k.pub")
    (tmp_path / "k.key").chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        Signer(tmp_path / "k.key")
    with pytest.raises(InputError, match="Ed25519"):
        Verifier(tmp_path / "nothing.pub")
    authority = Authority(tmp_path)
    with pytest.raises(InputError, match="an Ed25519 key in PEM"):
        Signer(authority.issue("x").key)
