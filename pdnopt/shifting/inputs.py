"""Other inputs of a shift, checked all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.plant.names import component_names
from pdnopt.plant.tables import native_values, values
from pdnopt.shifting.plant import Devices
from pdnopt.shifting.prices import Prices

__all__ = ["Bounds", "check_batteries", "read_areas", "read_bounds"]


GUARD, GUARD_LEVEL = 0.1, 0.9
"""Weight of the worst outcomes, and which part of them that is, unless told otherwise."""


@dataclass(frozen=True)
class Bounds:
    """How gradual and how cautious a shift is.

    Attributes
    ----------
    max_moves, max_shift_kw : float
        Per step and area.
    guard, guard_level : float
        Weight and level of the guard (S6).
    max_at_risk_kw : float
        Most critical load that any of the failures may leave dark.
    """

    max_moves: float
    max_shift_kw: float
    guard: float
    guard_level: float
    max_at_risk_kw: float
    prices: Prices


def read_bounds(options: Any) -> Bounds:
    """Read limits and prices. Raises InputError with all that is out of range."""
    issues = []
    found: dict[str, float] = {}
    for name, low, high, default in (
        ("max_moves", 0.0, inf, inf),
        ("max_shift_kw", 0.0, inf, inf),
        ("guard", 0.0, 1e6, GUARD),
        ("guard_level", 0.0, 0.9999, GUARD_LEVEL),
        ("max_at_risk_kw", 0.0, inf, inf),
    ):
        value = getattr(options, name)
        value = default if value is None else value
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool) and value == value
        if not number or not low <= value <= high:
            allowed = f"a number from {low:g} to {high:g}" if high < inf else f"a number, {low:g} or more"
            issues.append(Issue("Range", f"solve({name}=...)", "", value, allowed, "Correct the value."))
        else:
            found[name] = float(value)
    prices = options.prices
    if isinstance(prices, Mapping):
        try:
            prices = Prices(**prices)
        except InputError as error:
            issues += error.issues
        except TypeError as error:
            known = ", ".join(Prices.__dataclass_fields__)
            issues.append(
                Issue("UnknownField", "solve(prices=...)", "", str(error), known, "Correct the names.")
            )
    elif prices is not None and not isinstance(prices, Prices):
        allowed = "Prices, or a dictionary of some of its fields"
        issues.append(Issue("Format", "solve(prices=...)", "", prices, allowed, "Correct the value."))
    if issues:
        raise InputError(issues)
    return Bounds(prices=prices or Prices(), **found)


def check_batteries(net: Any) -> None:
    """Raise InputError for batteries whose numbers contradict each other; all at once."""
    if not len(net.storage):
        return
    names = component_names(net, "storage")
    issues = []
    for column, value in (
        ("soc_min_percent", values(net, "storage", "soc_min_percent")),
        ("soc_percent", native_values(net.storage, "soc_percent", 50.0)),
    ):
        for k in np.flatnonzero(~((value >= 0.0) & (value <= 100.0))):
            path = f"net.storage.{column}"
            issues.append(Issue("Range", path, names[k], float(value[k]), "0 to 100 %", "Correct the value."))
    least, most = (native_values(net.storage, f"{end}_e_mwh", 0.0) for end in ("min", "max"))
    for k in np.flatnonzero(least > most):
        allowed = f"at most max_e_mwh, {most[k]:g} MWh"
        todo = "Correct one of the two."
        issues.append(
            Issue("BoundsCrossed", "net.storage.min_e_mwh", names[k], float(least[k]), allowed, todo)
        )
    for column in ("efficiency_charge", "efficiency_discharge"):
        value = values(net, "storage", column)
        for k in np.flatnonzero(~((value > 0.0) & (value <= 1.0))):
            path, allowed = f"net.storage.{column}", "above 0, at most 1"
            issues.append(Issue("Range", path, names[k], float(value[k]), allowed, "Correct the value."))
    if issues:
        raise InputError(issues)


def read_areas(devices: Devices, areas: Any) -> np.ndarray:
    """Return the area of each device, (D,): that which ``areas`` (device name -> area) says; the others are one area.

    Raises
    ------
    InputError
        Names that are no decided device.
    """
    if areas is None:
        return np.zeros(devices.n, dtype=int)
    known = {name: d for d, name in enumerate(devices.name)}
    told = {str(name): str(area) for name, area in dict(areas).items()}
    strange = [name for name in told if name not in known]
    if strange:
        allowed = f"decided devices, for instance {', '.join(devices.name[:3])}"
        raise InputError(
            Issue("InvalidName", "solve(areas=...)", "", strange[:5], allowed, "Correct the names.")
        )
    number = {area: k for k, area in enumerate(dict.fromkeys(told.values()), start=1)}
    out = np.zeros(devices.n, dtype=int)
    for name, area in told.items():
        out[known[name]] = number[area]
    return np.unique(out, return_inverse=True)[1]
