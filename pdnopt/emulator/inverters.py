"""Micro-inverters of an emulated plant: what they are set to, as negative loads of the power flow, phase by phase."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from pdnopt.checker.demand_view import DemandView
from pdnopt.checker.flows import PhaseShape
from pdnopt.checker.plant_view import PlantView
from pdnopt.checker.replay import Segment
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import values
from pdnopt.units import KW_PER_MW

__all__ = ["Inverters"]

PHASES = "abc"


class Inverters(PhaseShape):
    """How loads and inverters share their power among phases.

    Attributes
    ----------
    at : dict of str to int
        Position of each inverter by name.
    p_kw, q_kvar : float, shape (inverters, 3)
        What they deliver; changed by set-points.
    on : bool, shape (inverters,)
        In service and not failed.
    s_max_kva : float, shape (inverters,)
        A phase.
    """

    def __init__(self, net: Any, view: PlantView) -> None:
        super().__init__(net)
        frame = net.asymmetric_sgen
        self.at = {name: k for k, name in enumerate(component_names(net, "asymmetric_sgen"))}
        scaling = frame["scaling"].to_numpy(float)[:, None]
        self.p_kw, self.q_kvar = (
            frame[[f"{part}_{phase}_{unit}" for phase in PHASES]].to_numpy(float).reshape(-1, 3)
            * scaling
            * KW_PER_MW
            for part, unit in (("p", "mw"), ("q", "mvar"))
        )
        self.given = self.p_kw.copy(), self.q_kvar.copy()
        self.on = frame["in_service"].to_numpy(bool).copy()
        self.in_service = self.on.copy()
        self.s_max_kva = np.nan_to_num(values(net, "asymmetric_sgen", "s_max_mva"), nan=np.inf) * KW_PER_MW
        self.index = frame.index.to_numpy()
        self._node = np.array([view.wiring.bus_at[int(bus)] for bus in frame["bus"]], dtype=int)

    def engine_network(self, net: Any) -> Any:
        """Return a network for the flow engine in which every inverter is a load behind those of the table."""
        if not len(self.at):
            return net
        import pandapower as pp

        out = deepcopy(net)
        out.asymmetric_sgen["in_service"] = False
        for bus in net.asymmetric_sgen["bus"]:
            pp.create_asymmetric_load(out, int(bus), type="wye")
        return out

    def setpoint(self, name: str) -> dict[str, list[float]]:
        """Return what an inverter is set to, as `pdnopt.plant.actions` writes it."""
        k = self.at[name]
        return {"p_kw": self.p_kw[k].tolist(), "q_kvar": self.q_kvar[k].tolist()}

    def set(self, name: str, value: dict[str, list[float]] | None) -> None:
        """Set an inverter; None: as the network was given."""
        k = self.at[name]
        self.p_kw[k], self.q_kvar[k] = (
            (self.given[0][k], self.given[1][k]) if value is None else (value["p_kw"], value["q_kvar"])
        )

    def rows(
        self, demand: DemandView, cord_kw: np.ndarray, cord_kvar: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return what `PhaseShape` does, with the inverters behind the loads."""
        p, q, p3, q3 = super().rows(demand, cord_kw, cord_kvar)
        if not len(self.at):
            return p, q, p3, q3
        mine = [
            np.broadcast_to(np.where(self.on[:, None], -power, 0.0), (len(p), *power.shape))
            for power in (self.p_kw, self.q_kvar)
        ]
        return p, q, np.concatenate([p3, mine[0]], axis=1), np.concatenate([q3, mine[1]], axis=1)

    def worst_phase(
        self, demand: DemandView, segment: Segment, cord_kw: np.ndarray, cord_kvar: np.ndarray, node: int
    ) -> float:
        """Return three times the largest phase over their sum in the part of a node, inverters included."""
        part = segment.supply.part
        three = (part[demand.node] == part[node]) & (demand.table == 0)
        single = (part[demand.node] == part[node]) & (demand.table == 1)
        s = np.full(3, complex(cord_kw[three].sum(), cord_kvar[three].sum()) / 3)
        s += (cord_kw[single][:, None] * self.p[demand.row[single]]).sum(axis=0)
        s += 1j * (cord_kvar[single][:, None] * self.q[demand.row[single]]).sum(axis=0)
        inside = self.on & (part[self._node] == part[node])
        s -= (self.p_kw[inside] + 1j * self.q_kvar[inside]).sum(axis=0)
        total = abs(s.sum())
        return float(3 * np.abs(s).max() / total) if total > 0 else 1.0
