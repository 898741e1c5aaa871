"""A model that stays as it is trained while it is judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.estimator import DECILES, Forecaster

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Standing"]


MOST = 5
"""Circuits that a message names."""


class Standing:
    """A forecaster whose `fit` trains nothing: it only brings the model to the end of what it is given.

    Parameters
    ----------
    model : Forecaster
        Trained; it is moved on in time, for good.
    until : Timestamp
        The last time stamp that the model has seen.
    """

    def __init__(self, model: Forecaster, until: pd.Timestamp) -> None:
        self.model, self.until, self.name = model, until, model.name
        self._wanted: set[str] = set()

    def fit(self, history: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Append the rows that are newer than what the model has seen."""
        self._wanted = {str(name) for name in history.columns}
        new = history.loc[history.index > self.until]
        return self.update(new, covariates) if len(new) else self

    def update(self, new: pd.DataFrame, covariates: pd.DataFrame | None = None) -> Self:
        """Append newer rows."""
        self.model.update(new, covariates)
        self.until = new.index[-1]
        return self

    def predict(
        self, horizon: int, quantiles: Sequence[float] = DECILES, covariates: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Return the model's forecast. Raises InputError [InvalidId] where it knows other circuits than `fit` was given."""
        answer = self.model.predict(horizon, quantiles, covariates)
        known = {str(name) for name in answer.columns.get_level_values(0)}
        if known != self._wanted:
            allowed = f"the circuits of the model: {', '.join(sorted(known)[:MOST])}"
            found = sorted(known ^ self._wanted)[:MOST]
            raise InputError(
                Issue("InvalidId", "history.columns", "", found, allowed, "Train on these circuits.")
            )
        return answer

    def save(self, folder: Path) -> None:
        """Save the model itself."""
        self.model.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Refuse: what was saved is the model, and its own class loads it."""
        raise NotImplementedError("load the model by its own class")
