"""How a forecaster would have done: forecasts from origins that roll through the past, scored on what came after.

The last `windows` origins lie `step` steps apart and the last window ends with the history. A forecaster is fitted on what
lies before the first origin and gets the rows between two origins by `update`; with `refit_every` it is fitted anew on all
that lies before an origin. It never sees a row of the window that it is scored on, nor one after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.clock import season_of
from pdnopt.forecast.estimator import DECILES, Forecaster, check_horizon, check_quantiles, quantile_array
from pdnopt.forecast.history import read_history, rows_at
from pdnopt.forecast.metrics import Losses, Scores, losses, score, seasonal_scale

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Backtest", "Windows", "run_backtest"]


@dataclass(frozen=True)
class Windows:
    """Which windows are scored, and how.

    Attributes
    ----------
    horizon : int
        Steps of a window.
    windows : int
    step : int, optional
        Steps between two origins; default: `horizon`.
    season : int, optional
        Steps of the season that MASE and SQL are scaled by; default: a day.
    quantiles : sequence of float
    refit_every : int, optional
        Windows after which the forecaster is fitted anew; default: fitted once.
    """

    horizon: int = 168
    windows: int = 20
    step: int | None = None
    season: int | None = None
    quantiles: Sequence[float] = DECILES
    refit_every: int | None = None

    def origins(self, rows: int) -> np.ndarray:
        """Return the first row of each window.

        Raises
        ------
        InputError
            A history too short for the windows [HorizonError], counts that are not positive [Range]; all at once.
        """
        check_horizon(self.horizon)
        check_quantiles(self.quantiles)
        step = self.horizon if self.step is None else self.step
        issues = [
            Issue("Range", name, "", value, "a whole number of at least 1", "Correct it.")
            for name, value in (
                ("windows", self.windows),
                ("step", step),
                ("season", self.season),
                ("refit_every", self.refit_every),
            )
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1)
        ]
        if issues:
            raise InputError(issues)
        origins = rows - self.horizon - step * np.arange(self.windows)[::-1]
        least = 2
        if origins[0] < least:
            need = self.horizon + step * (self.windows - 1) + least
            allowed = f"at least {need} rows for {self.windows} windows of {self.horizon} steps"
            todo = "Give a longer history, or ask for fewer windows or a shorter horizon."
            raise InputError(Issue("HorizonError", "history.index", "", rows, allowed, todo))
        return origins


@dataclass(frozen=True)
class Backtest:
    """What a forecaster forecast, what came, and the scores.

    Attributes
    ----------
    name : str
        Of the forecaster.
    protocol : Windows
    circuits : tuple of str, shape (C,)
    step_s : float
        Step of the series in s.
    starts : list of Timestamp, length W
        First time stamp of each window.
    windows : list of Losses, length W
    forecast_kw : float, shape (W, H, C, Q)
    actual_kw : float, shape (W, H, C)
    groups : tuple of str, optional
        The group of each circuit (`metrics`).
    fit_s, predict_s : float
        Processor time of all fits, and of all updates and predictions.
    warnings : list of str
        What the forecaster had to say (a fallback, for instance), each once.
    """

    name: str
    protocol: Windows
    circuits: tuple[str, ...]
    step_s: float
    starts: list[pd.Timestamp]
    windows: list[Losses]
    forecast_kw: np.ndarray
    actual_kw: np.ndarray
    groups: tuple[str, ...] | None
    fit_s: float
    predict_s: float
    warnings: list[str]

    @property
    def scores(self) -> Scores:
        """Scores over all windows and circuits."""
        return score(self.windows, check_quantiles(self.protocol.quantiles), self.groups)

    def by_circuit(self) -> pd.DataFrame:
        """Return a row for each circuit, the worst SQL first."""
        import pandas as pd

        q = check_quantiles(self.protocol.quantiles)
        rows = []
        for c in range(len(self.circuits)):
            mine = [_only(each, c) for each in self.windows]
            found = score(mine, q)
            widest = next(iter(found.coverage.items()), (float("nan"), float("nan")))
            rows.append((found.sql, found.mase, found.wql, found.wape, widest[1]))
        frame = pd.DataFrame(
            rows, index=list(self.circuits), columns=["sql", "mase", "wql", "wape", "coverage"]
        )
        frame.index.name = "circuit"
        return frame.sort_values("sql", ascending=False, kind="stable")

    def by_window(self) -> pd.DataFrame:
        """Return a row for each window, in order of time."""
        import pandas as pd

        q = check_quantiles(self.protocol.quantiles)
        found = [score([each], q, self.groups) for each in self.windows]
        columns = ["sql", "mase", "wql", "wape"]
        return pd.DataFrame(
            [[getattr(each, name) for name in columns] for each in found],
            index=pd.DatetimeIndex(self.starts, name="start"),
            columns=columns,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return protocol, scores and the scores of each circuit as JSON values."""
        found = self.scores
        return {
            "model": self.name,
            "horizon": self.protocol.horizon,
            "windows": self.protocol.windows,
            "step": self.protocol.step or self.protocol.horizon,
            "first_window": str(self.starts[0]),
            "last_window": str(self.starts[-1]),
            "mase": found.mase,
            "sql": found.sql,
            "wql": found.wql,
            "wape": found.wape,
            "coverage": {f"{p:g}": v for p, v in found.coverage.items()},
            "pinball_kw": {f"{p:g}": v for p, v in found.pinball_kw.items()},
            "below": {f"{p:g}": v for p, v in found.below.items()},
            "circuits": self.by_circuit().reset_index().to_dict(orient="records"),
            "fit_s": self.fit_s,
            "predict_s": self.predict_s,
            "warnings": self.warnings,
        }


def run_backtest(
    make: Callable[[], Forecaster],
    history: pd.DataFrame,
    protocol: Windows | None = None,
    *,
    covariates: pd.DataFrame | None = None,
    groups: Sequence[str] | None = None,
    allow_negative: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Backtest:
    """Back-test a forecaster.

    Parameters
    ----------
    make : callable
        Returns a forecaster that has not been fitted.
    history : DataFrame
        Wide, kW; see `Forecaster.fit`.
    protocol : Windows, optional
        Default: the published one (horizon 168, 20 windows, step 168).
    covariates : DataFrame, optional
        Known covariates over the whole history.
    groups : sequence of str, optional
        The group of each circuit (`metrics`); default: one group.
    allow_negative : bool
        Whether power may be negative.
    progress : callable, optional
        Called with the windows done and all of them.

    Raises
    ------
    InputError
        A history that is faulty or too short.
    """
    protocol = protocol or Windows()
    known = read_history(history, allow_negative=allow_negative)
    q = check_quantiles(protocol.quantiles)
    origins = protocol.origins(len(known))
    if groups is not None and len(groups) != len(known.circuits):
        allowed = f"{len(known.circuits)}, one a circuit"
        raise InputError(
            Issue("Shape", "groups", "", len(groups), allowed, "Name the group of each circuit.")
        )
    season = protocol.season or season_of(known.step_s)
    frame, h = known.frame(), protocol.horizon
    forecast = np.empty((len(origins), h, len(known.circuits), len(q)))
    actual = np.empty((len(origins), h, len(known.circuits)))
    done: list[Losses] = []
    said: list[str] = []
    fit_s = predict_s = 0.0
    forecaster: Forecaster | None = None
    for k, origin in enumerate(origins):
        begun = time.process_time()
        if forecaster is None or (protocol.refit_every and k % protocol.refit_every == 0):
            forecaster = make().fit(frame.iloc[:origin], rows_at(covariates, frame.index[:origin]))
            fit_s += time.process_time() - begun
        else:
            new = frame.iloc[origins[k - 1] : origin]
            forecaster.update(new, rows_at(covariates, new.index))
            predict_s += time.process_time() - begun
        begun = time.process_time()
        ahead = frame.index[origin : origin + h]
        answer = forecaster.predict(h, tuple(float(each) for each in q), rows_at(covariates, ahead))
        predict_s += time.process_time() - begun
        said += [text for text in answer.attrs.get("warnings", []) if text not in said]
        forecast[k] = _aligned(answer, known.circuits)
        actual[k] = known.kw[origin : origin + h]
        done.append(losses(actual[k], forecast[k], q, seasonal_scale(known.kw[:origin], season)))
        if progress is not None:
            progress(k + 1, len(origins))
    assert forecaster is not None
    return Backtest(
        name=forecaster.name,
        protocol=protocol,
        circuits=known.circuits,
        step_s=known.step_s,
        starts=[frame.index[origin] for origin in origins],
        windows=done,
        forecast_kw=forecast,
        actual_kw=actual,
        groups=None if groups is None else tuple(groups),
        fit_s=fit_s,
        predict_s=predict_s,
        warnings=said,
    )


def _aligned(answer: pd.DataFrame, circuits: Sequence[str]) -> np.ndarray:
    """Return a forecast as (H, C, Q) in the order of the circuits."""
    kw, names, _ = quantile_array(answer)
    return kw[:, [names.index(name) for name in circuits]]


def _only(each: Losses, circuit: int) -> Losses:
    """Return the losses of one circuit."""
    mine = slice(circuit, circuit + 1)
    return Losses(
        abs_error_kw=each.abs_error_kw[mine],
        abs_actual_kw=each.abs_actual_kw[mine],
        pinball_kw=each.pinball_kw[mine],
        below=each.below[mine],
        inside=each.inside[mine],
        scale_kw=each.scale_kw[mine],
        count=each.count[mine],
    )
