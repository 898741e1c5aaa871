"""Limits of IEEE Std 519-2022, percent. Its tables are quoted as they are commonly quoted, not re-read from the standard.

Voltage (table 1): each harmonic and THD, of the fundamental, by class of voltage. Current (tables 2 to 4): each harmonic and
TDD, of the maximum demand current IL, by Isc / IL at the point. The standard sets them at the point of common coupling;
inside a plant they are what its owner may ask for.
"""

from __future__ import annotations

import numpy as np

__all__ = ["MOST_ORDER", "current_limits", "voltage_limits"]

MOST_ORDER = 50
VOLTAGE_KV = np.array([1.0, 69.0, 161.0])
"""Upper ends of the classes of table 1."""
SINGLE_V = np.array([5.0, 3.0, 1.5, 1.0])
THD_V = np.array([8.0, 5.0, 2.5, 1.5])
FIRST_ORDER = np.array([11, 17, 23, 35])
"""First order of the second to fifth column of tables 2 to 4."""
RATIO = np.array([20.0, 50.0, 100.0, 1000.0])
"""Upper ends of the rows of table 2 (and 3) by Isc / IL."""
TABLE_2 = np.array(
    [
        [4.0, 2.0, 1.5, 0.6, 0.3, 5.0],
        [7.0, 3.5, 2.5, 1.0, 0.5, 8.0],
        [10.0, 4.5, 4.0, 1.5, 0.7, 12.0],
        [12.0, 5.5, 5.0, 2.0, 1.0, 15.0],
        [15.0, 7.0, 6.0, 2.5, 1.4, 20.0],
    ]
)
"""Up to 69 kV; the last column is TDD. Table 3 (above 69 to 161 kV) is half of it."""
RATIO_4 = np.array([25.0, 50.0])
TABLE_4 = np.array(
    [[1.0, 0.5, 0.38, 0.15, 0.1, 1.5], [2.0, 1.0, 0.75, 0.3, 0.15, 2.5], [3.0, 1.5, 1.15, 0.45, 0.22, 3.75]]
)
"""Above 161 kV."""
EVEN_UP_TO = 6
"""Even harmonics up to this order are held to half."""


def voltage_limits(vn_kv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of a single harmonic and of THD (percent), by nominal voltage between phases (kV)."""
    row = np.searchsorted(VOLTAGE_KV, vn_kv - 1e-9)
    return SINGLE_V[row], THD_V[row]


def current_limits(vn_kv: np.ndarray, ratio: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of every harmonic, shape (orders, points), and of TDD, shape (points,), percent of IL.

    Parameters
    ----------
    vn_kv : shape (points,)
    ratio : shape (points,)
        Isc / IL.
    order : int, shape (orders,)
    """
    low = TABLE_2[np.searchsorted(RATIO, ratio, side="right")]
    low = low * np.where(vn_kv > VOLTAGE_KV[1], 0.5, 1.0)[:, None]
    high = TABLE_4[np.searchsorted(RATIO_4, ratio, side="right")]
    row = np.where((vn_kv > VOLTAGE_KV[2])[:, None], high, low)
    single = row[:, np.searchsorted(FIRST_ORDER, order, side="right")].T
    half = (order % 2 == 0) & (order <= EVEN_UP_TO)
    return single * np.where(half, 0.5, 1.0)[:, None], row[:, -1]
