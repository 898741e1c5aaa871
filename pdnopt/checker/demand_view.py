"""Racks and single loads, from the load tables: what they ask for, through which cords, and what each cord
draws.

A *unit* is a rack (all rows with the same ``rack``) or a single row; a *cord* is one row. kW, kvar, V, A.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np

from pdnopt.checker.plant_view import PlantView
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import values
from pdnopt.units import KW_PER_MW, MS_PER_S, SQRT3

__all__ = ["PHASES", "TABLES", "DemandView"]

TABLES = ("load", "asymmetric_load")
PHASES = "abc"
LONG_RUN_S = 3 * 3600.0
LONG_RUN_PART = 0.8
"""Breakers carry 80 % of their rating for 3 h or longer (rule 10)."""


class DemandView:
    """Demand of one plant, with or without other loads than the table's.

    Attributes
    ----------
    name : list of str; priority : int; sheddable : bool; holdup_s, d_kw, floor_kw : float, shape (U,)
        ``floor_kw`` equals ``d_kw`` for a unit that cannot be capped.
    node, unit : int; p_kw, q_kvar, share, max_kw : float; works : bool, shape (C,)
        Cords, sorted by unit; ``works`` is False for a dead power supply.
    table, row : which table (0 load, 1 asymmetric_load) and row each cord is, shape (C,)
    """

    def __init__(self, view: PlantView) -> None:
        net = view.net
        columns: dict[str, list[np.ndarray]] = {}
        for number, table in enumerate(TABLES):
            for key, value in _rows(view, table, number).items():
                columns.setdefault(key, []).append(value)
        all_of = {key: np.concatenate(parts) for key, parts in columns.items()}
        label = all_of.pop("label")
        labels, first, unit = np.unique(label.astype(str), return_index=True, return_inverse=True)
        order_of_units = np.argsort(first, kind="stable")
        rank = np.empty(len(labels), dtype=int)
        rank[order_of_units] = np.arange(len(labels))
        unit = rank[unit]
        order = np.argsort(unit, kind="stable")
        c = {key: value[order] for key, value in all_of.items()}
        self.unit = unit[order]
        self.n = len(labels)
        self.start = np.searchsorted(self.unit, np.arange(self.n))
        self.name = [str(labels[k]) for k in order_of_units]
        self.at = {name: k for k, name in enumerate(self.name)}
        for k in range(len(self.unit)):  # single loads also by index
            if not c["rack"][k]:
                table = TABLES[int(c["table"][k])]
                self.at.setdefault(f"{table}:{net[table].index[int(c['row'][k])]}", int(self.unit[k]))
        self.table, self.row, self.node = (c[k].astype(int) for k in ("table", "row", "node"))
        self.p_kw, self.q_kvar, self.max_kw = c["p_kw"], c["q_kvar"], c["max_kw"]
        self.works = c["works"].astype(bool)
        self.breaker_a, self.amps_per_kva = c["breaker_a"], c["amps_per_kva"]
        index = [net[table].index for table in TABLES]
        self._cord_at: list[dict[int, int]] = [{}, {}]
        for k, (t, r) in enumerate(zip(self.table, self.row, strict=True)):
            self._cord_at[t][int(index[t][r])] = k
        self.cord_name = [f"{TABLES[int(t)]}:{n}" for t, n in zip(self.table, c["label_of_row"], strict=True)]
        share = np.where(np.isnan(c["share"]), np.maximum(self.p_kw, 0.0), c["share"])
        flat = (self.sum(share) <= 0)[self.unit]
        self.share = np.where(flat, 1.0, share)
        self._min_kw = c["min_kw"]
        self._sum_up()
        head = self.start
        self.priority = c["priority"][head].astype(int)
        self.holdup_s = np.minimum.reduceat(c["holdup_s"], head) if self.n else np.zeros(0)
        self.sheddable = (
            np.logical_and.reduceat(c["sheddable"].astype(bool), head) if self.n else np.zeros(0, bool)
        )

    def _sum_up(self) -> None:
        self.d_kw = self.sum(self.p_kw)
        known = self.sum((~np.isnan(self._min_kw)).astype(float)) > 0
        floor_kw = self.sum(np.where(np.isnan(self._min_kw), self.p_kw, self._min_kw))
        self.floor_kw = np.where(known, np.minimum(floor_kw, self.d_kw), self.d_kw)

    def with_loads(self, loads_kw: Mapping[str, Mapping[int, float]]) -> DemandView:
        """Return the demand with other kW on some rows (index of the table -> kW), Q at constant power
        factor.
        """
        other = copy(self)
        other.p_kw = self.p_kw.copy()
        for number, table in enumerate(TABLES):
            rows = loads_kw.get(table, {})
            at = self._cord_at[number]
            cord = np.fromiter((at.get(index, -1) for index in rows), dtype=int, count=len(rows))
            kw = np.fromiter(rows.values(), dtype=float, count=len(rows))
            other.p_kw[cord[cord >= 0]] = kw[cord >= 0]
        some = self.p_kw != 0
        other.q_kvar = np.where(some, self.q_kvar * other.p_kw / np.where(some, self.p_kw, 1.0), self.q_kvar)
        other._sum_up()
        return other

    def sum(self, cords: np.ndarray) -> np.ndarray:
        """Sum over the cords of each unit, on the last axis."""
        if not self.n:
            return np.zeros((*cords.shape[:-1], 0))
        return np.asarray(np.add.reduceat(cords, self.start, axis=-1))

    def fed(self, living: np.ndarray) -> np.ndarray:
        """Return which units have a living cord, shape (..., U)."""
        return np.asarray(self.sum(living.astype(float)) > 0)

    def draws(self, living: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return kW and kvar of every cord.

        Parameters
        ----------
        living : bool, shape (n, C)
            Cords with voltage and a working supply.
        part : float, shape (n, U)
            Power that a unit may draw over its demand.

        Each living cord draws its own part plus, by share, what the dead ones hand over, up to ``max_kw``;
        what finds no room stays with the living cords by share (and is a violation).
        """
        share = np.where(living, self.share, 0.0)
        total = self.sum(share)
        flat = total <= 0
        if flat.any():
            share = np.where(living & flat[..., self.unit], 1.0, share)
            total = self.sum(share)
        weight = share / np.where(total > 0, total, 1.0)[..., self.unit]
        scale = part[..., self.unit]
        out = []
        for own in (self.p_kw, self.q_kvar):
            homeless = self.sum(np.where(living, 0.0, own))
            out.append(scale * np.where(living, own + homeless[..., self.unit] * weight, 0.0))
        p, q = out
        if np.isfinite(self.max_kw).any():
            p = self._make_room(p, share, living)
        return p, q

    def _make_room(self, p: np.ndarray, share: np.ndarray, living: np.ndarray) -> np.ndarray:
        for _ in range(8):
            over = np.where(living, np.maximum(p - self.max_kw, 0.0), 0.0)
            room = living & (p < self.max_kw * (1 - 1e-12))
            weight = np.where(room, share, 0.0)
            total = self.sum(weight)[..., self.unit]
            move = (over > 0) & (total > 0)
            if not move.any():
                break
            given = self.sum(np.where(move, over, 0.0))[..., self.unit]
            p = (
                p
                - np.where(move, over, 0.0)
                + np.where(total > 0, given * weight / np.where(total > 0, total, 1.0), 0.0)
            )
        return p

    def breaker_part(self, p: np.ndarray, q: np.ndarray, horizon_s: float) -> np.ndarray:
        """Return the current of every cord at nominal voltage over what its breaker may carry, NaN without
        one.
        """
        allowed = LONG_RUN_PART if horizon_s >= LONG_RUN_S else 1.0
        return np.asarray(np.hypot(p, q) * self.amps_per_kva / (self.breaker_a * allowed))


def _rows(view: PlantView, table: str, number: int) -> dict[str, np.ndarray]:
    """Return the columns of one load table as arrays over its rows that are load to be served."""
    net = view.net
    frame = net[table]
    keep = frame["in_service"].to_numpy(bool) & (values(net, table, "kind") != "ups_input")
    scaling = frame["scaling"].to_numpy(float)
    if table == "load":
        p = frame["p_mw"].to_numpy(float) * scaling * KW_PER_MW
        q = frame["q_mvar"].to_numpy(float) * scaling * KW_PER_MW
        worst = np.ones(len(frame))
    else:
        by_phase = [frame[f"p_{k}_mw"].to_numpy(float) * scaling * KW_PER_MW for k in PHASES]
        q_phase = [frame[f"q_{k}_mvar"].to_numpy(float) * scaling * KW_PER_MW for k in PHASES]
        p, q = np.sum(by_phase, axis=0), np.sum(q_phase, axis=0)
        kva = np.hypot(by_phase, q_phase)
        total = np.hypot(p, q)
        worst = np.where(total > 0, 3.0 * kva.max(axis=0) / np.where(total > 0, total, 1.0), 1.0)
    rack = np.array([str(v).strip() for v in values(net, table, "rack")], dtype=object)
    names = np.array(component_names(net, table), dtype=object)
    poles = values(net, table, "poles")
    kv = view.bus_vn_kv[[view.wiring.bus_at[int(b)] for b in frame["bus"]]] if len(frame) else np.zeros(0)
    delta = (
        np.array([v == "delta" for v in frame["type"]], dtype=bool)
        if "type" in frame.columns
        else np.zeros(len(frame), bool)
    )
    three = np.where(delta & (worst > 1.0), worst / SQRT3, worst) / (SQRT3 * kv)
    amps = np.where(poles >= 3, three, np.where(poles >= 2, 1.0 / kv, SQRT3 / kv))
    out: dict[str, Any] = {
        "label": np.where(rack != "", "rack:" + rack.astype(str), names.astype(str)) if len(frame) else names,
        "label_of_row": np.array([str(n).partition(":")[2] for n in names], dtype=object),
        "rack": rack,
        "table": np.full(len(frame), number),
        "row": np.arange(len(frame)),
        "node": np.array([view.wiring.bus_at[int(b)] for b in frame["bus"]], dtype=int),
        "p_kw": p,
        "q_kvar": q,
        "works": values(net, table, "psu_ok"),
        "share": values(net, table, "share"),
        "max_kw": np.nan_to_num(values(net, table, "max_p_mw"), nan=np.inf) * KW_PER_MW,
        "min_kw": values(net, table, "min_p_mw") * KW_PER_MW,
        "breaker_a": values(net, table, "breaker_a"),
        "amps_per_kva": amps,
        "priority": values(net, table, "priority"),
        "sheddable": values(net, table, "sheddable"),
        "holdup_s": values(net, table, "holdup_ms") / MS_PER_S,
    }
    return {key: np.asarray(value)[keep] for key, value in out.items()}
