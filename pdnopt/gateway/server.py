"""The gateway's door to the controller: JSON lines over mutual TLS. What is not well-behaved is shown out.

A client without a certificate of the plant's authority gets no further than the handshake. No address has more than a few
connections, no line is longer than a message, nobody may be silent for long, and who sends nonsense again and again is
disconnected. Each connection has its own thread, so a slow one holds up nobody.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Collection
from typing import Any

from pdnopt.errors import InputError, Issue
from pdnopt.gateway.desk import Desk
from pdnopt.protocols.wire import MAX_BYTES, error_bytes

__all__ = ["GatewayServer"]

log = logging.getLogger(__name__)

HANDSHAKE_S = 3.0
IDLE_S = 300.0
PER_ADDRESS = 8
CONNECTIONS = 256
NONSENSE = 10
TICK_S = 0.5


class GatewayServer:
    """Listens until it is closed.

    Parameters
    ----------
    desk : Desk
    host, port : str, int
        Port 0: any free one; see ``port`` afterwards.
    context : ssl.SSLContext
        `pdnopt.protocols.certificates.server_context`.
    controllers : collection of str
        Common names that may command; others of the same authority may read.
    """

    def __init__(
        self, desk: Desk, host: str, port: int, context: ssl.SSLContext, controllers: Collection[str]
    ) -> None:
        self.desk, self.context, self.controllers = desk, context, frozenset(controllers)
        self.refused: Counter[str] = Counter()
        try:
            self._listener = socket.create_server((host, port), backlog=64)
        except OSError as error:
            todo = "Choose a free port of this machine."
            raise InputError(
                Issue("Port", "listen", "", f"{host}:{port}", f"a free port ({error.strerror})", todo)
            ) from None
        self.port = int(self._listener.getsockname()[1])
        self._open: dict[socket.socket, str] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=f"gateway-{work.__name__}", daemon=True)
            for work in (self._accept, self._watch)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop listening and end all connections."""
        self._ended.set()
        _shut(self._listener)  # which wakes the thread that waits in `accept`; closing alone does not
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _shut(connection)
        for thread in self._threads:
            thread.join(timeout=5.0)

    def _watch(self) -> None:
        while not self._ended.wait(TICK_S):
            self.desk.tick()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, address = self._listener.accept()
            except OSError as error:
                if self._ended.is_set():
                    return
                log.warning("accepting: %s", error)  # out of file handles, for instance
                time.sleep(0.1)
                continue
            with self._lock:
                from_there = sum(host == address[0] for host in self._open.values())
                many = from_there >= PER_ADDRESS or len(self._open) >= CONNECTIONS
                if not many:
                    self._open[connection] = address[0]
            if many:
                self._refuse("too many connections", address)
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection, address), daemon=True).start()

    def _serve(self, plain: socket.socket, address: tuple[str, int]) -> None:
        line: ssl.SSLSocket | None = None
        try:
            plain.settimeout(HANDSHAKE_S)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = self.context.wrap_socket(plain, server_side=True)  # takes the handle over
            with self._lock:
                self._open.pop(plain, None)
                self._open[line] = address[0]
            name = _common_name(line)
            log.info("%s connected from %s", name, address[0])
            line.settimeout(IDLE_S)
            self._converse(line, name, address)
        except TimeoutError as error:
            self._refuse("no handshake" if line is None else "silence", address, str(error))
        except OSError as error:  # ssl.SSLError is one
            if line is None:
                self._refuse("no handshake", address, str(error))
            else:
                log.info("%s left: %s", address[0], error)
        finally:
            with self._lock:
                self._open.pop(plain, None)
                if line is not None:
                    self._open.pop(line, None)
            _shut(line or plain)

    def _converse(self, line: ssl.SSLSocket, name: str, address: tuple[str, int]) -> None:
        rest, nonsense = b"", 0
        while not self._ended.is_set():
            piece = line.recv(16384)
            if not piece:
                return
            rest += piece
            while b"\n" in rest:
                raw, rest = rest.split(b"\n", 1)
                answer = self.desk.answer(raw, commands=name in self.controllers)
                line.sendall(answer + b"\n")
                if answer.startswith(b'{"error"'):
                    nonsense += 1
                    self._refuse("nonsense", address)
                    if nonsense >= NONSENSE:
                        return
            if len(rest) > MAX_BYTES:
                self._refuse("too large", address)
                issue = Issue(
                    "TooLarge", "message", "", f"> {MAX_BYTES} bytes", f"{MAX_BYTES} bytes", "Send less."
                )
                line.sendall(error_bytes(InputError(issue)) + b"\n")
                return

    def _refuse(self, why: str, address: tuple[str, int], detail: str = "") -> None:
        self.refused[why] += 1
        if self.refused[why] & (self.refused[why] - 1) == 0:  # 1st, 2nd, 4th, ...: a flood fills no disk
            log.warning("refused %s: %s %s (%d times so far)", address[0], why, detail, self.refused[why])


def _common_name(line: ssl.SSLSocket) -> str:
    certificate: dict[str, Any] = line.getpeercert() or {}
    names = dict(pair for part in certificate.get("subject", ()) for pair in part)
    return str(names.get("commonName", ""))


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        log.debug("shutting down: %s", error)
    connection.close()
