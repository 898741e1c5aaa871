"""One device of a node: what its guard asks of it, set-points that run out, and the local rule in between.

A *set-point* (``setpoint`` of an inverter, ``power`` of a battery) is lent: it holds for ``setpoint_s`` of monotonic time,
as long as the controller is heard, and not across a restart of the node. Then the local rule sets the device. Positions and
limits (``open``, ``transfer``, ``cap``, ``shed``, ...) stay until they are told otherwise: they have been verified, and one
that fell away might overload what it relieves.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping
from typing import Any

from pdnopt.devicemap.limits import Limits, outside
from pdnopt.node.hardware import Hardware, Seen
from pdnopt.node.rules import Rule
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.quantities import READ_BACK, same_value
from pdnopt.protocols.readings import Quality, Reading
from pdnopt.protocols.values import wrong_value

__all__ = ["ACTIONS", "LENT", "NodeDevice"]

log = logging.getLogger(__name__)

ACTIONS = {
    "switch": ("open", "close"),
    "transfer": ("transfer", "prefer"),
    "storage": ("power", "form"),
    "asymmetric_sgen": ("setpoint",),
    **dict.fromkeys(("rack", "load", "asymmetric_load"), ("cap", "shed", "restore")),
}
LENT = {"storage": "power", "asymmetric_sgen": "setpoint"}
"""Table -> the action that is a set-point."""
FRESH_S = 0.2
"""What was read so recently is not read again."""
STEP_KW = 0.01
"""A rule's answer that is nearer to what the device already does is not sent."""


class NodeDevice:
    """The equipment behind one guard (`pdnopt.gateway.guard.Equipment`).

    Parameters
    ----------
    name : str
        "table:name".
    hardware : Hardware
    clock : Clock
    limits : Limits
        Lowest and highest number of each action, whoever asks.
    s_max_kva : float
        Of an inverter, each phase.
    rule : Rule or None
        For inverters and batteries.
    setpoint_s : float
        A set-point holds so long.
    """

    def __init__(
        self,
        name: str,
        hardware: Hardware,
        clock: Clock,
        limits: Limits | None = None,
        s_max_kva: float = math.inf,
        rule: Rule | None = None,
        setpoint_s: float = 600.0,
    ) -> None:
        self.name, self.hardware, self.clock = name, hardware, clock
        self.limits, self.s_max_kva = limits or {}, s_max_kva
        self.rule, self.setpoint_s = rule, setpoint_s
        self.table = name.partition(":")[0]
        self.expired = 0
        self._seen, self._seen_s = Seen(), -math.inf
        self._external: Any = None
        self._ends_s = -math.inf
        self._lock = threading.RLock()  # the doors have threads of their own

    @property
    def by_rule(self) -> bool:
        """Whether the local rule sets it now."""
        return self.rule is not None and self._external is None

    # what the guard asks

    def local(self) -> bool:
        return self.look().local

    def present(self, action: str) -> Any:
        value = self.look().values.get(READ_BACK.get(action, ""))
        return value.value if value is not None and value.quality == Quality.GOOD else None

    def objection(self, command: Command) -> Reply | None:
        if command.action not in ACTIONS.get(self.table, ()):
            return Reply(False, Refusal.NOT_AVAILABLE, f"{self.name} cannot {command.action}")
        wrong = self._beyond(command.action, command.value)
        if wrong:
            return Reply(False, Refusal.MALFORMED, wrong)
        if not self.look().available:
            return Reply(False, Refusal.NOT_AVAILABLE, "the device does not answer")
        return None

    def actuate(self, command: Command) -> Reply:
        with self._lock:
            reply = self.hardware.write(command.action, command.value)
            self._seen_s = -math.inf
            if command.action == LENT.get(self.table) and (
                reply.accepted or reply.refusal is Refusal.UNREACHABLE  # it may have been taken
            ):
                self._external, self._ends_s = command.value, self.clock.monotonic_s() + self.setpoint_s
            return reply

    def revert(self) -> None:
        with self._lock:
            if self._external is not None:
                log.info("%s: back to the local rule", self.name)
            self._external = None

    # what the node does

    def step(self) -> None:
        """Let a set-point run out; where none is in force, set the device by the rule."""
        with self._lock:
            if self._external is not None and self.clock.monotonic_s() >= self._ends_s:
                self.expired += 1
                self.revert()
            if self.rule is None:
                return
            seen = self.look()
            if seen.local or not seen.available:
                return
            if self._external is not None:
                self.rule.follow(_good(seen), self._external)
                return
            action = LENT[self.table]
            now = self.present(action)
            wanted = self.rule(_good(seen), now)
            if now is None or not same_value(now, wanted, STEP_KW):
                reply = self.hardware.write(action, wanted)
                self._seen_s = -math.inf
                if not reply.accepted:
                    log.info("%s: the local rule's %r was not taken: %s", self.name, wanted, reply.detail)

    def look(self) -> Seen:
        """Return what the device shows; what was read just now is not read again."""
        with self._lock:
            now_s = self.clock.monotonic_s()
            if now_s - self._seen_s >= FRESH_S:
                self._seen, self._seen_s = self.hardware.read(), now_s
            return self._seen

    def readings(self) -> list[Reading]:
        """Return what the device shows, and who sets it."""
        seen, now_s = self.look(), self.clock.utc_s()
        stamp_s = now_s if seen.stamp_s is None else seen.stamp_s
        found = [
            Reading(self.name, item.quantity, item.value, item.quality, stamp_s, now_s, "", item.detail)
            for item in seen.values.values()
        ]
        if "available" not in seen.values:
            found.append(
                Reading(
                    self.name, "available", seen.available and not seen.local, Quality.GOOD, stamp_s, now_s
                )
            )
        if self.rule is not None:
            who = "local rule" if self.by_rule else "controller"
            found.append(Reading(self.name, "set_by", who, Quality.GOOD, now_s, now_s))
        return found

    def _beyond(self, action: str, value: Any) -> str:
        """Return why a value cannot be, in words; "" where it can."""
        wrong = wrong_value(action, value) or outside(self.limits, action, value)
        if wrong or action != "setpoint":
            return wrong
        largest = max(math.hypot(p, q) for p, q in zip(value["p_kw"], value["q_kvar"], strict=True))
        if largest > self.s_max_kva * (1 + 1e-6):
            return f"{largest:g} kVA in a phase, at most {self.s_max_kva:g}"
        return ""


def _good(seen: Seen) -> Mapping[str, Any]:
    return {name: item.value for name, item in seen.values.items() if item.quality == Quality.GOOD}
