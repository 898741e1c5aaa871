"""The forecaster ``"lstm"``: one network for all circuits, trained by torch, served by onnxruntime.

Files of a saved one, besides ``forecaster.json`` and ``forecaster.npz`` (settings, covariates, and the last four weeks, from
which it forecasts): ``model.onnx``. An operator loads, updates and predicts with the extra ``forecast``; only `fit` needs
the extra ``lstm``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.distribution import resample
from pdnopt.forecast.estimator import DECILES, check_horizon, check_quantiles, quantile_frame
from pdnopt.forecast.extras import need
from pdnopt.forecast.history import History, read_history
from pdnopt.forecast.lstm.known import Known
from pdnopt.forecast.lstm.serving import MAX_BYTES, Server
from pdnopt.forecast.lstm.settings import LEVELS, Settings, read_settings
from pdnopt.forecast.lstm.windows import Frame, frame_of, open_windows, reach
from pdnopt.forecast.storage import history_from, history_state, read_state, write_state

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LSTMForecaster", "frame_from"]

MODEL = "model.onnx"


class LSTMForecaster:
    """Quantile forecasts of many circuits by one network.

    Parameters
    ----------
    settings : Settings, optional
        The horizon is fixed by training: shorter ones are cut from it, longer ones refused.
    allow_negative : bool
        Whether power may be negative; if not, quantiles end at 0 kW.
    """

    name = "lstm"

    def __init__(self, settings: Settings | None = None, allow_negative: bool = False) -> None:
        self.settings = settings or Settings()
        self.allow_negative = allow_negative
        self._history: History | None = None
        self._known = Known((), np.zeros(0), np.ones(0))
        self._covariates = np.zeros((0, 0))
        self._server: Server | None = None

    def fit(self, history: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Train from new; see `Forecaster.fit`.

        Raises
        ------
        InputError
            Faults of the frames; [MissingExtra] without torch; [TooShort] where no circuit has enough values.
        """
        need("torch")
        from pdnopt.forecast.lstm.export import to_onnx
        from pdnopt.forecast.lstm.fitting import fit_members

        seen = read_history(history, allow_negative=self.allow_negative)
        known, values = Known.read(covariates, seen.index, self.settings)
        frame = frame_from(seen, known, values)
        members = fit_members([frame], self.settings)
        self.serve(to_onnx(members, known.width, self.settings), history, covariates)
        return self

    def serve(self, model: bytes, history: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Take a network that was trained elsewhere, and forecast from the end of a history; return self.

        Parameters
        ----------
        model : bytes
            An ONNX file of these settings (`pdnopt.forecast.lstm.export.to_onnx`).
        history, covariates : DataFrame
            As for `fit`.
        """
        seen = read_history(history, allow_negative=self.allow_negative)
        self._known, values = Known.read(covariates, seen.index, self.settings)
        self._server = Server(model, self._known.width, self.settings)
        self._keep(seen, values)
        return self

    def update(self, new: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Append newer rows; see `Forecaster.update`. Covariates are needed where `fit` had some."""
        old = self.history
        seen = old.append(new, allow_negative=self.allow_negative)
        later = self._known.values(covariates, seen.index[len(old) :])
        self._keep(seen, np.concatenate([self._covariates, later]))
        return self

    def predict(
        self, horizon: int, quantiles: Sequence[float] = DECILES, covariates: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Forecast the next steps; see `Forecaster.predict`. NaN for a circuit that was never measured.

        Raises
        ------
        InputError
            [NotFitted]; [HorizonError] more steps than the network was trained for, or covariates that end before;
            [Range] quantiles beyond the outermost that the network knows.
        """
        seen, server = self.history, self._server
        assert server is not None  # together with the history
        horizon, q = check_horizon(horizon), check_quantiles(quantiles)
        issues = []
        if horizon > self.settings.horizon:
            todo = "Train with a longer horizon, or ask for fewer steps."
            allowed = f"at most {self.settings.horizon} steps, the horizon of the training"
            issues.append(Issue("HorizonError", "horizon", self.name, horizon, allowed, todo))
        if q[0] < LEVELS[0] or q[-1] > LEVELS[-1]:
            allowed = f"from {LEVELS[0]} to {LEVELS[-1]}, what the network was trained on"
            issues.append(Issue("Range", "quantiles", self.name, list(q), allowed, "Ask for others."))
        if issues:
            raise InputError(issues)
        future = seen.future(horizon)
        ahead = self._known.values(covariates, future)
        frame = frame_from(seen, self._known, np.concatenate([self._covariates, ahead]), horizon)
        circuit = np.arange(len(seen.circuits))
        windows = open_windows(frame, circuit, np.full(len(circuit), frame.end), self.settings, horizon)
        kw = resample(server.answer(windows), LEVELS, q)
        kw[~np.isfinite(seen.kw).any(axis=0)] = np.nan
        if not self.allow_negative:
            kw = np.maximum(kw, 0.0)
        return quantile_frame(kw.transpose(1, 0, 2), future, seen.circuits, list(q))

    @property
    def history(self) -> History:
        """What it forecasts from: the last four weeks. Raises InputError before `fit`."""
        if self._history is None:
            raise InputError(
                Issue("NotFitted", self.name, "", None, "a fitted forecaster", "Call fit or load first.")
            )
        return self._history

    def save(self, folder: Path) -> None:
        """Write it to a folder; see the module's docstring."""
        seen, server = self.history, self._server
        assert server is not None
        says, numbers = history_state(seen)
        says |= {
            "settings": self.settings.to_dict(),
            "allow_negative": self.allow_negative,
            "levels": list(LEVELS),
            "covariates": list(self._known.names),
        }
        numbers |= {
            "covariates": self._covariates,
            "covariate_mean": self._known.mean,
            "covariate_spread": self._known.spread,
        }
        write_state(folder, self.name, says, numbers)
        (Path(folder) / MODEL).write_bytes(server.model)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the forecaster that `save` wrote.

        Raises
        ------
        InputError
            Files that are missing, altered in form, or of other quantiles; [MissingExtra] without onnxruntime.
        """
        says, numbers = read_state(folder, cls.name)
        todo = "Train again with this version of pdnopt."
        if says.get("levels") != list(LEVELS):
            raise InputError(
                Issue("Version", "forecaster.json.levels", "", says.get("levels"), f"{LEVELS}", todo)
            )
        settings = read_settings(says.get("settings"), "forecaster.json.settings")
        made = cls(settings, bool(says.get("allow_negative")))
        path = Path(folder) / MODEL
        try:
            if path.stat().st_size > MAX_BYTES:
                raise InputError(
                    Issue("File", MODEL, "", path.stat().st_size, f"at most {MAX_BYTES} bytes", todo)
                )
            model = path.read_bytes()
            made._history = history_from(says, numbers)
            names = tuple(str(name) for name in says["covariates"])
            mean, spread = numbers["covariate_mean"], numbers["covariate_spread"]
            made._known = Known(names, mean, spread, settings.holidays, settings.time_of_year)
            made._covariates = numbers["covariates"]
        except (OSError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            what = f"{type(error).__name__}: {error}"
            raise InputError(
                Issue("File", str(folder), "", what, "the files of a saved lstm", todo)
            ) from None
        made._server = Server(model, made._known.width, settings)
        return made

    def _keep(self, seen: History, covariates: np.ndarray) -> None:
        """Keep what forecasts need of the past, no more."""
        rows = max(reach(seen.step_s), self.settings.context)
        self._history = seen.tail(rows)
        self._covariates = covariates[-rows:]


def frame_from(seen: History, known: Known, covariates: np.ndarray, ahead: int = 0) -> Frame:
    """Return a history and its covariates as the arrays that windows are cut from, `ahead` steps beyond its end."""
    index = seen.index.union(seen.future(ahead)) if ahead else seen.index
    return frame_of(seen.kw, index, known.columns(index, covariates), seen.step_s)
