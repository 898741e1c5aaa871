"""An exhaustive oracle for small plants: the least unserved power, priority by priority, over everything.

It shares nothing with the formulation, the engine or the sequencer. Every position of every movable switch,
transfer device, UPS and genset is enumerated; structural rules are said again here on bit arrays; every
choice of units to serve is tried; caps are found by successive linear programmes on measured (AC) sensitivities;
and only what the independent checker accepts counts.

Exactness: ratings are kept to LIMIT by AC power flow, and the checker (which allows 5e-4 more) judges the
end state. A battery is counted at RESERVE of its energy, as a plan does: the rest goes before it is carried out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import linprog

from pdnopt.acflow import FlowCases, FlowEngine
from pdnopt.baselines import PlanWriter
from pdnopt.checker import Checker
from pdnopt.plan import Plan
from pdnopt.plant.demand import Demand, cord_draw_kw, read_demand
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import Grid, read_grid
from pdnopt.plant.state import State, connectivity, islands
from pdnopt.plant.tables import values
from pdnopt.response import Response, respond
from tests.ways import find_way

LIMIT = 1.0 + 1e-4
RESERVE = 0.98
HORIZON_S = 3600.0
MAX_STATES = 1 << 18
BATCH = 192
SAME_KW = 1e-3
"""Two optima count as equal within this, so that the search may stop."""


@dataclass(frozen=True)
class Optimum:
    """``unserved_kw`` by priority; the plan that proves it; how much was searched."""

    unserved_kw: dict[int, float]
    plan: Plan
    n_states: int
    n_refused: int


def brute_force(
    net: Any, failed: list[str], checker: Checker | None = None, reachable: bool = False
) -> Optimum | None:
    """Return the best end state that the checker accepts, None where there is none.

    ``reachable``: the best one to which some order of commands leads that the checker accepts all the way.
    """
    return _Oracle(net, failed, checker or Checker(net), reachable).search()


@dataclass(frozen=True)
class _Choice:
    """What one device may do: for each option the switches that it closes, its UPS mode, its genset."""

    closed: list[tuple[int, ...]]
    mode: list[str]
    ups: int = -1
    source: int = -1


class _Oracle:
    def __init__(self, net: Any, failed: list[str], checker: Checker, reachable: bool) -> None:
        self.net, self.failed, self.checker, self.reachable = net, failed, checker, reachable
        self.grid: Grid = read_grid(net)
        self.demand: Demand = read_demand(net, self.grid)
        self.response: Response = respond(self.grid, self.demand, parse_failed(net, failed))
        self.grid = self.response.grid
        self.engine = FlowEngine(net)
        sw, block = self.grid.switches, self.grid.nodes.block
        self.a, self.b = block[sw.tail], block[sw.head]
        self.usable = self.demand.cord_ok & ~self.response.state.psu_dead
        self.cord_block = block[self.demand.cord_node]
        self._draws: dict[int, np.ndarray] = {}
        self._kept: list[State] = []
        self._allowed = {table: self._long(table) for table in ("line", "trafo", "switch", "ups")}
        self.priorities = sorted({int(p) for p in self.demand.priority})

    # --- the states

    def choices(self) -> list[_Choice]:
        """Return what every movable device may do."""
        state, grid = self.response.state, self.grid
        sw, tr, ups, src = grid.switches, grid.transfers, grid.upss, grid.sources
        found: list[_Choice] = []
        for s in range(len(sw.index)):
            if sw.transfer[s] < 0 and sw.ups[s] < 0 and not state.locked[s]:
                found.append(_Choice([(), (s,)], ["", ""]))
        for t in range(len(tr.index)):
            held = [int(s) for s in tr.positions[t] if state.closed[s]]
            if state.transfer_ok[t] and not any(state.locked[s] for s in held):
                free = [int(s) for s in tr.positions[t] if not state.locked[s]]
                found.append(_Choice([(), *((s,) for s in free)], [""] * (1 + len(free))))
        for j in range(len(ups.index)):
            bypass = int(ups.bypass[j])
            modes = ["off"]
            if state.inverter_ok[j]:
                modes.append("inverter")
            if bypass >= 0 and state.bypass_ok[j] and not state.locked[bypass]:
                modes.append("bypass")
            if state.ups_mode[j] in ("bypass", "eco") and "bypass" not in modes:
                modes = ["bypass"]
            found.append(_Choice([(bypass,) if m == "bypass" else () for m in modes], modes, ups=j))
        for g in range(len(src.index)):
            if src.kind[g] == "genset" and state.source_ok[g] and not state.dead[src.node[g]]:
                found.append(_Choice([(), ()], ["", "on"], source=g))
        return found

    def enumerate(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return closed (n, S), inverter (n, U) and source_on (n, G) of every combination."""
        choices, state, grid = self.choices(), self.response.state, self.grid
        sizes = [len(c.closed) for c in choices]
        n = int(np.prod(sizes, dtype=float))
        if n > MAX_STATES:
            raise ValueError(f"{n} states are too many for brute force")
        digits = np.array(np.unravel_index(np.arange(n), sizes)) if sizes else np.zeros((0, 1), int)
        n = max(n, 1)
        movable = np.zeros(len(grid.switches.index), dtype=bool)
        for choice in choices:
            movable[[s for option in choice.closed for s in option]] = True
            if choice.ups >= 0 and grid.upss.bypass[choice.ups] >= 0:
                movable[grid.upss.bypass[choice.ups]] = True
        closed = np.tile(state.closed & ~movable, (n, 1))
        inverter = np.zeros((n, len(grid.upss.index)), dtype=bool)
        on = np.tile(state.source_on & (grid.sources.kind != "genset"), (n, 1))
        for choice, digit in zip(choices, digits, strict=True):
            for option, (shut, mode) in enumerate(zip(choice.closed, choice.mode, strict=True)):
                rows = digit == option
                for s in shut:
                    closed[rows, s] = True
                if choice.ups >= 0:
                    inverter[rows, choice.ups] = mode == "inverter"
                if choice.source >= 0:
                    on[rows, choice.source] = mode == "on"
        keep = np.ones(n, dtype=bool)
        locks = grid.interlocks
        for members, most in zip(locks.switches, locks.max_closed, strict=True):
            keep &= closed[:, members].sum(axis=1) <= most
        return closed[keep], inverter[keep], on[keep]

    def parts(self, closed: np.ndarray) -> np.ndarray:
        """Return the part of every block in every state, (n, K): the least block number in it."""
        n, k = len(closed), self.grid.n_blocks
        part = np.tile(np.arange(k, dtype=np.int8), (n, 1))
        for _ in range(k):
            before = part.copy()
            for s in range(closed.shape[1]):
                low = np.minimum(part[:, self.a[s]], part[:, self.b[s]])
                for end in (self.a[s], self.b[s]):
                    part[:, end] = np.where(closed[:, s], low, part[:, end])
            if (part == before).all():
                return part
        return part

    def structure(
        self, closed: np.ndarray, inverter: np.ndarray, on: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Apply the structural rules: which states are allowed, what lives (n, K), which UPSs are online (n, U)."""
        grid, state = self.grid, self.response.state
        block, ups, src = grid.nodes.block, grid.upss, grid.sources
        n, k = len(closed), grid.n_blocks
        rows = np.arange(n)
        part = self.parts(closed)
        dead = np.zeros(k, dtype=bool)
        dead[block[state.dead]] = True
        roots = np.zeros((n, k), dtype=np.int8)
        for g in range(len(src.index)):
            if not state.dead[src.node[g]]:
                roots[rows, part[:, block[src.node[g]]]] += on[:, g]
        into, out = block[ups.in_node], block[ups.out_node]
        online = np.zeros_like(inverter)
        allowed = np.ones(n, dtype=bool)
        for phase in ("mains", "battery"):
            if phase == "battery":
                for j in range(len(out)):
                    starts = inverter[:, j] & ~online[:, j]
                    allowed &= ~starts | bool(ups.e_kwh[j] > 0)
                    roots[rows, part[:, out[j]]] += starts
                battery = inverter & ~online
                for j in range(
                    len(out)
                ):  # on battery with a live input: it would be online (or feeds itself)
                    live_in = (roots[rows, part[:, into[j]]] > 0) & bool(state.rectifier_ok[j])
                    allowed &= ~(battery[:, j] & live_in)
                break
            for _ in range(len(out)):
                for j in range(len(out)):
                    live_in = (
                        (roots[rows, part[:, into[j]]] > 0) & ~dead[into[j]] & bool(state.rectifier_ok[j])
                    )
                    starts = inverter[:, j] & ~online[:, j] & live_in
                    online[:, j] |= starts
                    roots[rows, part[:, out[j]]] += starts
        allowed &= (roots <= 1).all(axis=1)
        live = (np.take_along_axis(roots, part.astype(np.intp), axis=1) > 0) & ~dead
        # radial: every live part has one switch less than blocks
        edges, nodes = np.zeros((n, k), np.int16), np.zeros((n, k), np.int16)
        for s in range(closed.shape[1]):
            if self.a[s] != self.b[s]:
                edges[rows, part[:, self.a[s]]] += closed[:, s]
        for node in range(k):
            nodes[rows, part[:, node]] += 1
        allowed &= ~((edges >= nodes) & (roots > 0)).any(axis=1)
        for j in range(len(out)):
            s = int(ups.bypass[j])
            if s >= 0:  # on bypass from a dead bus: it would be off
                allowed &= ~closed[:, s] | live[:, out[j]]
        return self._settled(closed, live, allowed), live, online

    def _settled(self, closed: np.ndarray, live: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """Leave out states in which an automatic transfer would move by itself."""
        grid, tr = self.grid, self.grid.transfers
        for t in np.flatnonzero(tr.auto & self.response.state.transfer_ok):
            out = int(grid.nodes.block[tr.node[t]])
            feeds = {int(s): int(self.a[s] if self.b[s] == out else self.b[s]) for s in tr.positions[t]}
            choice = np.zeros(len(closed), dtype=bool)
            stands = closed[:, tr.positions[t]].any(axis=1)
            for s, feed in feeds.items():
                if not self.response.barred[s]:
                    choice |= live[:, feed] & ~closed[:, s]
            allowed = allowed & ~(stands & ~live[:, out] & choice)
        return allowed

    # --- the search

    def search(self) -> Optimum | None:
        closed, inverter, on = self.enumerate()
        allowed, live, online = self.structure(closed, inverter, on)
        closed, inverter, on, live, online = (x[allowed] for x in (closed, inverter, on, live, online))
        demand, response = self.demand, self.response
        living = live[:, self.cord_block] & self.usable
        alive = np.array([demand.sum_by_unit(row.astype(float)) > 0 for row in living]).reshape(-1, demand.n)
        alive &= response.state.unit_ok
        was = demand.sum_by_unit(response.living.astype(float)) > 0
        firm = ~demand.sheddable & response.state.unit_ok
        fine = ~(firm & was & ~alive).any(axis=1)  # what may not be switched off must stay alive
        keys = self._carrying(closed, inverter, on, live, online)
        moves = (closed != response.state.closed).sum(axis=1)
        order = np.lexsort((np.arange(len(keys)), moves))
        order = order[fine[order]]
        _, first = np.unique(keys[order], axis=0, return_index=True)
        rows = order[np.sort(first)]
        return self._best(closed, inverter, online, on, alive, moves, rows)

    def _carrying(
        self, closed: np.ndarray, inverter: np.ndarray, on: np.ndarray, live: np.ndarray, online: np.ndarray
    ) -> np.ndarray:
        """Return what tells states apart: the switches, inverters and gensets that feed any cord."""
        block, ups, src = self.grid.nodes.block, self.grid.upss, self.grid.sources
        n, k = live.shape
        into, out = block[ups.in_node], block[ups.out_node]
        carries = closed & live[:, self.a] & live[:, self.b] & (self.a != self.b)
        cords = np.zeros(k, dtype=bool)
        cords[self.cord_block[self.usable]] = True
        roots = np.zeros((n, k), dtype=bool)
        for g in range(len(src.index)):
            roots[:, block[src.node[g]]] |= on[:, g]
        for j in range(len(out)):
            roots[:, out[j]] |= inverter[:, j]
        while True:
            ends = np.zeros((n, k), dtype=np.int8)
            for s in range(closed.shape[1]):
                ends[:, self.a[s]] += carries[:, s]
                ends[:, self.b[s]] += carries[:, s]
            wanted = np.tile(cords, (n, 1))
            for _ in range(len(out)):
                for j in range(len(out)):
                    wanted[:, into[j]] |= online[:, j] & (wanted[:, out[j]] | (ends[:, out[j]] > 0))
            idle = (ends == 1) & ~wanted & ~roots
            drop = carries & (idle[:, self.a] | idle[:, self.b])
            if not drop.any():
                break
            carries &= ~drop
        busy = wanted | (ends > 0)
        gensets = on & (src.kind == "genset") & busy[:, block[src.node]]
        return np.concatenate(
            [carries, online & busy[:, out], inverter & ~online & busy[:, out], gensets], axis=1
        )

    def _best(
        self,
        closed: np.ndarray,
        inverter: np.ndarray,
        online: np.ndarray,
        on: np.ndarray,
        alive: np.ndarray,
        moves: np.ndarray,
        rows: np.ndarray,
    ) -> Optimum | None:
        """Try every state with every choice of units, the best that it could be first."""
        demand = self.demand
        subsets = np.array(list(product((True, False), repeat=demand.n)), dtype=bool).reshape(-1, demand.n)
        firm = ~demand.sheddable
        candidates: list[tuple[tuple[float, ...], int, int, int]] = []
        for row in rows:
            fits = ~(subsets & ~alive[row]).any(axis=1) & ~((alive[row] & firm) & ~subsets).any(axis=1)
            for k in np.flatnonzero(fits):
                candidates.append(
                    (self._unserved(subsets[k] * demand.d_kw), int(moves[row]), int(row), int(k))
                )
        candidates.sort()
        states = {int(r): self._state(closed[r], inverter[r], online[r], on[r]) for r in rows}
        loads = {row: self._draw(state) for row, state in states.items()}
        estimate: dict[int, np.ndarray] = {}
        best: tuple[tuple[float, ...], Plan] | None = None
        refused = 0
        for start in range(0, len(candidates), BATCH):
            batch = candidates[start : start + BATCH]
            if best is not None and not _better(batch[0][0], best[0]):
                break
            new = [row for row in dict.fromkeys(c[2] for c in batch) if row not in estimate]
            estimate |= self._estimate(states, new)
            batch = [c for c in batch if self._may_fit(estimate, c[2], subsets[c[3]], loads[c[2]])]
            for value, row, kw in sorted(
                self._within_limits(batch, states, subsets, loads), key=lambda t: t[0]
            ):
                if best is not None and not _better(value, best[0]):
                    break
                found = self._verified(states[row], kw)
                if found is None:
                    refused += 1
                else:
                    best = found
        if best is None:
            return None
        return Optimum(dict(zip(self.priorities, best[0], strict=True)), best[1], len(rows), refused)

    def _unserved(self, kw: np.ndarray) -> tuple[float, ...]:
        lost, priority = self.demand.d_kw - kw, self.demand.priority
        return tuple(round(float(lost[priority == p].sum()), 6) for p in self.priorities)

    def _state(self, closed: np.ndarray, inverter: np.ndarray, online: np.ndarray, on: np.ndarray) -> State:
        bypass = self.grid.upss.bypass
        passing = np.array([s >= 0 and closed[s] for s in bypass], dtype=bool)
        mode = np.where(online, "online", np.where(inverter, "battery", np.where(passing, "bypass", "off")))
        return self.response.state.but(
            closed=closed.copy(), source_on=on.copy(), ups_mode=mode.astype(object)
        )

    # --- AC power flow

    def _loading(self, states: list[State], kw: np.ndarray) -> np.ndarray:
        """Return load over what is allowed for every component, (n, C); 9 where there is no power flow."""
        flow = self.engine.run(self._cases(states, kw))
        net, grid = self.net, self.grid
        ups = grid.upss
        battery = np.array([s.ups_mode == "battery" for s in states]).reshape(len(states), -1)
        energy_kw = np.where(ups.e_kwh > 0, RESERVE * ups.e_kwh * 3600.0 / HORIZON_S, 1.0)
        inverting = np.array([np.isin(s.ups_mode, ("online", "battery")) for s in states])
        inverting = inverting.reshape(len(states), -1)  # what passes a static bypass loads its switch
        p, q = np.where(inverting, flow.ups_p_out_kw, 0.0), np.where(inverting, flow.ups_q_out_kvar, 0.0)
        index = net.ext_grid.index.get_indexer(grid.sources.index)
        least = grid.nodes.v_min_pu[: len(net.bus)]
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.where(flow.vm_pu > 0, least / flow.vm_pu, 0.0)
            parts = [
                flow.line_loading_percent / 100.0 / self._allowed["line"],
                flow.trafo_loading_percent / 100.0 / self._allowed["trafo"],
                flow.switch_i_ka / net.switch["in_ka"].to_numpy(float) / self._allowed["switch"],
                np.maximum(p / ups.p_rated_kw, np.hypot(p, q) / ups.s_rated_kva) / self._allowed["ups"],
                np.where(battery, p, 0.0) / energy_kw,
                flow.ext_grid_p_kw[:, index] / grid.sources.p_max_kw,
                low,
            ]
        table = np.nan_to_num(np.concatenate(parts, axis=1), nan=0.0, posinf=0.0)
        table[~flow.converged] = 9.0
        return table

    def _cases(self, states: list[State], kw: np.ndarray) -> FlowCases:
        """Return the cases of the AC power flow."""
        net, demand, src = self.net, self.demand, self.grid.sources
        n = len(states)
        part = kw / np.where(demand.d_kw > 0, demand.d_kw, 1.0)
        cord_kw = np.array([self._draw(s) for s in states]) * part[:, demand.cord_unit]
        p, q = np.zeros((n, len(net.load))), np.zeros((n, len(net.load)))
        at = net.load.index.get_indexer(demand.cord_row)
        p[:, at], q[:, at] = cord_kw, cord_kw * demand.cord_tan_phi
        on = np.zeros((n, len(net.ext_grid)), dtype=bool)  # the companions of UPSs follow their mode
        on[:, net.ext_grid.index.get_indexer(src.index)] = [s.source_on & ~s.dead[src.node] for s in states]
        return FlowCases(
            switch_closed=np.array([s.closed for s in states]),
            ext_grid_on=on,
            ups_mode=np.array([s.ups_mode for s in states], dtype=object),
            load_p_kw=p,
            load_q_kvar=q,
            dead_bus=np.array([s.dead[: len(net.bus)] for s in states]),
        )

    def _draw(self, state: State) -> np.ndarray:
        """Return what each cord draws when all is served."""
        if id(state) not in self._draws:
            live = islands(self.grid, state).energised[self.demand.cord_node] & self.usable
            self._draws[id(state)] = cord_draw_kw(self.demand, live, self.response.living_as_given)
            self._kept.append(state)
        return self._draws[id(state)]

    def _long(self, table: str) -> np.ndarray:
        """Return the ratio that each component's curve carries for the whole horizon (1 without one)."""
        rows = self.net.overload_curve
        rows = rows[rows["max_s"] * 0.9 >= HORIZON_S]
        best = dict(rows.groupby("name")["ratio"].max())
        return np.array([float(best.get(name, 1.0)) for name in values(self.net, table, "overload_curve")])

    def _estimate(self, states: dict[int, State], rows: list[int]) -> dict[int, np.ndarray]:
        """Return for each state the loading that each unit's floor alone causes, (D, C)."""
        n = self.demand.n
        if not rows:
            return {}
        alone = np.tile(np.diag(self.demand.min_kw), (len(rows), 1))
        table = self._loading([states[row] for row in rows for _ in range(n)], alone)
        return dict(zip(rows, table.reshape(len(rows), n, -1), strict=True))

    def _may_fit(
        self, estimate: dict[int, np.ndarray], row: int, chosen: np.ndarray, draw: np.ndarray
    ) -> bool:
        """Leave out what is surely too much even at its floors: the sum is exact but for losses and angles."""
        total = estimate[row][chosen].sum(axis=0) if chosen.any() else np.zeros(1)
        if total[: len(total) - len(self.net.bus)].max(initial=0.0) > 1.08:
            return False
        return bool((self._floors(chosen, draw) <= self._most(draw) + 1e-9).all())

    def _floors(self, chosen: np.ndarray, draw: np.ndarray) -> np.ndarray:
        return np.where(chosen, self.demand.min_kw, 0.0)

    def _most(self, draw: np.ndarray) -> np.ndarray:
        """Return the most that each unit may draw for the sake of its cords."""
        demand = self.demand
        limit = demand.cord_limit_kw(HORIZON_S)
        part = np.where(draw > 1e-9, np.minimum(limit / np.maximum(draw, 1e-9), 1.0), 1.0)
        most = np.ones(demand.n)
        np.minimum.at(most, demand.cord_unit, part)
        return np.asarray(most * demand.d_kw)

    def _within_limits(
        self,
        batch: list[tuple[tuple[float, ...], int, int, int]],
        states: dict[int, State],
        subsets: np.ndarray,
        loads: dict[int, np.ndarray],
    ) -> list[tuple[tuple[float, ...], int, np.ndarray]]:
        """Return (unserved, state, kW of every unit) of the candidates that AC power flow finds within limits."""
        if not batch:
            return []
        demand = self.demand
        floor = np.array([np.where(subsets[k], demand.min_kw, 0.0) for _, _, _, k in batch])
        most = np.array([np.where(subsets[k], self._most(loads[row]), 0.0) for _, _, row, k in batch])
        where = [states[row] for _, _, row, _ in batch]
        low, high = self._loading(where, floor).max(axis=1), self._loading(where, most).max(axis=1)
        found = []
        for n, (_, _, row, _) in enumerate(batch):
            if low[n] > LIMIT:
                continue
            kw = most[n] if high[n] <= LIMIT else self._cap(states[row], floor[n], most[n])
            if kw is not None:
                found.append((self._unserved(kw), row, kw))
        return found

    def _cap(self, state: State, floor: np.ndarray, most: np.ndarray) -> np.ndarray | None:
        """Return the best caps: linear programmes on sensitivities measured by AC power flow."""
        priority = self.demand.priority
        rank = np.array([self.priorities.index(int(p)) for p in priority])
        weight = 1000.0 ** -rank.astype(float)
        able = np.flatnonzero(most > floor + 1e-9)
        kw = floor.copy()
        for _ in range(4):
            step = np.where(kw[able] + 0.1 <= most[able], 0.1, -0.1)
            trial = np.tile(kw, (len(able) + 1, 1))
            trial[np.arange(1, len(able) + 1), able] += step
            table = self._loading([state] * len(trial), trial)
            slope = ((table[1:] - table[0]) / step[:, None]).T
            room = LIMIT - 2e-5 - table[0] + slope @ kw[able]
            binding = np.abs(slope).sum(axis=1) > 1e-12
            answer = linprog(
                -weight[able],
                A_ub=slope[binding],
                b_ub=room[binding],
                bounds=np.column_stack([floor[able], most[able]]),
                method="highs",
            )
            if answer.x is None:
                return None
            before = kw.copy()
            kw[able] = answer.x
            if np.abs(kw - before).max() < 1e-4:
                break
        return kw if self._loading([state], kw[None, :]).max() <= LIMIT else None

    # --- the plan

    def _plan(self, target: State, kw: np.ndarray, staged: bool) -> Plan:
        """Write a plan to the target: load down first, then devices in any order that commands allow.

        ``staged``: all that may be shed is off while devices move, and comes back last: for end states that
        can be held but not reached under load.
        """
        response, demand = self.response, self.demand
        writer = PlanWriter(response, demand, 0.5)
        was_kw = response.state.served * demand.d_kw
        dead = demand.sum_by_unit(response.living.astype(float)) == 0
        mine = [u for u in range(demand.n) if was_kw[u] > 0 and (kw[u] > 0 or demand.sheddable[u] or dead[u])]
        low = {u: 0.0 if staged and demand.sheddable[u] else float(kw[u]) for u in mine}
        writer.loads({u: v for u, v in low.items() if v < was_kw[u] - 1e-9})
        for _ in range(3 * (len(target.closed) + 4)):
            if not self._one_move(writer, target):
                break
        writer.loads({u: float(kw[u]) for u, v in low.items() if kw[u] > v + 1e-9})
        return Plan(failed=tuple(self.failed), automatic=response.automatic, actions=tuple(writer.actions))

    def _verified(self, target: State, kw: np.ndarray) -> tuple[tuple[float, ...], Plan] | None:
        """Return what the checker says is unserved at the end of a plan that it accepts, and that plan."""
        if self.reachable:
            way = find_way(self.checker, self.response, self.demand, self.failed, target, kw)
            if way is None:
                return None
            report = self.checker.report(way, self.failed)
            return tuple(report.unserved_by_priority[p] for p in self.priorities), way
        for staged in (False, True):
            plan = self._plan(target, kw, staged)
            report = self.checker.report(plan, self.failed, intermediate=False)
            if not any(issue.severity == "error" for issue in report.issues):
                return tuple(report.unserved_by_priority[p] for p in self.priorities), plan
        return None

    def _one_move(self, writer: PlanWriter, target: State) -> bool:
        """Write one command towards the target; False where none is left."""
        grid, state = self.grid, writer.state
        sw, tr, ups = grid.switches, grid.transfers, grid.upss
        plain = (sw.transfer < 0) & (sw.ups < 0)
        for s in np.flatnonzero(plain & state.closed & ~target.closed):
            writer.switch(int(s), False)
            return True
        for g in np.flatnonzero(~state.source_on & target.source_on):
            writer.start(int(g))
            return True
        sort = {"online": "inverter", "battery": "inverter", "eco": "bypass"}
        now = [sort.get(m, m) for m in state.ups_mode]
        then = [sort.get(m, m) for m in target.ups_mode]
        for j in range(len(ups.index)):
            if now[j] != then[j] and then[j] == "off":
                writer.mode(j, "off")
                return True
        for t, positions in enumerate(tr.positions):
            held, goal = positions[state.closed[positions]], positions[target.closed[positions]]
            if len(held) and not np.array_equal(held, goal):
                writer.transfer(t, int(goal[0]) if len(goal) else None)
                return True
        live = self._live(state)
        for s in np.flatnonzero(plain & ~state.closed & target.closed):
            if not (live[self.a[s]] and live[self.b[s]]) or self._together(state, int(s)):
                writer.switch(int(s), True)
                return True
        for t, positions in enumerate(tr.positions):
            goal = positions[target.closed[positions]]
            if len(goal) and not state.closed[positions].any():
                writer.transfer(t, int(goal[0]))
                return True
        for j in range(len(ups.index)):
            if now[j] != then[j]:
                feed = ups.in_node[j] if then[j] == "inverter" else self._bypass_node(j)
                fed = live[grid.nodes.block[feed]]
                if fed or then[j] == "inverter":
                    online = fed and state.rectifier_ok[j]
                    writer.mode(j, ("online" if online else "battery") if then[j] == "inverter" else "bypass")
                    return True
        return False

    def _bypass_node(self, j: int) -> int:
        sw, s = self.grid.switches, int(self.grid.upss.bypass[j])
        return int(sw.tail[s] if sw.head[s] == self.grid.upss.out_node[j] else sw.head[s])

    def _live(self, state: State) -> np.ndarray:
        live = np.zeros(self.grid.n_blocks, dtype=bool)
        live[self.grid.nodes.block[islands(self.grid, state).energised]] = True
        return live

    def _together(self, state: State, s: int) -> bool:
        island = connectivity(self.grid, state)
        return bool(island[self.grid.switches.tail[s]] == island[self.grid.switches.head[s]])


def _better(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Return whether ``a`` is lexicographically less than ``b`` by more than SAME_KW."""
    for x, y in zip(a, b, strict=True):
        if abs(x - y) > SAME_KW:
            return x < y
    return False
