"""A connection to an MQTT broker over mutual TLS, and which topics mean what.

For a device with topic T and a node of name N, under a prefix P (QoS 1, nothing retained)::

    P/T/ask       controller -> device   a request; first line: a number that the answer repeats
    P/T/reply     device -> controller   its answer
    P/T/status    device -> controller   its readings; first line: a number that rises
    P/heartbeat   controller -> devices  a signed heartbeat
    P/N/node      node -> everybody      how the node itself is; {"online": false} as its last will
    P/N/forecast  node -> everybody      what it expects of its circuits (`pdnopt.protocols.announcements`)

The broker's access list gives every certificate its own topics (docs/EXECUTION.md). What is retained is never believed: it
is of another time. A thread of its own works on messages, from a queue with an end: a flood is dropped, not stored.
"""

from __future__ import annotations

import logging
import queue
import secrets
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from pdnopt.protocols.certificates import Identity, client_context
from pdnopt.protocols.extras import need
from pdnopt.protocols.wire import MAX_BYTES

__all__ = [
    "MqttLink",
    "ask_topic",
    "forecast_topic",
    "heartbeat_topic",
    "node_topic",
    "numbered",
    "reply_topic",
    "status_topic",
    "take_number",
]

log = logging.getLogger(__name__)

QUEUE = 500
KEEPALIVE_S = 10
DIGITS = 20


def ask_topic(prefix: str, topic: str) -> str:
    """Return where a device is asked."""
    return f"{prefix}/{topic}/ask"


def reply_topic(prefix: str, topic: str) -> str:
    """Return where a device answers."""
    return f"{prefix}/{topic}/reply"


def status_topic(prefix: str, topic: str) -> str:
    """Return where a device says how it is."""
    return f"{prefix}/{topic}/status"


def node_topic(prefix: str, name: str) -> str:
    """Return where a node says how it is itself."""
    return f"{prefix}/{name}/node"


def forecast_topic(prefix: str, name: str) -> str:
    """Return where a node says what it expects."""
    return f"{prefix}/{name}/forecast"


def heartbeat_topic(prefix: str) -> str:
    """Return where the leader says that it lives."""
    return f"{prefix}/heartbeat"


def numbered(number: int, payload: bytes) -> bytes:
    """Return a message with its number in front."""
    return b"%d\n" % number + payload


def take_number(raw: bytes) -> tuple[int, bytes] | None:
    """Return number and message, None where there is no number."""
    head, line, payload = raw.partition(b"\n")
    if not line or not head.isdigit() or len(head) > DIGITS:
        return None
    return int(head), payload


def _at_once(client: Any, userdata: Any, line: Any) -> None:
    """Let small packets go without waiting for each other's acknowledgement: 40 ms of a command each time."""
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class MqttLink:
    """Connects, and connects again; subscribes; hands over what comes.

    Parameters
    ----------
    host, port : str, int
    identity : Identity
    topics : iterable of str
        To subscribe to.
    handle : callable
        (topic, payload), called by a thread of this link; must not raise.
    name : str
        Begins the client's id.
    will : tuple of str and bytes, optional
        Topic and message that the broker publishes where this end is lost.

    Raises
    ------
    InputError
        The certificate cannot be used. A broker that does not answer is no error: it is tried again.
    """

    def __init__(
        self,
        host: str,
        port: int,
        identity: Identity,
        topics: Iterable[str],
        handle: Callable[[str, bytes], None],
        name: str,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        client = need("paho.mqtt.client")
        self.topics, self._handle = tuple(topics), handle
        self.dropped: Counter[str] = Counter()
        self._waiting: queue.Queue[tuple[str, bytes] | None] = queue.Queue(QUEUE)
        self._subscribed = threading.Event()
        self._client = client.Client(
            client.CallbackAPIVersion.VERSION2, client_id=f"{name}-{secrets.token_hex(6)}"
        )
        self._client.tls_set_context(client_context(identity))
        if will is not None:
            self._client.will_set(*will, qos=1)
        self._client.reconnect_delay_set(1, 5)
        self._client.max_queued_messages_set(QUEUE)
        self._client.suppress_exceptions = True  # a callback that fails is logged; the link lives on
        self._client.enable_logger(log)
        self._client.on_socket_open = _at_once
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._worker = threading.Thread(target=self._work, name=f"mqtt-{name}", daemon=True)
        self._worker.start()
        self._client.connect_async(host, port, keepalive=KEEPALIVE_S)
        self._client.loop_start()

    @property
    def ready(self) -> bool:
        """Whether it is connected and has its subscriptions."""
        return self._subscribed.is_set()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until it is ready, at most so long."""
        return self._subscribed.wait(timeout_s)

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send; False where it is not connected: what cannot go now does not go later."""
        if not self._client.is_connected():
            return False
        return bool(self._client.publish(topic, payload, qos=1).rc == 0)

    def close(self) -> None:
        """Disconnect and end the threads."""
        self._client.disconnect()
        self._client.loop_stop()
        while True:
            try:
                self._waiting.put_nowait(None)
                break
            except queue.Full:
                self._waiting.get_nowait()
        self._worker.join(timeout=10.0)

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            log.warning("the broker refused the connection: %s", reason)
        elif self.topics:
            client.subscribe([(topic, 1) for topic in self.topics])
        else:
            self._subscribed.set()

    def _on_subscribe(self, client: Any, userdata: Any, mid: Any, reasons: Any, properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            log.error("the broker refused a subscription: %s; look at its access list", refused[0])
        else:
            self._subscribed.set()

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._subscribed.clear()

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        if message.retain:
            self._drop("retained", message.topic)
        elif len(message.payload) > 16 * MAX_BYTES:
            self._drop("too large", message.topic)
        else:
            try:
                self._waiting.put_nowait((message.topic, bytes(message.payload)))
            except queue.Full:
                self._drop("flood", message.topic)

    def _drop(self, why: str, topic: str) -> None:
        self.dropped[why] += 1
        if self.dropped[why] & (self.dropped[why] - 1) == 0:  # 1st, 2nd, 4th, ...
            log.warning("dropped a message on %s: %s (%d times so far)", topic, why, self.dropped[why])

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            self._handle(*item)
