"""Whether probabilities mean what they say: reliability table, Brier score and its parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["Calibration", "calibration"]


@dataclass(frozen=True)
class Calibration:
    """How probabilities compare with what happened.

    Parameters
    ----------
    brier : float
        Mean squared difference of probability and outcome.
    reliability, resolution, uncertainty : float
        Murphy's parts (J. Appl. Meteorol. 12, 1973): how far a bin's mean probability lies from its frequency (small is
        good), how far frequencies lie from the overall one (large is good), what a constant forecast scores.
    within : float
        What lies inside the bins; brier = reliability - resolution + uncertainty + within.
    table : DataFrame
        One row a bin: ``low, high, n, forecast, observed, failures``.
    synthetic : bool
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float
    table: pd.DataFrame
    synthetic: bool

    @property
    def skill(self) -> float:
        """Return the Brier skill against the constant forecast of the overall frequency; 1 is perfect."""
        return 1.0 - self.brier / self.uncertainty if self.uncertainty > 0 else float("nan")

    @property
    def ratio(self) -> float:
        """Return failures expected over failures observed."""
        observed = float(self.table["failures"].sum())
        return (
            float((self.table["n"] * self.table["forecast"]).sum()) / observed if observed else float("nan")
        )


def calibration(
    probability: np.ndarray,
    happened: np.ndarray,
    edges: tuple[float, ...] = (0.0, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0),
    synthetic: bool = False,
) -> Calibration:
    """Compare probabilities with outcomes.

    Parameters
    ----------
    probability : ndarray
        (N,), 0..1.
    happened : ndarray
        (N,) of booleans.
    edges : tuple of float
        Of the bins; the last bin includes its upper end.
    synthetic : bool
        Whether the outcomes come from a generator; carried along.
    """
    p, y = np.asarray(probability, dtype=float), np.asarray(happened, dtype=float)
    where = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, len(edges) - 2)
    n = np.bincount(where, minlength=len(edges) - 1)
    some = n > 0
    safe = np.maximum(n, 1)
    forecast = np.bincount(where, p, len(edges) - 1) / safe
    observed = np.bincount(where, y, len(edges) - 1) / safe
    overall = float(y.mean())
    share = n / len(p)
    brier = float(((p - y) ** 2).mean())
    reliability = float((share * (forecast - observed) ** 2).sum())
    resolution = float((share * (observed - overall) ** 2)[some].sum())
    uncertainty = overall * (1.0 - overall)
    table = pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "n": n,
            "forecast": np.where(some, forecast, np.nan),
            "observed": np.where(some, observed, np.nan),
            "failures": np.bincount(where, y, len(edges) - 1).astype(int),
        }
    )[some].reset_index(drop=True)
    return Calibration(
        brier,
        reliability,
        resolution,
        uncertainty,
        brier - reliability + resolution - uncertainty,
        table,
        synthetic,
    )
