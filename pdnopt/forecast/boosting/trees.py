"""Quantile trees by LightGBM: one model for each decile, read from and written as LightGBM's text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.extras import need

__all__ = ["Trees", "grow", "read_trees"]

MAX_CHARACTERS = 50_000_000
"""Of one model's text."""


@dataclass(frozen=True)
class Trees:
    """One booster for each quantile.

    Attributes
    ----------
    boosters : tuple of lightgbm.Booster, shape (Q,)
    """

    boosters: tuple[Any, ...]

    @property
    def features(self) -> int:
        """Return how many features the trees look at."""
        return int(self.boosters[0].num_feature())

    def answer(self, matrix: np.ndarray) -> np.ndarray:
        """Return for each quantile how far it lies from its anchor: (N, M) -> (N, Q)."""
        return np.column_stack([booster.predict(matrix, num_threads=1) for booster in self.boosters])

    def texts(self) -> list[str]:
        """Return LightGBM's text of each booster."""
        return [booster.model_to_string() for booster in self.boosters]


def grow(
    matrix: np.ndarray, outcome: np.ndarray, levels: Sequence[float], rounds: int, rate: float, seed: int
) -> Trees:
    """Learn quantiles of the outcome.

    Splits are drawn at random and only the best of the draws is taken (Geurts et al. 2006, extremely randomised trees), each
    on half of the features and half of the rows: origins overlap, so there is far less to learn from than there are rows.

    Parameters
    ----------
    matrix : float32, shape (N, M)
    outcome : float, shape (N, Q)
        For each level, how far the outcome lies from that level's anchor.
    levels : sequence of float, shape (Q,)
    rounds : int
        Trees a level.
    rate : float
    seed : int
    """
    lightgbm = need("lightgbm")
    settings = _settings(len(outcome), rate, seed)
    data = lightgbm.Dataset(matrix, params=settings, free_raw_data=False)
    boosters = []
    for q, column in zip(levels, outcome.T, strict=True):
        data.set_label(column)
        boosters.append(lightgbm.train(settings | {"alpha": q}, data, rounds))
    return Trees(tuple(boosters))


def _settings(rows: int, rate: float, seed: int) -> dict[str, Any]:
    return {
        "objective": "quantile",
        "extra_trees": True,
        "learning_rate": rate,
        "num_leaves": 31,
        "min_data_in_leaf": max(5, rows // 300),
        "feature_fraction": 0.5,
        "bagging_fraction": 0.5,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "max_bin": 127,
        "force_col_wise": True,
        "deterministic": True,
        "num_threads": 1,
        "seed": seed,
        "verbose": -1,
    }


def read_trees(texts: Sequence[str], levels: int, features: int) -> Trees:
    """Return the trees that `Trees.texts` wrote.

    Raises
    ------
    InputError
        [File] A text that is no LightGBM model, or one of other features; [MissingExtra] without lightgbm.
    """
    lightgbm = need("lightgbm")
    todo = "Save the forecaster again, or take the folder from where it was saved."
    if len(texts) != levels or any(len(text) > MAX_CHARACTERS for text in texts):
        allowed = f"{levels} models of at most {MAX_CHARACTERS} characters"
        raise InputError(Issue("File", "trees", "", [len(text) for text in texts], allowed, todo))
    try:
        boosters = tuple(lightgbm.Booster(model_str=text) for text in texts)
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise InputError(
            Issue("File", "trees", "", str(error), "the text of LightGBM models", todo)
        ) from None
    found = {booster.num_feature() for booster in boosters}
    if found != {features}:
        raise InputError(Issue("File", "trees", "", sorted(found), f"models of {features} features", todo))
    return Trees(boosters)
