"""Every contingency of a network, one after another in one session: what a planner reads before a failure.

``sweep(net)`` solves every single failure and returns one row a contingency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from math import comb, inf
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.plant.grid import Grid, read_grid
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import values

if TYPE_CHECKING:
    from pdnopt.result import Result

__all__ = ["COLUMNS", "contingencies", "sweep"]

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

TABLES = ("ext_grid", "ups", "trafo", "trafo3w", "impedance", "transfer", "storage", "bus", "line", "switch")
"""Tables whose rows can fail."""

COMPANIONS = ("ups", "storage")
"""Kinds of ext_grid that stand for another component: that one fails, not they."""

Progress = Callable[[int, int, str], None]
"""Called before each contingency: number, how many, its name."""


def sweep(
    net: Any,
    k: int = 1,
    components: Sequence[str] | str | None = None,
    problem: str = "reroute",
    progress: Progress | None = None,
    **keywords: Any,
) -> pd.DataFrame:
    """Solve every contingency of ``k`` components and return one row each.

    Parameters
    ----------
    net : pandapowerNet
        Never changed.
    k : int
        Components that fail together, 1 or 2.
    components : sequence of str, "all" or None
        Names of components or of tables ("ups") that may fail; "all": every one; None: all but final rack circuits
        (a bus that feeds one unit only, and what leads to it).
    problem : str
        A registered formulation.
    progress : callable, optional
        Told of every contingency before it is solved.
    **keywords
        Of :class:`pdnopt.session.Options`, ``failed`` left out; ``explain`` is False unless given.

    Returns
    -------
    DataFrame, columns ``COLUMNS``
        ``margin_kw``: what the most loaded component could still carry at the end (kVA where it is rated in kVA,
        negative beyond its limit); ``deadline_s``: when the first overload, battery or fuel that the failure started
        would be gone if nobody acted (inf: none); ``plan_s``: when the plan's last action is done (0: none is needed).

    Raises
    ------
    InputError
        For bad networks, names and keywords, all at once.
    """
    from pdnopt.session import Session

    if k not in (1, 2):
        raise InputError(Issue("Range", "sweep(k=...)", "", k, "1 or 2", "Choose how many fail together."))
    if "failed" in keywords:
        todo = "Name what may fail in components."
        raise InputError(
            Issue("UnknownField", "sweep(failed=...)", "", "failed", "not a keyword of sweep", todo)
        )
    session = Session(net, problem, **{"explain": False, **keywords})
    names = contingencies(net, components)
    ratings = _ratings(read_grid(net))
    rows = []
    total = comb(len(names), k)
    for number, failed in enumerate(combinations(names, k)):
        if progress is not None:
            progress(number, total, " + ".join(failed))
        rows.append(_row(failed, session.solve(failed=failed), ratings))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def contingencies(net: Any, components: Sequence[str] | str | None = None) -> list[str]:
    """Return the names of the components that may fail (see `sweep`). Raises InputError for unknown ones."""
    known = list(_components(net))
    if components == "all":
        return known
    if components is None:
        final = _final_circuits(net)
        return [name for name in known if name not in final]
    asked = [components] if isinstance(components, str) else list(components)
    issues, found = [], []
    for name in asked:
        mine = [other for other in known if other == name or other.partition(":")[0] == name]
        if not mine:
            allowed = f"a component of the network, or one of {', '.join(TABLES)}"
            issues.append(
                Issue("InvalidName", "sweep(components=...)", name, name, allowed, "Correct the name.")
            )
        found += [other for other in mine if other not in found]
    if issues:
        raise InputError(issues)
    return found


def _components(net: Any) -> Iterator[str]:
    for table in TABLES:
        if table not in net or not len(net[table]):
            continue
        names: Iterable[str] = component_names(net, table)
        if table == "ext_grid":
            kinds = values(net, "ext_grid", "kind")
            names = [name for name, kind in zip(names, kinds, strict=True) if kind not in COMPANIONS]
        if table == "switch":  # a bypass switch is part of its UPS
            owners = values(net, "switch", "ups")
            names = [name for name, owner in zip(names, owners, strict=True) if owner != owner]
        yield from names


def _final_circuits(net: Any) -> set[str]:
    """Return the buses that feed one unit only and lead nowhere else, and the lines and switches that lead to them."""
    ways: dict[int, set[str]] = {int(bus): set() for bus in net.bus.index}
    lines = component_names(net, "line")
    for name, a, b in zip(lines, net.line["from_bus"], net.line["to_bus"], strict=True):
        ways[int(a)].add(name)
        ways[int(b)].add(name)
    for name, row in zip(component_names(net, "switch"), net.switch.itertuples(), strict=True):
        if row.et == "b":
            ways[int(row.bus)].add(name)
            ways[int(row.element)].add(name)
    for trafo in net.trafo.itertuples():
        for bus in (trafo.hv_bus, trafo.lv_bus):
            ways[int(bus)] |= {f"{trafo.Index} hv", f"{trafo.Index} lv"}  # never final
    fixed = set(net.ext_grid["bus"]) | (
        set(net.ups["in_bus"]) | set(net.ups["out_bus"]) if "ups" in net else set()
    )
    racks = values(net, "load", "rack") if len(net.load) else np.zeros(0, dtype=object)
    units = np.where(racks == "", net.load["name"].astype(str), racks) if len(net.load) else racks
    fed = pd.Series(units, index=net.load["bus"]).groupby(level=0).nunique()
    names = dict(zip(net.bus.index, component_names(net, "bus"), strict=True))
    found: set[str] = set()
    for bus in fed.index[fed == 1].to_numpy(dtype=int):
        if len(ways[bus]) == 1 and bus not in fixed:
            found |= {names[bus], *ways[bus]}
    return found


def _ratings(grid: Grid) -> dict[str, float]:
    """Return the rating of every component that has one, kW or kVA."""
    tables = (
        (grid.branches.name, grid.branches.s_max_kva),
        (grid.switches.name, grid.switches.s_max_kva),
        (grid.upss.name, grid.upss.p_rated_kw),
        (grid.sources.name, grid.sources.p_max_kw),
    )
    return {name: float(kw) for names, ratings in tables for name, kw in zip(names, ratings, strict=True)}


def _row(failed: Sequence[str], result: Result, ratings: dict[str, float]) -> dict[str, Any]:
    rating = ratings.get(result.worst_component, inf)
    actions = result.plan.actions
    return {
        "contingency": " + ".join(failed),
        "status": result.status,
        "unserved_kw": result.unserved_kw,
        "unserved_p1_kw": result.unserved_by_priority.get(1, 0.0),
        "interrupted_kw": result.interrupted_kw,
        "worst_component": result.worst_component,
        "worst_loading_percent": result.worst_loading_percent,
        "margin_kw": rating * (1.0 - result.worst_loading_percent / 100.0),
        "deadline_s": min((clock.deadline_s for clock in result.clocks), default=inf),
        "plan_s": max((action.t_s for action in actions), default=0.0),
        "n_actions": len(actions),
        "total_s": result.timings["total_s"],
    }
