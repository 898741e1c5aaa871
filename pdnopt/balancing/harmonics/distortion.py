"""Voltages and currents by order, their distortion, and how far each is from its limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.balancing.flow import PHASES
from pdnopt.balancing.harmonics.impedances import Points
from pdnopt.balancing.harmonics.limits import current_limits, voltage_limits

__all__ = ["Distortion", "Gauge", "distortion_frame", "gauge_of", "spectrum_frame"]

LEAST_PART = 0.1
"""IL is at least this part of a rating: next to nothing drawn is not what a circuit is there for."""
LEAST_PU = 1e-6
"""Currents below this are none."""
PERCENT = 100.0


@dataclass(frozen=True)
class Gauge:
    """What distortion is measured with: R rows of voltages and 3P of currents.

    Attributes
    ----------
    v_one : shape (R,)
        Fundamental voltage, pu.
    i_load : shape (3P,)
        IL of the point, pu: the largest fundamental current of its phases, at least a tenth of its rating.
    ratio : shape (P,)
        Isc / IL.
    v_single, v_thd : shape (H, R), (R,)
        Limits, percent of the fundamental voltage.
    i_single, i_tdd : shape (H, 3P), (3P,)
        Limits, percent of IL.
    """

    v_one: np.ndarray
    i_load: np.ndarray
    ratio: np.ndarray
    v_single: np.ndarray
    v_thd: np.ndarray
    i_single: np.ndarray
    i_tdd: np.ndarray


@dataclass(frozen=True)
class Distortion:
    """Harmonics of voltages (H, R) in percent of the fundamental and of currents (H, 3P) in percent of IL, magnitudes."""

    v: np.ndarray
    i: np.ndarray

    @property
    def thd_v(self) -> np.ndarray:
        """THD of voltages, percent, (R,)."""
        return np.asarray(np.sqrt((self.v**2).sum(axis=0)))

    @property
    def tdd(self) -> np.ndarray:
        """TDD of currents, percent, (3P,)."""
        return np.asarray(np.sqrt((self.i**2).sum(axis=0)))

    def beyond(self, gauge: Gauge) -> tuple[np.ndarray, np.ndarray]:
        """Return by how much the worst limit is broken, in parts of it (0: none), (R,) and (3P,)."""
        v = np.maximum((self.v / gauge.v_single).max(axis=0), self.thd_v / gauge.v_thd)
        i = np.maximum((self.i / gauge.i_single).max(axis=0), self.tdd / gauge.i_tdd)
        return np.maximum(v - 1.0, 0.0), np.maximum(i - 1.0, 0.0)

    def measures(self, gauge: Gauge) -> dict[str, float]:
        """Return the terms of the programme as they truly are."""
        over_v, over_i = self.beyond(gauge)
        return {
            "excess": float(over_v.sum() + over_i.sum()),
            "thd_v": float(self.thd_v.max(initial=0.0)),
            "tdd": float(self.tdd.max(initial=0.0)),
        }


def gauge_of(
    order: np.ndarray, vn_kv: np.ndarray, v_one: np.ndarray, points: Points, kv: np.ndarray, i_one: np.ndarray
) -> Gauge:
    """Return the gauge of a fundamental state.

    Parameters
    ----------
    vn_kv, v_one : shape (R,)
        Nominal and fundamental voltage of the rows.
    kv : shape (P,)
        Nominal voltage of the points.
    i_one : shape (3P,)
        Fundamental currents of the points, pu.
    """
    rated = points.limit_ka / points.base_ka
    least = np.where(np.isfinite(rated), LEAST_PART * rated, LEAST_PU)
    i_load = np.maximum(i_one.reshape(-1, 3).max(axis=1, initial=0.0), least)
    ratio = points.isc_pu / i_load
    single_v, thd_v = voltage_limits(vn_kv)
    single_i, tdd = current_limits(kv, ratio, order)
    return Gauge(
        v_one=v_one,
        i_load=np.repeat(i_load, 3),
        ratio=ratio,
        v_single=np.tile(single_v, (len(order), 1)),
        v_thd=thd_v,
        i_single=np.repeat(single_i, 3, axis=1),
        i_tdd=np.repeat(tdd, 3),
    )


def distortion_frame(
    order: np.ndarray,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    gauge: Gauge,
    before: Distortion,
    after: Distortion,
) -> pd.DataFrame:
    """Return one row for every phase of every bus and point: THD or TDD, the worst single harmonic, what is broken."""
    parts = []
    for kind, who, a, b, each, whole in (
        ("voltage", names[0], before.v, after.v, gauge.v_single, gauge.v_thd),
        ("current", names[1], before.i, after.i, gauge.i_single, gauge.i_tdd),
    ):
        k = np.arange(a.shape[1])
        worst = (b / each).argmax(axis=0)
        columns: dict[str, Any] = {
            "place": np.repeat(np.array(who, dtype=object), 3),
            "kind": kind,
            "phase": np.tile(list(PHASES), len(who)),
            "total_before_percent": np.sqrt((a**2).sum(axis=0)),
            "total_after_percent": np.sqrt((b**2).sum(axis=0)),
            "total_limit_percent": whole,
            "order": order[worst],
            "single_before_percent": a[worst, k],
            "single_after_percent": b[worst, k],
            "single_limit_percent": each[worst, k],
            "isc_il": np.repeat(gauge.ratio, 3) if kind == "current" else np.nan,
        }
        for word, x in (("before", a), ("after", b)):
            columns[f"broken_{word}"] = _broken(order, x, each, whole, "THD" if kind == "voltage" else "TDD")
            over = np.maximum((x / each).max(axis=0), np.sqrt((x**2).sum(axis=0)) / whole) - 1.0
            columns[f"beyond_{word}_percent"] = PERCENT * np.maximum(over, 0.0)
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _broken(order: np.ndarray, x: np.ndarray, each: np.ndarray, whole: np.ndarray, word: str) -> list[str]:
    """Return the limits that every column breaks: "THD, h5, h7"; "" for none."""
    total = np.sqrt((x**2).sum(axis=0)) > whole
    single = x > each
    return [
        ", ".join([*([word] if total[k] else []), *(f"h{h}" for h in order[single[:, k]])])
        for k in range(x.shape[1])
    ]


def spectrum_frame(
    order: np.ndarray,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    gauge: Gauge,
    before: Distortion,
    after: Distortion,
) -> pd.DataFrame:
    """Return one row for every place, phase and order, percent of the fundamental voltage or of IL."""
    parts = []
    for kind, who, a, b, each in (
        ("voltage", names[0], before.v, after.v, gauge.v_single),
        ("current", names[1], before.i, after.i, gauge.i_single),
    ):
        h, r = a.shape
        parts.append(
            pd.DataFrame(
                {
                    "place": np.tile(np.repeat(np.array(who, dtype=object), 3), h),
                    "kind": kind,
                    "phase": np.tile(np.tile(list(PHASES), len(who)), h),
                    "order": np.repeat(order, r),
                    "before_percent": a.ravel(),
                    "after_percent": b.ravel(),
                    "limit_percent": each.ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
