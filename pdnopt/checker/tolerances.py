"""How exactly the checker measures. Small on purpose: a limit is a limit."""

from __future__ import annotations

RATING = 1e-6 + 5e-4
"""Relative, on every rating and voltage limit: 1e-6 for the AC engine (Newton stops at 1e-8 pu, UPS input and
output agree to 1e-6) plus 0.05 % for the linear model behind a plan and the rounding of its kW."""

ENERGY = 1e-6 + 5e-4
"""Relative, on battery energy and fuel: the same two reasons, power is what the energy is summed from."""

BUDGET = 1e-6
"""Absolute, on the used share of an overload budget (0..1); only rounding of times."""

TIME_S = 1e-6
"""Seconds; times are sums of a few milliseconds in floating point."""

POWER_KW = 1e-6
"""Absolute, kW: what counts as no power at all."""

SETPOINT = 1e-6 + 5e-4
"""Relative to a unit's demand: kW of caps and their floors (plans are rounded for people)."""
