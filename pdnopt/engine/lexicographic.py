"""Term after term: the most important is minimised first, held, then the next.

HiGHS's own multi-objective mode is not to be trusted for MIPs (it blends by default and drops objectives with
equal priorities while reporting "Optimal"), so the terms are solved one after another:

1. A first incumbent: everything served by few moves near the disturbance, if that is feasible; everything served with
   the *structure* (switches and modes) as it stands, if that is.
   Otherwise the best of the point given (the service where the plant's own devices leave it) and the LP of a blend of
   all terms made integral by fix-and-refine (what the LP made integral is fixed, the rest is a small MIP), with the
   structure as it stands and with it free; then the whole MIP.
2. For each term in order: the LP relaxation, under the terms already held, bounds it from below. An incumbent within
   the gap of that bound is proved, without any search. Otherwise: refine, the MIP with the structure of the
   incumbent, the whole MIP from the incumbent - each only if the one before was not enough. A minor term gets the
   MIP in which what the incumbent moved may go back and nothing else moves, the MIP with the structure held and the
   MIP with the service held, each for a limited number of nodes (not of seconds, so that the same input gives the
   same plan), and never the whole.
3. The term is held at the incumbent's value. Where the structure as it stands is as good within the gaps, it stands.

Every value has its own proven bound, in its own unit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np
from scipy.sparse import csr_array, vstack

from pdnopt.engine.compiled import CompiledModel
from pdnopt.engine.highs import HighsModel, Outcome

__all__ = ["Ladder", "TermResult", "solve_in_order"]

Hint = tuple[np.ndarray, np.ndarray]
"""Columns of the structure, and where they stand."""

INTEGRAL = 1e-6
WHOLE_SHARE, UNDO_SHARE, PART_SHARE = 0.5, 0.5, 0.15
"""Parts of the time left that the whole MIP, the undoing of needless moves and one of the small MIPs may use."""

REFINE_NODES = 50
LOCAL_SHARE, LOCAL_NODES = 0.25, 200
"""Part of the time left, and nodes, of a MIP near the disturbance."""

MOVES = (1, 3, inf)
"""Moves that the MIPs near the disturbance may make, one after another."""

UNDO_NODES = 1000
MINOR_NODES = 10
"""Nodes of a search for a minor term (in reroute: every one that is not unserved load)."""

HOLD = 1e-7
"""A held term may drift by this part of its scale, so that the next LP is not infeasible by rounding."""


@dataclass(frozen=True)
class TermResult:
    """One term: its value at the incumbent and its proven lower bound under the terms before it."""

    name: str
    value: float
    bound: float


@dataclass
class Ladder:
    """The outcome of all terms.

    ``status`` is "optimal" when every term is proved within its gap, "feasible" when the clock ended it with an
    incumbent, "infeasible" or "no_incumbent" otherwise. ``trace`` rows are (seconds, term, value, bound).
    """

    status: str
    x: np.ndarray | None
    terms: list[TermResult]
    trace: list[tuple[float, str, float, float]] = field(default_factory=list)


class _Run:
    """One lexicographic solve: two HiGHS models (relaxation and MIP) over the same arrays."""

    def __init__(
        self,
        model: CompiledModel,
        deadline_s: float,
        relaxation: HighsModel,
        mip: HighsModel,
        hint: Hint | None,
        floors: Mapping[str, float],
        pinned: str,
        service: np.ndarray,
        settled: Collection[str],
        start: np.ndarray | None,
        outsides: Sequence[Hint],
    ) -> None:
        self.model, self.deadline_s = model, deadline_s
        self.names = list(model.cost)
        self.start_s = time.perf_counter()
        held = csr_array(np.vstack([model.cost[name] for name in self.names]))
        matrix = csr_array(vstack([model.matrix, held], format="csr"))
        row_low = np.r_[model.row_low, np.full(len(self.names), -inf)]
        row_high = np.r_[model.row_high, np.full(len(self.names), inf)]
        self.row_of = {name: model.matrix.shape[0] + k for k, name in enumerate(self.names)}
        self.lp, self.mip = relaxation, mip
        for solver in (self.lp, self.mip):
            solver.load(matrix, row_low, row_high, model.col_low, model.col_high, model.integer)
        self.integer = np.flatnonzero(model.integer)
        self.floors, self.hint, self.pinned = floors, hint, pinned
        self.col_low, self.col_high = model.col_low.copy(), model.col_high.copy()
        self.structure = np.zeros(0, dtype=int) if hint is None else hint[0]
        self.service, self.settled = service, settled
        self.x: np.ndarray | None = None
        self.standing = start
        self.outsides, self.local = outsides, False
        self.trace: list[tuple[float, str, float, float]] = []

    def note(self, name: str, value: float, bound: float) -> None:
        self.trace.append((time.perf_counter() - self.start_s, name, value, bound))

    def value(self, name: str, x: np.ndarray) -> float:
        return float(self.model.cost[name] @ x) + self.model.offset[name]

    def first_incumbent(
        self, blend: np.ndarray, gap: float, grouped: list[str], gaps: Mapping[str, float]
    ) -> str:
        """Find a first point for the blend of all terms. Returns a status.

        Everything served by few moves near the disturbance, or with the structure as it stands, if that is feasible; else
        the point given, the best service with the structure as it stands, or with it free, whichever is better.
        """
        self.lp.set_cost(blend)
        self.mip.set_cost(blend)
        found: Outcome | None = None
        if self.standing is not None:
            found = Outcome("feasible", self.standing, float(blend @ self.standing), -inf)
        for columns, values in self.outsides:
            found = self._locally(columns, values, gap, found, lambda x: self._at_floors(x, grouped, gaps))
            if found is not None and found.x is not None and self._at_floors(found.x, grouped, gaps):
                self._fix(columns, values)
                self.x, self.local = found.x, True
                return "feasible"
        if self.outsides:
            self.x = None if found is None else found.x
            return "no_incumbent"
        if self.hint is not None:
            kept = self._as_it_stands(gap, grouped, all_served=True)
            if kept is not None:
                self.x = kept.x
                return "feasible"
        self.lp.forget()
        relaxed = self.lp.solve(self.deadline_s)
        if relaxed.status == "infeasible" and found is None:
            return "infeasible"
        enough = -inf if relaxed.x is None else relaxed.objective + gap
        if self.hint is not None and (found is None or found.objective > enough):
            found = _better(found, self._as_it_stands(gap, grouped, all_served=False))
        if relaxed.x is not None and (found is None or found.objective > enough):
            found = _better(found, self._refine(relaxed.x, gap))
        if found is None:
            found = self.mip.solve(self.deadline_s, gap)
        if found is None or found.x is None:
            return "infeasible" if found is not None and found.status == "infeasible" else "no_incumbent"
        self.x = found.x
        return "feasible"

    def _locally(
        self,
        columns: np.ndarray,
        values: np.ndarray,
        gap: float,
        found: Outcome | None,
        enough: Callable[[np.ndarray], bool],
    ) -> Outcome | None:
        """Hold what is far from the disturbance; small MIPs with ever more moves decide the rest.

        Few moves first (local branching: Fischetti and Lodi, Mathematical Programming 98, 2003): such MIPs are small.
        """
        self._hold(columns, values, values)
        for most in MOVES if self.pinned in self.row_of else (inf,):
            self._at_most(most)
            self.lp.forget()
            relaxed = self.lp.solve(self.deadline_s, believe=True)
            if relaxed.x is None or (found is not None and found.objective <= relaxed.objective + gap):
                continue
            found = _better(found, self._refine(relaxed.x, gap, columns, LOCAL_SHARE))
            if found is None or found.objective > relaxed.objective + gap:
                searched = self.mip.solve(self._until(LOCAL_SHARE), gap, max_nodes=LOCAL_NODES, believe=True)
                found = _better(found, searched if searched.x is not None else None)
            if found is not None and found.x is not None and enough(found.x):
                break
        self._at_most(inf)
        self._hold(columns, self.col_low[columns], self.col_high[columns])
        return found

    def _at_most(self, moves: float) -> None:
        """Limit the number of moves in both models, if they count them."""
        if self.pinned in self.row_of:
            for solver in (self.lp, self.mip):
                solver.set_row_bounds(self.row_of[self.pinned], -inf, moves - self.model.offset[self.pinned])

    def _hold(self, columns: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """Set the bounds of some columns in both models."""
        for solver in (self.lp, self.mip):
            solver.set_col_bounds(columns, low, high)

    def _at_floors(self, x: np.ndarray, names: list[str], gaps: Mapping[str, float]) -> bool:
        """Whether no point at all is better than this one in some terms, but for their gaps."""
        return all(self.value(name, x) <= self._trivial_bound(name) + gaps[name] for name in names)

    def _as_it_stands(self, gap: float, grouped: list[str], all_served: bool) -> Outcome | None:
        """Hold the structure of the hint; decide the service, or hold all of it at its best too."""
        assert self.hint is not None
        columns, values = self.hint
        if all_served:
            cost = np.sum([self.model.cost[name] for name in grouped], axis=0) if grouped else np.zeros(0)
            used = np.flatnonzero(cost)
            if not len(used):
                return None
            best = np.where(cost[used] > 0, self.col_low[used], self.col_high[used])
            columns, values = np.r_[columns, used], np.r_[values, best]
        self._hold(columns, values, values)
        self.lp.forget()
        relaxed = self.lp.solve(self.deadline_s, believe=True)
        found = self._refine(relaxed.x, gap, columns) if relaxed.x is not None else None
        self._hold(columns, self.col_low[columns], self.col_high[columns])
        return found

    def _refine(
        self,
        relaxed: np.ndarray,
        gap: float,
        held: np.ndarray | None = None,
        share: float = PART_SHARE,
    ) -> Outcome | None:
        """Fix what the LP made integral, solve the rest as a small MIP. ``held`` columns keep their bounds after."""
        part = relaxed[self.integer]
        settled = self.integer[np.abs(part - np.round(part)) <= INTEGRAL]
        if held is not None:
            settled = np.setdiff1d(settled, held)
        at = np.round(relaxed[settled])
        self.mip.set_col_bounds(settled, at, at)
        outcome = self.mip.solve(self._until(share), gap, max_nodes=REFINE_NODES, believe=True)
        self.mip.set_col_bounds(settled, self.col_low[settled], self.col_high[settled])
        return outcome if outcome.x is not None else None

    def improve(self, name: str, gap: float, minor: bool) -> TermResult:
        """Prove or improve one term under those already held, and hold it."""
        assert self.x is not None
        value = self.value(name, self.x)
        offset = self.model.offset[name]
        bound = self._trivial_bound(name)
        self.note(name, value, bound)
        if value > bound + gap:
            self.lp.set_cost(self.model.cost[name])
            if name in self.settled:
                self.lp.forget()
            relaxed = self.lp.solve(self.deadline_s)
            if relaxed.status == "optimal":
                bound = max(bound, relaxed.objective + offset)
                if relaxed.x is not None and self._integral(relaxed.x):
                    self.x, value = self._rounded(relaxed.x), relaxed.objective + offset
            self.note(name, value, bound)
            if value > bound + gap:
                value, bound = self._search(name, gap, value, bound, relaxed.x, minor)
        bound = min(self._trivial_bound(name) if self.local else bound, value)
        self.note(name, value, bound)
        self.hold(name, value)
        self.pin(name, value)
        return TermResult(name, value, bound)

    def take(self, name: str) -> TermResult:
        """Return a term as the incumbent has it."""
        assert self.x is not None
        return TermResult(name, self.value(name, self.x), self._trivial_bound(name))

    def _search(
        self, name: str, gap: float, value: float, bound: float, relaxed: np.ndarray | None, minor: bool
    ) -> tuple[float, float]:
        offset = self.model.offset[name]
        self.mip.set_cost(self.model.cost[name])

        def take(found: Outcome | None) -> None:
            nonlocal value
            if found is not None and found.x is not None and found.objective + offset < value - 1e-9:
                self.x, value = found.x, found.objective + offset
                self.note(name, value, bound)

        if relaxed is not None and name not in self.settled:
            take(self._refine(relaxed, gap))
        if value > bound + gap and minor and len(self.structure) and name not in self.settled:
            take(self._with(self._unmoved(), gap, UNDO_NODES, UNDO_SHARE))
        if value > bound + gap and len(self.structure):
            take(self._with(self.structure, gap, MINOR_NODES if minor else REFINE_NODES))
        if value > bound + gap and minor and len(self.service) and name not in self.settled:
            take(self._with(self.service, gap, MINOR_NODES))
        if value > bound + gap and not (minor and len(self.service)):
            searched = self.mip.solve(self._until(WHOLE_SHARE), gap, self.x)
            take(searched)
            if np.isfinite(searched.bound):
                bound = max(bound, searched.bound + offset)
        return value, bound

    def _with(self, columns: np.ndarray, gap: float, max_nodes: int, share: float = PART_SHARE) -> Outcome:
        """Run the MIP with some columns held where the incumbent has them."""
        assert self.x is not None
        at = np.round(self.x[columns])
        self.mip.set_col_bounds(columns, at, at)
        outcome = self.mip.solve(self._until(share), gap, self.x, max_nodes=max_nodes, believe=True)
        self.mip.set_col_bounds(columns, self.col_low[columns], self.col_high[columns])
        return outcome

    def _unmoved(self) -> np.ndarray:
        """Return the structure that the incumbent leaves where it stands: the rest of its moves may be undone."""
        assert self.x is not None
        assert self.hint is not None
        columns, values = self.hint
        still: np.ndarray = columns[np.abs(self.x[columns] - values) < 0.5]
        return still

    def stand(self, gaps: Mapping[str, float]) -> bool:
        """Go back to the structure as it stands where that is as good, within the gaps, in every term given."""
        if self.standing is None or self.x is None:
            return False
        values = {name: self.value(name, self.standing) for name in gaps}
        if any(values[name] > self.value(name, self.x) + gap for name, gap in gaps.items()):
            return False
        self.x = self.standing
        for name, value in values.items():
            self.hold(name, value)
        return True

    def hold(self, name: str, value: float) -> None:
        """Keep a term at (or below) a value from now on."""
        slack = HOLD * max(1.0, abs(value), float(np.abs(self.model.cost[name]).max(initial=0.0)))
        high = value - self.model.offset[name] + slack
        for solver in (self.lp, self.mip):
            solver.set_row_bounds(self.row_of[name], -inf, high)

    def pin(self, name: str, value: float) -> None:
        """Fix what a term at its lowest possible value leaves no choice: the LPs behind it become small.

        Columns whose cost is not zero are then at the bound that minimises it; at no action at all the structure
        stands where it is.
        """
        cost = self.model.cost[name]
        used = np.flatnonzero(cost)
        at = np.where(cost[used] > 0, self.model.col_low[used], self.model.col_high[used])
        if np.isfinite(at).all() and value <= float(cost[used] @ at) + self.model.offset[name] + INTEGRAL:
            self._fix(used, at)
        if name == self.pinned and self.hint is not None and value <= self.floors.get(name, -inf) + INTEGRAL:
            self._fix(*self.hint)

    def _fix(self, columns: np.ndarray, values: np.ndarray) -> None:
        self.col_low[columns] = values
        self.col_high[columns] = values
        self._hold(columns, values, values)

    def freeze(self, columns: np.ndarray, values: np.ndarray) -> None:
        """Fix the structure for the whole run; only the service is searched."""
        self._fix(columns, values)
        self.structure = np.zeros(0, dtype=int)

    def _until(self, share: float) -> float:
        """Return the time at which a search that may use a share of what is left must end."""
        now = time.perf_counter()
        return now + share * (self.deadline_s - now) if np.isfinite(self.deadline_s) else inf

    def _trivial_bound(self, name: str) -> float:
        cost = self.model.cost[name]
        used = np.flatnonzero(cost)
        c = cost[used]
        at = np.where(c > 0, self.model.col_low[used], self.model.col_high[used])
        lowest = float(c @ at) + self.model.offset[name] if np.isfinite(at).all() else -inf
        return max(lowest, self.floors.get(name, -inf))

    def _integral(self, x: np.ndarray) -> bool:
        part = x[self.integer]
        return bool(np.all(np.abs(part - np.round(part)) <= INTEGRAL))

    def _rounded(self, x: np.ndarray) -> np.ndarray:
        x = x.copy()
        x[self.integer] = np.round(x[self.integer])
        return x


def _better(one: Outcome | None, other: Outcome | None) -> Outcome | None:
    """Return the outcome of lower objective; the first of equals."""
    if one is None or other is None:
        return one or other
    return other if other.objective < one.objective else one


def solve_in_order(
    model: CompiledModel,
    gaps: Mapping[str, float],
    weights: Mapping[str, float],
    deadline_s: float = inf,
    solvers: tuple[HighsModel, HighsModel] | None = None,
    hint: Hint | None = None,
    minor: Collection[str] = (),
    indifferent: tuple[str, float] = ("", 0.0),
    floors: Mapping[str, float] | None = None,
    pinned: str = "",
    service: np.ndarray | None = None,
    settled: Collection[str] = (),
    frozen: bool = False,
    start: np.ndarray | None = None,
    outsides: Sequence[Hint] = (),
    skipped: Collection[str] = (),
) -> Ladder:
    """Minimise the terms of a compiled model one after another, in the order of ``model.cost``.

    Parameters
    ----------
    gaps : mapping
        Absolute gap of each term, in its unit: within it a term counts as proved.
    weights : mapping
        Weights of the blend that gives the first incumbent; they steer the search, never the answer's order.
    deadline_s : float
        On the clock of ``time.perf_counter``.
    solvers : (relaxation, mip)
        Reused HiGHS models.
    hint : (columns, values)
        Integer columns of the structure and where they stand now.
    minor : collection of str
        Terms whose search is limited to a number of nodes.
    indifferent : (prefix, slack)
        After the last term whose name begins with the prefix, the structure as it stands is taken where it is as good
        within the gaps; else the last of them that is not at its bound of zero may grow by ``slack`` for the sake of the
        terms behind: less than that is not worth moving a switch.
    floors : mapping, optional
        Values that terms cannot fall below by what they mean (a number of actions is not negative).
    pinned : str
        The term that counts moves of the structure: at its floor the structure stands as hinted.
    service : ndarray, optional
        Integer columns that say who is served; a minor term is searched with these held, then the structure held.
    settled : collection of str
        Minor terms that move nothing any more: they only settle what is continuous under the structure found.
    frozen : bool
        Keep the structure of the hint for good; bounds then hold under it only.
    start : ndarray, optional
        A feasible point: where the plant's own devices leave it. It stands where nothing else is better by more than a gap.
    outsides : sequence of (columns, values)
        What is far from the disturbance, ever less of it. If given, small MIPs with that held look for an answer, and
        nothing else does. One that has all terms of the prefix at their lowest conceivable values is taken, and the rest
        stays held; bounds are then trivial. Else the status is "no_incumbent", and ``x`` the best point found, if any.
    skipped : collection of str
        Terms that are valued but not minimised.
    """
    relaxation, mip = solvers or (HighsModel(relax=True), HighsModel(relax=False))
    run = _Run(
        model,
        deadline_s,
        relaxation,
        mip,
        hint,
        floors or {},
        pinned,
        np.zeros(0, dtype=int) if service is None else service,
        settled,
        start,
        outsides,
    )
    blend = np.zeros(model.n_columns)
    for name in run.names:
        blend += weights.get(name, 0.0) * model.cost[name]
    weighted = [
        weights[name] * gaps[name]
        for name in run.names
        if name.startswith(indifferent[0]) and name in weights
    ]
    blend_gap = 0.5 * min(weighted, default=1e-6)
    prefix, slack = indifferent
    grouped = [name for name in run.names if prefix and name.startswith(prefix)]
    if frozen and hint is not None:
        run.freeze(*hint)
    status = run.first_incumbent(blend, blend_gap, grouped, gaps)
    if status != "feasible":
        return Ladder(
            status, run.x, [] if run.x is None else [run.take(name) for name in run.names], run.trace
        )
    terms: list[TermResult] = []
    for name in run.names:
        terms.append(run.take(name) if name in skipped else run.improve(name, gaps[name], name in minor))
        if grouped and name == grouped[-1] and not run.stand({term: gaps[term] for term in grouped}):
            marginal = [term for term in terms if term.name in grouped and term.value > slack]
            if marginal:
                run.hold(marginal[-1].name, marginal[-1].value + slack)
    assert run.x is not None
    terms = [TermResult(t.name, run.value(t.name, run.x), t.bound) for t in terms]
    allowed = {name: gaps[name] + (slack if name in grouped else 0.0) for name in run.names}
    proved = all(
        t.value <= t.bound + allowed[t.name] * (1 + 1e-6) + 1e-6 for t in terms if t.name not in minor
    )
    return Ladder("optimal" if proved else "feasible", run.x, terms, run.trace)
