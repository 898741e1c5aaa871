"""Conversions at pandapower's border, and the numbers every module agrees on.

Inside pdnopt: kW, kvar, kVA, kWh, pu, seconds, percent only where a column says so.
pandapower: MW, Mvar, MVA, kV, kA.
"""

from __future__ import annotations

from math import sqrt

KW_PER_MW = 1000.0
S_PER_H = 3600.0
MS_PER_S = 1000.0
SQRT3 = sqrt(3.0)

UNLIMITED_KA = 99999.0
"""pandapower's own word for "no thermal limit" on a line (``max_i_ka``)."""

UNLIMITED_KVA = 1e7
"""A rating at least this large never binds in a plant of this kind; it is left out of the model."""

DEFAULT_PRIORITY = 3
DEFAULT_HOLDUP_MS = 20.0
"""ITI (CBEMA) curve: IT power supplies ride through 20 ms of complete interruption."""

DEFAULT_LATENCY_S = 0.5
"""Detection, solve and communication before the first device moves."""

DEFAULT_HORIZON_S = 3600.0


def line_rating_kva(max_i_ka: float, vn_kv: float) -> float:
    """Return the three-phase apparent power in kVA that ``max_i_ka`` carries at ``vn_kv``."""
    return SQRT3 * max_i_ka * vn_kv * KW_PER_MW
