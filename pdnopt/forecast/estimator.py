"""The contract of every forecaster, and the frame that its answer comes in.

A forecaster works from the values it is given: `fit` learns from a history, `update` appends newer rows without training
again, `predict` forecasts from the end of what it has seen. The frames at the border are wide (time x circuit, kW); inside,
everything is a numpy array.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np

from pdnopt.errors import InputError, Issue

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DECILES", "Forecaster", "check_horizon", "check_quantiles", "quantile_array", "quantile_frame"]

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The quantiles of the published protocol."""

MAX_HORIZON = 100_000
"""Steps; more is taken for a mistake."""


@runtime_checkable
class Forecaster(Protocol):
    """What every forecaster can do.

    Attributes
    ----------
    name : str
        "last_value", "seasonal_naive", "lightgbm", "lstm", "combination" or another.
    """

    name: str

    def fit(self, history: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Learn from a history and return self.

        Parameters
        ----------
        history : DataFrame
            Index a timezone-aware DatetimeIndex of constant step, columns circuits, kW, gaps NaN.
        covariates : DataFrame, optional
            Same index; known also over the horizon (temperature, calendar, scheduled jobs).
        """
        ...

    def update(self, new: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Append newer rows, without training again, and return self."""
        ...

    def predict(
        self, horizon: int, quantiles: Sequence[float] = DECILES, covariates: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Forecast the next steps.

        Parameters
        ----------
        horizon : int
            Number of steps.
        quantiles : sequence of float
            Strictly increasing, between 0 and 1.
        covariates : DataFrame, optional
            Those of `fit`, for the time stamps of the horizon.

        Returns
        -------
        DataFrame
            Index the `horizon` future time stamps, columns a MultiIndex (circuit, quantile), kW; quantiles never cross.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write the forecaster to a folder: JSON, npz, LightGBM's text, ONNX; nothing pickled."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the forecaster that `save` wrote."""
        ...


def check_horizon(horizon: Any) -> int:
    """Return the number of steps. Raises InputError where it is not a whole number of at least 1."""
    whole = isinstance(horizon, int | np.integer) and not isinstance(horizon, bool)
    if not whole or not 1 <= int(horizon) <= MAX_HORIZON:
        todo = "Say how many steps to forecast."
        raise InputError(
            Issue("HorizonError", "horizon", "", horizon, f"a whole number from 1 to {MAX_HORIZON}", todo)
        )
    return int(horizon)


def check_quantiles(quantiles: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the quantiles as floats, shape (Q,). Raises InputError unless they rise strictly between 0 and 1."""
    try:
        q = np.asarray(quantiles, dtype=float).ravel()
    except (TypeError, ValueError):
        q = np.empty(0)
    if not len(q) or not np.isfinite(q).all() or q[0] <= 0 or q[-1] >= 1 or (np.diff(q) <= 0).any():
        allowed = "one or more numbers between 0 and 1, strictly increasing"
        raise InputError(Issue("Range", "quantiles", "", quantiles, allowed, "For instance 0.1, 0.5, 0.9."))
    return q


def quantile_frame(
    kw: np.ndarray, index: pd.DatetimeIndex, circuits: Sequence[str], quantiles: Sequence[float] | np.ndarray
) -> pd.DataFrame:
    """Return forecasts as the frame that `predict` answers with.

    Parameters
    ----------
    kw : float, shape (H, C, Q)
        Steps, circuits, quantiles. They are sorted along the quantiles, so that they never cross.
    index : DatetimeIndex, shape (H,)
    circuits : sequence of str, shape (C,)
    quantiles : sequence of float, shape (Q,)
    """
    import pandas as pd

    levels = [float(q) for q in quantiles]
    codes = np.indices((len(circuits), len(levels))).reshape(2, -1)
    columns = pd.MultiIndex(
        levels=[list(circuits), levels],
        codes=codes.tolist(),
        names=["circuit", "quantile"],
        verify_integrity=False,
    )
    return pd.DataFrame(np.sort(kw, axis=2).reshape(len(index), -1), index=index, columns=columns)


def quantile_array(forecast: pd.DataFrame) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return a forecast's kW of shape (H, C, Q), its circuits and its quantiles: the way back of `quantile_frame`."""
    circuits = list(dict.fromkeys(forecast.columns.get_level_values(0)))
    quantiles = np.asarray(list(dict.fromkeys(forecast.columns.get_level_values(1))), dtype=float)
    kw = forecast.to_numpy(float).reshape(len(forecast), len(circuits), len(quantiles))
    return kw, circuits, quantiles
