"""Gains of local rules: as large as the network's sensitivity allows, so that all inverters together settle.

With R how voltages (pu) follow powers (kW, kvar) of all inverters, the rules' loop is, where it is linear,

    s(t+1) = (1 - smoothing) s(t) - smoothing K R s(t) + what loads do                                          (1)

K R has rows of at most ``stiffness`` in absolute sum, if every gain is ``stiffness`` over the row sum of R.
Then (1) is a contraction for every stiffness below 1: in the largest of all set-points, with whatever inverters
in their dead band or at their limits (these only make rows smaller). No eigenvalue need be known, and none can
come out of a failed or an added inverter worse than that. Inverters that measure the same circuit add (1 -
share) to that sum, below 1 too.
"""

from __future__ import annotations

import numpy as np

from pdnopt.balancing.data import S_BASE_KW
from pdnopt.balancing.inverters import Inverters
from pdnopt.balancing.points import Area, Sight

__all__ = ["STIFFNESS", "loop_matrix", "row_gains", "sensitivity"]

STIFFNESS = 0.5


def sensitivity(area: Area, inverters: Inverters, sight: Sight) -> tuple[np.ndarray, np.ndarray]:
    """Return how voltages at inverters follow active and reactive power: two matrices (3I, 3I), pu per kW and per kvar."""
    place = np.full(len(sight.v), -1)
    place[area.rows] = np.arange(len(area.rows))
    at = place[inverters.rows]
    reach = area.structure.reach.voltage.toarray()
    rows = np.where(at[:, None] >= 0, reach[np.maximum(at, 0)], 0.0)
    v = sight.v[inverters.rows]
    turn = np.conj(v) / np.abs(v)
    by_p = turn[:, None] * rows / np.conj(v)[None, :] / S_BASE_KW
    return by_p.real, (-1j * by_p).real


def row_gains(
    area: Area, inverters: Inverters, sight: Sight, stiffness: float = STIFFNESS
) -> tuple[np.ndarray, np.ndarray]:
    """Return k_p (kW per pu) and k_q (kvar per pu) of each inverter, (I,)."""
    by_p, by_q = sensitivity(area, inverters, sight)
    total = (np.abs(by_p) + np.abs(by_q)).sum(axis=1).reshape(-1, 3).max(axis=1)
    gain = np.where(total > 0, stiffness / np.maximum(total, 1e-12), 0.0)
    # what is above the mean of the phases can be 4/3 of a row: its own part and a third of each
    return 0.75 * gain, gain


def loop_matrix(
    area: Area, inverters: Inverters, sight: Sight, gains: tuple[np.ndarray, np.ndarray], smoothing: float
) -> np.ndarray:
    """Return the matrix of (1) over (p, q), (6I, 6I), nobody in the dead band: its spectral radius is below 1."""
    by_p, by_q = sensitivity(area, inverters, sight)
    n = len(by_p)
    above = np.kron(np.eye(n // 3), np.eye(3) - 1.0 / 3.0)
    k_p, k_q = (np.repeat(gain, 3)[:, None] for gain in gains)
    both = np.hstack([by_p, by_q])
    turned = np.vstack([k_p * (above @ both), k_q * both])
    return np.asarray((1.0 - smoothing) * np.eye(2 * n) - smoothing * turned)
