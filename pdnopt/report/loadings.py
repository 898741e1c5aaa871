"""How far each rated component is loaded, read from a network's AC results; two networks side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from pdnopt.plant.names import component_names
from pdnopt.report.words import SPACE, number
from pdnopt.units import KW_PER_MW, UNLIMITED_KA

__all__ = ["Loading", "compare", "read_loadings"]

A_PER_KA = 1000.0


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


def compare(before: Any | None, after: Any | None, failed: Iterable[str] = ()) -> list[Loading]:
    """Return every loaded component of two networks with AC results, the most loaded first."""
    left, right = (read_loadings(net, failed) if net is not None else None for net in (before, after))
    ratings = {**_first(left), **_first(right)}
    rows = [Loading(name, rating, _at(left, name), _at(right, name)) for name, rating in ratings.items()]
    return sorted((row for row in rows if row.worst > 0.05), key=lambda row: (-row.worst, row.component))


def read_loadings(net: Any, failed: Iterable[str] = ()) -> dict[str, tuple[str, float]]:
    """Return {component: (rating in words, loading in percent of its limit)} from the ``res_*`` tables.

    Parameters
    ----------
    failed : iterable of str
        ``ups:X@module`` takes one module off that UPS's rating.
    """
    out: dict[str, tuple[str, float]] = {}
    for table, rating in (
        ("line", _line_a),
        ("trafo", _trafo_kva),
        ("trafo3w", _trafo3w_kva),
        ("switch", _switch_a),
        ("ups", _ups_kva),
    ):
        result = f"res_{table}"
        if table not in net or result not in net or not len(net[table]) or not len(net[result]):
            continue
        if "loading_percent" not in net[result].columns:
            continue
        frame = net[table]
        percent = net[result]["loading_percent"].reindex(frame.index).to_numpy(dtype=float)
        percent = percent / (_column(frame, "max_loading_percent", 100.0) / 100.0)
        values, unit = rating(frame)
        names = component_names(net, table)
        if table == "ups":
            factor = _modules_left(frame, names, failed)
            values, percent = values * factor, percent / factor
        unlimited = UNLIMITED_KA * A_PER_KA if unit == "A" else np.inf
        for name, value, loaded in zip(names, values, percent, strict=True):
            if isfinite(loaded) and 0.0 < value < unlimited:
                out[name] = (f"{number(value, 0)}{SPACE}{unit}", float(loaded))
    out.update(_sources(net))
    return out


def _sources(net: Any) -> dict[str, tuple[str, float]]:
    """Return utility feeds and gensets with a rating; companions of UPSs and batteries are not sources."""
    frame = net["ext_grid"]
    if not len(frame) or "res_ext_grid" not in net or not len(net["res_ext_grid"]):
        return {}
    own = np.isnan(_column(frame, "ups", np.nan)) & np.isnan(_column(frame, "storage", np.nan))
    p_kw = net["res_ext_grid"]["p_mw"].reindex(frame.index).to_numpy(dtype=float) * KW_PER_MW
    limit_kw = _column(frame, "max_p_mw", np.nan) * KW_PER_MW
    return {
        name: (f"{number(limit, 0)}{SPACE}kW", 100.0 * float(p) / float(limit))
        for name, p, limit, mine in zip(component_names(net, "ext_grid"), p_kw, limit_kw, own, strict=True)
        if mine and isfinite(p) and limit > 0.0
    }


def _line_a(frame: Any) -> tuple[np.ndarray, str]:
    parallel = _column(frame, "df", 1.0) * _column(frame, "parallel", 1.0)
    return _column(frame, "max_i_ka", np.nan) * parallel * A_PER_KA, "A"


def _trafo_kva(frame: Any) -> tuple[np.ndarray, str]:
    return _column(frame, "sn_mva", np.nan) * _column(frame, "parallel", 1.0) * KW_PER_MW, "kVA"


def _trafo3w_kva(frame: Any) -> tuple[np.ndarray, str]:
    return _column(frame, "sn_hv_mva", np.nan) * KW_PER_MW, "kVA"


def _switch_a(frame: Any) -> tuple[np.ndarray, str]:
    return _column(frame, "in_ka", np.nan) * A_PER_KA, "A"


def _ups_kva(frame: Any) -> tuple[np.ndarray, str]:
    s_kva = _column(frame, "s_rated_mva", np.nan)
    return np.where(np.isnan(s_kva), _column(frame, "p_rated_mw", np.nan), s_kva) * KW_PER_MW, "kVA"


def _modules_left(frame: Any, names: list[str], failed: Iterable[str]) -> np.ndarray:
    """Return the part of each UPS's rating that is left, shape (UPSs,)."""
    modules = np.maximum(_column(frame, "n_modules", 1.0), 1.0)
    lost = {name.rpartition("@")[0] for name in failed if name.endswith("@module")}
    hit = [name in lost or f"ups:{index}" in lost for name, index in zip(names, frame.index, strict=True)]
    return np.where(np.array(hit, dtype=bool) & (modules > 1), (modules - 1.0) / modules, 1.0)


def _column(frame: Any, name: str, default: float) -> np.ndarray:
    """Return a column as floats with its default where it is missing or NaN."""
    if name not in frame.columns:
        return np.full(len(frame), default)
    values = frame[name].astype(float).to_numpy()
    return np.where(np.isnan(values), default, values)


def _first(found: dict[str, tuple[str, float]] | None) -> dict[str, str]:
    return {name: rating for name, (rating, _) in (found or {}).items()}


def _at(found: dict[str, tuple[str, float]] | None, name: str) -> float:
    """Return a loading: NaN in a state without power flow, 0 for what is not there."""
    return float("nan") if found is None else found.get(name, ("", 0.0))[1]
