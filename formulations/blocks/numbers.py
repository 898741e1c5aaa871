"""The numbers of a network model: all that a failure, a load or a state changes between two solves.

Read from the plant's response (what its own devices left behind), vectorised. Powers in kW, kvar and kVA.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
import pandas as pd

from formulations.blocks.sets import NetworkSets
from pdnopt.acjudge import Allowed
from pdnopt.plant.budgets import CurveBook
from pdnopt.plant.demand import Demand, share_out
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import Islands, State, fed_units, islands, living_cords
from pdnopt.plant.sync import sync_labels
from pdnopt.response import Response
from pdnopt.units import S_PER_H, UNLIMITED_KVA

__all__ = ["Limits", "NetworkNumbers", "read_limits", "read_numbers"]

FOR_GOOD = 100.0
"""A ratio that a curve allows for so many horizons counts as allowed for good, and costs no overload."""

WAY = 0.01
"""Part of the horizon that an overload of the end state may also last on the way to it: its budget carries both."""


@dataclass(frozen=True)
class Limits:
    """C rated components: branches, switches and UPSs by apparent power, sources by active power.

    ``*_kva`` is the limit (inf: none), ``*_extra_kva`` how far beyond it the rest of the overload budget carries the
    component over the whole horizon, and ``*_use`` the part of the budget that going so far uses up. ``*_long`` (>= 1) is
    the ratio that a curve allows for good (a hundred horizons); the limit is the rating times that.
    """

    branch_kva: np.ndarray
    branch_extra_kva: np.ndarray
    branch_use: np.ndarray
    branch_long: np.ndarray
    switch_kva: np.ndarray
    switch_extra_kva: np.ndarray
    switch_use: np.ndarray
    switch_long: np.ndarray
    ups_kva: np.ndarray
    ups_kw: np.ndarray
    ups_extra_kva: np.ndarray
    ups_use: np.ndarray
    ups_long: np.ndarray
    source_kw: np.ndarray

    def allowed(self) -> Allowed:
        """Return the largest loadings over the plant's own limits, the overload budgets of the horizon used up."""

        def ratio(rating_kva: np.ndarray, extra_kva: np.ndarray, long: np.ndarray) -> np.ndarray:
            known = np.isfinite(rating_kva) & (rating_kva > 0)
            return np.where(known, long * (1.0 + extra_kva / np.where(known, rating_kva, 1.0)), inf)

        return Allowed(
            branch=ratio(self.branch_kva, self.branch_extra_kva, self.branch_long),
            switch=ratio(self.switch_kva, self.switch_extra_kva, self.switch_long),
            ups=ratio(self.ups_kva, self.ups_extra_kva, self.ups_long),
            source=np.where(np.isfinite(self.source_kw), 1.0, inf),
        )

    def budget_used(self, ratios: Any) -> float:
        """Return the overload budgets that loadings (shape (1, components)) use over the horizon, as (O3) counts them."""
        total = 0.0
        for kind in ("branch", "switch", "ups"):
            rating, extra = getattr(self, f"{kind}_kva"), getattr(self, f"{kind}_extra_kva")
            some = np.flatnonzero(np.isfinite(rating) & (extra > 0))
            over_kva = (getattr(ratios, kind)[0, some] / getattr(self, f"{kind}_long")[some] - 1.0) * rating[
                some
            ]
            total += float(
                (getattr(self, f"{kind}_use")[some] * np.clip(over_kva / extra[some], 0.0, 1.0)).sum()
            )
        return total


@dataclass(frozen=True)
class NetworkNumbers:
    """Numbers for `update`: bounds, coefficients and starting positions. See the blocks that use them."""

    # service
    d_kw: np.ndarray  # (D,)
    min_kw: np.ndarray
    may_serve: np.ndarray  # bool (D,): not unservable, not failed
    lit: np.ndarray  # bool (D,): has had no interruption so far
    kept: np.ndarray  # bool (D,): may not be shed and is fed: must stay so
    mode_ok: np.ndarray  # bool (M,)
    part_fraction: np.ndarray  # (parts,) draw of the cord over the demand of its unit
    part_tan_phi: np.ndarray
    limited_ok: np.ndarray  # bool (limited rows,): the cords of this feed carry at least the floor
    limited_excess_kw: np.ndarray  # what must be capped under this feed
    # structure
    z_low: np.ndarray  # (S,)
    z_high: np.ndarray
    z_start: np.ndarray
    y_high: np.ndarray  # (K,)
    # supply
    source_low: np.ndarray  # (G,) a utility feed that works holds its block
    source_high: np.ndarray
    source_start: np.ndarray
    source_fuel_kw: np.ndarray  # power that the fuel carries over the horizon
    inverter_low: np.ndarray  # (U,) 1: its inverter stays on
    online_high: np.ndarray  # (U,)
    battery_high: np.ndarray
    rectifier_ok: np.ndarray
    battery_kw: np.ndarray  # power that the battery carries over the horizon
    ups_start: np.ndarray  # "inverter", "bypass" or "off"
    form_high: np.ndarray  # (E,)
    form_start: np.ndarray
    store_low_kw: np.ndarray
    store_high_kw: np.ndarray
    store_start_kw: np.ndarray
    # continuity
    keep_arc: np.ndarray  # bool (S, 2): the arc keeps its head block alive without a gap
    keep_source: np.ndarray  # bool (G,)
    keep_ups: np.ndarray  # bool (U,)
    keep_form: np.ndarray  # bool (E,)
    auto_free: np.ndarray  # bool (automatic pairs,): the device would leave a dead position for this one
    limits: Limits


def read_limits(grid: Grid, curves: CurveBook, horizon_s: float, spent: Mapping[str, float]) -> Limits:
    """Read ratings and what the overload budgets carry beyond them for ``horizon_s`` seconds.

    ``spent`` is the part of its budget that a component uses up before the end state begins, by name.
    """
    br, sw, ups, src = grid.branches, grid.switches, grid.upss, grid.sources

    def extra(
        owners: list[str],
        names: np.ndarray,
        used: np.ndarray,
        rating: np.ndarray,
        temperature: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        warm = np.full(len(names), 25.0) if temperature is None else temperature
        gone = np.minimum(used + _of_names(owners, spent), 1.0)
        kinds, rows = _alike(names, warm, gone)
        ratios, longest, uses = np.ones(len(kinds) + 1), np.ones(len(kinds) + 1), np.zeros(len(kinds) + 1)
        for k, row in enumerate(kinds, start=1):  # few: components of one curve and history are alike
            curve, left = curves.curve(names[row], float(warm[row])), float(gone[row])
            ratios[k] = curve.sustainable_ratio((1.0 + WAY) * horizon_s, left)
            longest[k] = min(curve.sustainable_ratio(FOR_GOOD * horizon_s, left), ratios[k])
            if ratios[k] > longest[k]:
                uses[k] = (1.0 + WAY) * horizon_s / curve.max_time_s(ratios[k])
        beyond = (ratios - longest)[rows]
        limited = np.isfinite(rating)
        return np.where(limited, beyond * np.where(limited, rating, 0.0), 0.0), uses[rows], longest[rows]

    branch_extra, branch_use, branch_long = extra(br.name, br.curve, br.budget_used, br.s_max_kva)
    switch_extra, switch_use, switch_long = extra(sw.name, sw.curve, sw.budget_used, sw.s_max_kva)
    ups_extra, ups_use, ups_long = extra(
        ups.name, ups.curve, ups.budget_used, ups.s_rated_kva, ups.temperature_c
    )
    return Limits(
        branch_kva=np.where(br.s_max_kva < UNLIMITED_KVA, br.s_max_kva * branch_long, inf),
        branch_long=branch_long,
        branch_extra_kva=branch_extra,
        branch_use=branch_use,
        switch_kva=np.where(sw.s_max_kva < UNLIMITED_KVA, sw.s_max_kva * switch_long, inf),
        switch_long=switch_long,
        switch_extra_kva=switch_extra,
        switch_use=switch_use,
        ups_kva=ups.s_rated_kva * ups_long,
        ups_kw=ups.p_rated_kw * ups_long,
        ups_long=ups_long,
        ups_extra_kva=ups_extra,
        ups_use=ups_use,
        source_kw=np.where(src.p_max_kw < UNLIMITED_KVA, src.p_max_kw, inf),
    )


def _of_names(owners: Sequence[str], some: Mapping[str, float]) -> np.ndarray:
    """Return one number an owner: what ``some`` has under its name, else 0."""
    found = np.zeros(len(owners))
    if some:
        names = np.asarray(owners, dtype=object)
        for name, value in some.items():
            found[names == name] = value
    return found


def _alike(names: np.ndarray, warm: np.ndarray, gone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group components with a curve by curve, temperature and budget gone.

    Returns a component that stands for each group, and for every component 1 + its group, 0 without a curve.
    """
    code, known = pd.factorize(names)
    real = np.array([isinstance(name, str) and bool(name) for name in known], dtype=bool)
    has = np.flatnonzero((code >= 0) & np.r_[real, False][code])
    keys = np.column_stack([code[has].astype(float), warm[has], gone[has]])
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    rows = np.zeros(len(names), dtype=int)
    rows[has] = 1 + group.ravel()
    return has[first], rows


def tighten_limits(limits: Limits, nominal: Limits, ratios: Any, over: float, extra: float) -> Limits | None:
    """Lower the limits that AC power flow breaks.

    Parameters
    ----------
    limits, nominal : Limits
        What the last solve used; the plant's own.
    ratios : object with arrays ``branch, switch, ups, source`` of shape (1, components)
        Loading by AC power flow over the nominal limit.
    over : float
        A component counts as broken beyond its nominal limit and overload allowance by this part.
    extra : float
        Part by which a broken limit is lowered further.

    Returns
    -------
    Limits, or None where nothing is broken.
    """
    changed = False

    def lower(
        used: np.ndarray, rating: np.ndarray, beyond: np.ndarray | float, ratio: np.ndarray
    ) -> np.ndarray:
        nonlocal changed
        known = np.isfinite(rating) & (rating > 0)
        allowed = np.where(known, (rating + beyond) / np.where(known, rating, 1.0), inf)
        broken = known & (ratio > allowed * (1.0 + over))
        changed |= bool(broken.any())
        target = used * np.where(known, allowed, 1.0) / np.maximum(ratio, 1e-9) * (1.0 - extra)
        return np.where(broken, target, used)

    new = replace(
        limits,
        branch_kva=lower(
            limits.branch_kva,
            nominal.branch_kva,
            nominal.branch_extra_kva,
            ratios.branch[0] / nominal.branch_long,
        ),
        switch_kva=lower(
            limits.switch_kva,
            nominal.switch_kva,
            nominal.switch_extra_kva,
            ratios.switch[0] / nominal.switch_long,
        ),
        ups_kva=lower(
            limits.ups_kva, nominal.ups_kva, nominal.ups_extra_kva, ratios.ups[0] / nominal.ups_long
        ),
        ups_kw=lower(limits.ups_kw, nominal.ups_kw, nominal.ups_extra_kva, ratios.ups[0] / nominal.ups_long),
        source_kw=lower(limits.source_kw, nominal.source_kw, 0.0, ratios.source[0]),
    )
    return new if changed else None


def read_numbers(
    sets: NetworkSets,
    demand: Demand,
    response: Response,
    limits: Limits,
    horizon_s: float,
    firm: bool = True,
    battery_use: float = 1.0,
) -> NetworkNumbers:
    """Read the numbers of one solve from what the automatic devices left behind after the failure.

    ``firm`` False: what may not be shed may be left without voltage, where nothing else is feasible.
    ``battery_use``: part of every battery's energy that may be counted on over the horizon.
    """
    grid, before, state = response.grid, response.before, response.state
    interrupted, unservable = response.interrupted, response.unservable
    hours = horizon_s / S_PER_H
    isl = response.islands
    as_given = living_cords(demand, before, islands(grid, before).energised)
    usable = demand.cord_ok & ~state.psu_dead
    fraction, mode_ok = _modes(sets, demand, usable, as_given)
    limited_ok, limited_excess_kw = _cord_limits(sets, demand, usable, as_given, horizon_s)
    movable = ~state.locked
    sw, tr, ups, src, store = grid.switches, grid.transfers, grid.upss, grid.sources, grid.storages
    in_transfer = sw.transfer >= 0
    free = state.transfer_ok & (tr.dwell_left_s <= 0)
    movable &= ~in_transfer | (free[np.maximum(sw.transfer, 0)] if len(free) else False)
    in_ups = sw.ups >= 0
    movable &= ~in_ups | (state.bypass_ok[np.maximum(sw.ups, 0)] if len(ups.index) else False)
    movable &= sets.tail_block != sets.head_block  # a switch across one block: its flow has no single answer
    z_start = state.closed.astype(float)
    dead_block = np.zeros(grid.n_blocks, dtype=bool)
    dead_block[grid.nodes.block[state.dead]] = True
    alive_src = state.source_ok & ~state.dead[src.node]
    held = state.source_on & alive_src & (src.kind != "genset")
    inverter = state.inverter_ok & ~state.dead[ups.out_node]
    form = store.grid_forming & state.storage_ok & ~state.dead[store.node] & (store.source >= 0)
    discharge_kw = np.minimum(store.p_discharge_max_kw, battery_use * store.e_usable_kwh / hours)
    follow = state.storage_ok & ~state.dead[store.node]
    keep_arc, keep_source, keep_ups, keep_form = _continuity(sets, grid, demand, state, isl)
    return NetworkNumbers(
        d_kw=demand.d_kw,
        min_kw=demand.min_kw,
        may_serve=~unservable & state.unit_ok,
        lit=~interrupted,
        kept=fed_units(demand, state, isl.energised) & ~demand.sheddable & firm,
        mode_ok=mode_ok,
        limited_ok=limited_ok,
        limited_excess_kw=limited_excess_kw,
        part_fraction=fraction,
        part_tan_phi=demand.cord_tan_phi[sets.part_cord],
        z_low=np.where(movable, 0.0, z_start),
        z_high=np.where(movable, 1.0, z_start),
        z_start=z_start,
        y_high=(~dead_block).astype(float),
        source_low=held.astype(float),
        source_high=alive_src.astype(float),
        source_start=(state.source_on & alive_src).astype(float),
        source_fuel_kw=src.fuel_kwh / hours,
        inverter_low=np.zeros(len(ups.index)),
        online_high=(inverter & state.rectifier_ok).astype(float),
        battery_high=(inverter & (ups.e_kwh > 0)).astype(float),
        rectifier_ok=state.rectifier_ok.astype(float),
        battery_kw=battery_use * ups.e_kwh / hours,
        ups_start=np.where(
            np.isin(state.ups_mode, ("online", "battery")),
            "inverter",
            np.where(np.isin(state.ups_mode, ("bypass", "eco")), "bypass", "off"),
        ),
        form_high=form.astype(float),
        form_start=(state.storage_on & form).astype(float),
        store_low_kw=np.where(follow, -discharge_kw, 0.0),
        store_high_kw=np.where(follow, np.maximum(state.storage_kw, 0.0), 0.0),
        store_start_kw=np.where(follow, state.storage_kw, 0.0),
        keep_arc=keep_arc,
        keep_source=keep_source,
        keep_ups=keep_ups,
        keep_form=keep_form,
        auto_free=state.transfer_ok[sets.auto_transfer] & movable[sets.auto_other],
        limits=limits,
    )


def held_in_place(numbers: NetworkNumbers, grid: Grid, held: Collection[str]) -> NetworkNumbers:
    """Return the numbers with some switches, transfer devices, UPSs, gensets and batteries where they stand."""
    sw = grid.switches
    wanted = np.array(sorted(held), dtype=str)

    def named(names: Sequence[str]) -> np.ndarray:
        return np.isin(np.asarray(names, dtype=str), wanted)

    transfer, ups = named(grid.transfers.name), named(grid.upss.name)
    fixed = named(sw.name)
    fixed |= (sw.transfer >= 0) & transfer[np.maximum(sw.transfer, 0)] if len(transfer) else False
    fixed |= (sw.ups >= 0) & ups[np.maximum(sw.ups, 0)] if len(ups) else False
    source = named(grid.sources.name)
    start = np.minimum(numbers.source_start, numbers.source_high)
    inverter = numbers.ups_start == "inverter"
    form = named(grid.storages.name)
    return replace(
        numbers,
        z_low=np.where(fixed, numbers.z_start, numbers.z_low),
        z_high=np.where(fixed, numbers.z_start, numbers.z_high),
        source_low=np.where(source, start, numbers.source_low),
        source_high=np.where(source, start, numbers.source_high),
        online_high=np.where(ups & ~inverter, 0.0, numbers.online_high),
        battery_high=np.where(ups & ~inverter, 0.0, numbers.battery_high),
        inverter_low=(ups & inverter).astype(float),
        form_high=np.where(form, numbers.form_start, numbers.form_high),
    )


def _modes(
    sets: NetworkSets, demand: Demand, usable: np.ndarray, as_given: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (draw of each part over the demand of its unit, the mode has a living cord)."""
    cord = sets.part_cord
    lives = usable[cord] & sets.part_site_lives
    unit_kw = demand.d_kw[demand.cord_unit[cord]]
    part_kw = np.where(unit_kw > 0, demand.cord_kw[cord], demand.cord_share[cord])
    draw = share_out(sets.part_mode, sets.n_modes, part_kw, demand.cord_share[cord], lives, as_given[cord])
    fraction = draw / np.where(unit_kw > 0, unit_kw, 1.0)
    return fraction, np.bincount(sets.part_mode, weights=lives, minlength=sets.n_modes) > 0


def _cord_limits(
    sets: NetworkSets, demand: Demand, usable: np.ndarray, as_given: np.ndarray, horizon_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return per (limited unit, feed): its cords carry at least the floor; kW to cap so that none is over its limit."""
    n, cord, row = len(sets.limited_unit), sets.limited_cord, sets.limited_part
    lives = usable[cord] & sets.limited_lives
    draw = share_out(row, n, demand.cord_kw[cord], demand.cord_share[cord], lives, as_given[cord])
    limit_kw = demand.cord_limit_kw(horizon_s)[cord]
    share = np.where(draw > 1e-9, limit_kw / np.maximum(draw, 1e-9), inf)
    largest = np.ones(n)
    np.minimum.at(largest, row, share)
    d_kw, floor_kw = demand.d_kw[sets.limited_unit], demand.min_kw[sets.limited_unit]
    fed = np.bincount(row, weights=lives, minlength=n) > 0
    return fed & (largest * d_kw >= floor_kw - 1e-9), (1.0 - largest) * d_kw


def _feeding_arcs(sets: NetworkSets, grid: Grid, state: State, isl: Islands, live: np.ndarray) -> np.ndarray:
    """Return bool (S, 2): arcs that feed their head block in the present state (a tree from the roots).

    Level by level from all roots at once; of two arcs into one block the first counts, in the order in which their
    blocks were reached and then of the switches.
    """
    n_switches = len(grid.switches.index)
    feeding = np.zeros((n_switches, 2), dtype=bool)
    shut = np.flatnonzero(state.closed & (sets.tail_block != sets.head_block))
    switch, way = np.r_[shut, shut], np.repeat([0, 1], len(shut))
    source = np.r_[sets.tail_block[shut], sets.head_block[shut]]
    target = np.r_[sets.head_block[shut], sets.tail_block[shut]]
    rank = np.full(grid.n_blocks, -1)  # in the order of being reached
    front = _first_of_each(grid.nodes.block[np.array([node for _, _, node in isl.roots], dtype=int)])
    reached = 0
    while len(front):
        rank[front] = reached + np.arange(len(front))
        begun, reached = reached, reached + len(front)
        new = np.flatnonzero((rank[source] >= begun) & (rank[target] < 0) & live[target])
        new = new[np.lexsort((switch[new], rank[source[new]]))]
        _, first = np.unique(target[new], return_index=True)
        chosen = new[np.sort(first)]
        feeding[switch[chosen], way[chosen]] = True
        front = target[chosen]
    return feeding


def _first_of_each(values: np.ndarray) -> np.ndarray:
    """Return the values without repetition, in the order of their first occurrence."""
    _, first = np.unique(values, return_index=True)
    return np.asarray(values[np.sort(first)])


def _continuity(
    sets: NetworkSets, grid: Grid, demand: Demand, state: State, isl: Islands
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return which arcs and sources keep a block alive without a gap longer than the shortest hold-up.

    The arc that feeds now; another position of the same transfer device if it is fast enough or a closed
    transition in sync; a plain switch from a block in sync (make before break), unless an interlock
    forbids both to be closed together. A UPS passes between inverter and static bypass without a gap.
    """
    label_of_node = sync_labels(grid, state, isl)
    block = grid.nodes.block
    live = np.zeros(grid.n_blocks, dtype=bool)
    live[block[isl.energised]] = True
    label_of_block = np.full(grid.n_blocks, -1)
    label_of_block[block[isl.energised]] = pd.factorize(label_of_node[isl.energised])[0]
    keep = _feeding_arcs(sets, grid, state, isl, live)
    feeder = np.full(grid.n_blocks, -1)
    for d, head in ((0, sets.head_block), (1, sets.tail_block)):
        rows = np.flatnonzero(keep[:, d])
        feeder[head[rows]] = rows
    holdup_s = float(demand.holdup_s.min()) if demand.n else 0.0
    sw, tr = grid.switches, grid.transfers
    inverting = np.isin(state.ups_mode, ("online", "battery"))
    fast = tr.transfer_s <= holdup_s
    for d, source, target in ((0, sets.tail_block, sets.head_block), (1, sets.head_block, sets.tail_block)):
        s = np.flatnonzero((source != target) & live[source] & live[target] & ~keep[:, d])
        now, device, ups = feeder[target[s]], sw.transfer[s], sw.ups[s]
        in_sync = label_of_block[source[s]] == label_of_block[target[s]]
        fed_by = np.where(now >= 0, sw.transfer[now], -1)  # the transfer device that feeds it now
        plain = in_sync & (fed_by < 0) & ~_excluded(sets, s, now)
        through = device >= 0
        sibling = through & (fed_by == device)
        gentle = (
            np.r_[fast, False][device] | (np.r_[tr.closed_transition, False][device] & in_sync)
        )  # fmt: skip
        bypass = np.r_[inverting, False][ups]
        keep[s, d] = np.where(through, sibling & gentle, np.where(ups >= 0, bypass, plain))
    ups_live = inverting | np.isin(state.ups_mode, ("bypass", "eco"))
    return keep, state.source_on.copy(), ups_live, state.storage_on.copy()


def _excluded(sets: NetworkSets, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return whether an interlock names both switches of each pair; a position of -1 is no switch."""
    pair = one * len(sets.tail_block) + other
    return (other >= 0) & np.isin(pair, sets.interlocked)
