"""The rules that the founding documents give in pseudocode, as what an optimum is compared with.

``breadth_first_reroute``: self-healing of founding document 8994213, ``handleNodeFailure`` and ``findPaths``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pdnopt.acflow import FlowEngine
from pdnopt.plan import Plan
from pdnopt.plant.actions import Action, Actuator
from pdnopt.plant.demand import Demand, cord_draw_kw, read_demand, with_load_kw
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import Grid, read_grid
from pdnopt.plant.state import State, fed_units, islands, living_cords
from pdnopt.response import Response, flow_case, loadings, respond, settle
from pdnopt.units import DEFAULT_HORIZON_S, DEFAULT_LATENCY_S

__all__ = ["PlanWriter", "breadth_first_reroute"]

OVER = 1e-4
"""A component counts as over its limit beyond this part."""

PORTION = 16
"""Units whose shedding is judged at a time."""

RELIEF_KW = 1e-6
"""Shedding a unit must take more than this part off an overload to count as relief."""


def breadth_first_reroute(
    net: Any,
    failed: Sequence[str] | str,
    p_load_kw: Any = None,
    *,
    shed: bool = False,
    horizon_s: float = DEFAULT_HORIZON_S,
    latency_s: float = DEFAULT_LATENCY_S,
    engine: FlowEngine | None = None,
) -> Plan:
    """Reroute by breadth-first search, as the pseudocode of founding document 8994213 has it.

    The document: find the outputs that the failed node fed; for each, search breadth first from the inputs,
    never through the failed node; close what lies on the first path found. One output at a time, without a
    look at ratings, at other outputs or at losses. An output is here a load without voltage, or the input of
    a UPS that runs on its battery. Beyond the document, because the plant would not do it otherwise: locked
    devices stay, a transfer device leaves its old position and a UPS that is off is started, a switch stays
    open where an interlock forbids it, a standing-by genset is started if no live source is found.

    Parameters
    ----------
    net : pandapowerNet
        Before the failure. Never changed.
    failed : sequence of str
        The outages (PLANT.md).
    p_load_kw : Series, optional
        Demands in kW indexed like net.load.
    shed : bool
        Afterwards shed what relieves an overload, the least critical first and of those the largest, until
        AC power flow finds no component over its limit. The document sheds nothing.
    horizon_s, latency_s : float
        As in `pdnopt.solve`.
    engine : FlowEngine, optional
        Of this network, to save building one.

    Returns
    -------
    Plan
        Not verified: the rule knows no ratings. Ask ``pdnopt.check``.
    """
    names = (failed,) if isinstance(failed, str) else tuple(failed)
    grid = read_grid(net)
    demand = with_load_kw(read_demand(net, grid), p_load_kw)
    response = respond(grid, demand, parse_failed(net, names))
    writer = PlanWriter(response, demand, latency_s, f"breadth-first after losing {', '.join(names)}")
    search = _Search(response.grid)
    _reroute(writer, search, demand)
    dropped: list[int] = []
    if shed:
        dropped = _shed(net, writer, FlowEngine(net) if engine is None else engine, horizon_s)
    if dropped:  # load comes off first, so that no state on the way is worse than it must be
        writer = PlanWriter(response, demand, latency_s, writer.reason)
        writer.shed(dropped)
        _reroute(writer, search, demand)
    loads = {} if p_load_kw is None else {"load": {int(k): float(v) for k, v in p_load_kw.items()}}
    return Plan(
        problem="reroute",
        failed=names,
        automatic=response.automatic,
        actions=tuple(writer.actions),
        horizon_s=horizon_s,
        latency_s=latency_s,
        loads_kw=loads,
    )


class PlanWriter:
    """Writes timed actions step by step (rule 12), following what the plant's devices do in between.

    Attributes
    ----------
    state : State
        After all that has been written so far.
    actions : list of Action
    """

    def __init__(self, response: Response, demand: Demand, latency_s: float, reason: str = "") -> None:
        self.response, self.demand, self.reason = response, demand, reason
        self.grid: Grid = response.grid
        self.state: State = response.state
        self.actions: list[Action] = []
        self._actuator = Actuator(response.grid, demand)
        self._clock_s = latency_s
        self._ready_s = latency_s
        self._step = 0

    def _write(self, batch: list[Action], takes_s: float, goes_on: bool = False) -> None:
        """Add one step; ``goes_on``: later steps need not wait for it (a genset that starts)."""
        self._step += 1
        begins = self._clock_s if goes_on else max(self._clock_s, self._ready_s)
        timed = [replace(item, step=self._step, t_s=begins + takes_s) for item in batch]
        self.state = settle(self.response, self._actuator.act(self.state, timed))
        self.actions += timed
        if goes_on:
            self._ready_s = max(self._ready_s, begins + takes_s)
        else:
            self._clock_s = begins + takes_s

    def _action(self, device: str, action: str, before: Any, after: Any) -> Action:
        return Action(0, 0.0, device, action, before, after, self.reason)

    def switch(self, k: int, closed: bool) -> None:
        """Open or close a switch of its own."""
        sw = self.grid.switches
        word = "close" if closed else "open"
        self._write([self._action(sw.name[k], word, not closed, closed)], float(sw.t_operate_s[k]))

    def transfer(self, k: int, position: int | None) -> None:
        """Move a transfer device to a position (in Switches), or to none."""
        tr, names = self.grid.transfers, self.grid.switches.name
        held = [int(s) for s in tr.positions[k] if self.state.closed[s]]
        before = names[held[0]] if held else None
        after = None if position is None else names[position]
        self._write([self._action(tr.name[k], "transfer", before, after)], float(tr.transfer_s[k]))

    def mode(self, k: int, mode: str) -> None:
        """Set the mode of a UPS."""
        ups = self.grid.upss
        takes_s = float(self.grid.switches.t_operate_s[ups.bypass[k]]) if ups.bypass[k] >= 0 else 0.0
        self._write([self._action(ups.name[k], "mode", str(self.state.ups_mode[k]), mode)], takes_s)

    def start(self, k: int) -> None:
        """Start a genset; everything written later waits until it is ready."""
        src = self.grid.sources
        self._write([self._action(src.name[k], "start", False, True)], float(src.start_s[k]), goes_on=True)

    def stop(self, k: int) -> None:
        """Stop a genset."""
        self._write([self._action(self.grid.sources.name[k], "stop", True, False)], 0.0)

    def shed(self, units: Sequence[int]) -> None:
        """Shed units, all in one step."""
        self.loads({int(u): 0.0 for u in units})

    def loads(self, kw: dict[int, float]) -> None:
        """Set what units may draw, all up or all down (0 kW: shed), in one step."""
        batch = []
        for unit, after in kw.items():
            before = float(self.state.served[unit] * self.demand.d_kw[unit])
            word = "restore" if after > before else "cap" if after > 0 else "shed"
            batch.append(self._action(self.demand.name[unit], word, before, float(after)))
        if batch:
            self._write(batch, 0.0)


@dataclass(frozen=True)
class _Edge:
    """One way from a block to another: ``kind`` "switch", "position", "online" or "bypass"."""

    tail: int
    head: int
    kind: str
    device: int
    switch: int


class _Search:
    """The plant as the document sees it: blocks joined by what could be closed."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        sw, ups, block = grid.switches, grid.upss, grid.nodes.block
        edges: list[_Edge] = []
        for s in range(len(sw.index)):
            a, b = int(block[sw.tail[s]]), int(block[sw.head[s]])
            if a == b or sw.ups[s] >= 0:
                continue
            if sw.transfer[s] >= 0:  # only from the source to the output: no feeding back
                out = int(block[grid.transfers.node[sw.transfer[s]]])
                edges.append(_Edge(a if b == out else b, out, "position", int(sw.transfer[s]), s))
            else:
                edges += [_Edge(a, b, "switch", s, s), _Edge(b, a, "switch", s, s)]
        for j in range(len(ups.index)):
            out = int(block[ups.out_node[j]])
            edges.append(_Edge(int(block[ups.in_node[j]]), out, "online", j, -1))
            s = int(ups.bypass[j])
            if s >= 0:
                a, b = int(block[sw.tail[s]]), int(block[sw.head[s]])
                edges.append(_Edge(a if b == out else b, out, "bypass", j, s))
        self.edges_from: dict[int, list[_Edge]] = {}
        for edge in edges:
            self.edges_from.setdefault(edge.tail, []).append(edge)

    def path(self, state: State, roots: Sequence[int], goals: set[int]) -> list[_Edge] | None:
        """Return the first path found breadth first from the roots to a goal, through dead blocks only."""
        live = self.live(state)
        dead_zone = set(self.grid.nodes.block[state.dead].tolist())
        came: dict[int, _Edge | None] = dict.fromkeys(roots)
        queue = deque(roots)
        while queue:
            here = queue.popleft()
            for edge in self.edges_from.get(here, ()):
                there = edge.head
                if there in came or there in live or there in dead_zone or not self.passable(state, edge):
                    continue
                came[there] = edge
                if there in goals:
                    return _trace(came, there)
                queue.append(there)
        return None

    def live(self, state: State) -> set[int]:
        """Return the blocks that have voltage."""
        return set(self.grid.nodes.block[islands(self.grid, state).energised].tolist())

    def passable(self, state: State, edge: _Edge) -> bool:
        """Return whether power goes this way already, or would after a command that is allowed."""
        if edge.switch >= 0 and state.closed[edge.switch]:
            return True
        if edge.kind == "online":
            k = edge.device
            return bool(state.ups_mode[k] == "off" and state.rectifier_ok[k] and state.inverter_ok[k])
        if edge.kind == "bypass":
            return bool(state.ups_mode[edge.device] == "off" and state.bypass_ok[edge.device])
        if edge.kind == "position":
            tr, k = self.grid.transfers, edge.device
            held = [s for s in tr.positions[k] if state.closed[s]]
            if not state.transfer_ok[k] or tr.dwell_left_s[k] > 0 or any(state.locked[s] for s in held):
                return False
        if state.locked[edge.switch]:
            return False
        return self.unlocking(state, edge.switch) is not None

    def unlocking(self, state: State, switch: int) -> list[int] | None:
        """Return the idle switches to open before interlocks let ``switch`` close; None if they cannot."""
        sw, locks = self.grid.switches, self.grid.interlocks
        energised = islands(self.grid, state).energised
        opened: list[int] = []
        for members, most in zip(locks.switches, locks.max_closed, strict=True):
            if switch not in members:
                continue
            shut = [int(s) for s in members if state.closed[s] and int(s) not in opened]
            idle = [
                s
                for s in shut
                if not state.locked[s]
                and sw.transfer[s] < 0
                and sw.ups[s] < 0
                and not energised[[sw.tail[s], sw.head[s]]].all()
            ]
            excess = len(shut) + 1 - int(most)
            if excess > len(idle):
                return None
            opened += idle[: max(excess, 0)]
        return opened


def _trace(came: dict[int, _Edge | None], goal: int) -> list[_Edge]:
    path: list[_Edge] = []
    edge = came[goal]
    while edge is not None:
        path.append(edge)
        edge = came[edge.tail]
    return path[::-1]


def _reroute(writer: PlanWriter, search: _Search, demand: Demand) -> None:
    """Restore one dead output after another, in the order of the tables."""
    tried: set[int] = set()
    while True:
        output = next((k for k in _outputs(writer, demand) if k not in tried), None)
        if output is None:
            return
        tried.add(output)
        goals = _goals(writer, demand, output)
        path = _find(writer, search, goals)
        if path is not None:
            _close(writer, search, path)


def _outputs(writer: PlanWriter, demand: Demand) -> list[int]:
    """Return the affected outputs: dead units by number, then UPSs on battery as ``units + number``."""
    state, grid = writer.state, writer.grid
    energised = islands(grid, state).energised
    fed = fed_units(demand, state, energised)
    dead = np.flatnonzero(~fed & state.unit_ok & (state.served > 0) & (demand.d_kw > 0))
    waiting = (state.ups_mode == "battery") & state.rectifier_ok & ~energised[grid.upss.in_node]
    return [int(u) for u in dead] + [demand.n + int(k) for k in np.flatnonzero(waiting)]


def _goals(writer: PlanWriter, demand: Demand, output: int) -> set[int]:
    """Return the blocks at which an output can be fed."""
    block = writer.grid.nodes.block
    if output >= demand.n:
        return {int(block[writer.grid.upss.in_node[output - demand.n]])}
    mine = (demand.cord_unit == output) & demand.cord_ok & ~writer.state.psu_dead
    return {int(k) for k in block[demand.cord_node[mine]]}


def _find(writer: PlanWriter, search: _Search, goals: set[int]) -> list[_Edge] | None:
    """Search from what is live; only then from gensets that stand by."""
    grid, state = writer.grid, writer.state
    block = grid.nodes.block
    roots = [int(block[node]) for _, _, node in islands(grid, state).roots]
    live = sorted(search.live(state))
    path = search.path(state, list(dict.fromkeys([*roots, *live])), goals)
    if path is not None:
        return path
    spare = state.source_ok & ~state.source_on & (grid.sources.kind == "genset")
    for k in np.flatnonzero(spare & ~state.dead[grid.sources.node]):
        here = int(block[grid.sources.node[k]])
        if here in search.live(state):
            continue
        if here in goals:
            path = []
        else:
            path = search.path(state, [here], goals)
        if path is not None:
            writer.start(int(k))
            return path
    return None


def _close(writer: PlanWriter, search: _Search, path: list[_Edge]) -> None:
    """Close what lies on a path, from the live end on; stop where a device has moved by itself meanwhile."""
    for edge in path:
        state = writer.state
        if edge.switch >= 0 and state.closed[edge.switch]:
            continue
        live = search.live(state)
        if edge.head in live or edge.tail not in live or not search.passable(state, edge):
            if edge.head in live:
                continue
            return
        for s in (search.unlocking(state, edge.switch) or []) if edge.switch >= 0 else []:
            writer.switch(s, False)
        if edge.kind == "switch":
            writer.switch(edge.switch, True)
        elif edge.kind == "position":
            writer.transfer(edge.device, edge.switch)
        else:
            writer.mode(edge.device, edge.kind)


def _shed(net: Any, writer: PlanWriter, engine: FlowEngine, horizon_s: float) -> list[int]:
    """Return the units to shed: the least critical that relieves the worst overload, the largest first."""
    grid, demand = writer.grid, writer.demand
    state, dropped = writer.state, list[int]()
    order = sorted(range(demand.n), key=lambda u: (-demand.priority[u], -demand.d_kw[u], u))
    while True:
        state = _shed_cords(writer, state, dropped, horizon_s)
        table = _table(net, grid, demand, engine, [state])[0]
        if table is None:
            return dropped
        over = np.flatnonzero(table > 1.0 + OVER)
        if not len(over):
            return dropped
        worst = int(over[np.argmax(table[over])])
        able = [u for u in order if state.served[u] > 0 and demand.sheddable[u]]
        unit = next(
            (
                u
                for some in _portions(able)
                for u in _relieving(net, writer, engine, state, some, table, worst)
            ),
            None,
        )
        if unit is None:
            return dropped
        dropped.append(unit)
        state = _without(state, unit)


def _portions(units: list[int]) -> list[list[int]]:
    """Return units in portions: seldom more than the first has to be judged."""
    return [units[k : k + PORTION] for k in range(0, len(units), PORTION)]


def _relieving(
    net: Any,
    writer: PlanWriter,
    engine: FlowEngine,
    state: State,
    units: list[int],
    table: np.ndarray,
    worst: int,
) -> list[int]:
    """Return those units, in order, whose shedding relieves the worst overload."""
    trials = [_without(state, u) for u in units]
    after = _table(net, writer.grid, writer.demand, engine, trials)
    return [
        u
        for u, ratio in zip(units, after, strict=True)
        if ratio is not None and ratio[worst] < table[worst] - RELIEF_KW
    ]


def _shed_cords(writer: PlanWriter, state: State, dropped: list[int], horizon_s: float) -> State:
    """Shed what draws more through a cord than the cord or its breaker carries; adds to ``dropped``."""
    demand, response = writer.demand, writer.response
    living = living_cords(demand, state, islands(writer.grid, state).energised)
    draw_kw = cord_draw_kw(demand, living, response.living_as_given)
    over = draw_kw > demand.cord_limit_kw(horizon_s) * (1.0 + OVER)
    for u in sorted({int(u) for u in demand.cord_unit[over]}):
        if state.served[u] > 0 and demand.sheddable[u]:
            dropped.append(u)
            state = _without(state, u)
    return state


def _without(state: State, unit: int) -> State:
    served = state.served.copy()
    served[unit] = 0.0
    return state.but(served=served)


def _table(
    net: Any, grid: Grid, demand: Demand, engine: FlowEngine, states: list[State]
) -> list[np.ndarray | None]:
    """Return the loading over limit of every rated component in each state; None without a power flow."""
    flow = engine.run(flow_case(net, grid, demand, states))
    return [
        loadings(net, grid, flow, state, case=k).ratio if flow.converged[k] else None
        for k, state in enumerate(states)
    ]
