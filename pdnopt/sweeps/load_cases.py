"""The load cases of a sweep: quantiles, samples, or steps and scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.plant.demand import Demand, with_load_kw
from pdnopt.sweeps.rows import COLUMNS, PLAN_COLUMNS

__all__ = ["LoadCases", "read_load_cases"]

LEVELS = ("step", "scenario")
"""What the levels of a MultiIndex are called that have no name."""


@dataclass(frozen=True)
class LoadCases:
    """The demand of each case, and what the cases are called.

    Attributes
    ----------
    loads : tuple of Series
        kW by row of net.load; empty: one case, as the network has it.
    labels : tuple of dict
        Columns and values that say which case a row is of, one a case.
    """

    loads: tuple[pd.Series, ...]
    labels: tuple[dict[str, Any], ...]

    @property
    def n(self) -> int:
        """Number of cases."""
        return len(self.labels)

    @property
    def columns(self) -> list[str]:
        """Columns that say which case a row is of."""
        return list(self.labels[0])


def read_load_cases(demand: Demand, loads: Any) -> LoadCases:
    """Read ``loads`` of `sweep`. Raises InputError with every fault of every case."""
    if loads is None:
        return LoadCases((), ({},))
    path = "sweep(loads=...)"
    if not isinstance(loads, pd.DataFrame) or not loads.shape[1]:
        found = "no column" if isinstance(loads, pd.DataFrame) else type(loads).__name__
        todo = "Give one column of kW for each load case."
        raise InputError(Issue("Format", path, "", found, "a DataFrame indexed like net.load", todo))
    issues = []
    if loads.columns.has_duplicates:
        twice = [str(name) for name in loads.columns[loads.columns.duplicated()]]
        issues.append(Issue("NotUnique", path, "", twice, "different columns", "Rename the load cases."))
    cases = []
    for label, (_, column) in zip(loads.columns, loads.items(), strict=True):
        try:
            series = column.astype(float)
            with_load_kw(demand, series)
            cases.append(series)
        except InputError as error:
            issues += [
                Issue(item.kind, f"{path} {label}", item.id, item.value, item.allowed, item.todo)
                for item in error.issues
            ]
        except (TypeError, ValueError) as error:
            issues.append(Issue("Format", f"{path} {label}", "", str(error), "numbers, kW", "Correct them."))
    labels = _labels(loads.columns)
    taken = {*COLUMNS, *PLAN_COLUMNS, "answer", "same_as", "number"} & set(labels)
    if taken:
        todo = "Rename the level of the columns."
        issues.append(Issue("NotUnique", path, "", sorted(taken), "names that the sweep has not", todo))
    if issues:
        raise InputError(issues)
    rows = tuple(dict(zip(labels, row, strict=True)) for row in zip(*labels.values(), strict=True))
    return LoadCases(tuple(cases), rows)


def _labels(columns: pd.Index) -> dict[str, Sequence[Any]]:
    """Return the columns of labels, each of one type, as a file keeps them."""
    if not isinstance(columns, pd.MultiIndex):
        return {"load_case": _one_type(list(columns))}
    names = [
        str(name) if name is not None else LEVELS[k] if k < len(LEVELS) else f"level_{k}"
        for k, name in enumerate(columns.names)
    ]
    return {name: _one_type(list(columns.get_level_values(k))) for k, name in enumerate(names)}


def _one_type(values: list[Any]) -> list[Any]:
    """Return labels as whole numbers, numbers or texts, whichever holds them all."""
    plain = [value.item() if hasattr(value, "item") else value for value in values]
    if all(isinstance(value, int) and not isinstance(value, bool) for value in plain):
        return plain
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in plain):
        return [float(value) for value in plain]
    return [str(value) for value in plain]
