"""Alarms: up once, told once, remembered over a restart; and hooks against a real HTTPS server of the standard library."""

import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdnopt.alarms import Alarm, Board, EmailHook, Messenger, Severity, WebhookHook
from pdnopt.errors import InputError
from pdnopt.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = Journal(tmp_path / "j.db")
    yield found
    found.close()


def up(board: Board, t_s: float = 1.0, severity: Severity = Severity.MAJOR, device: str = "ups:A") -> Alarm:
    return board.raise_alarm(t_s, device, "off", severity, "UPS off", "look at it")


def test_it_is_up_once_and_told_once(journal: Journal) -> None:
    told: list[Alarm] = []
    board = Board(journal, told.append)
    first = up(board)
    assert up(board, 2.0) == first
    assert [alarm.since_s for alarm in told] == [1.0]
    board.end(3.0, "ups:A", "off")
    assert board.up == []
    up(board, 4.0)
    assert [alarm.since_s for alarm in told] == [1.0, 4.0]
    assert [(row["t_s"], row["ended_s"]) for row in journal.alarms()] == [(1.0, 3.0), (4.0, None)]


def test_a_graver_one_is_told_again(journal: Journal) -> None:
    told: list[Alarm] = []
    board = Board(journal, told.append)
    up(board)
    up(board, 2.0, Severity.CRITICAL)
    assert [alarm.severity for alarm in told] == [Severity.MAJOR, Severity.CRITICAL]


def test_a_restart_knows_what_is_up_and_who_has_seen_it(journal: Journal) -> None:
    board = Board(journal)
    up(board)
    up(board, 2.0, Severity.CRITICAL, "ups:B")
    assert board.acknowledge(3.0, "ups:A", "off", "ann")
    assert not board.acknowledge(4.0, "ups:A", "off", "bob")
    again = Board(journal)
    assert [(alarm.device, alarm.acknowledged_by) for alarm in again.up] == [("ups:B", ""), ("ups:A", "ann")]
    again.only(5.0, "off", ["ups:B"])
    assert [alarm.device for alarm in again.up] == ["ups:B"]


def test_a_journal_that_failed_silences_no_alarm(journal: Journal) -> None:
    told: list[Alarm] = []
    board = Board(journal, told.append)
    journal.failure = "disk full"
    assert up(board).number == -1
    assert len(told) == 1


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate of 127.0.0.1 that signs itself."""
    pytest.importorskip("cryptography")
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    crt, pem = folder / "c.pem", folder / "k.pem"
    crt.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    pem.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return crt, pem


def test_a_webhook_posts_over_tls_and_a_failing_server_is_tried_again(tmp_path: Path) -> None:
    crt, pem = certificate(tmp_path)
    heard: list[tuple[str | None, dict[str, object]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.append((self.headers["Authorization"], body))
            self.send_response(503 if len(heard) == 1 else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "token").write_text("s3cret\n")
    hook = WebhookHook(f"https://127.0.0.1:{server.server_port}/a", tmp_path / "token", ca_file=crt)
    messenger = Messenger([hook], pause_s=0.01)
    messenger.send(Alarm(1, "ups:A", "off", Severity.CRITICAL, "UPS off", "look at it", 5.0))
    messenger.close(30.0)
    server.shutdown()
    server.server_close()
    assert (messenger.sent, messenger.lost) == (1, 0)
    assert [token for token, _ in heard] == ["Bearer s3cret"] * 2
    assert heard[1][1]["device"] == "ups:A"
    assert heard[1][1]["recommended"] == "look at it"


def test_plain_http_is_refused_without_telling_the_password() -> None:
    with pytest.raises(InputError, match="https") as caught:
        WebhookHook("http://user:pass@example.org/hook?key=1")
    assert "pass" not in str(caught.value).replace("example", "")
    assert "key=1" not in str(caught.value)


def test_a_hook_that_hangs_delays_nobody() -> None:
    release = threading.Event()

    class Hanging:
        def tell(self, alarm: Alarm) -> None:
            release.wait(60.0)

    messenger = Messenger([Hanging()])
    began = time.monotonic()
    for number in range(1000):
        messenger.send(Alarm(number, "ups:A", "off", Severity.INFO, "", "", 0.0))
    assert time.monotonic() - began < 30.0  # not 1000 hooks of a minute
    assert messenger.lost >= 1000 - 256 - 1
    release.set()
    messenger.close(30.0)


def test_an_unreachable_mail_server_is_counted() -> None:
    hook = EmailHook("127.0.0.1", "a@example.org", ["b@example.org"], port=1, timeout_s=1.0)
    messenger = Messenger([hook], pause_s=0.01)
    messenger.send(Alarm(1, "ups:A", "off", Severity.INFO, "text", "", 0.0))
    messenger.close(30.0)
    assert (messenger.sent, messenger.lost, messenger.last_error) == (0, 1, "ConnectionRefusedError")


def test_a_line_break_in_a_name_makes_no_header() -> None:
    hook = EmailHook("127.0.0.1", "a@example.org", ["b@example.org"])
    mail = hook.message(Alarm(1, "ups:A\nBcc: x@evil", "off", Severity.INFO, "t", "r", 0.0))
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[pdnopt] info ups:A Bcc: x@evil: off"
