"""What a report shows of an allocation: who backs whom as a matrix, margins as bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pdnopt.result import Result

__all__ = ["AllocationView", "Bar", "read_allocation"]

MOST_BARS = 20


@dataclass(frozen=True)
class Bar:
    """A component where it is tightest. ``left``, ``width``: of the bar, in percent of the scale; ``zero`` is its origin."""

    component: str
    contingency: str
    loading_percent: float
    limit_percent: float
    margin_kw: float
    left: float
    width: float


@dataclass(frozen=True)
class AllocationView:
    """``cells[i][j]``: kW that stand on system i and go to system j first; ``stands``: kW on each system now."""

    systems: list[str]
    following: list[str]
    cells: list[list[float]]
    stands: list[float]
    devices: int
    moved: int
    bars: list[Bar]
    zero: float
    contingencies: int
    short: int
    unserved: list[tuple[str, float]]


def read_allocation(result: Result) -> AllocationView | None:
    """Return what to show, or None for a result that is no allocation."""
    if result.margins is None or result.backing is None:
        return None
    backing, margins = result.backing, result.margins
    systems = sorted(set(backing["active"]))
    following = sorted(set(backing["next"]) - {""})
    by = backing.groupby(["active", "next"])["kw"].sum()
    cells = [[float(by.get((one, other), 0.0)) for other in following] for one in systems]
    stands = [float(backing.loc[backing["active"] == one, "kw"].sum()) for one in systems]
    tightest = margins.drop_duplicates("component").head(MOST_BARS)
    kw = tightest["margin_kw"].to_numpy(float)
    low, high = min(0.0, float(kw.min(initial=0.0))), max(0.0, float(kw.max(initial=0.0)))
    span = max(high - low, 1e-9)
    zero = 100.0 * (0.0 - low) / span
    columns = (
        tightest[name].tolist() for name in ("component", "contingency", "loading_percent", "limit_percent")
    )
    bars = [
        Bar(
            component,
            contingency,
            loading,
            limit,
            margin,
            zero + min(100.0 * margin / span, 0.0),
            abs(100.0 * margin / span),
        )
        for component, contingency, loading, limit, margin in zip(*columns, kw.tolist(), strict=True)
    ]
    dark = margins[margins["unserved_kw"] > 1e-6].sort_values("unserved_kw", ascending=False, kind="stable")
    return AllocationView(
        systems=systems,
        following=following,
        cells=cells,
        stands=stands,
        devices=len(backing),
        moved=int(np.count_nonzero(backing["moved"])),
        bars=bars,
        zero=zero,
        contingencies=len(margins),
        short=int((margins["margin_kw"] < 0).sum()),
        unserved=list(zip(dark["contingency"].tolist()[:8], dark["unserved_kw"].tolist()[:8], strict=True)),
    )
