"""Never silence: a forecaster that fails, is late or has no answer is stood in for by the last value, and that is said.

What stands in has its quantiles widened, and the answer carries the reason in ``frame.attrs["warnings"]``. Bad input is
still an error: only what goes wrong inside the forecaster is caught.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.estimator import (
    DECILES,
    Forecaster,
    check_horizon,
    check_quantiles,
    quantile_array,
    quantile_frame,
)
from pdnopt.forecast.history import rows_at
from pdnopt.forecast.naive import LastValue
from pdnopt.forecast.storage import history_from, history_state, read_state, write_state

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["WithFallback"]

WIDEN = 1.5
"""Factor on the distance of the stand-in's quantiles from their median."""

KIND, BASE = "with_fallback", "base"

GIVEN = ("covariates", "horizon", "quantiles", "history", "new")
"""Where an InputError speaks of what the caller gave; any other is the forecaster's own trouble."""


class WithFallback:
    """A forecaster that always answers.

    Parameters
    ----------
    make : callable
        Returns the forecaster, not fitted.
    time_limit_s : float, optional
        Wall time for a prediction; default: none. A late forecaster goes on in its thread, and is stood in for until it
        has come back.
    allow_negative : bool
        Whether power may be negative.

    Attributes
    ----------
    warnings : list of str
        What went wrong in the last call; empty: nothing.
    """

    def __init__(
        self,
        make: Callable[[], Forecaster],
        time_limit_s: float | None = None,
        allow_negative: bool = False,
    ) -> None:
        self._make = make
        self.time_limit_s = time_limit_s
        self.allow_negative = allow_negative
        self.stand_in = LastValue(allow_negative=allow_negative)
        self.warnings: list[str] = []
        self._base: Forecaster | None = None
        self._trouble = "it has not been fitted"
        self._late: Call | None = None
        self._missed: list[tuple[pd.DataFrame, pd.DataFrame | None]] = []
        self.name = "with_fallback"

    def fit(self, history: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Fit the forecaster and what stands in for it; see `Forecaster.fit`."""
        self.stand_in.fit(history)
        self._base, self._late, self._missed, self.warnings = None, None, [], []
        try:
            base = self._make()
            self.name = base.name
            self._base = base.fit(history, covariates)
        except Exception as error:  # whatever happens in there, the loop must go on
            _raise_if_given(error)
            self._trouble = f"its training failed: {_text(error)}"
            self.warnings = [self._says(self._trouble)]
        return self

    def take(self, base: Forecaster, history: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Use a forecaster that is fitted already, after it has taken in the rows of `history` that it has not seen.

        Parameters
        ----------
        base : Forecaster
            One whose ``history`` says what it has seen last.
        history : DataFrame
            As for `fit`.
        covariates : DataFrame, optional
            As for `update`.
        """
        self.stand_in.fit(history)
        self._base, self._late, self._missed, self.warnings = base, None, [], []
        self.name = base.name
        seen = getattr(base, "history", None)
        index = self.stand_in.history.index
        newer = index if seen is None else index[index > seen.index[-1]]
        if len(newer):
            self._missed.append((self.stand_in.history.frame().loc[newer], rows_at(covariates, newer)))
            self._catch_up()
        return self

    def update(self, new: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Append newer rows to both; see `Forecaster.update`."""
        self.stand_in.update(new)
        self.warnings = []
        if self._base is not None:
            self._missed.append((new, covariates))
            self._catch_up()
        return self

    def predict(
        self, horizon: int, quantiles: Sequence[float] = DECILES, covariates: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Forecast the next steps; the reasons where something stood in are in ``attrs["warnings"]``."""
        horizon, q = check_horizon(horizon), check_quantiles(quantiles)
        self.warnings = []
        future = self.stand_in.history.future(horizon)
        circuits = self.stand_in.history.circuits
        kw = self._ask(horizon, quantiles, covariates, future)
        bad = np.ones(len(circuits), bool) if kw is None else ~np.isfinite(kw).all(axis=(0, 2))
        measured = np.isfinite(self.stand_in.history.kw).any(axis=0)
        if kw is not None and (bad & measured).any():
            named = [name for name, each in zip(circuits, bad & measured, strict=True) if each]
            self.warnings.append(self._says("it gave no number", named))
        if bad.any():
            instead, _, _ = quantile_array(self.stand_in.predict(horizon, quantiles))
            middle = instead[:, :, int(np.argmin(np.abs(q - 0.5)))][:, :, None]
            instead = middle + WIDEN * (instead - middle)
            if not self.allow_negative:
                instead = np.maximum(instead, 0.0)
            kw = instead if kw is None else np.where(bad[:, None], instead, kw)
        assert kw is not None
        frame = quantile_frame(kw, future, circuits, q)
        frame.attrs["warnings"] = list(self.warnings)
        return frame

    def save(self, folder: Path) -> None:
        """Write what stands in, and in a folder below it the forecaster.

        Raises
        ------
        InputError
            [NotFitted] There is no forecaster, because its training or an update failed.
        """
        if self._base is None:
            todo = "Fit it again."
            raise InputError(
                Issue("NotFitted", self.name, "", self._trouble, "a forecaster that works", todo)
            )
        says, numbers = history_state(self.stand_in.history)
        settings = {"time_limit_s": self.time_limit_s, "allow_negative": self.allow_negative}
        write_state(folder, KIND, {**says, "settings": settings}, numbers)
        self._base.save(Path(folder) / BASE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the forecaster that `save` wrote."""
        from pdnopt.forecast.catalogue import load_forecaster

        says, numbers = read_state(folder, KIND)
        base = load_forecaster(Path(folder) / BASE)
        made = cls(lambda: base, **says["settings"])
        made._base, made.name = base, base.name
        made.stand_in.fit(history_from(says, numbers).frame())
        return made

    def _ask(
        self,
        horizon: int,
        quantiles: Sequence[float],
        covariates: pd.DataFrame | None,
        future: pd.DatetimeIndex,
    ) -> np.ndarray | None:
        """Return the forecaster's answer as (H, C, Q), or None with a warning."""
        self._catch_up()
        if self._base is None:
            self.warnings.append(self._says(self._trouble))
            return None
        if self._late is not None:
            self.warnings.append(self._says("it is still busy with an earlier call"))
            return None
        base = self._base
        call = Call(lambda: base.predict(horizon, quantiles, covariates))
        if not call.wait(self.time_limit_s):
            self._late = call
            self.warnings.append(self._says(f"it took longer than {self.time_limit_s:g} s"))
            return None
        if call.error is not None:
            _raise_if_given(call.error)
            self.warnings.append(self._says(f"it failed: {_text(call.error)}"))
            return None
        return self._read(call.value, quantiles, future)

    def _read(self, answer: Any, quantiles: Sequence[float], future: pd.DatetimeIndex) -> np.ndarray | None:
        """Return an answer as (H, C, Q) if it is what was asked for."""
        circuits = self.stand_in.history.circuits
        try:
            kw, names, _ = quantile_array(answer)
            right = kw.shape == (len(future), len(circuits), len(quantiles)) and answer.index.equals(future)
            if right:
                return kw[:, [names.index(name) for name in circuits]]
        except Exception as error:  # an answer that cannot even be read
            self.warnings.append(self._says(f"its answer cannot be read: {_text(error)}"))
            return None
        self.warnings.append(self._says("its answer is for other steps, circuits or quantiles"))
        return None

    def _catch_up(self) -> None:
        """Give the forecaster the rows that came while it was busy."""
        if self._late is not None and self._late.done:
            self._late = None
        while self._base is not None and self._late is None and self._missed:
            new, covariates = self._missed.pop(0)
            try:
                self._base.update(new, covariates)
            except Exception as error:  # it no longer knows the present: out until the next fit
                _raise_if_given(error)
                self._base = None
                self._trouble = f"taking in new rows failed: {_text(error)}"
                self.warnings.append(self._says(self._trouble))

    def _says(self, why: str, circuits: Sequence[str] = ()) -> str:
        where = (
            f" for {', '.join(circuits[:5])}{' and more' if len(circuits) > 5 else ''}" if circuits else ""
        )
        return f"{self.name} is not used{where}: {why}; the last value stands in, quantiles {WIDEN:g} times as wide"


class Call:
    """A call in a thread that does not keep the process alive."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.value: Any = None
        self.error: Exception | None = None
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the call has come back."""
        return not self._thread.is_alive()

    def wait(self, time_limit_s: float | None) -> bool:
        """Wait and return whether the call has come back."""
        self._thread.join(time_limit_s)
        return self.done

    def _run(self) -> None:
        try:
            self.value = self._call()
        except Exception as error:  # handed over to the caller's thread
            self.error = error


def _raise_if_given(error: Exception) -> None:
    """Raise errors that speak of what the caller gave."""
    if not isinstance(error, InputError) or any(issue.kind == "TooShort" for issue in error.issues):
        return  # too little to learn from is no fault of the input: the last value needs two rows
    if any(issue.path.startswith(GIVEN) for issue in error.issues):
        raise error


def _text(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
