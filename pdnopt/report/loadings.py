"""How far each rated component is loaded, as the failure left it and after the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import numpy as np

from pdnopt.diagram import Situation
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import native_values
from pdnopt.units import KW_PER_MW
from pdnopt.words import SPACE, number

__all__ = ["Loading", "read_loadings"]

A_PER_KA = 1000.0
IDLE_PERCENT = 0.05


@dataclass(frozen=True)
class Loading:
    """One component: its rating in words, and its loading in percent of its limit before and after.

    NaN where a state has no AC power flow.
    """

    component: str
    rating: str
    before: float
    after: float

    @property
    def worst(self) -> float:
        """The larger of the two."""
        return max((value for value in (self.before, self.after) if isfinite(value)), default=0.0)


def read_loadings(situation: Situation) -> list[Loading]:
    """Return every loaded component with a rating, the most loaded first."""
    before, after = (moment.percent for moment in situation.moments)
    ratings = _ratings(situation)

    def at(found: Any, name: str) -> float:
        return float(found.get(name, 0.0)) if found else nan

    rows = [
        Loading(name, ratings[name], at(before, name), at(after, name))
        for name in dict.fromkeys((*before, *after))
        if name in ratings
    ]
    return sorted(
        (row for row in rows if row.worst > IDLE_PERCENT), key=lambda row: (-row.worst, row.component)
    )


def _ratings(situation: Situation) -> dict[str, str]:
    """Return the rating of every component in words, in the unit of its table."""
    net, out = situation.net, {}
    tables: tuple[tuple[str, Callable[[Any], np.ndarray], str], ...] = (
        ("line", _line_a, "A"),
        ("trafo", _trafo_kva, "kVA"),
        ("switch", lambda frame: native_values(frame, "in_ka", nan) * A_PER_KA, "A"),
        ("ext_grid", lambda frame: native_values(frame, "max_p_mw", nan) * KW_PER_MW, "kW"),
    )
    for table, rating, unit in tables:
        if table in net and len(net[table]):
            for name, value in zip(component_names(net, table), rating(net[table]), strict=True):
                out[name] = f"{number(float(value), 0)}{SPACE}{unit}"
    if "trafo3w" in net and len(net["trafo3w"]):
        for index, value in net["trafo3w"]["sn_hv_mva"].items():
            out[f"trafo3w:{index}"] = f"{number(float(value) * KW_PER_MW, 0)}{SPACE}kVA"
    upss = situation.grid.upss  # without the modules that are lost
    for name, s_kva, p_kw in zip(upss.name, upss.s_rated_kva, upss.p_rated_kw, strict=True):
        out[name] = f"{number(float(s_kva if isfinite(s_kva) else p_kw), 0)}{SPACE}kVA"
    return out


def _line_a(frame: Any) -> np.ndarray:
    parallel = native_values(frame, "df", 1.0) * native_values(frame, "parallel", 1.0)
    return np.asarray(native_values(frame, "max_i_ka", nan) * parallel * A_PER_KA)


def _trafo_kva(frame: Any) -> np.ndarray:
    parallel = native_values(frame, "parallel", 1.0)
    return np.asarray(native_values(frame, "sn_mva", nan) * parallel * KW_PER_MW)
