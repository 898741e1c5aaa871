"""Ground truth of one run: what was not served, what tripped, what moved, which limits were passed and for how long."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.checker.tolerances import RATING
from pdnopt.emulator.world import Snapshot, World
from pdnopt.units import S_PER_H

__all__ = ["Happening", "Ledger", "Violation"]


@dataclass(frozen=True)
class Happening:
    """One thing that happened.

    Attributes
    ----------
    t_s : float
        Seconds since the start.
    component : str
    what : str
        "fails", "is restored", "trips", "goes to bypass", "goes off", "goes on battery", "goes online", "transfers",
        "opens", "closes", "stalls open", "does not move", "inhibits", "starts", "stops", "battery empty", "fuel empty",
        "has no power flow", "interrupted", "is back", "cap", "shed", "restore", ...
    detail : str
    kw : float
        Load that it concerns.
    """

    t_s: float
    component: str
    what: str
    detail: str = ""
    kw: float = 0.0


@dataclass
class Violation:
    """How long one limit was passed, and how far: ``worst`` is the load over what is allowed for ever."""

    seconds: float = 0.0
    worst: float = 1.0


TRIPS = ("trips", "overloaded, goes to bypass", "overloaded, goes off")


@dataclass
class Ledger:
    """What a run did to the load and to the plant.

    Attributes
    ----------
    happenings : list of Happening
        In order of time.
    unserved_kwh : dict of int to float
        By priority: demand that was not served, shed and capped power included.
    interrupted_kw : dict of int to float
        By priority: load that lost voltage for longer than its hold-up, each time it did.
    violations : dict of str to Violation
        By "component" (loading, beyond ``max_loading_percent``), "component voltage", "component cord" or
        "component load step".
    commands : Counter
        "accepted" and each reason of refusal.
    """

    happenings: list[Happening] = field(default_factory=list)
    unserved_kwh: dict[int, float] = field(default_factory=dict)
    interrupted_kw: dict[int, float] = field(default_factory=dict)
    violations: dict[str, Violation] = field(default_factory=dict)
    commands: Counter[str] = field(default_factory=Counter)

    def say(self, t_s: float, component: str, what: str, detail: str = "", kw: float = 0.0) -> None:
        """Write one happening down."""
        self.happenings.append(Happening(t_s, component, what, detail, kw))

    def pass_time(self, world: World, snap: Snapshot, dt_s: float) -> None:
        """Add up what one stretch of time without any change costs."""
        missing = np.maximum(world.demand.d_kw - snap.served_kw, 0.0)
        for p in np.unique(world.demand.priority):
            kwh = float(missing[world.demand.priority == p].sum()) * dt_s / S_PER_H
            self.unserved_kwh[int(p)] = self.unserved_kwh.get(int(p), 0.0) + kwh
        for group in snap.groups:
            stress = group.ratio[0] / group.limit
            for k in np.flatnonzero(stress > 1 + RATING):
                self.over(group.names[k], float(stress[k]), dt_s)
        if not snap.converged:
            return
        v, view = snap.flow.vm_pu[0], world.view
        with np.errstate(invalid="ignore", divide="ignore"):
            stress = np.maximum(
                v / view.bus_max_pu, np.where(np.isfinite(view.bus_min_pu), view.bus_min_pu, 0.0) / v
            )
        for k in np.flatnonzero(np.nan_to_num(stress) > 1 + RATING):
            self.over(f"{view.names['bus'][k]} voltage", float(stress[k]), dt_s)
        d = world.demand
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.fmax(d.breaker_part(snap.cord_kw, snap.cord_kvar, 0.0), snap.cord_kw / d.max_kw)
        for k in np.flatnonzero(np.nan_to_num(part) > 1 + RATING):
            self.over(f"{d.cord_name[k]} cord", float(part[k]), dt_s)

    def over(self, what: str, stress: float, dt_s: float) -> None:
        """Note that a limit is passed for so long."""
        found = self.violations.setdefault(what, Violation())
        found.seconds += dt_s
        found.worst = max(found.worst, stress)

    def interrupt(self, world: World, units: np.ndarray, t_s: float) -> None:
        """Note the units that have just lost voltage for longer than their hold-up."""
        for k in units:
            kw = float(min(world.demand.d_kw[k], world.cap_kw[k]))
            priority = int(world.demand.priority[k])
            self.interrupted_kw[priority] = self.interrupted_kw.get(priority, 0.0) + kw
            self.say(t_s, world.demand.name[k], "interrupted", f"priority {priority}", kw)

    @property
    def trips(self) -> list[Happening]:
        """Protection that acted on an overload, and UPSs that their overload sent to bypass or off."""
        return [item for item in self.happenings if item.what in TRIPS]

    @property
    def transfers(self) -> list[Happening]:
        """Transfer devices that moved."""
        return [item for item in self.happenings if item.what == "transfers"]

    def to_dict(self) -> dict[str, Any]:
        """Return the sums as plain values."""
        return {
            "unserved_kwh": {str(k): v for k, v in sorted(self.unserved_kwh.items())},
            "interrupted_kw": {str(k): v for k, v in sorted(self.interrupted_kw.items())},
            "trips": [(item.t_s, item.component, item.what) for item in self.trips],
            "transfers": len(self.transfers),
            "moves": sum(
                item.what in ("transfers", "opens", "closes", "starts", "stops") for item in self.happenings
            ),
            "violations": {k: (v.seconds, v.worst) for k, v in sorted(self.violations.items())},
            "commands": dict(self.commands),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return every happening, one a row."""
        columns = ["t_s", "component", "what", "detail", "kw"]
        return pd.DataFrame(
            [[getattr(item, c) for c in columns] for item in self.happenings], columns=columns
        )
