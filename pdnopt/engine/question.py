"""What is asked of the engine, and what it answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np

from pdnopt.engine.compiled import CompiledModel

__all__ = ["Hint", "Ladder", "Question", "TermResult"]

Hint = tuple[np.ndarray, np.ndarray]
"""Integer columns, and where they stand."""


@dataclass(frozen=True)
class Question:
    """The terms of a compiled model, to be minimised one after another in the order of ``model.cost``.

    Attributes
    ----------
    gaps : mapping
        Absolute gap of each term, in its unit: within it a term counts as proved.
    weights : mapping
        Weights of the blend that gives the first incumbent; they steer the search, never the answer's order.
    deadline_s : float
        On the clock of ``time.perf_counter``.
    hint : (columns, values), optional
        Integer columns of the structure and where they stand now.
    minor : collection of str
        Terms whose search is limited to a number of nodes.
    indifferent : (prefix, slack)
        After the last term whose name begins with the prefix, the structure as it stands is taken where it is as good
        within the gaps; else the last of them that is not at its bound of zero may grow by ``slack`` for the sake of the
        terms behind: less than that is not worth moving a switch.
    floors : mapping
        Values that terms cannot fall below by what they mean (a number of actions is not negative).
    pinned : str
        The term that counts moves of the structure: at its floor the structure stands as hinted.
    service : ndarray
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

    model: CompiledModel
    gaps: Mapping[str, float]
    weights: Mapping[str, float]
    deadline_s: float = inf
    hint: Hint | None = None
    minor: Collection[str] = ()
    indifferent: tuple[str, float] = ("", 0.0)
    floors: Mapping[str, float] = field(default_factory=dict)
    pinned: str = ""
    service: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    settled: Collection[str] = ()
    frozen: bool = False
    start: np.ndarray | None = None
    outsides: Sequence[Hint] = ()
    skipped: Collection[str] = ()

    @property
    def names(self) -> list[str]:
        """The terms in their order."""
        return list(self.model.cost)

    @property
    def grouped(self) -> list[str]:
        """The terms whose name begins with the prefix of `indifferent`."""
        prefix = self.indifferent[0]
        return [name for name in self.names if prefix and name.startswith(prefix)]

    @property
    def blend(self) -> np.ndarray:
        """The weighted sum of all terms' costs."""
        blend = np.zeros(self.model.n_columns)
        for name, cost in self.model.cost.items():
            blend += self.weights.get(name, 0.0) * cost
        return blend

    @property
    def blend_gap(self) -> float:
        """Half of the smallest weighted gap of the terms of the prefix."""
        prefix = self.indifferent[0]
        steps = [
            self.weights[n] * self.gaps[n] for n in self.names if n.startswith(prefix) and n in self.weights
        ]
        return 0.5 * min(steps, default=1e-6)

    def value(self, name: str, x: np.ndarray) -> float:
        """Return a term at a point."""
        return float(self.model.cost[name] @ x) + self.model.offset[name]

    def least(self, name: str) -> float:
        """Return what a term cannot fall below by the bounds of its columns, or by what it means."""
        best = self.best(name)
        lowest = (
            -inf
            if best is None
            else float(self.model.cost[name][best[0]] @ best[1]) + self.model.offset[name]
        )
        return max(lowest, self.floors.get(name, -inf))

    def best(self, name: str) -> Hint | None:
        """Return the columns that a term counts, at their best for it; None where one has no such bound."""
        cost, model = self.model.cost[name], self.model
        used = np.flatnonzero(cost)
        at = np.where(cost[used] > 0, model.col_low[used], model.col_high[used])
        return (used, at) if np.isfinite(at).all() else None

    def at_floors(self, x: np.ndarray) -> bool:
        """Whether no point at all is better than this one in the terms of the prefix, but for their gaps."""
        return all(self.value(name, x) <= self.least(name) + self.gaps[name] for name in self.grouped)


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
