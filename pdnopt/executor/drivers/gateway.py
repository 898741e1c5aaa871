"""Through a gateway: one TLS connection, one request a line, one answer a line."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterable

from pdnopt.errors import InputError
from pdnopt.executor.drivers.asking import AskingDriver, missing
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.messages import Heartbeat
from pdnopt.protocols.readings import Reading
from pdnopt.protocols.wire import parse_readings, parse_reply, read_bytes

__all__ = ["GatewayDriver"]

log = logging.getLogger(__name__)

CHUNK = 100  # devices a request
LONGEST = 1 << 20  # bytes an answer
PAUSE_S = 1.0


class GatewayDriver(AskingDriver):
    """Speaks to one gateway. A connection that fails is made anew when it is next needed, at most once a second.

    Parameters
    ----------
    name : str
        Of the path.
    clock : Clock
    sign : callable
    host, port : str, int
        Where the gateway listens.
    context : ssl.SSLContext
        With the controller's certificate.
    timeout_s : float
        So long an answer may take.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        sign: Callable[[bytes], bytes],
        host: str,
        port: int,
        context: ssl.SSLContext,
        timeout_s: float = 2.0,
    ) -> None:
        super().__init__(name, clock, sign)
        self.host, self.port, self.context, self.timeout_s = host, port, context, timeout_s
        self._socket: ssl.SSLSocket | None = None
        self._rest = b""
        self._not_before_s = float("-inf")
        self._lock = threading.Lock()

    def read(self, devices: Iterable[str]) -> list[Reading]:
        names = list(devices)
        found: list[Reading] = []
        for begin in range(0, len(names), CHUNK):
            chunk = names[begin : begin + CHUNK]
            answer = self.exchange("", read_bytes(chunk), again=True)
            now_s = self.clock.utc_s()
            told: list[Reading] = []
            why = "no answer"
            if answer is not None:
                try:
                    told = parse_readings(answer, now_s, self.name, LONGEST)
                    why = "not behind this gateway"
                except InputError as error:
                    why = f"DecodeError: {error.issues[0].kind}"
            heard = {item.device for item in told}
            found += [item for item in told if item.device in chunk]
            found += missing([name for name in chunk if name not in heard], now_s, self.name, why)
        return found

    def heartbeat(self, beat: Heartbeat) -> bool:
        """Tell the gateway's devices that the leader lives; return whether all of them took it."""
        answer = self.exchange("", self._heartbeat_message(beat), again=True)
        try:
            return answer is not None and parse_reply(answer).accepted
        except InputError:
            return False

    def exchange(self, device: str, message: bytes, again: bool) -> bytes | None:
        with self._lock:
            was_open = self._socket is not None
            answer = self._once(message)
            if answer is None and again and was_open:  # the gateway may have been restarted since
                self._not_before_s = float("-inf")
                answer = self._once(message)
            return answer

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _once(self, message: bytes) -> bytes | None:
        try:
            line = self._connected()
            if line is None:
                return None
            line.sendall(message + b"\n")
            return self._line(line)
        except (OSError, ValueError) as error:
            log.info("%s: %s:%s: %s", self.name, self.host, self.port, error)
            self._drop()
            self._not_before_s = self.clock.monotonic_s() + PAUSE_S
            return None

    def _connected(self) -> ssl.SSLSocket | None:
        if self._socket is None:
            if self.clock.monotonic_s() < self._not_before_s:
                return None
            plain = socket.create_connection((self.host, self.port), timeout=self.timeout_s)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self._socket = self.context.wrap_socket(plain, server_hostname=self.host)
            except BaseException:
                plain.close()
                raise
            self._rest = b""
        return self._socket

    def _line(self, line: ssl.SSLSocket) -> bytes:
        """Return the next line within the time-out. What is late belongs to nobody: the connection ends with it."""
        end_s = self.clock.monotonic_s() + self.timeout_s
        while b"\n" not in self._rest:
            left_s = end_s - self.clock.monotonic_s()
            if left_s <= 0:
                raise TimeoutError("no answer in time")
            line.settimeout(left_s)
            piece = line.recv(65536)
            if not piece:
                raise ConnectionResetError("closed by the gateway")
            self._rest += piece
            if len(self._rest) > LONGEST:
                raise ValueError("an answer without end")
        answer, self._rest = self._rest.split(b"\n", 1)
        if self._rest:
            raise ValueError("more than one answer to one request")
        line.settimeout(self.timeout_s)
        return answer

    def _drop(self) -> None:
        if self._socket is not None:
            try:
                self._socket.close()
            except OSError as error:
                log.debug("%s: closing: %s", self.name, error)
            self._socket = None
