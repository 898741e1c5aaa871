"""What devices do by themselves, in time order, until nothing moves any more.

Instantly (no loss of voltage): a grid-forming battery holds an island that has no other source; a UPS
whose input died goes on battery, and back online when its input returns. Later, each after its own
``transfer_ms``: an automatic transfer whose position died moves to a live one (break before make).

Rules
-----
1. A UPS that can neither invert nor run on battery falls back on its static bypass where that is live,
   else it is off. On eco with a dead bypass its inverter takes over; on bypass with a dead bypass it is off.
2. A transfer senses the source side of its position: voltage that only comes back from a battery below it
   does not count. It looks for its preferred position first, then in table order.
3. A transfer never closes where that would join two sources: a battery yields, anything else inhibits.
4. Of several batteries in one island the most powerful forms it; the others follow.
5. A genset does not start by itself (PLANT.md has no column that says so).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import numpy as np

from pdnopt.plant.actions import Action
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, connectivity, inverting
from pdnopt.response.supply import Supply, supply

__all__ = ["Devices", "Moment"]

_SAME_S = 1e-9


@dataclass(frozen=True)
class Moment:
    """The plant from ``t_s`` on, until the next moment."""

    t_s: float
    state: State
    supply: Supply


@dataclass
class Devices:
    """The automatic devices of one grid.

    Parameters
    ----------
    grid : Grid
    barred : bool, shape (S,)
        Switches that a failure locked; automatic devices cannot use them.
    battery_ok : bool, shape (U,)
        UPS batteries that hold energy.
    on_return : bool, shape (U,)
        UPSs on battery that go back online when their input returns. Grows as UPSs go on battery.
    storage_energy : bool, shape (E,)
        Batteries in the rows that hold energy.
    actions : list of Action
        What they have done so far.
    """

    grid: Grid
    barred: np.ndarray
    battery_ok: np.ndarray
    on_return: np.ndarray
    storage_energy: np.ndarray
    actions: list[Action] = field(default_factory=list)

    def run(self, state: State, held: np.ndarray, t_s: float = 0.0, horizon_s: float = inf) -> list[Moment]:
        """Let the devices act from ``t_s`` on.

        Parameters
        ----------
        state : State
            As the disturbance left it.
        held : int, shape (T,)
            The position (in Switches, -1 = none) that each transfer held before the disturbance.
        horizon_s : float
            Moves that would end later than this are not followed.

        Returns
        -------
        list of Moment : at least one; the last is final. ``actions`` has grown by what happened.
        """
        return _Run(self, held).follow(state, t_s, horizon_s)

    # --- instantly: batteries and UPSs

    def settle(self, state: State, t_s: float) -> tuple[State, Supply]:
        """Let batteries and UPSs act until nothing changes."""
        for _ in range(4 * (len(self.grid.upss.index) + len(self.grid.storages.index)) + 4):
            now = supply(self.grid, state)
            new = self.forming(state, now, t_s)
            if new is None:
                new = self._ups_lost(state, now, t_s)
            if new is None:
                new = self._ups_returns(state, now, t_s)
            if new is None:
                return state, now
            state = new
        return state, supply(self.grid, state)  # pragma: no cover - each step lowers what is left

    def forming(self, state: State, now: Supply, t_s: float) -> State | None:
        """Return the state with batteries forming where they must, or None where nothing changes."""
        sto, ups = self.grid.storages, self.grid.upss
        if not sto.grid_forming.any():
            return None
        able = sto.grid_forming & state.storage_ok & self.storage_energy & (sto.p_discharge_max_kw > 0)
        able &= ~state.dead[sto.node]
        island = now.island[sto.node]
        # a UPS that will take over its island by itself leaves nothing for a battery
        running = np.isin(state.ups_mode, ("online", "eco", "battery"))
        mains = now.fed & state.rectifier_ok & (now.island[ups.in_node] != now.island[ups.out_node])
        takes = running & state.inverter_ok & (mains | self.battery_ok)
        covered = now.firm.copy()
        covered[now.island[ups.out_node[takes]]] = True
        on = np.zeros(len(island), dtype=bool)
        for k in np.lexsort((np.arange(len(island)), -sto.p_discharge_max_kw, ~state.storage_on)):
            if able[k] and not covered[island[k]]:
                covered[island[k]] = on[k] = True
        if (on == state.storage_on).all():
            return None
        for k in np.flatnonzero(on != state.storage_on):
            why = "its island has no other source" if on[k] else "its island has another source again"
            if not on[k] and not able[k]:
                why = "it has no energy left" if state.storage_ok[k] else "it failed"
            self.tell(t_s, sto.name[k], "form", bool(state.storage_on[k]), bool(on[k]), why)
        return state.but(storage_on=on)

    def _ups_lost(self, state: State, now: Supply, t_s: float) -> State | None:
        """UPSs whose supply died. The most upstream ones go first: those below them may keep their input."""
        ups, mode = self.grid.upss, state.ups_mode
        online, battery = mode == "online", mode == "battery"
        passing = np.isin(mode, ("bypass", "eco"))
        good = state.rectifier_ok & state.inverter_ok & now.fed
        lost = (online & ~good) | (battery & ~(state.inverter_ok & self.battery_ok))
        lost |= passing & ~(state.bypass_ok & now.energised[ups.out_node])
        lost &= ~state.dead[ups.out_node]
        gone = np.flatnonzero(lost)
        if not len(gone):
            return None
        outputs = set(now.island[ups.out_node[gone]].tolist())
        feeds = np.where(passing[gone], -1, now.island[ups.in_node[gone]])
        first = np.array([int(i) not in outputs for i in feeds], dtype=bool)
        gone = gone[first] if first.any() else gone
        closed, new = state.closed.copy(), mode.copy()
        for k in gone:
            new[k], why = self._fallback(state, now, int(k))
            if ups.bypass[k] >= 0:
                closed[ups.bypass[k]] = new[k] in ("bypass", "eco")
            if new[k] == "battery":
                self.on_return[k] = True
            self.tell(t_s, ups.name[k], "mode", mode[k], new[k], why)
        return state.but(ups_mode=new, closed=closed)

    def _fallback(self, state: State, now: Supply, k: int) -> tuple[str, str]:
        """Return the mode that UPS ``k`` falls into, and why."""
        mode = state.ups_mode[k]
        if mode == "bypass":
            return "off", "its bypass has no voltage"
        why = {"battery": "its battery is empty", "eco": "its bypass has no voltage"}.get(mode, "")
        if not state.inverter_ok[k]:
            why = "its inverter failed"
        elif mode == "online":
            why = "its input has no voltage" if state.rectifier_ok[k] else "its rectifier failed"
        if mode == "eco" and state.rectifier_ok[k] and state.inverter_ok[k] and now.fed[k]:
            return "online", why
        if mode != "battery" and state.inverter_ok[k] and self.battery_ok[k]:
            return "battery", why
        if mode != "eco" and self.bypass_takes(state, now, k):
            return "bypass", why + ", no battery; its bypass is live" if mode != "battery" else why
        return "off", why + ("" if mode == "battery" else "; it has no battery")

    def bypass_takes(self, state: State, now: Supply, k: int) -> bool:
        """True if the static bypass of UPS ``k`` works, is live, and would join no second source."""
        ups, sw = self.grid.upss, self.grid.switches
        s = int(ups.bypass[k])
        if s < 0 or not state.bypass_ok[k]:
            return False
        far = int(sw.tail[s] if sw.head[s] == ups.out_node[k] else sw.head[s])
        quiet = state.ups_mode.copy()
        quiet[k] = "off"
        without = supply(self.grid, state.but(ups_mode=quiet))
        return bool(without.energised[far] and not without.firm[without.island[ups.out_node[k]]])

    def _ups_returns(self, state: State, now: Supply, t_s: float) -> State | None:
        ups = self.grid.upss
        able = self.on_return & state.rectifier_ok & state.inverter_ok
        back = able & now.fed & (state.ups_mode == "battery")
        if not back.any():
            return None
        # only if the input lives without the batteries of those that return
        mode = np.where(back, "online", state.ups_mode).astype(object)
        trial = supply(self.grid, state.but(ups_mode=mode))
        back &= trial.fed
        if not back.any():
            return None
        mode = np.where(back, "online", state.ups_mode).astype(object)
        if not supply(self.grid, state.but(ups_mode=mode)).fed[back].all():
            return None
        for k in np.flatnonzero(back):
            self.tell(t_s, ups.name[k], "mode", "battery", "online", "its input has voltage again")
        return state.but(ups_mode=mode)

    def tell(self, t_s: float, device: str, action: str, before: object, after: object, why: str) -> None:
        self.actions.append(Action(0, float(t_s), device, action, before, after, why))


class _Run:
    """Automatic transfers in time order. ``done_s`` is when a move under way ends (inf: at rest)."""

    def __init__(self, devices: Devices, held: np.ndarray) -> None:
        self.devices, self.grid = devices, devices.grid
        tr, sw = self.grid.transfers, self.grid.switches
        n = len(tr.index)
        self.held = held.copy()
        self.done_s, self.wake_s, self.moves = np.full(n, inf), np.full(n, inf), np.zeros(n, dtype=int)
        self.was_closed = np.zeros(n, dtype=bool)
        # all positions in one table, the preferred one of each transfer first
        self.switch = np.concatenate([*tr.positions, np.zeros(0, dtype=int)]).astype(int)
        self.owner = np.repeat(np.arange(n), [len(p) for p in tr.positions])
        order = np.lexsort((self.switch, self.switch != tr.preferred[self.owner], self.owner))
        self.switch, self.owner = self.switch[order], self.owner[order]
        out = tr.node[self.owner]
        self.far = np.where(sw.tail[self.switch] == out, sw.head[self.switch], sw.tail[self.switch])
        self.at_most = np.bincount(self.owner, minlength=n) + 1

    def follow(self, state: State, t_s: float, horizon_s: float) -> list[Moment]:
        moments: list[Moment] = []
        dwell = self.grid.transfers.dwell_left_s
        while True:
            state, now = self.devices.settle(state, t_s)
            while True:  # everything that begins or ends at this very moment
                want = self.wanting(state, now)
                late = want & (dwell > t_s + _SAME_S)
                self.wake_s = np.where(late, dwell, inf)
                start = want & ~late
                ends = self.done_s <= t_s + _SAME_S
                if not start.any() and not ends.any():
                    break
                if start.any():
                    state = self.begin(state, start, t_s)
                if ends.any():
                    state = self.end(state, now, ends, t_s)
                state, now = self.devices.settle(state, t_s)
            moments.append(Moment(t_s, state, now))
            following = min(self.done_s.min(initial=inf), self.wake_s.min(initial=inf))
            if not following < inf or following > horizon_s:
                return moments
            t_s = float(following)

    def targets(self, state: State, now: Supply) -> np.ndarray:
        """Return which positions (rows of the flat table) could feed their transfer's output."""
        out = self.grid.transfers.node[self.owner]
        ok = ~self.devices.barred[self.switch] & (self.switch != self.held[self.owner])
        ok &= ~state.dead[self.far] & ~state.dead[out] & now.firm_at(self.far)
        return np.asarray(ok)

    def wanting(self, state: State, now: Supply) -> np.ndarray:
        """Return the transfers at rest whose position is dead while another one lives, shape (T,)."""
        tr = self.grid.transfers
        want = tr.auto & state.transfer_ok & ~state.dead[tr.node] & (self.done_s == inf)
        want &= (self.held >= 0) & (self.moves < self.at_most) & ~now.firm_at(tr.node)
        if not want.any():
            return np.asarray(want)
        has = np.zeros(len(want), dtype=bool)
        has[self.owner[self.targets(state, now)]] = True
        want &= has
        for k in np.flatnonzero(want & now.live_at(tr.node) & state.closed[self.held]):
            apart = state.closed.copy()  # fed by a battery: from above, or from below only?
            apart[self.held[k]] = False
            above = supply(self.grid, state.but(closed=apart))
            row = np.flatnonzero(self.switch == self.held[k])[0]
            want[k] = not above.live_at(self.far[row : row + 1])[0]
        return np.asarray(want)

    def begin(self, state: State, start: np.ndarray, t_s: float) -> State:
        """Break: open the position held."""
        closed = state.closed.copy()
        self.was_closed[start] = closed[self.held[start]]
        closed[self.held[start]] = False
        self.done_s[start] = t_s + self.grid.transfers.transfer_s[start]
        return state.but(closed=closed)

    def end(self, state: State, now: Supply, ends: np.ndarray, t_s: float) -> State:
        """Make: close the first live position, one transfer an island at a time; else go back."""
        tr, sw = self.grid.transfers, self.grid.switches
        now = supply(self.grid, state)
        closed = state.closed.copy()
        ok = self.targets(state, now)
        fed: set[int] = set()
        for k in np.flatnonzero(ends).tolist():
            rows = np.flatnonzero((self.owner == k) & ok)
            island = int(now.island[tr.node[k]])
            if island in fed:
                continue  # looked at again once the first of this island has moved
            old = int(self.held[k])
            before = sw.name[old] if self.was_closed[k] else None
            self.done_s[k] = inf
            self.moves[k] += 1
            fed.add(island)
            if len(rows) and not now.firm[island]:
                new = int(self.switch[rows[0]])
                closed[new] = True
                self.held[k] = new
                why = "its position has no voltage" if before is not None else "its position was cut off"
                self.devices.tell(t_s, tr.name[k], "transfer", before, sw.name[new], why)
            elif before is not None and now.firm[island]:  # fed otherwise by now: it stays open
                self.held[k] = -1
                self.devices.tell(t_s, tr.name[k], "transfer", before, None, "its output is fed otherwise")
            elif before is not None and not self._joins(now, k, old):
                closed[old] = True  # nothing lives any more: it stays where it was
        return state.but(closed=closed)

    def _joins(self, now: Supply, k: int, switch: int) -> bool:
        row = np.flatnonzero(self.switch == switch)[0]
        far, out = self.far[row : row + 1], self.grid.transfers.node[k : k + 1]
        return bool(now.live_at(far)[0] and now.live_at(out)[0])


def positions_held(grid: Grid, state: State) -> np.ndarray:
    """Return the position (in Switches) that each transfer holds, -1 for none, shape (T,)."""
    held = np.full(len(grid.transfers.index), -1)
    closed = np.flatnonzero(state.closed & (grid.switches.transfer >= 0))
    held[grid.switches.transfer[closed]] = closed
    return held


def joined_sources(grid: Grid, state: State) -> tuple[str, ...]:
    """Return in words every island that holds sources which may not run in parallel (rule 6)."""
    island = connectivity(grid, state)
    at: dict[int, list[tuple[str, str]]] = {}
    src, ups, sto = grid.sources, grid.upss, grid.storages
    running = inverting(state.ups_mode)
    for table, on, name in ((src.node, state.source_on, src.name), (ups.out_node, running, ups.name)):
        for k in np.flatnonzero(on & ~state.dead[table]):
            group = str(src.sync_group[k]) if table is src.node and src.parallel[k] else ""
            at.setdefault(int(island[table[k]]), []).append((name[k], group))
    for k in np.flatnonzero(state.storage_on & ~state.dead[sto.node]):
        at.setdefault(int(island[sto.node[k]]), []).append((sto.name[k], ""))
    out = []
    for roots in at.values():
        groups = {group for _, group in roots}
        if len(roots) > 1 and (len(groups) > 1 or "" in groups):
            out.append(" and ".join(name for name, _ in roots) + " feed one island")
    return tuple(out)
