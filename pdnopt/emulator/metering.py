"""What the meters of a plant show: the truth, except where a fault makes them lie."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.plant.names import component_names
from pdnopt.protocols.readings import Quality, Reading

if TYPE_CHECKING:
    from pdnopt.emulator.plant import EmulatedPlant

__all__ = ["LIES", "Lie", "Meters"]

LIES = ("noisy", "missing", "frozen", "biased", "disagreeing")
TABLES = (
    "transfer",
    "switch",
    "ups",
    "ext_grid",
    "load",
    "asymmetric_load",
    "rack",
    "storage",
    "asymmetric_sgen",
    "bus",
    "line",
    "trafo",
)


@dataclass(frozen=True)
class Lie:
    """How one device's meter is wrong.

    Attributes
    ----------
    kind : str
        "noisy": numbers get relative noise of standard deviation ``size``; "missing": nothing comes; "frozen": the
        values of the moment at which it began, under fresh stamps; "biased": numbers times ``1 + size``;
        "disagreeing": the same, on one of several communication paths only (``path``).
    size : float
    quantity : str
        Only this one; "" = all of the device.
    path : str
        Only what comes by this path; "" = by any.
    """

    kind: str
    size: float = 0.0
    quantity: str = ""
    path: str = ""


class Meters:
    """The meters of one plant."""

    def __init__(self, plant: EmulatedPlant, seed: int) -> None:
        self.plant = plant
        self._rng = np.random.default_rng(seed)
        self._lies: dict[str, list[Lie]] = {}
        self._frozen: dict[tuple[str, str], Any] = {}
        self.skew_s: dict[str, float] = {}
        net, demand = plant.world.net, plant.world.demand
        self._cord = {name: k for k, name in enumerate(demand.cord_name)}
        self._unit = demand.at
        names: list[str] = []
        for table in TABLES:
            if table == "rack":
                names += [name for name in demand.name if name.startswith("rack:")]
            elif table in ("load", "asymmetric_load"):
                names += [name for name in demand.cord_name if name.startswith(f"{table}:")]
            elif table == "ext_grid":
                companion = plant.world.view.src_companion
                names += [
                    n for n, is_one in zip(component_names(net, table), companion, strict=True) if not is_one
                ]
            else:
                names += component_names(net, table)
        self.devices = tuple(names)
        self._known = frozenset(names)

    # --- faults

    def lie(self, device: str, lie: Lie) -> None:
        """Let a device's meter be wrong from now on.

        Raises
        ------
        InputError
            Unknown device or kind.
        """
        if device not in self.devices:
            raise InputError(
                Issue("InvalidId", "lie", device, device, "a device of this plant", "Correct the name.")
            )
        if lie.kind not in LIES:
            raise InputError(Issue("Enum", "lie", device, lie.kind, " or ".join(LIES), "Correct the kind."))
        if lie.kind == "frozen":
            for quantity, value in self.truth(device).items():
                self._frozen[device, quantity] = value
        self._lies.setdefault(device, []).append(lie)

    def tell_the_truth(self, device: str) -> None:
        """Repair a device's meter and its clock."""
        self._lies.pop(device, None)
        self.skew_s.pop(device, None)

    def silent(self, device: str) -> bool:
        """Whether nothing comes from a device at all."""
        return any(lie.kind == "missing" and not lie.quantity for lie in self._lies.get(device, ()))

    # --- readings

    def read(self, devices: Iterable[str], path: str = "") -> list[Reading]:
        """Return every quantity of the devices, as their meters show it."""
        out: list[Reading] = []
        now = self.plant.utc_s
        for device in devices:
            if device not in self._known:
                out.append(
                    Reading(device, "available", None, Quality.MISSING, now, now, path, "no such device")
                )
                continue
            stamp = now + self.skew_s.get(device, 0.0)
            lies = [lie for lie in self._lies.get(device, ()) if lie.path in ("", path)]
            for quantity, true in self.truth(device).items():
                value, quality, detail = self._shown(device, quantity, true, lies)
                out.append(Reading(device, quantity, value, quality, stamp, now, path, detail))
        return out

    def _shown(self, device: str, quantity: str, value: Any, lies: list[Lie]) -> tuple[Any, Quality, str]:
        for lie in lies:
            if lie.quantity not in ("", quantity):
                continue
            number = isinstance(value, float)
            if lie.kind == "missing":
                return None, Quality.MISSING, "no answer"
            if lie.kind == "frozen":
                value = self._frozen.get((device, quantity), value)
            elif number and lie.kind == "noisy":
                value = value * (1.0 + lie.size * float(self._rng.standard_normal()))
            elif number:
                value = value * (1.0 + lie.size)
        return value, Quality.GOOD, ""

    def truth(self, device: str) -> dict[str, Any]:
        """Return what is really so, by quantity. Raises KeyError for an unknown device."""
        table = device.partition(":")[0]
        if table in ("load", "asymmetric_load", "rack"):
            return self._load(device, table)
        return getattr(self, f"_{table}")(device)  # type: ignore[no-any-return]

    def _load(self, device: str, table: str) -> dict[str, Any]:
        w, snap = self.plant.world, self.plant.snapshot()
        if table == "rack":
            u = self._unit[device]
            out: dict[str, Any] = {"p_kw": float(snap.served_kw[u]), "fed": bool(self.plant.fed[u])}
        else:
            k = self._cord[device]
            u = int(w.demand.unit[k])  # of a cord of a rack: limit and restart are the rack's
            broken = w.outage.row_dead["load" if w.demand.table[k] == 0 else "asymmetric_load"]
            out = {
                "p_kw": float(snap.cord_kw[k]),
                "q_kvar": float(snap.cord_kvar[k]),
                "fed": bool(self.plant.living[k]),
                "available": not bool(broken[w.demand.row[k]]),
            }
        cap_kw = float(w.cap_kw[u])
        out["limit_kw"] = cap_kw if np.isfinite(cap_kw) else None
        out["up"] = not bool(w.down[u])
        return out

    def _transfer(self, device: str) -> dict[str, Any]:
        w = self.plant.world
        k = w.view.at["transfer"][device]
        here = w.view.transfer_position(k, w.s.closed)
        preferred = int(w.s.tr_preferred[k])
        name = w.view.names["switch"]
        return {
            "position": name[here] if here >= 0 else None,
            "preferred": name[preferred] if preferred >= 0 else None,
            "moving": bool(w.s.tr_goal[k] >= 0),
            "dwell_left_s": float(max(w.s.tr_dwell_until[k] - self.plant.t_s, 0.0)),
            "available": not bool(w.outage.tr_stuck[k]) and device not in self.plant.local,
        }

    def _switch(self, device: str) -> dict[str, Any]:
        w = self.plant.world
        k = w.view.at["switch"][device]
        return {
            "closed": bool(w.s.closed[k]),
            "p_kw": _number(self.plant.snapshot().flow.switch_p_kw[0, k]),
            "overload_used": float(min(self.plant.clocks.used["switch"][k], 1.0)),
            "available": not bool(w.outage.sw_locked[k]) and device not in self.plant.local,
        }

    def _ups(self, device: str) -> dict[str, Any]:
        w, v, snap = self.plant.world, self.plant.world.view, self.plant.snapshot()
        k = v.at["ups"][device]
        size = w.ups_size_kwh[k]
        return {
            "mode": str(w.s.mode[k]),
            "p_kw": _number(snap.flow.ups_p_out_kw[0, k]),
            "q_kvar": _number(snap.flow.ups_q_out_kvar[0, k]),
            "p_in_kw": _number(snap.flow.ups_p_in_kw[0, k]),
            "soc_percent": float(100.0 * v.ups_e_kwh[k] / size) if size > 0 else 0.0,
            "temperature_c": float(v.ups_temperature_c[k]),
            "on_battery": bool(snap.on_battery[k]),
            "overload_used": float(min(self.plant.clocks.used["ups"][k], 1.0)),
            "rectifier_ok": not bool(w.outage.ups_no_rectifier[k] or w.outage.ups_dead[k]),
            "inverter_ok": not bool(w.outage.ups_no_inverter[k] or w.outage.ups_dead[k]),
            "modules_part": float(w.outage.ups_factor[k]),
            "bypass_ok": bool(v.ups_switch[k] >= 0) and not bool(w.outage.sw_locked[v.ups_switch[k]]),
            "available": not bool(w.outage.ups_dead[k])
            and bool(v.ups_ok[k])
            and device not in self.plant.local,
        }

    def _ext_grid(self, device: str) -> dict[str, Any]:
        w, v = self.plant.world, self.plant.world.view
        k = v.at["ext_grid"][device]
        return {
            "running": bool(w.s.src_on[k]),
            "p_kw": _number(self.plant.snapshot().flow.ext_grid_p_kw[0, k]),
            "available": bool(v.src_ok[k])
            and not bool(w.outage.src_dead[k])
            and device not in self.plant.local,
        }

    def _storage(self, device: str) -> dict[str, Any]:
        w, v = self.plant.world, self.plant.world.view
        k = v.at["storage"][device]
        p_kw = float(w.s.st_kw[k])
        if w.s.st_forming[k]:
            p_kw = -_number(self.plant.snapshot().flow.ext_grid_p_kw[0, v.st_src[k]])
        elif not w.now.live[v.st_node[k]]:
            p_kw = 0.0
        size = float(v.st_size_kwh[k])
        return {
            "p_kw": p_kw,
            "setpoint_kw": float(w.s.st_kw[k]),
            "forming": bool(w.s.st_forming[k]),
            "soc_percent": 100.0 * float(v.st_now_kwh[k]) / size if np.isfinite(size) and size > 0 else 100.0,
            "available": bool(v.st_ok[k])
            and not bool(w.outage.st_dead[k])
            and device not in self.plant.local,
        }

    def _asymmetric_sgen(self, device: str) -> dict[str, Any]:
        inverters = self.plant.world.inverters
        return {
            "setpoint": inverters.setpoint(device),
            "available": bool(inverters.on[inverters.at[device]]) and device not in self.plant.local,
        }

    def _bus(self, device: str) -> dict[str, Any]:
        w = self.plant.world
        k = w.view.at["bus"][device]
        return {
            "vm_pu": _number(self.plant.snapshot().flow.vm_pu[0, k]),
            "fed": bool(w.now.live[k]),
            "available": not bool(w.outage.node_dead[k]),
        }

    def _line(self, device: str) -> dict[str, Any]:
        w, flow = self.plant.world, self.plant.snapshot().flow
        k = w.view.at["line"][device]
        return {
            "loading_percent": _number(flow.line_loading_percent[0, k]),
            "overload_used": float(min(self.plant.clocks.used["line"][k], 1.0)),
            "available": not bool(w.outage.line_out[k]),
        }

    def _trafo(self, device: str) -> dict[str, Any]:
        w, flow = self.plant.world, self.plant.snapshot().flow
        k = w.view.at["trafo"][device]
        return {
            "loading_percent": _number(flow.trafo_loading_percent[0, k]),
            "overload_used": float(min(self.plant.clocks.used["trafo"][k], 1.0)),
            "available": not bool(w.outage.trafo_out[k]),
        }


def _number(value: Any) -> float:
    number = float(value)
    return number if np.isfinite(number) else 0.0
