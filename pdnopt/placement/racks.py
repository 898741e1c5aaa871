"""The table of new racks: read, checked all at once, and gathered into items that are placed as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.units import DEFAULT_PRIORITY

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "NewRacks", "read_racks"]

COLUMNS = ("name", "p_kw", "cords", "priority", "min_p_kw", "redundant", "breaker_a", "deployment")
"""Columns of the table; `name` and `p_kw` are required."""

PATH = "racks"
DOUBLE = (1, 2)


@dataclass(frozen=True)
class NewRacks:
    """R racks in I items. An item is one rack, or all racks of one deployment: they share a pair of feeds.

    Attributes
    ----------
    name : list of str
    p_kw, floor_kw : float, shape (R,)
        Demand; what is left of it once it is capped (redundant racks: 0, they may be shed).
    min_p_kw : float, shape (R,)
        Power cap floor as given, NaN: cannot be capped.
    cords, priority : int, shape (R,)
    redundant : bool, shape (R,)
    breaker_a : float, shape (R,)
        Rated current of the breaker of each cord, NaN: none given.
    item : int, shape (R,)
    """

    name: list[str]
    p_kw: np.ndarray
    floor_kw: np.ndarray
    min_p_kw: np.ndarray
    cords: np.ndarray
    priority: np.ndarray
    redundant: np.ndarray
    breaker_a: np.ndarray
    item: np.ndarray

    @property
    def n_items(self) -> int:
        """Number of items."""
        return int(self.item.max()) + 1 if len(self.item) else 0

    def sum_by_item(self, values: np.ndarray) -> np.ndarray:
        """Sum an array over the racks of each item: (R,) -> (I,)."""
        return np.bincount(self.item, weights=values, minlength=self.n_items)

    def first_of_item(self, values: np.ndarray) -> np.ndarray:
        """Return the value of the first rack of each item: (R,) -> (I,)."""
        return np.asarray(values[np.unique(self.item, return_index=True)[1]])

    def members(self) -> list[np.ndarray]:
        """Return the racks of each item."""
        order = np.argsort(self.item, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(self.item[order])) + 1) if len(order) else []


def read_racks(net: Any, racks: pd.DataFrame) -> NewRacks:
    """Read the table of new racks.

    Raises
    ------
    InputError
        Every fault of the table at once: unknown or missing columns, names that are empty, used twice or used in
        the network, powers that are not finite or not positive, cords other than 1 or 2, priorities below 1, floors
        below 0 or above the power, deployments of racks that differ in cords, priority or kind.
    """
    issues = _columns(racks)
    if not issues and not len(racks):
        issues.append(Issue("Missing", PATH, "", 0, "at least one rack", "Add a row for each new rack."))
    if issues:
        raise InputError(issues)
    names = [_text(value) for value in racks["name"]]
    n = len(names)
    p_kw = _numbers(racks, "p_kw", np.nan)
    cords, priority = _numbers(racks, "cords", 2.0), _numbers(racks, "priority", float(DEFAULT_PRIORITY))
    min_p_kw = _numbers(racks, "min_p_kw", np.nan)
    breaker_a = _numbers(racks, "breaker_a", np.nan)
    redundant, not_flags = _flags(racks)
    issues = _names(net, names)

    def fault(column: str, bad: np.ndarray, kind: str, allowed: str, todo: str) -> None:
        values = racks[column].to_numpy(object)
        issues.extend(
            Issue(kind, f"{PATH}.{column}", names[k] or f"row {k}", values[k], allowed, todo)
            for k in np.flatnonzero(bad)
        )

    finite = np.isfinite(p_kw)
    fault("p_kw", ~finite, "NonFinite", "a finite number of kW", "Fill in the rack's demand.")
    fault("p_kw", finite & (p_kw <= 0), "NotGreater", "more than 0 kW", "Leave racks out that draw nothing.")
    if "cords" in racks:
        fault("cords", ~np.isin(cords, DOUBLE), "Enum", "1 or 2", "Say how many cords the rack has.")
    if "priority" in racks:
        whole = (priority >= 1) & (priority == np.floor(priority))
        fault("priority", ~whole, "Range", "a whole number, 1 = most critical", "Correct the priority.")
    if "min_p_kw" in racks:
        given = ~racks["min_p_kw"].isna().to_numpy(bool)
        low, high = given & ~(min_p_kw >= 0), given & finite & (min_p_kw > p_kw)
        todo = "Correct the floor, or leave it empty if the rack cannot be capped."
        fault("min_p_kw", low, "Range", "0 kW or more", todo)
        fault("min_p_kw", high, "BoundsCrossed", "at most p_kw", todo)
    if "breaker_a" in racks:
        given = ~racks["breaker_a"].isna().to_numpy(bool)
        todo = "Correct the rated current, or leave it empty if there is no breaker of its own."
        fault("breaker_a", given & ~(breaker_a > 0), "NotGreater", "more than 0 A", todo)
    if "redundant" in racks:
        fault("redundant", not_flags, "Enum", "True or False", "Say whether software carries its loss.")
    item = _items(racks, n)
    if not issues:
        issues = _deployments(racks, item, {"cords": cords, "redundant": redundant, "priority": priority})
    if issues:
        raise InputError(issues)
    floor = np.where(redundant, 0.0, np.where(np.isnan(min_p_kw), p_kw, min_p_kw))
    return NewRacks(
        name=names,
        p_kw=p_kw,
        floor_kw=floor,
        min_p_kw=min_p_kw,
        cords=cords.astype(int),
        priority=priority.astype(int),
        redundant=redundant.astype(bool),
        breaker_a=breaker_a,
        item=item,
    )


def _columns(racks: Any) -> list[Issue]:
    known = list(getattr(racks, "columns", []))
    issues = [
        Issue("Missing", f"{PATH}.{column}", "", known, f"a column {column!r}", "Add it, one row a rack.")
        for column in ("name", "p_kw")
        if column not in known
    ]
    issues += [
        Issue(
            "UnknownField", f"{PATH}.{column}", "", column, ", ".join(COLUMNS), "Rename or drop the column."
        )
        for column in known
        if column not in COLUMNS
    ]
    return issues


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)


def _numbers(racks: pd.DataFrame, column: str, default: float) -> np.ndarray:
    """Return a column as numbers; what is none becomes NaN, a missing column its default."""
    if column not in racks:
        return np.full(len(racks), default)
    import pandas as pd

    return np.asarray(pd.to_numeric(racks[column], errors="coerce").to_numpy(dtype=float, na_value=np.nan))


def _flags(racks: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the column `redundant`, and which of its values are neither True nor False."""
    if "redundant" not in racks:
        return np.zeros(len(racks), dtype=bool), np.zeros(len(racks), dtype=bool)
    values = racks["redundant"].to_numpy(object)
    flags = np.array(
        [isinstance(v, bool | np.bool_ | int | np.integer) and v in (0, 1) for v in values], bool
    )
    return np.array([bool(v) if ok else False for v, ok in zip(values, flags, strict=True)], bool), ~flags


def _names(net: Any, names: list[str]) -> list[Issue]:
    taken = set(net.load["rack"].dropna()) if "rack" in net.load else set()
    if "rack" in net.asymmetric_load:
        taken |= set(net.asymmetric_load["rack"].dropna())
    issues: list[Issue] = []
    seen: set[str] = set()
    for k, name in enumerate(names):
        if not name:
            kind, allowed, todo = "Missing", "a name", "Name the rack."
        elif name in seen:
            kind, allowed, todo = "NotUnique", "a name that one rack has", "Rename one of them."
        elif name in taken:
            kind, allowed = "NotUnique", "a name that no rack of the network has"
            todo = "Rename the new rack."
        else:
            seen.add(name)
            continue
        issues.append(Issue(kind, f"{PATH}.name", name or f"row {k}", name, allowed, todo))
    return issues


def _items(racks: pd.DataFrame, n: int) -> np.ndarray:
    """Number the items in order of their first rack; a rack without a deployment is an item of its own."""
    import pandas as pd

    if "deployment" not in racks:
        return np.arange(n)
    keys = [
        ("alone", k) if not _text(value) else ("of", _text(value))
        for k, value in enumerate(racks["deployment"])
    ]
    return np.asarray(pd.factorize(pd.Series(keys, dtype=object))[0], dtype=int)


def _deployments(racks: pd.DataFrame, item: np.ndarray, same: dict[str, np.ndarray]) -> list[Issue]:
    """Racks of one deployment have the same cords, kind and priority: it is placed and counted as one thing."""
    issues: list[Issue] = []
    if "deployment" not in racks:
        return issues
    first = np.unique(item, return_index=True)[1]
    for column, values in same.items():
        for k in np.flatnonzero(values != values[first][item]):
            name = _text(racks["deployment"].iloc[k])
            todo = "Make two deployments of it."
            issues.append(
                Issue("Conflict", f"{PATH}.{column}", name, values[k], "the same for all its racks", todo)
            )
    return issues
