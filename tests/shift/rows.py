"""Small plants of UPSs that feed racks through transfer devices: few enough states to try all of them."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd

from pdnopt.plant import (
    create_empty_plant,
    create_rack,
    create_storage,
    create_switch,
    create_transfer,
    create_ups,
    create_utility,
)

__all__ = ["Drawn", "draw", "row"]

KV = 0.4


def row(
    ups_kw: list[float],
    racks: list[dict[str, Any]],
    fixed: list[dict[str, Any]] | None = None,
    batteries: list[dict[str, Any]] | None = None,
) -> Any:
    """Build a plant.

    Parameters
    ----------
    ups_kw : list of float
        Rating of each UPS, named UPS-A, UPS-B, ...; each has a utility feed of its own.
    racks : list of dict
        One device each with one single-corded rack behind it: kw, priority, sources (indices of UPSs), on (position) and
        columns of net.transfer (transfer_ms, auto, fail_auto, fail_move, move_cost, min_dwell_s).
    fixed : list of dict
        Racks on UPS boards: kw, priority, boards (one or two indices).
    batteries : list of dict
        device (index), and keywords of create_storage.
    """
    net = create_empty_plant("shift row")
    boards = []
    for k, kw in enumerate(ups_kw):
        name = "ABCDEFG"[k]
        grid, main, out = (pp.create_bus(net, KV, name=f"{what} {name}") for what in ("grid", "main", "out"))
        create_utility(net, grid, f"Utility-{name}", max_p_mw=10.0)
        create_switch(net, grid, main, f"Q{name}")
        create_ups(
            net,
            main,
            out,
            f"UPS-{name}",
            p_rated_mw=kw / 1000.0,
            s_rated_mva=kw / 1000.0,
            e_max_mwh=kw / 6000.0,
        )
        boards.append(out)
    outputs = []
    for k, rack in enumerate(racks):
        bus = pp.create_bus(net, KV, name=f"out {k + 1}")
        outputs.append(bus)
        index = create_transfer(
            net,
            bus,
            [boards[source] for source in rack["sources"]],
            f"T{k + 1}",
            closed_on=rack.get("on", 0),
            preferred=rack.get("preferred", rack.get("on", 0)),
            transfer_ms=rack.get("transfer_ms", 4.0),
            auto=rack.get("auto", True),
            min_dwell_s=rack.get("min_dwell_s", 0.0),
        )
        for column in ("fail_auto", "fail_move", "move_cost", "dwell_left_s"):
            if column in rack:
                net.transfer.loc[index, column] = rack[column]
        create_rack(
            net,
            [bus],
            f"R{k + 1}",
            rack["kw"] / 1000.0,
            power_factor=1.0,
            priority=rack.get("priority", 3),
            min_p_mw=rack.get("min_kw", nan) / 1000.0,
        )
    for k, rack in enumerate(fixed or []):
        buses = [boards[board] for board in rack["boards"]]
        create_rack(
            net,
            buses,
            f"F{k + 1}",
            rack["kw"] / 1000.0,
            power_factor=1.0,
            priority=rack.get("priority", 3),
            min_p_mw=rack.get("min_kw", nan) / 1000.0,
        )
    for k, battery in enumerate(batteries or []):
        told = {name: value for name, value in battery.items() if name != "device"}
        create_storage(net, outputs[battery["device"]], f"DES-{k + 1}", **told)
    return net


class Drawn:
    """A random plant with its risk and keywords, and everything that a hand sum needs."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n_ups = int(rng.integers(2, 4))
        self.n_steps = int(rng.integers(1, 4))
        n_devices = 3 if n_ups == 2 or self.n_steps < 3 else 2
        self.racks: list[dict[str, Any]] = []
        for _ in range(n_devices):
            sources = rng.permutation(n_ups)[: int(rng.integers(2, n_ups + 1))].tolist()
            self.racks.append(
                {
                    "kw": float(rng.integers(4, 20)),
                    "priority": int(rng.integers(1, 4)),
                    "sources": sources,
                    "on": int(rng.integers(len(sources))),
                    "transfer_ms": float(rng.choice([4.0, 100.0])),
                    "auto": bool(rng.random() < 0.8),
                    "fail_auto": float(rng.choice([0.001, 0.05, 0.3])),
                    "fail_move": float(rng.choice([0.0, 1e-4, 1e-2])),
                    "move_cost": float(rng.choice([0.5, 1.0, 4.0])),
                    "min_dwell_s": float(rng.choice([0.0, 600.0])),
                }
            )
        self.fixed = [
            {
                "kw": float(rng.integers(4, 30)),
                "priority": int(rng.integers(1, 4)),
                "boards": [int(rng.integers(n_ups))],
            }
            for _ in range(2)
        ]
        total = sum(rack["kw"] for rack in self.racks + self.fixed)
        self.ups_kw = [float(np.round(rng.uniform(0.5, 1.1) * total, 1)) for _ in range(n_ups)]
        names = [f"ups:UPS-{'ABC'[k]}" for k in range(n_ups)]
        hazards = [*names[: int(rng.integers(1, n_ups + 1))]]
        if rng.random() < 0.5:
            hazards.append(" + ".join(names[:2]))
        if rng.random() < 0.5:
            hazards.append(f"transfer:T1@stuck + {names[int(rng.integers(n_ups))]}")
        if rng.random() < 0.3:
            hazards.append("transfer:T2")
        self.hazards = hazards
        self.p = np.round(rng.uniform(0.0, 0.08, (len(hazards), self.n_steps)), 4)
        self.keywords: dict[str, Any] = {
            "horizon": self.n_steps,
            "risk": pd.DataFrame(self.p, index=hazards),
            "components": names,
            "guard": float(rng.choice([0.0, 0.1, 0.5])),
            "gap": 0.0,
        }
        if rng.random() < 0.5:
            self.keywords["max_moves"] = int(rng.integers(1, 3))
        if rng.random() < 0.3:
            self.keywords["max_shift_kw"] = 25.0

    def network(self) -> Any:
        """Return the plant."""
        return row(self.ups_kw, self.racks, self.fixed)


def draw(seed: int) -> Drawn:
    """Return a random plant that keeps its own limits as it stands."""
    for k in range(100):
        drawn = Drawn(seed + 1000 * k)
        load = [0.0] * len(drawn.ups_kw)
        for rack in drawn.racks:
            load[rack["sources"][rack["on"]]] += rack["kw"]
        for rack in drawn.fixed:
            load[rack["boards"][0]] += rack["kw"]
        if all(kw <= rating for kw, rating in zip(load, drawn.ups_kw, strict=True)):
            return drawn
    raise AssertionError("no plant drawn")
