"""A station's line to the broker: requests come in by MQTT over mutual TLS, answers and what the station tells go out.

What the network's thread receives it only puts into a box; whoever owns the station works the boxes off by `serve`, in its
own thread. Boxes are small: a flood is thrown away, and controllers have a box of their own, so that nobody else's flood
keeps them out. Nothing is kept while the broker is away: an answer or a reading that cannot go out now is not worth keeping.
"""

from __future__ import annotations

import logging
import secrets
import ssl
import threading
from collections import Counter, deque
from collections.abc import Collection
from typing import Any, NamedTuple

from pdnopt.gateway.desk import Desk
from pdnopt.protocols.extras import need
from pdnopt.protocols.topics import (
    QOS,
    answer_topic,
    asks_filter,
    beats_filter,
    question_of,
    told_topic,
)
from pdnopt.protocols.wire import MAX_BYTES

__all__ = ["OFFLINE", "Station"]

log = logging.getLogger(__name__)

OFFLINE = b'{"online":false}'
BOX = 64
"""Messages that wait for `serve`, of controllers and of all others; a controller waits for each answer."""
OUTGOING = 200
KEEPALIVE_S = 20
RETRY_S = (1, 10)
"""Shortest and longest pause before the next attempt to reach the broker."""


class Message(NamedTuple):
    """What came in."""

    topic: str
    payload: bytes


class Station:
    """A station of one name; connects by itself, and again whenever the broker has been away.

    Parameters
    ----------
    name : str
        Common name of its certificate.
    host, port : str, int
        The broker's.
    context : ssl.SSLContext
        `pdnopt.protocols.certificates.client_context`.
    controllers : collection of str
        Who may command; all other askers may read.
    """

    def __init__(
        self, name: str, host: str, port: int, context: ssl.SSLContext, controllers: Collection[str]
    ) -> None:
        mqtt = need("paho.mqtt.client")
        self.name, self.controllers = name, frozenset(controllers)
        self.refused: Counter[str] = Counter()
        self.connections = 0
        self._boxes: tuple[deque[Message], deque[Message]] = (deque(), deque())
        self._wake = threading.Condition()
        # A drawn client id: nobody can push the station off the broker by using its id.
        self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=f"{name}-{secrets.token_hex(6)}",
            clean_session=True,  # what was sent to who was away is old
            protocol=mqtt.MQTTv311,
        )
        self._client.tls_set_context(context)
        self._client.max_queued_messages_set(OUTGOING)
        self._client.reconnect_delay_set(*RETRY_S)
        self._client.will_set(told_topic(name, "status"), OFFLINE, QOS, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.connect_async(host, port, keepalive=KEEPALIVE_S)
        self._client.loop_start()

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return bool(self._client.is_connected())

    def serve(self, desk: Desk, wait_s: float) -> int:
        """Answer what has come in; where there is nothing, wait for it up to ``wait_s``. Return how many were answered.

        At most as many are answered as a box holds, so that a flood does not keep the caller from its other work.
        """
        with self._wake:
            if not any(self._boxes):
                self._wake.wait(wait_s)
        answered = 0
        while answered < BOX:
            with self._wake:
                box = self._boxes[0] or self._boxes[1]
                if not box:
                    break
                message = box.popleft()
            self._answer(desk, message)
            answered += 1
        return answered

    def tell(self, what: str, payload: bytes, retain: bool = False) -> bool:
        """Publish one of `pdnopt.protocols.topics.ANSWERS`; return whether it went out."""
        return self._publish(told_topic(self.name, what), payload, retain)

    def close(self, last_words: bytes = OFFLINE) -> None:
        """Say that the station goes, and end the connection."""
        if self.connected:
            info = self._client.publish(told_topic(self.name, "status"), last_words, QOS, retain=True)
            if info.rc == 0:
                info.wait_for_publish(1.0)
        self._client.disconnect()
        self._client.loop_stop()

    def _answer(self, desk: Desk, message: Message) -> None:
        question = question_of(message.topic)
        if question is None:  # a heartbeat; nobody waits for an answer
            desk.answer(message.payload, commands=_asker(message.topic) in self.controllers)
            return
        answer = desk.answer(message.payload, commands=question.asker in self.controllers)
        self._publish(answer_topic(question), answer, retain=False)

    def _publish(self, topic: str, payload: bytes, retain: bool) -> bool:
        if not self.connected:
            return False
        return bool(self._client.publish(topic, payload, QOS, retain=retain).rc == 0)

    # called by the network's thread

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._count("broker", f"refuses {self.name}: {reason}")
            return
        self.connections += 1
        log.info("%s: connected to the broker", self.name)
        client.subscribe([(asks_filter(self.name), QOS), (beats_filter(), QOS)])

    def _on_connect_fail(self, client: Any, userdata: Any) -> None:
        self._count("broker", "does not answer, or does not take the certificate")

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        log.info("%s: the broker is gone: %s", self.name, reason)

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        payload = bytes(message.payload)
        if message.retain:
            self._count("retained", message.topic)
        elif len(payload) > MAX_BYTES:
            self._count("too large", message.topic)
        else:
            self._put(Message(message.topic, payload))

    def _put(self, message: Message) -> None:
        with self._wake:
            box = self._boxes[0 if _asker(message.topic) in self.controllers else 1]
            full = len(box) >= BOX
            if not full:
                box.append(message)
                self._wake.notify()
        if full:
            self._count("flood", message.topic)

    def _count(self, why: str, detail: str) -> None:
        self.refused[why] += 1
        if self.refused[why] & (self.refused[why] - 1) == 0:  # 1st, 2nd, 4th, ...: a flood fills no disk
            log.warning("%s: %s: %s (%d times so far)", self.name, why, detail[:200], self.refused[why])


def _asker(topic: str) -> str:
    """Return who sent a request or a heartbeat: the broker lets nobody write under another name."""
    question = question_of(topic)
    return question.asker if question is not None else topic.rpartition("/")[2]
