"""The rule of founding document 10658838: phases are corrected once an imbalance is detected, not before.

Its pseudocode: receive data, ``imbalance_detected = analyze_data``, and only then ``calculate_correction`` and send. What is
measured in one interval is corrected in the next. The document leaves open how a correction is calculated; here it gets the
optimum for the loads measured, so that what is compared is *when* to correct.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from pdnopt.balancing.inverters import read_bounds

__all__ = ["DEFAULT_THRESHOLD_PERCENT", "correct_after_threshold"]

DEFAULT_THRESHOLD_PERCENT = 2.0
"""Spread of a feeder's phases, of its rating, from which on an imbalance counts as detected."""


def correct_after_threshold(
    session: Any,
    in_force_kva: np.ndarray,
    threshold_percent: float = DEFAULT_THRESHOLD_PERCENT,
    **measured: Any,
) -> np.ndarray:
    """Return the set-points of the next interval: those in force, or a correction where the threshold is crossed.

    Parameters
    ----------
    session : Session
        Of problem "balance".
    in_force_kva : complex, shape (3I,)
        Set-points while the loads were measured: kW + j kvar of phases a, b, c of every inverter, delivery positive.
    threshold_percent : float
        Highest less lowest phase of any feeder, percent of its rating.
    **measured
        ``p_asymmetric_kw``, ``p_load_kw``: loads measured (kW), as for `Session.solve`.

    Returns
    -------
    ndarray, complex, shape (3I,)

    Raises
    ------
    InputError
        Loads that `Session.solve` would refuse.
    """
    runner = session._runner
    told = runner._loads(session.options.but(measured))
    if 100.0 * runner.seen(runner._sight(told, in_force_kva))["spread"] <= threshold_percent:
        return in_force_kva
    bounds = read_bounds(runner.base, runner.inverters, (), (), None)
    _, corrected, _, _ = runner.search(told, bounds, runner._terms(session.options), inf)
    return in_force_kva if corrected is None else np.asarray(corrected)
