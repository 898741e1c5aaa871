"""Load vectors by step of a balance; every fault at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.balancing.loads import TABLES
from pdnopt.errors import InputError, Issue
from pdnopt.plant.names import find_component

__all__ = ["DEFAULT_STEP_S", "Vectors", "read_vectors"]

DEFAULT_STEP_S = 300.0


@dataclass(frozen=True)
class Vectors:
    """K load vectors: by table and row kW, and the step (0 ... T - 1) and the name of each."""

    kw: tuple[dict[str, dict[int, float]], ...]
    step: np.ndarray
    step_label: tuple[Any, ...]
    name: tuple[str, ...]
    step_s: float


def read_vectors(net: Any, options: Any) -> Vectors:
    """Read ``loads``: index names ("asymmetric_load:X", "load:Y") or rows, columns (step, scenario or quantile) or steps.

    A number is a row of ``net.asymmetric_load``; of ``net.load`` where the network has no asymmetric loads.

    Raises
    ------
    InputError
        Names and rows that are no load, one named twice, powers that are not finite or negative, too few steps; all at once.
    """
    frame = pd.DataFrame(options.loads)
    issues, places = _places(net, frame.index)
    issues += _range_issues(options)
    kw = frame.apply(pd.to_numeric, errors="coerce").to_numpy(float)
    for bad, kind, allowed, todo in (
        (~np.isfinite(kw), "NonFinite", "a finite number of kW", "Fill the gap first."),
        (kw < 0, "NegativeLoad", "0 kW or more", "Model generation as asymmetric_sgen."),
    ):
        for i, j in np.argwhere(bad)[:5]:
            path = f"loads[{frame.columns[j]!r}]"
            issues.append(Issue(kind, path, str(frame.index[i]), float(kw[i, j]), allowed, todo))
    several = isinstance(frame.columns, pd.MultiIndex)
    first = frame.columns.get_level_values(0)
    labels = list(dict.fromkeys(first))
    if not len(labels):
        todo = "Give a load vector, or leave it out."
        issues.append(Issue("Empty", "loads", "", 0, "at least one column", todo))
    if not issues and options.horizon is not None and options.horizon > len(labels):
        todo, allowed = "Forecast further, or ask for fewer steps.", f"at least {options.horizon} steps"
        issues.append(Issue("HorizonError", "loads", "", len(labels), allowed, todo))
    if issues:
        raise InputError(issues)
    labels = labels[: options.horizon or len(labels)]
    chosen = [k for k in range(frame.shape[1]) if first[k] in labels]
    chosen.sort(key=lambda k: labels.index(first[k]))
    vectors = []
    for k in chosen:
        rows: dict[str, dict[int, float]] = {}
        for (table, row), value in zip(places, kw[:, k], strict=True):
            rows.setdefault(table, {})[row] = float(value)
        vectors.append(rows)
    names = [" ".join(str(part) for part in frame.columns[k][1:]) if several else "" for k in chosen]
    step = np.array([labels.index(first[k]) for k in chosen])
    return Vectors(tuple(vectors), step, tuple(labels), tuple(names), options.step_s or DEFAULT_STEP_S)


def _range_issues(options: Any) -> list[Issue]:
    issues = []
    horizon, step_s = options.horizon, options.step_s
    if horizon is not None and (
        isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1
    ):
        allowed = "a whole number of steps from 1"
        issues.append(Issue("Range", "solve(horizon=...)", "", horizon, allowed, "Correct it."))
    if options.max_moves:
        todo, allowed = "Ask for moves without loads by step.", "0: racks stay on their phases in a course"
        issues.append(Issue("NotHeld", "solve(max_moves=...)", "", options.max_moves, allowed, todo))
    number = isinstance(step_s, int | float) and not isinstance(step_s, bool)
    if step_s is not None and not (number and 1.0 <= step_s <= 86400.0):
        issues.append(Issue("Range", "solve(step_s=...)", "", step_s, "1 to 86400 s", "Correct the value."))
    return issues


def _places(net: Any, index: Any) -> tuple[list[Issue], list[tuple[str, int]]]:
    """Return the table and row of every entry of the index, and what is wrong with them."""
    issues: list[Issue] = []
    out: list[tuple[str, int]] = []
    plain = "asymmetric_load" if len(net.asymmetric_load) else "load"
    seen: dict[tuple[str, int], Any] = {}
    for entry in index:
        if isinstance(entry, str):
            try:
                table, row = find_component(net, entry, "loads")
            except InputError as error:
                issues += error.issues
                continue
        else:
            table, row = plain, entry
        if table not in TABLES or row not in net[table].index:
            allowed = f"rows of net.{plain}, or names of loads"
            issues.append(Issue("InvalidId", "loads", str(entry), entry, allowed, "Correct the index."))
            continue
        place = (table, int(row))
        if place in seen:
            allowed = f"one row a load; it is {seen[place]!r} too"
            issues.append(Issue("NotUnique", "loads", str(entry), entry, allowed, "Leave one out."))
        seen[place] = entry
        out.append(place)
    return issues, out
