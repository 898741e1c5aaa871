"""One device of a node: what its guard asks of it, set-points that run out, and the local rule in between.

A *set-point* (``setpoint`` of an inverter, ``power`` of a battery) is lent: it holds for ``setpoint_s`` of monotonic time, as
long as the controller is heard, and not across a restart of the node. Then the local rule sets the device. Positions and
limits (``open``, ``transfer``, ``cap``, ``shed``, ...) stay until they are told otherwise: they have been verified, and one
that fell away might overload what it relieves.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdnopt.node.hardware import Hardware, Seen
from pdnopt.node.rules import Rule
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.quantities import READ_BACK, same_value
from pdnopt.protocols.readings import Quality, Reading

__all__ = ["ACTIONS", "LENT", "Limits", "NodeDevice"]

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


@dataclass(frozen=True)
class Limits:
    """What is never exceeded, whoever asks.

    ``s_max_kva``: of an inverter, each phase. ``p_max_kw``: of a battery both ways, of a load its connection.
    ``positions``: of a transfer device, "switch:NAME" each.
    """

    s_max_kva: float = 0.0
    p_max_kw: float = math.inf
    positions: tuple[str, ...] = ()


class NodeDevice:
    """The equipment behind one guard (`pdnopt.gateway.guard.Equipment`).

    Parameters
    ----------
    name : str
        "table:name".
    hardware : Hardware
    clock : Clock
    limits : Limits
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
        limits: Limits,
        rule: Rule | None = None,
        setpoint_s: float = 600.0,
    ) -> None:
        self.name, self.hardware, self.clock, self.limits = name, hardware, clock, limits
        self.rule, self.setpoint_s = rule, setpoint_s
        self.table = name.partition(":")[0]
        self.expired = 0
        self._seen, self._seen_s = Seen(), -math.inf
        self._external: Any = None
        self._ends_s = -math.inf

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
        wrong = self._out_of_range(command.action, command.value)
        if wrong:
            return Reply(False, Refusal.MALFORMED, wrong)
        if not self.look().available:
            return Reply(False, Refusal.NOT_AVAILABLE, "the device does not answer")
        return None

    def actuate(self, command: Command) -> Reply:
        reply = self.hardware.write(command.action, command.value)
        self._seen_s = -math.inf
        if command.action == LENT.get(self.table) and (
            reply.accepted or reply.refusal is Refusal.UNREACHABLE  # it may have been taken
        ):
            self._external, self._ends_s = command.value, self.clock.monotonic_s() + self.setpoint_s
        return reply

    def revert(self) -> None:
        if self._external is not None:
            log.info("%s: back to the local rule", self.name)
        self._external = None

    # what the node does

    def step(self) -> None:
        """Let a set-point run out; where none is in force, set the device by the rule."""
        if self._external is not None and self.clock.monotonic_s() >= self._ends_s:
            self.expired += 1
            self.revert()
        if self.rule is None or self._external is not None:
            return
        seen = self.look()
        if seen.local or not seen.available:
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
                Reading(self.name, "available", seen.available and not seen.local, Quality.GOOD, stamp_s, now_s)
            )
        if self.rule is not None:
            who = "local rule" if self.by_rule else "controller"
            found.append(Reading(self.name, "set_by", who, Quality.GOOD, now_s, now_s))
        return found

    def _out_of_range(self, action: str, value: Any) -> str:
        """Return why a value cannot be, in words; "" where it can."""
        if action in ("open", "close", "form"):
            wanted = {"open": False, "close": True}.get(action)
            if not isinstance(value, bool) or (wanted is not None and value is not wanted):
                return f"{action} to {value!r}"
        elif action in ("transfer", "prefer"):
            if value is not None and value not in self.limits.positions:
                return f"{value!r} is none of {', '.join(self.limits.positions)}"
        elif action == "setpoint":
            return self._wrong_phases(value)
        else:
            lowest = -self.limits.p_max_kw if action == "power" else 0.0
            if not _is_number(value) or not lowest <= value <= self.limits.p_max_kw:
                return f"{value!r} is not from {lowest:g} to {self.limits.p_max_kw:g} kW"
        return ""

    def _wrong_phases(self, value: Any) -> str:
        parts = [value.get(name) for name in ("p_kw", "q_kvar")] if isinstance(value, dict) else []
        if len(parts) != 2 or not all(
            isinstance(part, list) and len(part) == 3 and all(map(_is_number, part)) for part in parts
        ):
            return 'not {"p_kw": [a, b, c], "q_kvar": [a, b, c]}'
        largest = max(math.hypot(p, q) for p, q in zip(*parts, strict=True))
        if largest > self.limits.s_max_kva * (1 + 1e-6):
            return f"{largest:g} kVA a phase, at most {self.limits.s_max_kva:g}"
        return ""


def _good(seen: Seen) -> Mapping[str, Any]:
    return {name: item.value for name, item in seen.values.items() if item.quality == Quality.GOOD}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
