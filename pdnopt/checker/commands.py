"""What a plan may tell a device: known names, valid words, a device that can do it, the state that it
expects.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pdnopt.checker import tolerances as tol
from pdnopt.checker.demand_view import DemandView
from pdnopt.checker.findings import Findings
from pdnopt.checker.load_commands import LOAD_TABLES, LOAD_WORDS, LoadCommands, is_number
from pdnopt.checker.outage import Outage
from pdnopt.checker.plant_view import PASSING, PlantView
from pdnopt.checker.situation import Situation, Supply
from pdnopt.checker.synchronism import labels
from pdnopt.plant.tables import UPS_MODES

__all__ = ["WORDS", "Commands"]

WORDS: dict[str, tuple[str, ...]] = {
    "switch": ("open", "close"),
    "transfer": ("transfer", "prefer"),
    "ups": ("mode",),
    "ext_grid": ("start", "stop"),
    "storage": ("power", "form"),
    **dict.fromkeys(LOAD_TABLES, LOAD_WORDS),
}
MEANS = {"open": False, "close": True, "start": True, "stop": False}


class Commands:
    """Judges single commands. Findings go to ``findings`` under the path of their step."""

    def __init__(self, view: PlantView, demand: DemandView, out: Outage, findings: Findings) -> None:
        self.view, self.demand, self.out, self.findings = view, demand, out, findings

    def position(self, device: str) -> int | None:
        """Return the row (or unit) of a device, None for a name that this plant does not have."""
        table = device.partition(":")[0]
        if table in LOAD_TABLES:
            return self.demand.at.get(device)
        return self.view.at.get(table, {}).get(device) if table in WORDS else None

    def well_formed(self, item: Any) -> bool:
        """Return whether a command can be carried out at all; else it is a finding and is left out."""
        path = f"plan.step[{item.step}]"
        table = str(item.device).partition(":")[0]
        k = self.position(str(item.device))
        if k is None:
            self.findings.add(
                "UnknownDevice",
                path,
                str(item.device),
                item.device,
                "a device of this network",
                "Solve again for it.",
            )
            return False
        if item.action not in WORDS[table]:
            allowed = " or ".join(WORDS[table])
            self.findings.add(
                "BadAction", path, item.device, item.action, allowed, "Correct the action's word."
            )
            return False
        word, after = item.action, item.after
        if word in MEANS or word == "form":
            good = isinstance(after, bool | np.bool_) and (word == "form" or bool(after) == MEANS[word])
            allowed = "true or false, as the action's word says"
        elif word == "mode":
            good, allowed = after in UPS_MODES, " or ".join(UPS_MODES)
        elif word in ("transfer", "prefer"):
            row = self.view.at["switch"].get(str(after), -1)
            good = (after is None and word == "transfer") or row in self.view.tr_positions[k]
            allowed = "one of its own positions" + (", or None" if word == "transfer" else "")
        else:
            good = is_number(after) and np.isfinite(after) and (word == "power" or after >= 0)
            allowed = "a finite number of kW"
        if not good:
            self.findings.add(
                "BadAction", path, item.device, after, allowed, "Correct what the action leads to."
            )
        return good

    def check_all(self, s: Situation, now: Supply, items: list[Any]) -> LoadCommands | None:
        """Judge commands that are given together, all to units or none; return those to units as arrays."""
        if items[0].device.partition(":")[0] in LOAD_TABLES:
            loads = LoadCommands.of(items, self.demand)
            loads.check(s, now, self.demand, self.out, self.findings)
            return loads
        for item in items:
            self.check(s, now, item)
        return None

    def check(self, s: Situation, now: Supply, item: Any) -> None:
        """Judge one command, not to a unit, against the situation in which it is given."""
        k = self.position(item.device)
        if k is None:
            return
        table = item.device.partition(":")[0]
        self._before(s, item, table, k)
        judge = {
            "switch": self._switch,
            "transfer": self._transfer,
            "ups": self._ups,
            "ext_grid": self._source,
            "storage": self._storage,
        }[table]
        judge(s, now, item, k)

    def _add(self, kind: str, item: Any, value: Any, allowed: str, todo: str) -> None:
        self.findings.add(kind, f"plan.step[{item.step}]", item.device, value, allowed, todo)

    def _before(self, s: Situation, item: Any, table: str, k: int) -> None:
        v = self.view
        actual: Any
        if table == "switch":
            actual = bool(s.closed[k])
        elif table == "transfer":
            row = int(s.tr_preferred[k]) if item.action == "prefer" else v.transfer_position(k, s.closed)
            actual = v.names["switch"][row] if row >= 0 else None
        elif table == "ups":
            actual = str(s.mode[k])
        elif table == "ext_grid":
            actual = bool(s.src_on[k])
        else:
            actual = bool(s.st_forming[k]) if item.action == "form" else float(s.st_kw[k])
        if isinstance(actual, float):
            slack = tol.SETPOINT * abs(actual) + tol.POWER_KW
            same = is_number(item.before) and abs(item.before - actual) <= slack
        elif table == "transfer" and item.before is not None:
            same = v.at["switch"].get(str(item.before), -1) == v.at["switch"].get(str(actual), -2)
        else:
            same = bool(item.before == actual)
        if not same:
            self._add(
                "StateMismatch",
                item,
                item.before,
                f"before = {actual!r}, as it stands then",
                "Solve again from the state as it is.",
            )

    def _switch(self, s: Situation, now: Supply, item: Any, k: int) -> None:
        v, out = self.view, self.out
        if out.sw_failed[k]:
            self._add(
                "FailedUsed",
                item,
                item.action,
                "no command to a failed or locked-out switch",
                "Leave it open.",
            )
        elif out.sw_locked[k]:
            self._add("NotOperable", item, item.action, "no command to a stuck switch", "Find another way.")
        elif v.sw_transfer[k] >= 0 or v.sw_ups[k] >= 0:
            owner = (
                v.names["transfer"][v.sw_transfer[k]]
                if v.sw_transfer[k] >= 0
                else v.names["ups"][v.sw_ups[k]]
            )
            self._add("NotOperable", item, item.action, f"moved by {owner} only", f"Command {owner} instead.")
        elif not v.sw_operable[k]:
            self._add(
                "NotOperable", item, item.action, "a switch that is remote and operable", "Find another way."
            )
        if item.after and not s.closed[k]:
            a, b = v.wiring.sw_tail[k], v.wiring.sw_head[k]
            self._joins(s, now, item, int(a), int(b))
            for node in (a, b):
                self._ready(s, now, item, int(node))

    def _joins(self, s: Situation, now: Supply, item: Any, a: int, b: int) -> None:
        """Two live parts may only be joined in synchronism (rule 7)."""
        if not (now.live[a] and now.live[b]) or now.part[a] == now.part[b]:
            return
        heads = now.by_part()
        if any(heads[int(now.part[n])][0][0] == "storage" for n in (a, b)):
            return  # an island-forming inverter synchronises before it hands over
        sync = labels(self.view, self.out, s, now)
        if sync[int(now.part[a])] != sync[int(now.part[b])]:
            todo = "Open the way to one of the two sources first."
            self._add(
                "NotInSync", item, item.action, "joining live parts only if they are in synchronism", todo
            )

    def _ready(self, s: Situation, now: Supply, item: Any, node: int) -> None:
        """A genset may be closed in only when it runs (rule 4)."""
        v = self.view
        if now.live[node]:
            return
        stopped = v.src_genset & v.src_ok & ~self.out.src_dead & ~s.src_on
        for k in np.flatnonzero(stopped):
            if now.part[v.src_node[k]] == now.part[node]:
                name = v.names["ext_grid"][k]
                self._add(
                    "GensetNotReady",
                    item,
                    name,
                    f"{name} started {v.src_start_s[k]:g} s earlier",
                    "Start it first, and wait.",
                )

    def _transfer(self, s: Situation, now: Supply, item: Any, k: int) -> None:
        v, out = self.view, self.out
        rows = v.tr_positions[k]
        goal = v.at["switch"].get(str(item.after), -1) if item.after is not None else -1
        if item.action == "prefer":
            if out.sw_failed[goal]:
                self._add("FailedUsed", item, item.after, "a position that has not failed", "Choose another.")
            return
        if len(rows) and out.sw_failed[rows].all():
            self._add("FailedUsed", item, item.after, "no command to a failed transfer", "Find another way.")
            return
        if out.tr_stuck[k]:
            self._add(
                "NotOperable",
                item,
                item.after,
                "a transfer that is in service and not stuck",
                "Find another way.",
            )
            return
        if item.t_s - v.tr_s[k] < s.tr_dwell_until[k] - tol.TIME_S:
            allowed = f"not before {s.tr_dwell_until[k]:g} s (minimum dwell)"
            self._add("Dwell", item, item.t_s, allowed, "Wait for the dwell time to end.")
        if goal >= 0:
            if out.sw_locked[goal]:
                self._add(
                    "FailedUsed",
                    item,
                    item.after,
                    "a position that is not locked out",
                    "Choose another position.",
                )
            self._ready(s, now, item, int(v.tr_feeds[k][rows == goal][0]))
        here = v.transfer_position(k, s.closed)
        if here >= 0 and out.sw_locked[here]:
            self._add(
                "NotOperable", item, item.after, "a position that can open (it is stuck)", "Find another way."
            )

    def _ups(self, s: Situation, now: Supply, item: Any, k: int) -> None:
        v, out, mode = self.view, self.out, item.after
        if out.ups_dead[k]:
            self._add("FailedUsed", item, mode, "no command to a failed UPS", "Leave it off.")
            return
        if not v.ups_ok[k]:
            self._add("NotOperable", item, mode, "a UPS that is in service", "Leave it off.")
            return
        if mode in ("online", "battery") and out.ups_no_inverter[k]:
            self._add(
                "UpsMode", item, mode, "bypass or off: its inverter is not available", "Leave it in bypass."
            )
        elif mode == "online":
            if out.ups_no_rectifier[k]:
                self._add(
                    "UpsMode",
                    item,
                    mode,
                    "battery, bypass or off: its rectifier has failed",
                    "Use its bypass.",
                )
            elif not now.live[v.ups_in[k]]:
                self._add("UpsMode", item, mode, "online only with a live input", "Feed its input first.")
        elif mode == "battery" and v.ups_e_kwh[k] <= 0:
            self._add("UpsMode", item, mode, "battery only with energy in it", "Use its bypass.")
        elif mode in PASSING:
            switch = v.ups_switch[k]
            if switch < 0 or out.sw_locked[switch]:
                self._add("UpsMode", item, mode, "a static bypass that works", "Find another way.")
            elif not now.live[v.ups_bypass_node[k]]:
                self._add(
                    "UpsMode", item, mode, "bypass only with a live bypass bus", "Feed its bypass first."
                )

    def _source(self, s: Situation, now: Supply, item: Any, k: int) -> None:
        v, out = self.view, self.out
        if out.src_dead[k]:
            self._add("FailedUsed", item, item.action, "no command to a failed source", "Find another way.")
        elif not v.src_genset[k] or not v.src_ok[k]:
            self._add(
                "NotOperable",
                item,
                item.action,
                "a genset that is in service",
                "Only gensets start and stop.",
            )

    def _storage(self, s: Situation, now: Supply, item: Any, k: int) -> None:
        v, out = self.view, self.out
        if out.st_dead[k]:
            self._add("FailedUsed", item, item.after, "no command to a failed battery", "Find another way.")
        elif not v.st_ok[k]:
            self._add("NotOperable", item, item.after, "a battery that is in service", "Find another way.")
        elif item.action == "form":
            if item.after and not v.st_forms[k]:
                self._add("NotOperable", item, True, "a battery that is grid-forming", "Find another way.")
        else:
            low, high = v.st_min_kw[k] * (1 + tol.RATING), v.st_max_kw[k] * (1 + tol.RATING)
            if not low - tol.POWER_KW <= item.after <= high + tol.POWER_KW:
                allowed = f"{v.st_min_kw[k]:g} to {v.st_max_kw[k]:g} kW"
                self._add("StorageLimit", item, item.after, allowed, "Stay within its limits.")
