"""The AC power flow of every state, in one batch, and the loads behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pdnopt.acflow import FlowCases, FlowEngine, FlowResult
from pdnopt.checker.demand_view import PHASES, DemandView
from pdnopt.checker.outage import Outage
from pdnopt.checker.plant_view import INVERTING, PlantView
from pdnopt.checker.replay import Segment

__all__ = ["PhaseShape", "States", "flow_of", "living_cords"]


@dataclass(frozen=True)
class States:
    """The states of a replay as arrays, one row a segment.

    Attributes
    ----------
    living : bool, shape (n, C); fed : bool, shape (n, U)
    cord_kw, cord_kvar : float, shape (n, C)
    served_kw : float, shape (n, U)
    ups_on_battery : bool, shape (n, n_ups)
    flow : FlowResult
    """

    living: np.ndarray
    fed: np.ndarray
    cord_kw: np.ndarray
    cord_kvar: np.ndarray
    served_kw: np.ndarray
    ups_on_battery: np.ndarray
    flow: FlowResult


def living_cords(demand: DemandView, out: Outage, segments: list[Segment]) -> np.ndarray:
    """Return which cords have voltage and a working supply, shape (n, C)."""
    dead = np.where(
        demand.table == 0,
        _take(out.row_dead["load"], demand.row),
        _take(out.row_dead["asymmetric_load"], demand.row),
    )
    works = demand.works & ~dead
    return np.array([seg.supply.live[demand.node] & works for seg in segments])


def _take(flags: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return flags[np.minimum(rows, len(flags) - 1)] if len(flags) else np.zeros(len(rows), dtype=bool)


def flow_of(
    view: PlantView,
    demand: DemandView,
    out: Outage,
    segments: list[Segment],
    engine: FlowEngine,
    shape: PhaseShape,
) -> States:
    """Run all segments in one batch."""
    living = living_cords(demand, out, segments)
    fed = demand.fed(living)
    may = np.array([seg.situation.may_kw for seg in segments])
    part = np.where(demand.d_kw > 0, may / np.where(demand.d_kw > 0, demand.d_kw, 1.0), 1.0)
    cord_kw, cord_kvar = demand.draws(living, part)
    n = len(segments)
    on = np.zeros((n, view.n_src), dtype=bool)
    storage = np.zeros((n, view.n_st))
    battery = np.zeros((n, view.n_ups), dtype=bool)
    for k, seg in enumerate(segments):
        for kind, row in seg.supply.sources:
            if kind == "ext_grid":
                on[k, row] = True
            elif kind == "storage":
                on[k, view.st_src[row]] = True
        s = seg.situation
        storage[k] = (
            np.where(s.st_forming | ~seg.supply.live[view.st_node], 0.0, s.st_kw) if view.n_st else 0.0
        )
        if view.n_ups:
            fed_input = seg.supply.live[view.ups_in] & ~out.ups_no_rectifier
            battery[k] = (s.mode == "battery") | ((s.mode == "online") & ~fed_input)
    mode = np.array([seg.situation.mode for seg in segments], dtype=object).reshape(n, view.n_ups)
    sourced = np.array(
        [[("ups", u) in seg.supply.sources for u in range(view.n_ups)] for seg in segments], dtype=bool
    )
    # an inverter without energy behind it is no source, whatever its mode says
    mode = np.where(np.isin(mode, INVERTING) & ~sourced.reshape(n, view.n_ups), "off", mode)
    mode = np.where(battery & (mode == "online"), "battery", mode)
    p, q, p3, q3 = shape.rows(demand, cord_kw, cord_kvar)
    cases = FlowCases(
        switch_closed=np.array([seg.situation.closed for seg in segments]),
        ext_grid_on=on,
        ups_mode=mode if view.n_ups else None,
        load_p_kw=p,
        load_q_kvar=q,
        asymmetric_p_kw=p3,
        asymmetric_q_kvar=q3,
        storage_p_kw=storage,
        dead_bus=np.broadcast_to(out.node_dead[: view.wiring.n_bus], (n, view.wiring.n_bus)),
        line_out=np.broadcast_to(out.line_out, (n, len(out.line_out))),
        trafo_out=np.broadcast_to(out.trafo_out, (n, len(out.trafo_out))),
    )
    served = np.where(fed, may, 0.0)
    return States(living, fed, cord_kw, cord_kvar, served, battery, engine.run(cases))


class PhaseShape:
    """How the rows of the two load tables share their power among phases, read once."""

    def __init__(self, net: Any) -> None:
        self.n_load, self.n_asym = len(net.load), len(net.asymmetric_load)
        frame = net.asymmetric_load
        p = frame[[f"p_{k}_mw" for k in PHASES]].to_numpy(float).reshape(-1, 3)
        q = frame[[f"q_{k}_mvar" for k in PHASES]].to_numpy(float).reshape(-1, 3)
        third = np.full((self.n_asym, 3), 1 / 3)
        some = np.abs(p.sum(axis=1, keepdims=True)) > 0
        self.p = np.where(some, p / np.where(some, p.sum(axis=1, keepdims=True), 1.0), third)
        some_q = np.abs(q.sum(axis=1, keepdims=True)) > 0
        self.q = np.where(some_q, q / np.where(some_q, q.sum(axis=1, keepdims=True), 1.0), self.p)

    def rows(
        self, demand: DemandView, cord_kw: np.ndarray, cord_kvar: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return P and Q of ``net.load`` (n, rows) and by phase of ``net.asymmetric_load`` (n, rows, 3)."""
        n = len(cord_kw)
        three, single = demand.table == 0, demand.table == 1
        p, q = np.zeros((n, self.n_load)), np.zeros((n, self.n_load))
        p[:, demand.row[three]], q[:, demand.row[three]] = cord_kw[:, three], cord_kvar[:, three]
        p1, q1 = np.zeros((n, self.n_asym)), np.zeros((n, self.n_asym))
        p1[:, demand.row[single]], q1[:, demand.row[single]] = cord_kw[:, single], cord_kvar[:, single]
        return p, q, p1[:, :, None] * self.p, q1[:, :, None] * self.q

    def worst_phase(
        self, demand: DemandView, segment: Segment, cord_kw: np.ndarray, cord_kvar: np.ndarray, node: int
    ) -> float:
        """Return three times the largest phase over their sum (1 = balanced) in the part of a node."""
        inside = segment.supply.part[demand.node] == segment.supply.part[node]
        s = np.zeros(3, dtype=complex)
        three = inside & (demand.table == 0)
        s += complex(cord_kw[three].sum(), cord_kvar[three].sum()) / 3
        single = inside & (demand.table == 1)
        rows = demand.row[single]
        s += (cord_kw[single][:, None] * self.p[rows]).sum(axis=0)
        s += 1j * (cord_kvar[single][:, None] * self.q[rows]).sum(axis=0)
        total = abs(s.sum())
        return float(3 * np.abs(s).max() / total) if total > 0 else 1.0
