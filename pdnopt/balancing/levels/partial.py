"""The programme of one part of the plant: that of `formulations.balance`, and what the levels agree on.

Added to its equations (a: current of a head along its phasor at the point, c: across it)
-----------------------------------------------------------------------------------------
a_low - y x <= a <= a_high + y x,  c_low - y x <= c <= c_high + y x   of each phase of each head  (12)
t_vuf <= vuf_cap + o_vuf,  t_spread <= spread_cap + o_spread                                     (13)
over = 1000 t_violations + 1000 o_vuf + o_spread <= over_high                                    (14)
rest = 20 t_spread_sum + t_neutral + t_losses + 0.001 t_effort                                   (15)

y is the rating (or what the spread is a part of), x >= 0 counts as a violation: what a zone may exchange is a limit
like any other. The caps are the worst of the whole plant, which nobody need be better than. The order of the terms
is that of the whole plant, here by weights far enough apart: 1 % of unbalance is worth many per cent of spread, as
an ohm of the feeder says; none is traded for a later one (the benchmark compares every term with that of the whole
programme). First ``rest`` alone, with ``over`` at 0; only where that cannot be, ``over`` is made as small as
possible first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np

from pdnopt.balancing.data import Structure
from pdnopt.balancing.levels.lean import Lean
from pdnopt.engine.highs import Outcome
from pdnopt.problem import find_formulation

__all__ = ["FREE", "OPEN_PU", "PartAnswer", "PartProgramme"]

FREE = 1e3
"""Anything may be over: a cap or a sum that nothing reaches."""
OPEN_PU = 1e2
"""An exchange that nothing reaches, pu of current."""
KEPT = 1e-6
"""``over`` that counts as none: HiGHS keeps rows to 1e-7, and the largest weight is 1000 of parts of 1e-9."""
OVER = {"violations": 1000.0, "vuf": 1000.0, "spread": 1.0}
REST = {"spread_sum": 20.0, "neutral": 1.0, "losses": 1.0, "effort": 0.001}
EXCHANGE = ("along_low", "along_high", "cross_low", "cross_high")
"""Numbers that follow those of a `Point`: of the heads (3H,), 1 where there is none ..."""
AGREED = ("vuf_cap", "spread_cap", "over_high")
"""... and one each."""


@dataclass(frozen=True)
class PartAnswer:
    """Set-points (pu, 3I) and terms of a part; ``solved`` says whether there are any.

    ``over`` is 0 where exchange, limits and caps are all kept.
    """

    solved: bool
    over: float
    terms: dict[str, float]
    s_pu: np.ndarray


class PartProgramme:
    """One part, prepared for many points.

    Parameters
    ----------
    structure : Structure
    heads : int
        Positions of feeders whose exchange is limited; none for the aggregate.
    whole : bool
        See `Lean`.
    """

    def __init__(self, structure: Structure, heads: np.ndarray, whole: bool = False) -> None:
        formulation: Any = find_formulation("balance")
        self.n_inverters = len(structure.loss)
        model = formulation.build(structure)
        self.names = model.terms
        self.programme = Lean(_extended(model, structure, heads), whole)

    def solve(self, numbers: np.ndarray, deadline_s: float = inf) -> PartAnswer:
        """Solve at a point, warm from the last basis; ``numbers``: those of a `Point`, `EXCHANGE` and `AGREED`."""
        outcome = self.programme.solve(numbers, ("rest",), deadline_s)
        if outcome.x is None and outcome.status == "infeasible":
            outcome = self.programme.solve(_open(numbers), ("over", "rest"), deadline_s)
        return self._read(outcome)

    def least(self, numbers: np.ndarray, terms: tuple[str, ...], deadline_s: float = inf) -> PartAnswer:
        """Return the least values of terms, one after another, whatever comes after them."""
        return self._read(self.programme.solve(_open(numbers), terms, deadline_s))

    def late(self) -> PartAnswer:
        """Return the answer of who had no time."""
        return PartAnswer(False, inf, dict.fromkeys(self.names, inf), np.zeros(3 * self.n_inverters) + 0j)

    def _read(self, outcome: Outcome) -> PartAnswer:
        x = outcome.x
        if x is None:
            return self.late()
        value = self.programme.value
        terms = {name: float(value(x, f"t_{name}").item()) for name in self.names}
        over = float(value(x, "t_over").item())
        return PartAnswer(True, over if over > KEPT else 0.0, terms, value(x, "p") + 1j * value(x, "q"))


def _open(numbers: np.ndarray) -> np.ndarray:
    """Return the numbers with ``over_high``, which is the last, where nothing reaches it."""
    return np.asarray(np.r_[numbers[:-1], FREE * FREE])


def _extended(model: Any, s: Structure, heads: np.ndarray) -> Any:
    """Return the model with (12) to (15)."""
    import cvxpy as cp

    var = dict(model.variables)
    par = dict(model.parameters)
    size = 3 * len(heads)
    for name in EXCHANGE:
        par[name] = cp.Parameter(max(size, 1), name=name)
    for name in AGREED:
        par[name] = cp.Parameter(1, name=name)
    for name in ("over_vuf", "over_spread", "t_over", "t_rest"):
        var[name] = cp.Variable(1, name=name)
    rows = [
        var["t_vuf"] <= par["vuf_cap"] + var["over_vuf"],
        var["t_spread"] <= par["spread_cap"] + var["over_spread"],
        var["over_vuf"] >= 0,
        var["over_spread"] >= 0,
        var["t_over"]
        == OVER["violations"] * var["t_violations"]
        + OVER["vuf"] * var["over_vuf"]
        + OVER["spread"] * var["over_spread"],
        var["t_over"] <= par["over_high"],
        var["t_over"] >= 0,
        var["t_rest"] == sum(weight * var[f"t_{name}"] for name, weight in REST.items()),
        var["t_rest"] >= 0,
    ]
    if size:
        at = (3 * heads[:, None] + np.arange(3)).ravel()
        slack = cp.multiply(np.repeat(s.scale[heads], 3), var["x_f"][at])
        for word, name in (("along", "a"), ("cross", "a_cross")):
            rows += [
                var[name][at] - slack <= par[f"{word}_high"],
                var[name][at] + slack >= par[f"{word}_low"],
            ]
    problem = cp.Problem(model.problem.objective, [*model.problem.constraints, *rows])
    return replace(
        model, problem=problem, parameters=par, variables=var, terms=(*model.terms, "over", "rest")
    )
