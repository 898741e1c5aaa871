"""The rows of a sweep: what is told of one contingency."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import inf, nan
from typing import TYPE_CHECKING, Any

from pdnopt.plant.grid import Grid
from pdnopt.sweeps.job import Task

if TYPE_CHECKING:
    from pdnopt.checker import CheckReport
    from pdnopt.result import Result

__all__ = [
    "COLUMNS",
    "CRASHED",
    "PLAN_COLUMNS",
    "Row",
    "crashed_row",
    "name_of",
    "ratings_kw",
    "row_of",
    "shared_row",
]

Row = dict[str, Any]
"""Columns and values, and ``number``: the place of the row in the sweep."""

COLUMNS = (
    "contingency",
    "status",
    "unserved_kw",
    "unserved_p1_kw",
    "interrupted_kw",
    "worst_component",
    "worst_loading_percent",
    "margin_kw",
    "deadline_s",
    "plan_s",
    "n_actions",
    "total_s",
)

PLAN_COLUMNS = ("plan", "result")
"""Added by ``plans=True``: JSON texts."""

CRASHED = "crashed"
"""Status of a contingency that ended every worker process that was given it."""


def name_of(failed: Sequence[str]) -> str:
    """Return what a contingency is called."""
    return " + ".join(failed)


def ratings_kw(grid: Grid) -> dict[str, float]:
    """Return the rating of every component that has one, kW or kVA."""
    tables = (
        (grid.branches.name, grid.branches.s_max_kva),
        (grid.switches.name, grid.switches.s_max_kva),
        (grid.upss.name, grid.upss.p_rated_kw),
        (grid.sources.name, grid.sources.p_max_kw),
    )
    return {name: float(kw) for names, ratings in tables for name, kw in zip(names, ratings, strict=True)}


def row_of(task: Task, result: Result, ratings: Mapping[str, float], plans: bool) -> Row:
    """Return the row of a contingency that was solved.

    Besides the columns it holds what `pairs` needs to know: clocks that run, the last automatic move.
    """
    actions, clocks = result.plan.actions, result.clocks
    row: Row = {
        "number": task.number,
        "contingency": name_of(task.failed),
        "status": result.status,
        "unserved_kw": result.unserved_kw,
        "unserved_p1_kw": 0.0,
        "interrupted_kw": result.interrupted_kw,
        **_worst(result.worst_component, result.worst_loading_percent, ratings),
        "deadline_s": min((clock.deadline_s for clock in clocks), default=inf),
        "plan_s": max((action.t_s for action in actions), default=0.0),
        "n_actions": len(actions),
        "total_s": result.timings["total_s"],
        **{f"unserved_p{p}_kw": kw for p, kw in result.unserved_by_priority.items()},
        "answer": "solved",
        "same_as": "",
        "n_clocks": len(clocks),
        "automatic_s": max((action.t_s for action in result.plan.automatic), default=0.0),
    }
    if plans:
        told = {k: v for k, v in result.to_dict().items() if k not in ("timings", "plan")}
        row |= {"plan": result.plan.to_json(), "result": json.dumps(told)}
    return row


def shared_row(
    number: int, failed: Sequence[str], row: Row, report: CheckReport, ratings: Mapping[str, float]
) -> Row:
    """Return the row of an outage that leaves the plant as another one did, and whose plan the checker has verified."""
    return {
        **row,
        "number": number,
        "contingency": name_of(failed),
        **_worst(report.worst_component, report.worst_loading_percent, ratings),
        "answer": "shared",
        "same_as": row["contingency"],
    }


def crashed_row(number: int, failed: Sequence[str], priorities: Sequence[int]) -> Row:
    """Return the row of a contingency that nobody could solve: the worker processes ended with it."""
    unserved = {f"unserved_p{p}_kw": nan for p in priorities}
    numbers = dict.fromkeys(
        (
            "unserved_kw",
            "unserved_p1_kw",
            "interrupted_kw",
            "worst_loading_percent",
            "margin_kw",
            "plan_s",
            "total_s",
        ),
        nan,
    )
    return {
        "number": number,
        "contingency": name_of(failed),
        "status": CRASHED,
        **numbers,
        **unserved,
        "worst_component": "",
        "deadline_s": nan,
        "n_actions": 0,
        "answer": CRASHED,
        "same_as": "",
    }


def _worst(component: str, loading_percent: float, ratings: Mapping[str, float]) -> Row:
    margin_kw = ratings.get(component, inf) * (1.0 - loading_percent / 100.0)
    return {
        "worst_component": component,
        "worst_loading_percent": float(loading_percent),
        "margin_kw": float(margin_kw),
    }
