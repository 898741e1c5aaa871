"""Which racks shall draw from another phase: at most so many moves, chosen by a mixed-integer programme on the same network.

A rack that may move is, to the programme of `formulations.balance`, an injector whose power is decided by whole numbers:

    p_m,k = P_m (at the point on k) - P_m (at first on k) (1 - sum_z z) - sum_(z to k) P_m z     (M1)
    sum_z of m <= 1,  sum of all z <= most,  z = 0 or 1                                         (M2)

q alike. It is solved for the terms that even out, one after another, and then for the fewest moves: a rack never moves for
the sake of losses or effort. Set-points are then asked for again with the racks moved, the choice is asked for again at that
point, and moves that make nothing better are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array, hstack, vstack

from pdnopt.balancing.compilation import Compilation, Linear
from pdnopt.balancing.data import SLACK
from pdnopt.balancing.flow import PHASES, Injections
from pdnopt.balancing.inverters import Bounds, Inverters
from pdnopt.balancing.points import Sight, point_of, read_area
from pdnopt.balancing.programme import MEANS, PART, Answer, tolerance
from pdnopt.engine.highs import HighsModel
from pdnopt.plant.actions import Action
from pdnopt.plant.names import component_name

if TYPE_CHECKING:
    from pdnopt.balancing.network import PhaseNetwork
    from pdnopt.balancing.runner import BalanceRunner

__all__ = ["Move", "Movers", "Selection", "better", "moved", "read_movers"]

TABLE = "asymmetric_load"
POWERS = ("losses", "effort")
WIDE_KVA = 1e3
WHY = "its phase carries more than the others"


@dataclass(frozen=True)
class Movers:
    """M loads that hang on one phase and may hang on another; Z options: ``of`` a load, to a ``phase`` (0, 1, 2).

    Attributes
    ----------
    index : int, shape (M,)
        Of ``net.asymmetric_load``; ``present``: their phase, shape (M,).
    rows : int, shape (3M,)
        Of the network, phases a, b, c.
    """

    index: np.ndarray
    name: tuple[str, ...]
    present: np.ndarray
    rows: np.ndarray
    of: np.ndarray
    phase: np.ndarray


@dataclass(frozen=True)
class Move:
    """A load (row of ``net.asymmetric_load``) goes from one phase to another (0, 1, 2)."""

    index: int
    name: str
    before: int
    after: int

    def action(self, t_s: float) -> Action:
        """Return the command."""
        return Action(1, t_s, self.name, "phase", PHASES[self.before], PHASES[self.after], WHY)


def read_movers(net: Any, network: PhaseNetwork) -> Movers:
    """Return the live loads with ``phase_options`` besides the one phase on which they are."""
    frame = net[TABLE]
    index: list[int] = []
    present: list[int] = []
    nodes: list[int] = []
    of: list[int] = []
    phase: list[int] = []
    options = frame.get("phase_options", ())
    place = {bus: k for k, bus in enumerate(net.bus.index)}
    for row, text in zip(frame.index[: len(options)], options, strict=True):
        if not isinstance(text, str) or not frame.at[row, "in_service"]:
            continue
        node = network.node[place[frame.at[row, "bus"]]]
        used = [k for k, p in enumerate(PHASES) if frame.at[row, f"p_{p}_mw"] or frame.at[row, f"q_{p}_mvar"]]
        others = [PHASES.index(word.strip()) for word in text.split(",") if word.strip()]
        others = [k for k in dict.fromkeys(others) if [k] != used]
        if node < 0 or len(used) != 1 or not others or str(frame.at[row, "type"]) == "delta":
            continue
        of += [len(index)] * len(others)
        phase += others
        index.append(int(row))
        present.append(used[0])
        nodes.append(int(node))
    at = np.array(nodes, dtype=int)
    return Movers(
        index=np.array(index, dtype=int),
        name=tuple(component_name(net, TABLE, row) for row in index),
        present=np.array(present, dtype=int),
        rows=(3 * at[:, None] + np.arange(3)).ravel(),
        of=np.array(of, dtype=int),
        phase=np.array(phase, dtype=int),
    )


def moved(told: Injections, owner: np.ndarray, moves: Sequence[Move]) -> Injections:
    """Return injections with loads on other phases; ``owner``: of which row of the table each is."""
    plus = told.plus.copy()
    for move in moves:
        plus[owner == move.index] += move.after - move.before
    return replace(told, plus=plus)


def better(new: Answer, old: Answer, counted: int) -> bool:
    """Whether an answer is better in the first of its terms that differs by more than its slack."""
    for term in new.terms:
        if term in POWERS or term not in old.terms:
            continue
        slack = SLACK[term] * (counted if term in MEANS else 1.0)
        change = new.terms[term] - old.terms[term]
        if abs(change) > slack + PART * old.terms[term]:
            return change < 0
    return False


class Selection:
    """The programme of a network with the loads that may move."""

    def __init__(self, runner: BalanceRunner) -> None:
        self.runner = runner
        self.movers = read_movers(runner.base, runner.network)
        inverters, m = runner.inverters, len(self.movers.index)
        none = {
            name: np.r_[
                getattr(inverters.batteries, name), np.zeros(m, dtype=bool if name == "there" else float)
            ]
            for name in type(inverters.batteries).__dataclass_fields__
        }
        self.all = Inverters(
            index=np.r_[inverters.index, np.full(m, -1)],
            name=(*inverters.name, *self.movers.name),
            rows=np.r_[inverters.rows, self.movers.rows],
            s_max_kva=np.r_[inverters.s_max_kva, np.full(m, WIDE_KVA)],
            loss=np.r_[inverters.loss, np.zeros(m)],
            b_low_kw=np.r_[inverters.b_low_kw, np.zeros(m)],
            b_high_kw=np.r_[inverters.b_high_kw, np.zeros(m)],
            now_kva=np.r_[inverters.now_kva, np.zeros(3 * m)],
            batteries=replace(inverters.batteries, **none),
        )
        start = runner._sight(runner.loads.at({}), runner.inverters.now_kva)
        self.area = read_area(runner.base, runner.network, self.all, start)
        self.compilation = Compilation(runner.formulation.build(self.area.structure))
        sizes = self.compilation.column["s"][3 * len(inverters.index) :]
        self._idle = self.compilation.touching(sizes)  # how large what moves is, is nobody's effort

    def choose(
        self,
        told: Injections,
        owner: np.ndarray,
        bounds: Bounds,
        sight: Sight,
        s_kva: np.ndarray,
        terms: Sequence[str],
        most: int,
        done: Sequence[Move],
        deadline_s: float,
    ) -> list[Move]:
        """Return the moves, none where none is worth it or time is up; at the point ``done`` are carried out."""
        if not most or not len(self.movers.of):
            return []
        m = len(self.movers.index)
        wide, free = np.full(3 * m, WIDE_KVA), np.full(m, inf)
        all_bounds = Bounds(
            np.r_[bounds.p_low, -wide], np.r_[bounds.p_high, wide],
            np.r_[bounds.q_low, -wide], np.r_[bounds.q_high, wide],
            np.r_[bounds.b_low, -free], np.r_[bounds.b_high, free],
            np.r_[bounds.told, np.zeros(m, dtype=bool)], np.r_[bounds.failed, np.zeros(m, dtype=bool)],
        )  # fmt: skip
        s_all = np.r_[s_kva, np.zeros(3 * m)]
        linear = self.compilation.at(point_of(self.area, self.all, all_bounds, sight, s_all))
        power = np.array([told.s_pu[owner == row].sum() for row in self.movers.index])
        rows = np.zeros(0, dtype=int)
        z: np.ndarray | None = None
        for relax in (True, False):
            search = _Search(self, linear, power, most, done, rows, relax)
            z = search.run([*(t for t in terms if t not in POWERS), "moves"], deadline_s)
            rows = search.rows
            if z is None:
                return []
        assert z is not None
        chosen = np.flatnonzero(z > 0.5)
        mv = self.movers
        return [
            Move(int(mv.index[k]), mv.name[k], int(mv.present[k]), int(mv.phase[j]))
            for j, k in zip(chosen, mv.of[chosen], strict=True)
        ]


class _Search:
    """The mixed-integer programme at one point; rows of the pool are added as they are broken."""

    def __init__(
        self,
        selection: Selection,
        linear: Linear,
        power: np.ndarray,
        most: int,
        done: Sequence[Move],
        rows: np.ndarray,
        relax: bool,
    ) -> None:
        self.selection, self.linear, self.rows = selection, linear, rows
        c, movers = selection.compilation, selection.movers
        self.z = c.n + np.arange(len(movers.of))
        self.n = c.n + len(movers.of) + 1  # and the number of moves
        self._highs = HighsModel(relax=relax)
        self._most = tolerance(c, linear)
        own, level, high = self._own_rows(power, done)
        pool, floor = self._pool(rows)
        matrix = csr_array(vstack([self._wide(linear.equal), own, pool]))
        low = np.r_[linear.level, level, floor]
        high = np.r_[linear.level, high, np.full(len(floor), inf)]
        ends = np.zeros(len(movers.of) + 1)
        col_low = np.r_[linear.low, ends]
        for name, column in c.column.items():
            if name.startswith("t_"):
                col_low[column] = np.maximum(col_low[column], 0.0)
        col_high = np.r_[linear.high, ends[:-1] + 1.0, float(most)]
        whole = np.zeros(self.n, dtype=bool)
        whole[self.z] = True
        self._highs.load(matrix, low, high, col_low, col_high, whole)

    def run(self, terms: list[str], deadline_s: float) -> np.ndarray | None:
        """Minimise term after term; return z, or None where no point was found."""
        c = self.selection.compilation
        counted = int(self.selection.area.structure.counts.sum())
        x: np.ndarray | None = None
        for term in terms:
            column = np.array([self.n - 1]) if term == "moves" else c.column[f"t_{term}"]
            slack = SLACK.get(term, 0.0) * (counted if term in MEANS else 1.0)
            if x is None or x[column].item() > slack:
                x = self._minimise(column, slack, deadline_s)
                if x is None:
                    return None
            most = max(x[column].item(), 0.0) * (1.0 + PART) + slack
            self._highs.set_col_bounds(column, np.zeros(1), np.array([max(most, slack)]))
        return None if x is None else x[self.z]

    def _minimise(self, column: np.ndarray, slack: float, deadline_s: float) -> np.ndarray | None:
        cost = np.zeros(self.n)
        cost[column] = 1.0
        self._highs.set_cost(cost)
        n = self.selection.compilation.n
        while True:
            outcome = self._highs.solve(deadline_s, gap_abs=0.1 * slack)
            if outcome.x is None or outcome.status != "optimal":
                return None
            beyond = self.linear.beyond(outcome.x[:n])
            beyond[self.rows] = 0.0
            beyond[self.selection._idle] = 0.0
            new = np.flatnonzero(beyond > self._most)
            if not len(new):
                return outcome.x
            pool, floor = self._pool(new)
            self._highs.add_rows(pool, floor, np.full(len(new), inf))
            self.rows = np.r_[self.rows, new]

    def _pool(self, which: np.ndarray) -> tuple[csr_array, np.ndarray]:
        matrix, floor = self.linear.rows(which)
        return self._wide(matrix), floor

    def _wide(self, matrix: csr_array) -> csr_array:
        return csr_array(hstack([matrix, csr_array((matrix.shape[0], self.n - matrix.shape[1]))]))

    def _own_rows(self, power: np.ndarray, done: Sequence[Move]) -> tuple[csr_array, np.ndarray, np.ndarray]:
        """(M1), (M2) and the number of moves: matrix, low, high."""
        c, movers = self.selection.compilation, self.selection.movers
        first = 3 * len(self.selection.runner.inverters.index)
        m = len(movers.index)
        entries: list[tuple[int, int, float]] = []
        for block, (name, size) in enumerate((("p", power.real), ("q", power.imag))):
            for k in range(3 * m):
                entries.append((block * 3 * m + k, int(c.column[name][first + k]), 1.0))
            for z, k, phase in zip(self.z, movers.of, movers.phase, strict=True):
                at = block * 3 * m + 3 * k
                entries.append((at + int(movers.present[k]), int(z), -float(size[k])))
                entries.append((at + int(phase), int(z), float(size[k])))
        one = 6 * m
        entries += [(one + int(k), int(z), 1.0) for z, k in zip(self.z, movers.of, strict=True)]
        entries += [(one + m, int(z), 1.0) for z in self.z]
        entries.append((one + m, self.n - 1, -1.0))
        row, column, data = (np.array(part) for part in zip(*entries, strict=True))
        matrix = csr_array((data, (row, column)), shape=(one + m + 1, self.n))
        level = np.zeros(one)
        for move in done:
            k = int(np.flatnonzero(movers.index == move.index)[0])
            for block, size in enumerate((power.real[k], power.imag[k])):
                level[block * 3 * m + 3 * k + move.after] += size
                level[block * 3 * m + 3 * k + move.before] -= size
        return matrix, np.r_[level, np.full(m, -inf), 0.0], np.r_[level, np.ones(m), 0.0]
