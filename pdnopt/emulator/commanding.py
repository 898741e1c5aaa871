"""What a device takes from outside and what it refuses, and how long it needs: the devices' own rules, not a plan's.

A refusal says why. What is taken is scheduled: contacts move after the device's own time, and a device looks again at the
very moment at which it would join two sources.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.checker.plant_view import PASSING
from pdnopt.checker.tolerances import POWER_KW, RATING, TIME_S
from pdnopt.plant.tables import UPS_MODES
from pdnopt.protocols.commands import Refusal, Reply

if TYPE_CHECKING:
    from pdnopt.emulator.plant import EmulatedPlant

__all__ = ["LOAD_TABLES", "MODE_WORDS", "Panel"]

LOAD_TABLES = ("rack", "load", "asymmetric_load")
WORDS: dict[str, tuple[str, ...]] = {
    "switch": ("open", "close"),
    "transfer": ("transfer", "prefer"),
    "ups": ("mode",),
    "ext_grid": ("start", "stop"),
    "storage": ("power", "form"),
    "asymmetric_sgen": ("setpoint",),
    **dict.fromkeys(LOAD_TABLES, ("cap", "shed", "restore")),
}
MODE_WORDS = {
    "battery": "goes on battery",
    "online": "goes online",
    "eco": "goes to eco",
    "bypass": "goes to bypass",
    "off": "goes off",
}
INVERTER_S = 0.1
"""A micro-inverter follows a new set-point within so long (a grid-following current loop; a common value)."""


def _refuse(refusal: Refusal, detail: str) -> Reply:
    return Reply(False, refusal, detail)


@dataclass(frozen=True)
class Move:
    """What a device will do with a command that it takes, and when it will have done so; None: nothing."""

    takes_s: float = 0.0
    do: Callable[[], None] | None = None


NOTHING = Move()


class Panel:
    """The command side of every device of one plant."""

    def __init__(self, plant: EmulatedPlant) -> None:
        self.plant = plant
        self.moving: dict[str, float] = {}

    # --- what a device says it is

    def state_of(self, device: str, action: str) -> Any:
        """Return what the device itself knows to be true now, in the words of ``Command.expects``.

        Raises
        ------
        KeyError
            No such device or action.
        """
        w = self.plant.world
        table, k = self.row(device, action)
        if table == "switch":
            return bool(w.s.closed[k])
        if table == "transfer":
            here = int(w.s.tr_preferred[k]) if action == "prefer" else w.view.transfer_position(k, w.s.closed)
            return w.view.names["switch"][here] if here >= 0 else None
        if table == "ups":
            return str(w.s.mode[k])
        if table == "ext_grid":
            return bool(w.s.src_on[k])
        if table == "storage":
            return bool(w.s.st_forming[k]) if action == "form" else float(w.s.st_kw[k])
        if table == "asymmetric_sgen":
            return w.inverters.setpoint(device)
        return float(min(w.cap_kw[k], w.demand.d_kw[k]))

    def row(self, device: str, action: str) -> tuple[str, int]:
        """Return the table and row (of a rack or load: the unit) of a device. Raises KeyError."""
        table = device.partition(":")[0]
        if action not in WORDS.get(table, ()):
            raise KeyError(f"{device} has no action {action!r}")
        w = self.plant.world
        if table in LOAD_TABLES:
            return table, w.demand.at[device]
        if table == "asymmetric_sgen":
            return table, w.inverters.at[device]
        return table, w.view.at[table][device]

    # --- commands

    def take(self, device: str, action: str, value: Any) -> Reply:
        """Take a command or refuse it; what is taken is done in the device's own time."""
        move = self._answer(device, action, value)
        if isinstance(move, Reply):
            return move
        if move.do is None:
            return Reply(True)
        if self.plant.misbehaves(device, "no_move"):
            self.plant.ledger.say(self.plant.t_s, device, "does not move", "took the command and stays")
            return Reply(True)
        self.moving[device] = self.plant.t_s + move.takes_s
        self.plant.at(self.plant.t_s + move.takes_s, move.do)
        return Reply(True)

    def objection(self, device: str, action: str, value: Any) -> Reply | None:
        """Return how the device would refuse a command now, None where it would take it."""
        move = self._answer(device, action, value)
        return move if isinstance(move, Reply) else None

    def _answer(self, device: str, action: str, value: Any) -> Reply | Move:
        try:
            table, k = self.row(device, action)
        except KeyError as error:
            return _refuse(Refusal.MALFORMED, f"unknown device or action: {error.args[0]}")
        if device in self.plant.local:
            return _refuse(Refusal.LOCAL, "switched to local by an operator")
        if self.moving.get(device, -1.0) > self.plant.t_s + TIME_S:
            return _refuse(Refusal.NOT_AVAILABLE, "is moving")
        handler: Callable[[str, int, str, Any], Reply | Move] = {
            "switch": self._switch,
            "transfer": self._transfer,
            "ups": self._ups,
            "ext_grid": self._source,
            "storage": self._storage,
            "asymmetric_sgen": self._inverter,
        }.get(table, self._load)
        return handler(device, k, action, value)

    # --- switches

    def _switch(self, device: str, k: int, action: str, value: Any) -> Reply | Move:
        w, v, out = self.plant.world, self.plant.world.view, self.plant.world.outage
        close = action == "close"
        if not isinstance(value, bool | np.bool_) or bool(value) != close:
            return _refuse(Refusal.MALFORMED, f"{action} leads to {close}")
        if out.sw_locked[k] or v.sw_transfer[k] >= 0 or v.sw_ups[k] >= 0 or not v.sw_operable[k]:
            return _refuse(Refusal.NOT_AVAILABLE, "failed, locked out, or not to be moved by itself")
        if bool(w.s.closed[k]) == close:
            return NOTHING
        refused = self._may_close(k) if close else None
        return refused or Move(float(v.sw_t_s[k]), lambda: self._move_switch(device, k, close))

    def _may_close(self, k: int) -> Reply | None:
        """Return why a switch may not close now, None where it may."""
        w, v = self.plant.world, self.plant.world.view
        for group, most in zip(v.lock_rows, v.lock_max, strict=True):
            if k in group and int(w.s.closed[group].sum()) >= int(most):
                return _refuse(Refusal.INTERLOCK, f"{int(most)} of its interlock may be closed, and are")
        if not w.in_sync(int(v.wiring.sw_tail[k]), int(v.wiring.sw_head[k])):
            return _refuse(Refusal.NOT_IN_SYNC, "its two sides are live and not in synchronism")
        return None

    def _move_switch(self, device: str, k: int, close: bool) -> None:
        w, plant = self.plant.world, self.plant
        if w.outage.sw_locked[k]:
            plant.ledger.say(plant.t_s, device, "does not move", "locked out meanwhile")
            return
        refused = self._may_close(k) if close else None
        if refused is not None:
            plant.ledger.say(plant.t_s, device, "inhibits", refused.detail)
            return
        w.s.closed[k] = close
        plant.ledger.say(plant.t_s, device, "closes" if close else "opens")

    # --- transfer devices

    def _transfer(self, device: str, k: int, action: str, value: Any) -> Reply | Move:
        w, v, out = self.plant.world, self.plant.world.view, self.plant.world.outage
        rows = v.tr_positions[k]
        goal = v.at["switch"].get(str(value), -1) if value is not None else -1
        if (value is not None or action == "prefer") and goal not in rows:
            return _refuse(Refusal.MALFORMED, "not one of its positions")
        if action == "prefer":
            return Move(0.0, lambda: self._prefer(k, goal))
        here = v.transfer_position(k, w.s.closed)
        if out.tr_stuck[k] or (goal >= 0 and out.sw_locked[goal]) or (here >= 0 and out.sw_locked[here]):
            return _refuse(Refusal.NOT_AVAILABLE, "stuck, failed or locked out")
        if w.s.tr_goal[k] >= 0:
            return _refuse(Refusal.NOT_AVAILABLE, "is moving")
        if self.plant.t_s < w.s.tr_dwell_until[k] - TIME_S:
            return _refuse(
                Refusal.NOT_AVAILABLE, f"must dwell for {w.s.tr_dwell_until[k] - self.plant.t_s:.1f} s more"
            )
        if goal == here:
            return NOTHING
        if goal < 0:
            return Move(0.0, lambda: self._open_transfer(device, k))
        if v.tr_closed_transition[k] and here >= 0:
            feeds = v.tr_feeds[k]
            new, old = (int(feeds[rows == r][0]) for r in (goal, here))
            if w.now.live[new] and w.now.live[old] and w.in_sync(new, old):
                return Move(float(v.tr_s[k]), lambda: self._swap(device, k, here, goal))
        return Move(0.0, lambda: self.plant.transfers.begin(k, goal))

    def _prefer(self, k: int, goal: int) -> None:
        self.plant.world.s.tr_preferred[k] = goal

    def _open_transfer(self, device: str, k: int) -> None:
        w, plant = self.plant.world, self.plant
        w.s.closed[w.view.tr_positions[k]] = False
        w.s.tr_orphan[k] = False
        w.s.tr_dwell_until[k] = plant.t_s + w.view.tr_min_dwell_s[k]
        plant.ledger.say(plant.t_s, device, "opens")

    def _swap(self, device: str, k: int, here: int, goal: int) -> None:
        """Make before break, if the two sources are still in synchronism at this moment."""
        w, v, plant = self.plant.world, self.plant.world.view, self.plant
        rows, feeds = v.tr_positions[k], v.tr_feeds[k]
        new, old = (int(feeds[rows == r][0]) for r in (goal, here))
        if w.outage.tr_stuck[k] or w.outage.sw_locked[goal] or not w.s.closed[here]:
            plant.ledger.say(plant.t_s, device, "does not move", "locked out meanwhile")
        elif not (w.now.live[new] and w.in_sync(new, old)):
            plant.ledger.say(plant.t_s, device, "inhibits", "its two sources fell out of synchronism")
        else:
            w.s.closed[rows] = False
            w.s.closed[goal] = True
            w.s.tr_orphan[k] = False
            w.s.tr_dwell_until[k] = plant.t_s + v.tr_min_dwell_s[k]
            plant.ledger.say(plant.t_s, device, "transfers", f"to {v.names['switch'][goal]}, without a gap")

    # --- UPSs

    def _ups(self, device: str, k: int, action: str, value: Any) -> Reply | Move:
        v = self.plant.world.view
        if value not in UPS_MODES:
            return _refuse(Refusal.MALFORMED, "one of " + ", ".join(UPS_MODES))
        refused = self._may_run(k, value)
        if refused is not None:
            return refused
        takes_s = float(v.sw_t_s[v.ups_switch[k]]) if v.ups_switch[k] >= 0 else 0.0
        return Move(takes_s, lambda: self._run_ups(device, k, value))

    def _may_run(self, k: int, mode: str) -> Reply | None:
        w, v, out = self.plant.world, self.plant.world.view, self.plant.world.outage
        switch = int(v.ups_switch[k])
        fed = bool(w.now.live[v.ups_in[k]]) and not out.ups_no_rectifier[k]
        if out.ups_dead[k] or not v.ups_ok[k]:
            return _refuse(Refusal.NOT_AVAILABLE, "failed or out of service")
        if mode in ("online", "battery") and out.ups_no_inverter[k]:
            return _refuse(Refusal.NOT_AVAILABLE, "its inverter is not available")
        if mode == "online" and not fed:
            return _refuse(Refusal.NOT_AVAILABLE, "its input has no voltage, or its rectifier failed")
        if mode == "battery" and v.ups_e_kwh[k] <= 0:
            return _refuse(Refusal.NOT_AVAILABLE, "its battery is empty")
        if mode in PASSING and (switch < 0 or out.sw_locked[switch] or not w.now.live[v.ups_bypass_node[k]]):
            return _refuse(Refusal.NOT_AVAILABLE, "its static bypass does not work or has no voltage")
        running = w.s.mode[k] != "off"
        if mode == "off" or running or not w.now.live[v.ups_out[k]] or w.yields(int(v.ups_out[k])):
            return None
        if mode in PASSING and w.in_sync(int(v.ups_bypass_node[k]), int(v.ups_out[k])):
            return None
        return _refuse(Refusal.NOT_IN_SYNC, "its output is fed by another source")

    def _run_ups(self, device: str, k: int, mode: str) -> None:
        w, plant = self.plant.world, self.plant
        if mode == w.s.mode[k]:
            return
        refused = self._may_run(k, mode)
        if refused is not None:
            plant.ledger.say(plant.t_s, device, "inhibits", refused.detail)
            return
        w.set_mode(k, mode)
        w.s.ups_waiting[k] = False
        plant.ledger.say(plant.t_s, device, MODE_WORDS[mode], "by command")

    # --- sources, batteries, inverters

    def _source(self, device: str, k: int, action: str, value: Any) -> Reply | Move:
        w, v, out = self.plant.world, self.plant.world.view, self.plant.world.outage
        on = action == "start"
        if not isinstance(value, bool | np.bool_) or bool(value) != on:
            return _refuse(Refusal.MALFORMED, f"{action} leads to {on}")
        if not v.src_genset[k] or not v.src_ok[k] or out.src_dead[k]:
            return _refuse(Refusal.NOT_AVAILABLE, "not a genset, failed, or out of service")
        if bool(w.s.src_on[k]) == on:
            return NOTHING
        if on and not w.in_sync_if_started(k):
            return _refuse(Refusal.NOT_IN_SYNC, "its breaker is closed on a live bus")
        return Move(float(v.src_start_s[k]) if on else 0.0, lambda: self._run_source(device, k, on))

    def _run_source(self, device: str, k: int, on: bool) -> None:
        w, plant = self.plant.world, self.plant
        if w.outage.src_dead[k] or (on and not w.in_sync_if_started(k)):
            plant.ledger.say(plant.t_s, device, "inhibits", "failed, or its bus is live by now")
            return
        w.s.src_on[k] = on
        plant.ledger.say(plant.t_s, device, "starts" if on else "stops")

    def _storage(self, device: str, k: int, action: str, value: Any) -> Reply | Move:
        v, out = self.plant.world.view, self.plant.world.outage
        if out.st_dead[k] or not v.st_ok[k]:
            return _refuse(Refusal.NOT_AVAILABLE, "failed or out of service")
        if action == "form":
            if not isinstance(value, bool | np.bool_):
                return _refuse(Refusal.MALFORMED, "true or false")
            if value and not v.st_forms[k]:
                return _refuse(Refusal.NOT_AVAILABLE, "it cannot form an island")
            return Move(0.0, lambda: self._form(device, k, bool(value)))
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            return _refuse(Refusal.MALFORMED, "a finite number of kW")
        low, high = v.st_min_kw[k] * (1 + RATING) - POWER_KW, v.st_max_kw[k] * (1 + RATING) + POWER_KW
        if not low <= value <= high:
            return _refuse(Refusal.MALFORMED, f"{v.st_min_kw[k]:g} to {v.st_max_kw[k]:g} kW")
        return Move(0.0, lambda: self._power(device, k, float(value)))

    def _form(self, device: str, k: int, on: bool) -> None:
        w = self.plant.world
        w.s.st_forming[k], w.s.st_held[k] = on, not on
        self.plant.ledger.say(self.plant.t_s, device, "holds its island" if on else "leaves its island")

    def _power(self, device: str, k: int, kw: float) -> None:
        self.plant.world.s.st_kw[k] = kw
        self.plant.ledger.say(self.plant.t_s, device, "power", f"{kw:g} kW")

    def _inverter(self, device: str, k: int, action: str, value: Any) -> Reply | Move:
        parts = [value.get(name) for name in ("p_kw", "q_kvar")] if isinstance(value, dict) else []
        if not self.plant.world.inverters.on[k]:
            return _refuse(Refusal.NOT_AVAILABLE, "failed or out of service")
        good = len(parts) == 2 and all(
            isinstance(part, list)
            and len(part) == 3
            and all(isinstance(x, int | float) and isfinite(x) for x in part)
            for part in parts
        )
        if not good:
            return _refuse(Refusal.MALFORMED, '{"p_kw": [a, b, c], "q_kvar": [a, b, c]}')
        limit = self.plant.world.inverters.s_max_kva[k] * (1 + RATING) + POWER_KW
        if np.hypot(*np.asarray(parts, dtype=float)).max() > limit:
            return _refuse(Refusal.MALFORMED, f"at most {limit:g} kVA a phase")
        return Move(INVERTER_S, lambda: self._set_inverter(device, value))

    def _set_inverter(self, device: str, value: Any) -> None:
        self.plant.world.inverters.set(device, value)
        self.plant.ledger.say(self.plant.t_s, device, "setpoint")

    # --- loads

    def _load(self, device: str, k: int, action: str, value: Any) -> Reply | Move:
        w = self.plant.world
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float | np.floating)
            or not isfinite(value)
            or value < 0
        ):
            return _refuse(Refusal.MALFORMED, "a finite number of kW, 0 or more")
        d = w.demand
        if value < d.d_kw[k] * (1 - RATING) and not d.sheddable[k] and value < d.floor_kw[k] * (1 - RATING):
            return _refuse(
                Refusal.NOT_AVAILABLE, f"it keeps at least {d.floor_kw[k]:g} kW: it may not be shed"
            )
        return Move(0.0, lambda: self._limit(device, k, action, float(value)))

    def _limit(self, device: str, k: int, action: str, kw: float) -> None:
        w = self.plant.world
        full = action == "restore" and kw >= w.demand.d_kw[k] * (1 - RATING)
        w.cap_kw[k] = np.inf if full else kw
        self.plant.ledger.say(
            self.plant.t_s,
            device,
            action,
            f"to {kw:g} kW",
            float(w.demand.d_kw[k] - min(kw, w.demand.d_kw[k])),
        )
