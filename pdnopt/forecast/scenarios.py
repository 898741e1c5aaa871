"""Joint scenarios: sample paths that keep how circuits and steps move together, and each one's own quantiles.

The quantiles of a forecast say nothing about whether two circuits are high at once. Past windows do: the normal scores that
their values had in their forecasts (`Calibrated.template`). A path takes the scores of a past window, blurred by noise,

    z = sqrt(1 - b^2) z(w) + b e,   e standard normal, b = BLUR                                               (1)

and for each circuit and step the N paths get the N quantiles of levels (i + 1/2) / N in the order of their scores: the
Schaake shuffle (Clark et al. 2004, J. Hydrometeorology 5) over an empirical copula. So the marginals are those of the
forecast, whatever the template, and the correlation of scores is that of the past windows times 1 - b^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.distribution import Distribution
from pdnopt.forecast.estimator import quantile_array

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Template", "sample_scenarios"]

BLUR = 0.3
"""Part of noise in a path's scores: paths from the same window differ, and 9 % of the correlation is lost."""

LEAST_WINDOWS = 5


@dataclass(frozen=True)
class Template:
    """How past values lay in their forecasts.

    Attributes
    ----------
    z : float, shape (W, H, C)
        Normal scores, NaN where nothing was measured.
    circuits : tuple of str, shape (C,)
    """

    z: np.ndarray
    circuits: tuple[str, ...]


def sample_scenarios(
    forecast: pd.DataFrame, template: Template, count: int = 100, seed: int = 0, allow_negative: bool = False
) -> pd.DataFrame:
    """Return sample paths of a forecast.

    Parameters
    ----------
    forecast : DataFrame
        What `predict` answered; two quantiles or more. Beyond the outermost the tails are normal.
    template : Template
        How circuits and steps moved together; steps beyond its horizon begin it anew.
    count : int
        Number of paths.
    seed : int
        The same seed gives the same paths.
    allow_negative : bool
        Whether power may be negative; if not, paths end at 0 kW.

    Returns
    -------
    DataFrame
        Index the time stamps, columns a MultiIndex (circuit, scenario), kW.

    Raises
    ------
    InputError
        Fewer than 5 past windows [TooShort], circuits that the template lacks [InvalidId], one quantile only [Range].
    """
    import pandas as pd

    kw, circuits, q = quantile_array(forecast)
    issues = []
    if len(template.z) < LEAST_WINDOWS:
        todo = "Calibrate on more windows."
        issues.append(
            Issue("TooShort", "template", "", len(template.z), f"at least {LEAST_WINDOWS} past windows", todo)
        )
    strange = [name for name in circuits if name not in template.circuits]
    if strange:
        todo = "Take the template of the forecaster that made the forecast."
        issues.append(
            Issue("InvalidId", "forecast.columns", "", strange[:5], "circuits of the template", todo)
        )
    if len(q) < 2:
        todo = "Forecast at least two quantiles."
        issues.append(Issue("Range", "forecast.columns", "", len(q), "two quantiles or more", todo))
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        issues.append(Issue("Range", "count", "", count, "a whole number of at least 1", "Correct it."))
    if issues:
        raise InputError(issues)
    rng = np.random.default_rng(seed)
    past = template.z[:, :, [template.circuits.index(name) for name in circuits]].astype(float)
    rows = np.arange(len(kw)) % past.shape[1]
    draws = _windows(len(past), count, rng)
    scores = past[draws][:, rows]
    noise = rng.standard_normal(scores.shape)
    scores = np.where(np.isfinite(scores), np.sqrt(1 - BLUR**2) * scores + BLUR * noise, noise)
    order = np.argsort(np.argsort(scores, axis=0, kind="stable"), axis=0, kind="stable")  # ranks, (N, H, C)
    level = ndtri((np.arange(count) + 0.5) / count)
    quantiles = Distribution(np.sort(kw, axis=2), ndtri(q), np.zeros(len(circuits))).at(level)
    if not allow_negative:
        quantiles = np.maximum(quantiles, 0.0)
    paths = np.take_along_axis(quantiles, order.transpose(1, 2, 0), axis=2)
    columns = pd.MultiIndex.from_product([circuits, range(count)], names=["circuit", "scenario"])
    return pd.DataFrame(paths.reshape(len(kw), -1), index=forecast.index, columns=columns)


def _windows(past: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a past window for each path: each as often as any other, as far as that goes."""
    whole = np.tile(np.arange(past), count // past)
    return rng.permutation(np.concatenate([whole, rng.choice(past, count % past, replace=False)]))
