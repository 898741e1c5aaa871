"""By MQTT over mutual TLS: asks on a device's topic and waits for the answer; readings are those that devices publish."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from pdnopt.errors import InputError
from pdnopt.executor.drivers.asking import AskingDriver, missing
from pdnopt.protocols.certificates import Identity
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.messages import Heartbeat
from pdnopt.protocols.mqtt import (
    MqttLink,
    ask_topic,
    heartbeat_topic,
    numbered,
    reply_topic,
    status_topic,
    take_number,
)
from pdnopt.protocols.readings import Quality, Reading
from pdnopt.protocols.wire import MAX_BYTES, parse_readings

__all__ = ["MqttDriver"]

log = logging.getLogger(__name__)


class MqttDriver(AskingDriver):
    """Speaks to devices through one broker.

    Parameters
    ----------
    name : str
        Of the path.
    clock : Clock
    sign : callable
    topics : mapping
        Device -> topic.
    host, port : str, int
        The broker's.
    identity : Identity
    prefix : str
    timeout_s : float
        So long an answer may take.
    stale_s : float
        Readings that came longer ago are missing. Not more than the executor's patience: by then what it reads has come
        after the command.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        sign: Callable[[bytes], bytes],
        topics: Mapping[str, str],
        host: str,
        port: int,
        identity: Identity,
        prefix: str = "pdnopt",
        timeout_s: float = 2.0,
        stale_s: float = 2.5,
    ) -> None:
        super().__init__(name, clock, sign)
        self.topics, self.prefix, self.timeout_s, self.stale_s = dict(topics), prefix, timeout_s, stale_s
        self._lock = threading.Condition()
        self._number = int(clock.utc_s() * 1000)
        self._answers: dict[int, bytes | None] = {}
        self._seen: dict[str, tuple[int, float, list[Reading]]] = {}  # number, monotonic, readings
        self._of_reply = {reply_topic(prefix, topic): device for device, topic in topics.items()}
        self._of_status = {status_topic(prefix, topic): device for device, topic in topics.items()}
        wanted = [*self._of_reply, *self._of_status]
        self.link = MqttLink(host, port, identity, wanted, self._handle, "controller")

    def read(self, devices: Iterable[str]) -> list[Reading]:
        now_s = self.clock.monotonic_s()
        found: list[Reading] = []
        silent: list[str] = []
        with self._lock:
            for device in devices:
                seen = self._seen.get(device)
                if seen is None or now_s - seen[1] > self.stale_s:
                    silent.append(device)
                else:
                    found += seen[2]
        return found + missing(silent, self.clock.utc_s(), self.name, "nothing published lately")

    def heartbeat(self, beat: Heartbeat) -> bool:
        """Tell all devices that the leader lives; return whether it went out."""
        return self.link.publish(heartbeat_topic(self.prefix), self._heartbeat_message(beat))

    def exchange(self, device: str, message: bytes, again: bool) -> bytes | None:
        topic = self.topics.get(device)
        if topic is None or not self.link.ready:
            return None
        with self._lock:
            self._number += 1
            number = self._number
            self._answers[number] = None
            sent = self.link.publish(ask_topic(self.prefix, topic), numbered(number, message))
            if sent:
                self._lock.wait_for(lambda: self._answers[number] is not None, self.timeout_s)
            return self._answers.pop(number)

    def close(self) -> None:
        self.link.close()

    def _handle(self, topic: str, raw: bytes) -> None:
        told = take_number(raw)
        if told is None:
            log.info("%s: a message without a number on %s", self.name, topic)
            return
        number, payload = told
        if topic in self._of_status:
            self._status(self._of_status[topic], number, payload)
            return
        with self._lock:
            if self._answers.get(number, payload) is None:  # somebody waits for it, and it is the first
                self._answers[number] = payload
                self._lock.notify_all()

    def _status(self, device: str, number: int, payload: bytes) -> None:
        """Keep what a device says, unless it is old: repeated or overtaken messages have lower numbers."""
        try:
            readings = parse_readings(payload, self.clock.utc_s(), self.name, 16 * MAX_BYTES)
        except InputError as error:
            log.info("%s: %s: %s", self.name, device, error.issues[0])
            now_s = self.clock.utc_s()
            readings = [
                Reading(device, "available", None, Quality.BAD, now_s, now_s, self.name, "DecodeError")
            ]
        mine = [replace(item, path=self.name) for item in readings if item.device == device]
        with self._lock:
            before = self._seen.get(device)
            if before is None or number > before[0]:
                self._seen[device] = (number, self.clock.monotonic_s(), mine)
