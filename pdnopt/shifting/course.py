"""The course of the load: kW of every cord in every step, in each scenario or quantile of the forecast."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.plant.demand import Demand

__all__ = ["Course", "read_course"]


@dataclass(frozen=True)
class Course:
    """Loads of T steps in S scenarios.

    Attributes
    ----------
    cord_kw : float, shape (cords, T, S)
    weight : float, shape (S,)
        Probability of each scenario; quantiles stand for the range nearest to them.
    labels : tuple of str
        Names of the scenarios.
    step_s : float
    """

    cord_kw: np.ndarray
    weight: np.ndarray
    labels: tuple[str, ...]
    step_s: float

    @property
    def n_steps(self) -> int:
        """Number of steps."""
        return int(self.cord_kw.shape[1])

    @property
    def n_scenarios(self) -> int:
        """Number of load scenarios."""
        return int(self.cord_kw.shape[2])

    @property
    def hours(self) -> float:
        """Length of a step, h."""
        return self.step_s / 3600.0

    @property
    def dearest(self) -> int:
        """The scenario with most load."""
        return int(self.cord_kw.sum(axis=(0, 1)).argmax())


def read_course(demand: Demand, loads: Any, horizon: int, step_s: float) -> Course:
    """Read a forecast: index as net.load, columns a MultiIndex (step, scenario or quantile), or steps.

    Rows that are missing keep what they draw now. Scenario names that are numbers between 0 and 1 are quantiles.

    Raises
    ------
    InputError
        A horizon that is no whole number of steps or beyond the forecast, steps of different scenarios, gaps, negative
        powers, rows that are no load; all at once.
    """
    issues = _range_issues(horizon, step_s)
    if loads is None:
        if issues:
            raise InputError(issues)
        now = np.repeat(demand.cord_kw[:, None, None], horizon, axis=1)
        return Course(now, np.ones(1), ("now",), step_s)
    frame = loads.to_frame() if isinstance(loads, pd.Series) else pd.DataFrame(loads)
    columns = frame.columns
    if not isinstance(columns, pd.MultiIndex):
        columns = pd.MultiIndex.from_arrays([columns, ["forecast"] * len(columns)])
    steps, names = columns.get_level_values(0), columns.get_level_values(1)
    first, scenarios = list(dict.fromkeys(steps)), list(dict.fromkeys(names))
    kw = frame.to_numpy(float)
    issues += _value_issues(frame, kw, demand)
    if not issues and len(first) < horizon:
        allowed = f"a forecast of at least {horizon} steps"
        todo = "Give more steps, or a shorter horizon."
        issues.append(Issue("HorizonError", "loads", "", len(first), allowed, todo))
    place = {pair: k for k, pair in enumerate(zip(steps, names, strict=True))}
    missing = [(step, name) for step in first for name in scenarios if (step, name) not in place]
    if missing or len(place) != len(columns):
        allowed = "every scenario once in every step"
        issues.append(
            Issue("Columns", "loads", "", missing[:3] or "duplicates", allowed, "Complete the columns.")
        )
    if not all(later > sooner for sooner, later in pairwise(first)):
        issues.append(
            Issue("TimeOrder", "loads", "", first[:5], "steps in rising order", "Sort the columns.")
        )
    if issues:
        raise InputError(issues)
    shape = (len(demand.cord_row), horizon, len(scenarios))
    cord_kw = np.broadcast_to(demand.cord_kw[:, None, None], shape).copy()
    row = np.full(len(demand.cord_row), -1)
    mine = np.flatnonzero(demand.cord_table == "load")
    row[mine] = frame.index.get_indexer(pd.Index(demand.cord_row[mine]))
    order = np.array([[place[step, name] for name in scenarios] for step in first[:horizon]])
    cord_kw[row >= 0] = kw[row[row >= 0]][:, order]
    return Course(cord_kw, _weights(scenarios), tuple(str(name) for name in scenarios), step_s)


def _weights(names: list[Any]) -> np.ndarray:
    """Return the probability that each scenario stands for: of quantiles, the range nearest to each."""
    numbers = [float(name) for name in names if isinstance(name, int | float) and 0.0 < name < 1.0]
    if len(numbers) < len(names) or len(set(numbers)) < len(names):
        return np.full(len(names), 1.0 / len(names))
    order = np.argsort(numbers)
    edges = np.asarray(numbers)[order]
    bounds = np.r_[0.0, (edges[1:] + edges[:-1]) / 2.0, 1.0]
    weight = np.empty(len(names))
    weight[order] = np.diff(bounds)
    return weight


def _range_issues(horizon: Any, step_s: Any) -> list[Issue]:
    issues = []
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or not 1 <= horizon <= 1000:
        issues.append(
            Issue(
                "Range",
                "solve(horizon=...)",
                "",
                horizon,
                "a whole number of steps, 1 to 1000",
                "Correct it.",
            )
        )
    if isinstance(step_s, bool) or not isinstance(step_s, int | float) or not 1.0 <= step_s <= 86400.0:
        issues.append(Issue("Range", "solve(step_s=...)", "", step_s, "1 to 86400 s", "Correct the value."))
    return issues


def _value_issues(frame: pd.DataFrame, kw: np.ndarray, demand: Demand) -> list[Issue]:
    issues = []
    for bad, kind, allowed, todo in (
        (~np.isfinite(kw), "NonFinite", "a finite number of kW", "Fill the gap first."),
        (kw < 0, "NegativeLoad", ">= 0 kW", "Model generation as sgen."),
    ):
        for i, j in np.argwhere(bad)[:5]:
            where = f"loads[{frame.columns[j]!r}]"
            issues.append(Issue(kind, where, f"load:{frame.index[i]}", float(kw[i, j]), allowed, todo))
    known = demand.cord_row[demand.cord_table == "load"]
    strange = frame.index[~frame.index.isin(known)].tolist()
    if strange:
        allowed = "rows of net.load that are demand"
        issues.append(Issue("InvalidId", "loads", "", strange[:5], allowed, "Correct the index."))
    if frame.index.has_duplicates:
        twice = list(frame.index[frame.index.duplicated()][:5])
        issues.append(Issue("NotUnique", "loads", "", twice, "one row a load", "Remove the duplicates."))
    if not frame.shape[1]:
        issues.append(Issue("Empty", "loads", "", 0, "at least one column", "Give a step, or leave it out."))
    return issues
