"""What "failed" means (PLANT.md): parse the names that a user gives into outages.

A failed *bus, line, transformer or impedance* is a fault: its protective zone, up to the nearest
switches, dies and those switches open and are locked out. So does the zone of a failed *utility feed or
genset*: a dead utility is never fed from behind. A failed *switch* or *transfer device* is
its own zone (it is bounded by itself): it, and for a transfer every position, is open and locked, so
that a bypass module around it can still feed its output. A failed *UPS, load, storage or inverter* is dead
behind its own breaker; a failed UPS loses its static bypass too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdnopt.errors import InputError, Issue
from pdnopt.plant.names import find_component
from pdnopt.plant.tables import values

__all__ = ["FORMS", "Outage", "parse_failed"]

FORMS: dict[str, tuple[str, ...]] = {
    "ups": ("failed", "rectifier", "to_bypass", "module"),
    "transfer": ("failed", "stuck"),
    "switch": ("failed", "stuck_open", "stuck_closed"),
    "load": ("failed", "psu"),
    "asymmetric_load": ("failed", "psu"),
}
"""Forms of failure by table, beside plain ``"failed"`` which every table has."""


@dataclass(frozen=True)
class Outage:
    """One outage: ``table``, ``index`` (a rack's name for table "rack"), ``form`` and the user's own words."""

    table: str
    index: int | str
    form: str
    name: str


def _is_companion(net: Any, index: int) -> bool:
    """True for the ext_grid that stands for a UPS's output or a battery's inverter."""
    row = net.ext_grid.index.get_loc(index)
    return any(not np.isnan(values(net, "ext_grid", column)[row]) for column in ("ups", "storage"))


def parse_failed(net: Any, failed: Iterable[str] | str | None) -> list[Outage]:
    """Parse ``failed=[...]`` into outages; a duplicate counts once.

    Raises
    ------
    InputError
        With one Issue for every name that is not understood.
    """
    if failed is None:
        return []
    names: Sequence[str] = [failed] if isinstance(failed, str) else list(failed)
    outages: list[Outage] = []
    issues: list[Issue] = []
    for position, name in enumerate(names):
        path = f"failed[{position}]"
        if not isinstance(name, str):
            issues.append(
                Issue("InvalidName", path, str(name), name, "text like 'ups:UPS-A'", "Give a string.")
            )
            continue
        # A component's own name may hold an "@": only a known form after the last one is split off.
        body, at, form = name.rpartition("@")
        table = name.partition(":")[0]
        forms = FORMS.get(table, ("failed",))
        try:
            table, index = find_component(net, name, path)
            form = "failed"
        except InputError as whole:
            if not at:
                issues += whole.issues
                continue
            try:
                table, index = find_component(net, body, path)
            except InputError as part:
                issues += part.issues
                continue
            if form not in forms or form == "failed":
                allowed = (
                    f"one of {', '.join(f'@{f}' for f in forms if f != 'failed') or 'no form'} for a {table}"
                )
                issues.append(Issue("Enum", path, body, f"@{form}", allowed, "Correct the form after the @."))
                continue
        if table == "ext_grid" and _is_companion(net, int(index)):
            todo = "Name the UPS or the battery itself, for example 'ups:UPS-A' or 'ups:UPS-A@to_bypass'."
            issues.append(Issue("InvalidName", path, name, name, "a utility feed or a genset", todo))
            continue
        outage = Outage(table, index, form, name)
        if outage not in outages:
            outages.append(outage)
    if issues:
        raise InputError(issues)
    return outages
