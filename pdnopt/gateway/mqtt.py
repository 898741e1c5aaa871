"""The door by MQTT: answers what is asked on the devices' topics and says how they are. For gateways and for nodes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from pdnopt.gateway.desk import Desk
from pdnopt.protocols.certificates import Identity
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.mqtt import (
    MqttLink,
    ask_topic,
    heartbeat_topic,
    numbered,
    reply_topic,
    status_topic,
    take_number,
)
from pdnopt.protocols.wire import read_bytes

__all__ = ["MqttDoor", "MqttSettings"]


@dataclass(frozen=True)
class MqttSettings:
    """Where the broker is; ``publish_s``: how often the devices say how they are."""

    host: str
    port: int
    prefix: str = "pdnopt"
    publish_s: float = 1.0


class MqttDoor:
    """Runs until it is closed.

    Parameters
    ----------
    desk : Desk
    topics : mapping
        Device -> its topic.
    identity : Identity
    clock : Clock
    settings : MqttSettings
    will : tuple of str and bytes, optional
        As of `MqttLink`.
    """

    def __init__(
        self,
        desk: Desk,
        topics: Mapping[str, str],
        identity: Identity,
        clock: Clock,
        settings: MqttSettings,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.desk, self.settings = desk, settings
        self._topic_of = dict(topics)
        self._asked = {ask_topic(settings.prefix, topic): topic for topic in topics.values()}
        # Rises across restarts, unless the clock is set back: then readings are missing, and somebody looks.
        self._number = int(clock.utc_s() * 1000)
        self._ended = threading.Event()
        self._changed = threading.Event()
        self.link = MqttLink(
            settings.host,
            settings.port,
            identity,
            [*self._asked, heartbeat_topic(settings.prefix)],
            self._handle,
            "door",
            will,
        )
        self._publisher = threading.Thread(target=self._publish, name="mqtt-status", daemon=True)
        self._publisher.start()

    def close(self) -> None:
        """Stop speaking and listening."""
        self._ended.set()
        self._changed.set()
        self._publisher.join(timeout=10.0)
        self.link.close()

    def _handle(self, topic: str, raw: bytes) -> None:
        if topic not in self._asked:
            self.desk.answer(raw)  # a heartbeat; nobody waits for an answer
            return
        asked = take_number(raw)
        if asked is None:
            return
        answer = self.desk.answer(asked[1])
        self.link.publish(reply_topic(self.settings.prefix, self._asked[topic]), numbered(asked[0], answer))
        self._changed.set()

    def _publish(self) -> None:
        """Say how every device is, once a period, and at once after it was asked something."""
        while not self._ended.is_set():
            self.desk.tick()
            if self.link.ready:
                for device, topic in self._topic_of.items():
                    self._number += 1
                    told = self.desk.answer(read_bytes([device]))
                    self.link.publish(status_topic(self.settings.prefix, topic), numbered(self._number, told))
            self._changed.wait(self.settings.publish_s)
            self._changed.clear()
