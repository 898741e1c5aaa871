"""How far a device may be told to go, whatever a plan says: the last word, written down by a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pdnopt.errors import Issue
from pdnopt.protocols.documents import Document
from pdnopt.protocols.fields import check_fields, number

__all__ = ["LIMITED", "Limits", "outside", "read_limits"]

Limits = Mapping[str, tuple[float, float]]
"""Action -> lowest, highest number: kW, and kvar for set-points."""

LIMITED = ("cap", "shed", "restore", "power", "setpoint")


def outside(limits: Limits, action: str, value: Any) -> str:
    """Return in words how a command is beyond its device's limits, "" where it is within."""
    if action not in limits:
        return ""
    lowest, highest = limits[action]
    numbers = [*value["p_kw"], *value["q_kvar"]] if isinstance(value, dict) else [value]
    wrong = [item for item in numbers if not lowest <= item <= highest]
    return f"{action} {wrong[0]:g} is outside {lowest:g} to {highest:g}" if wrong else ""


def read_limits(document: Document, data: Any, place: str, device: str, issues: list[Issue]) -> Limits:
    """Return a device's limits, ``{action: [lowest, highest]}`` in the file; what is wrong is added to ``issues``."""
    if data is None:
        return {}
    found: dict[str, tuple[float, float]] = {}
    if not isinstance(data, dict):
        issues += check_fields(
            data, dict.fromkeys(LIMITED, number(required=False)), place, device, document.where
        )
        return {}
    for action, pair in data.items():
        good = (
            action in LIMITED
            and isinstance(pair, list)
            and len(pair) == 2
            and all(number().test(item) for item in pair)
            and pair[0] <= pair[1]
        )
        if good:
            found[action] = (float(pair[0]), float(pair[1]))
        else:
            at, todo = document.where(f"{place}.{action}"), "Write for instance `power: [-20, 20]`."
            allowed = f"[lowest, highest] of one of {', '.join(LIMITED)}"
            issues.append(Issue("Range", at, device, str(pair), allowed, todo))
    return found
