"""The room that is left: one linear row a component, failure and moment.

    load of new racks / limit  <=  1 - load of the racks there already / limit

Moments: "normal" - no failure, every component within its continuous rating. "at once" - after the automatic response
and before anybody acts, every rack at full power: what the overload curve carries for ``emergency_s``. "held" - after
the emergency actions (whoever can be capped is at its floor, redundant racks are shed): what the curve carries for
``hold_s``. Shedding and capping lower every load, so that a failure can be relieved by some of them exactly if it can
be relieved by all of them.

Losses are left out: AC power flow is the judge, and ``scale`` takes in what it found (`placing`). Rows without losses and
at scale 1 are a valid relaxation in a tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pdnopt.placement.effects import NORMAL, Effect
from pdnopt.placement.places import Places
from pdnopt.placement.shares import Sharing
from pdnopt.plant.budgets import read_curves
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.units import S_PER_H, UNLIMITED_KVA

__all__ = ["AT_ONCE", "HELD", "MOMENTS", "NORMALLY", "Policy", "Room", "read_room"]

MOMENTS = ("normal", "at once", "held")
NORMALLY, AT_ONCE, HELD = range(3)
FITS = 1e-9
"""A row holds within this part of its limit."""


@dataclass(frozen=True)
class Policy:
    """What may happen after a failure, and how long it must last.

    Attributes
    ----------
    emergency_s : float
        Seconds from the failure until racks are capped and shed.
    hold_s : float
        Seconds that the state after that must last.
    refeed_s : float
        Seconds in which a UPS on battery gets its input back where a way survives (genset start, tie).
    shed_priorities : tuple of int
        Racks of the network of these priorities may be shed; all may be capped to their floor.
    power_factor : float
        Of the new racks.
    """

    emergency_s: float
    hold_s: float
    refeed_s: float
    shed_priorities: tuple[int, ...]
    power_factor: float


@dataclass(frozen=True)
class Room:
    """Rows over places.

    Attributes
    ----------
    at : float, shape (J, rows)
        Part of its limit that one kW of a rack at a place puts on a row's component.
    free : float, shape (rows,)
        What is left of the limit for new racks, as a part of it, at scale 1.
    limit_kw : float, shape (rows,)
    moment : int, shape (rows,)
    component, contingency : object, shape (rows,)
    scale : float, shape (rows,)
        Limit over the limit at scale 1.
    """

    at: np.ndarray
    free: np.ndarray
    limit_kw: np.ndarray
    moment: np.ndarray
    component: np.ndarray
    contingency: np.ndarray
    scale: np.ndarray

    @property
    def left(self) -> np.ndarray:
        """Return the right-hand sides: what new racks may use, as a part of the limit, never negative."""
        return np.asarray(np.maximum(self.free - (1.0 - self.scale), 0.0))

    @property
    def full(self) -> np.ndarray:
        """Return the rows on which racks count with their demand; on the others with their floor."""
        return np.asarray(self.moment != HELD)

    def power_of(self, p_kw: float, floor_kw: float) -> np.ndarray:
        """Return what a rack counts with on each row, kW."""
        return np.where(self.full, p_kw, floor_kw)

    def tightened(self, scale: np.ndarray) -> Room:
        """Return the room at other scales."""
        return replace(self, scale=scale)


def read_room(
    net: Any, grid: Grid, demand: Demand, places: Places, effects: Sequence[Effect], policy: Policy
) -> Room:
    """Return the rows of all effects, without those that another one of the same component and moment implies."""
    tan_phi = float(np.tan(np.arccos(policy.power_factor)))
    old_node, old_at = np.unique(demand.cord_node, return_inverse=True)
    nodes = np.r_[places.node, old_node].astype(int)
    sharing = Sharing(grid, nodes, tan_phi)
    limits = _Limits(net, policy)
    names = _component_names(grid)
    floor = _floors(demand, policy)
    parts: list[tuple[int, str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    seen: set[bytes] = set()
    for effect in effects:
        load = _loads(sharing, effect, tan_phi)  # kVA or kW a component, per kW at each bus; and per kvar
        new = load[0][:, : places.node.size] + tan_phi * load[1][:, : places.node.size]
        key = new.tobytes() + effect.living.tobytes() + effect.old_kw.tobytes() + bytes([effect.lasting])
        if key in seen:
            continue
        seen.add(key)
        old_p, old_q = load[0][:, places.node.size :], load[1][:, places.node.size :]
        for moment in _moments(effect):
            kw = effect.old_kw * (floor[demand.cord_unit] if moment == HELD else 1.0)
            kvar = np.bincount(old_at, weights=kw * demand.cord_tan_phi, minlength=len(old_node))
            base = old_p @ np.bincount(old_at, weights=kw, minlength=len(old_node)) + old_q @ kvar
            parts.append((moment, effect.name, new, limits.of(effect, moment), base, effect.living))
    return _room(parts, names, places)


def _moments(effect: Effect) -> tuple[int, ...]:
    if effect.name == NORMAL:
        return (NORMALLY,)
    return (HELD,) if effect.lasting else (AT_ONCE, HELD)


def _component_names(grid: Grid) -> list[str]:
    """Return the names of branches, switches, UPSs (kW, then kVA) and sources."""
    return [*grid.branches.name, *grid.switches.name, *grid.upss.name, *grid.upss.name, *grid.sources.name]


def _floors(demand: Demand, policy: Policy) -> np.ndarray:
    """Return what is left of each old unit's power after the emergency actions, as a part of it."""
    capped = np.where(demand.d_kw > 0, demand.min_kw / np.maximum(demand.d_kw, 1e-12), 1.0)
    shed = np.isin(demand.priority, policy.shed_priorities) & demand.sheddable
    return np.where(shed, 0.0, capped)


def _loads(sharing: Sharing, effect: Effect, tan_phi: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the load of each component per kW and per kvar at each node, kVA along the angle of the new racks.

    That is a lower bound of the true kVA, and the same where all racks have this power factor.
    """
    s = sharing.of(effect.state, effect.supply)
    cosine = 1.0 / np.hypot(1.0, tan_phi)
    sine = cosine * tan_phi
    none = np.zeros_like(s.ups_kw)
    active = np.vstack(
        [cosine * s.edge_direct + s.edge_behind, s.ups_kw, cosine * s.ups_direct + s.ups_behind, s.source_kw]
    )
    reactive = np.vstack([sine * s.edge_direct, none, sine * s.ups_direct, np.zeros_like(s.source_kw)])
    return active, reactive


class _Limits:
    """What each component carries for how long; curves are looked up once for each moment and set of UPSs on battery."""

    def __init__(self, net: Any, policy: Policy) -> None:
        self._book, self._policy = read_curves(net), policy
        self._known: dict[tuple[int, bytes], tuple[np.ndarray, ...]] = {}

    def of(self, effect: Effect, moment: int) -> np.ndarray:
        """Return the limits in kVA or kW, (components,); inf without a limit."""
        br, sw, ups, src = effect.grid.branches, effect.grid.switches, effect.grid.upss, effect.grid.sources
        battery = effect.state.ups_mode == "battery"
        key = (moment, battery.tobytes())
        if key not in self._known:
            room = (25.0, False)
            self._known[key] = (
                self._ratios(moment, [(c, u, *room) for c, u in zip(br.curve, br.budget_used, strict=True)]),
                self._ratios(moment, [(c, u, *room) for c, u in zip(sw.curve, sw.budget_used, strict=True)]),
                self._ratios(
                    moment, list(zip(ups.curve, ups.budget_used, ups.temperature_c, battery, strict=True))
                ),
            )
        of_branch, of_switch, of_ups = self._known[key]
        energy_kw = np.where(battery, ups.e_kwh * S_PER_H / self._policy.refeed_s, np.inf)
        limit = np.concatenate(
            [
                br.s_max_kva * of_branch,
                sw.s_max_kva * of_switch,
                np.minimum(of_ups * ups.p_rated_kw, energy_kw),
                of_ups * ups.s_rated_kva,
                src.p_max_kw,
            ]
        )
        return np.where(limit >= UNLIMITED_KVA, np.inf, limit)

    def _ratios(self, moment: int, devices: Sequence[tuple[Any, Any, Any, Any]]) -> np.ndarray:
        """Return the largest loading over rating that each curve carries at a moment."""
        if moment == NORMALLY:
            return np.ones(len(devices))
        time_s = self._policy.emergency_s if moment == AT_ONCE else self._policy.hold_s
        curve = self._book.curve
        return np.array(
            [
                curve(name, float(t), bool(on)).sustainable_ratio(time_s, float(used))
                for name, used, t, on in devices
            ],
            dtype=float,
        )


def _room(parts: list[Any], names: list[str], places: Places) -> Room:
    first, second = places.pair.T
    no_name = np.zeros(0, dtype=object)
    found: list[tuple[np.ndarray, ...]] = [
        (np.zeros((0, places.n)), np.zeros(0), np.zeros(0), np.zeros(0, dtype=int), no_name, no_name)
    ]
    for moment in range(len(MOMENTS)):
        mine = [part for part in parts if part[0] == moment]
        if not mine:
            continue
        label = np.array([part[1] for part in mine], dtype=object)
        load, limit, base = (np.array([part[k] for part in mine]) for k in (2, 3, 4))
        living = np.array([part[5] for part in mine], dtype=float)
        count = np.maximum(living[:, first] + living[:, second], 1.0)
        part_of = living[:, first] / count, living[:, second] / count
        for c in np.flatnonzero((load > FITS).any(axis=(0, 2))):
            bounded = np.flatnonzero(np.isfinite(limit[:, c]))
            if not len(bounded):
                continue
            most = np.maximum(limit[bounded, c], 1e-9)
            at = part_of[0][bounded] * load[bounded, c][:, first]
            at += part_of[1][bounded] * load[bounded, c][:, second]
            at /= most[:, None]
            at[np.abs(at) * most[:, None] < FITS] = 0.0
            free = 1.0 - base[bounded, c] / most
            kept = _binding(at, free)
            n = len(kept)
            found.append(
                (
                    at[kept],
                    free[kept],
                    most[kept],
                    np.full(n, moment),
                    np.full(n, names[c], dtype=object),
                    label[bounded[kept]],
                )
            )
    at, free, most, moments, component, contingency = (
        np.concatenate(column) for column in zip(*found, strict=True)
    )
    return Room(
        at=np.ascontiguousarray(at.T),
        free=free,
        limit_kw=most,
        moment=moments,
        component=component,
        contingency=contingency,
        scale=np.ones(len(free)),
    )


def _binding(at: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return the rows that no other one implies: at least as much load on as little room. The first of equals stays."""
    at = at[:, at.any(axis=0)]
    left = np.flatnonzero(at.any(axis=1))
    kept: list[int] = []
    while len(left):
        top = left[int(np.argmax(at[left].sum(axis=1)))]
        kept.append(int(top))
        implied = (at[left] <= at[top] + FITS * 1e-3).all(axis=1) & (free[left] >= free[top] - FITS)
        left = left[~implied & (left != top)]
    return np.array(sorted(kept), dtype=int)
