"""What may fail, and how likely in each step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pdnopt.errors import InputError, Issue
from pdnopt.plant.failures import Outage, parse_failed

__all__ = ["Hazard", "rate_to_probability", "read_hazards"]

TOGETHER = " + "
"""Joins the names of components that fail together, for a common cause."""


@dataclass(frozen=True)
class Hazard:
    """One thing that may happen.

    Attributes
    ----------
    name : str
        A component, or several joined by " + ".
    outages : tuple of Outage
    p : float, shape (T,)
        Probability that it happens in a step, seen from now: it has not happened before.
    """

    name: str
    outages: tuple[Outage, ...]
    p: np.ndarray


def rate_to_probability(per_hour: float, step_s: float) -> float:
    """Return the probability that something with a rate (1/h) happens in a step."""
    return float(-np.expm1(-per_hour * step_s / 3600.0))


def read_hazards(net: Any, risk: Any, horizon: int) -> list[Hazard]:
    """Read the risk frame: index names, columns steps, values the probability of failing in that step if not before.

    Rows of one name in several forms are separate hazards. Rows without any probability are left out.

    Raises
    ------
    InputError
        Unknown components, probabilities outside 0..1, fewer steps than the horizon; all at once.
    """
    if risk is None:
        return []
    frame = risk.to_frame() if isinstance(risk, pd.Series) else pd.DataFrame(risk)
    issues: list[Issue] = []
    if frame.shape[1] < horizon and len(frame):
        allowed = f"at least {horizon} steps"
        issues.append(
            Issue(
                "HorizonError", "risk", "", frame.shape[1], allowed, "Give more steps, or a shorter horizon."
            )
        )
    if frame.index.has_duplicates:
        twice = [str(name) for name in frame.index[frame.index.duplicated()][:5]]
        issues.append(Issue("NotUnique", "risk", "", twice, "one row a component", "Add the rows up."))
    hazards = []
    for name, row in zip(frame.index, frame.to_numpy(object), strict=True):
        p = pd.to_numeric(pd.Series(row), errors="coerce").to_numpy(float)
        bad = ~(np.isfinite(p) & (p >= 0.0) & (p <= 1.0))
        if bad.any():
            allowed = "probabilities from 0 to 1"
            issues.append(
                Issue("Range", "risk", str(name), row[bad].tolist()[:5], allowed, "Correct the row.")
            )
        try:
            outages = parse_failed(net, str(name).split(TOGETHER))
        except InputError as error:
            issues += [replace(issue, path="risk", id=str(name)) for issue in error.issues]
            continue
        if not bad.any() and len(p) >= horizon and p[:horizon].any():
            still = np.r_[1.0, np.cumprod(1.0 - p[:horizon])[:-1]]
            hazards.append(Hazard(str(name), tuple(outages), p[:horizon] * still))
    if issues:
        raise InputError(issues)
    return hazards
