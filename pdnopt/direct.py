"""Answers without a solver: nothing needs to be done, or few moves bring lasting voltage back to everybody.

Both serve all that has a surviving path, interrupt nobody and use no overload budget: no other answer is better in these
terms. What remains after them in the order of terms decides between repairs of equally many moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

from pdnopt.acjudge import AcJudge, Ratios
from pdnopt.engine.lexicographic import Ladder, TermResult
from pdnopt.optimiser import BATTERY_USE, OVER, Answer
from pdnopt.plant.budgets import CurveBook
from pdnopt.plant.demand import Demand
from pdnopt.plant.state import State, fed_units, islands
from pdnopt.problem import Formulation
from pdnopt.repairs import Repair, count_moves
from pdnopt.response import Response
from pdnopt.units import S_PER_H

__all__ = ["DirectAnswers"]

FIRST_TERMS = frozenset({"unserved", "interrupted", "overload"})
"""Terms that an answer of this module has at their floors."""

FOR_GOOD = 100.0
"""An overload that its curve allows for so many horizons uses no budget worth counting."""

LOW_V_PU = 1e-5
"""A voltage counts as below its limit beyond this."""


class DirectAnswers:
    """What can be answered on one network without a solver.

    Parameters
    ----------
    formulation : Formulation
    curves : CurveBook
    judge : AcJudge
    """

    def __init__(self, formulation: Formulation, curves: CurveBook, judge: AcJudge) -> None:
        self.formulation, self.curves, self.judge = formulation, curves, judge

    def stand_still(self, terms: Sequence[str], demand: Demand, response: Response) -> Answer | None:
        """Return the answer that nothing needs to be done; None unless every term that moves anything is at its floor.

        The plant's own devices have served all that has a surviving path: ``unserved`` cannot be less, and
        ``interrupted``, ``overload`` and ``actions`` are zero. Terms behind ``actions`` have no freedom left. The
        caller must know that no overload or battery clock runs, and have the checker confirm.
        """
        state = response.state
        first = terms[: terms.index("actions")] if "actions" in terms else ("losses",)
        if (
            {"losses", "margin"} & set(first)
            or not _idle(state, False)
            or not _all_served(demand, response, state)
        ):
            return None
        ratios = self.judge.ratios(response.grid, demand, [state])
        return self._answer(terms, demand, response, state, ratios, 0)

    def repaired(
        self,
        terms: Sequence[str],
        demand: Demand,
        response: Response,
        known: Iterable[Repair],
        horizon_s: float,
        spent: dict[str, float],
    ) -> Iterator[Answer]:
        """Yield answers of few moves that serve all that has a path, within every limit for good; the best first.

        Fewest moves first; among equally many the term that follows ``actions`` decides. None where another term than
        those of FIRST_TERMS comes before ``actions``.
        """
        if "actions" not in terms or not set(terms[: terms.index("actions")]) <= FIRST_TERMS:
            return
        for _, alike in groupby(known, key=lambda repair: (repair.complete, repair.steps)):
            yield from self._best(terms, demand, response, list(alike), horizon_s, spent)

    def _best(
        self,
        terms: Sequence[str],
        demand: Demand,
        response: Response,
        alike: list[Repair],
        horizon_s: float,
        spent: dict[str, float],
    ) -> list[Answer]:
        """Return the answers among repairs of equally many steps, best first."""
        served = [r for r in alike if _idle(r.state, True) and _all_served(demand, response, r.state)]
        if not served:
            return []
        ratios = self.judge.ratios(response.grid, demand, [repair.state for repair in served])
        limits = self.formulation.limits(response.grid, self.curves, FOR_GOOD * horizon_s, spent)
        answers = []
        for k, repair in enumerate(served):
            mine = ratios.only(k)
            within = self.formulation.tighten(limits, limits, mine, OVER, 0.0) is None
            if within and self._lasts(response, repair.state, mine, horizon_s):
                answers.append(
                    self._answer(
                        terms,
                        demand,
                        response,
                        repair.state,
                        mine,
                        count_moves(response.grid, response.state, repair.state),
                    )
                )
        return sorted(answers, key=lambda answer: [term.value for term in answer.ladder.terms])

    def _lasts(self, response: Response, state: State, ratios: Ratios, horizon_s: float) -> bool:
        """Whether batteries and fuel carry a state over the horizon, gensets carry enough, and voltages are in range."""
        ups, src, hours = response.grid.upss, response.grid.sources, horizon_s / S_PER_H
        used_kwh = ratios.ups_kw[0] * hours
        charged = (state.ups_mode != "battery") | (used_kwh <= BATTERY_USE * ups.e_kwh)
        fuelled = ratios.source_kw[0] * hours <= src.fuel_kwh
        loaded = ~state.source_on | (src.kind != "genset") | (ratios.source_kw[0] >= src.p_min_kw)
        low = ratios.under_v_pu[0].max(initial=0.0) > LOW_V_PU
        return bool(charged.all() and fuelled.all() and loaded.all() and ratios.converged[0] and not low)

    def _answer(
        self,
        terms: Sequence[str],
        demand: Demand,
        response: Response,
        state: State,
        ratios: Ratios,
        moves: int,
    ) -> Answer:
        """Return a state as an answer: values by AC power flow; a move is needed where standing still serves less."""
        values = {
            "interrupted": (0.0, 0.0),
            "overload": (0.0, 0.0),
            "actions": (float(moves), float(min(moves, 1))),
        }
        losses_kw, margin = float(ratios.losses_kw[0]), ratios.margin_lost(response.grid)
        # nothing is free where nothing moves; where something does, other moves may lose less
        values["losses"] = (losses_kw, losses_kw if not moves else 0.0)
        values["margin"] = (margin, margin if not moves else -1.0)
        names = {"margin": "margin_lost"}
        found: list[TermResult] = []
        for term in terms:
            if term == "unserved":
                for p in np.unique(demand.priority):
                    lost_kw = float(demand.d_kw[(demand.priority == p) & response.unservable].sum())
                    found.append(TermResult(f"unserved_p{p}", lost_kw, lost_kw))
            else:
                found.append(TermResult(names.get(term, term), *values[term]))
        bounds = {term.name: term.bound for term in found}
        return Answer(Ladder("optimal", None, found), state, bounds, ratios)


def _all_served(demand: Demand, response: Response, state: State) -> bool:
    """Whether all that has a surviving path is fed in full."""
    fed = (
        fed_units(demand, state, islands(response.grid, state).energised)
        & state.unit_ok
        & (state.served >= 1.0)
    )
    return bool((fed | response.unservable).all())


def _idle(state: State, on_battery: bool) -> bool:
    """Whether no battery of the rows works, and unless ``on_battery`` no UPS's either."""
    rows = not state.storage_on.any() and not state.storage_kw.any()
    return bool(rows and (on_battery or not (state.ups_mode == "battery").any()))
