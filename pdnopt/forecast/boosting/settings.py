"""What the boosted trees are trained with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.holidays import CALENDARS

__all__ = ["Settings", "read_settings"]


@dataclass(frozen=True)
class Settings:
    """How to train.

    Parameters
    ----------
    horizon : int
        Steps ahead, 1 to 2,000.
    rows : int
        Forecasts of the past that are learnt from at most.
    rounds : int, optional
        Trees a quantile; default: 80, and 250 where there are covariates.
    rate : float
        What part of each tree's answer is taken.
    holidays : str, optional
        "US" tells the trees the federal holidays; None tells them none.
    seed : int
        The same seed and history give the same trees.

    Raises
    ------
    InputError
        [Range] or [Enum] Every setting that is outside its range.
    """

    horizon: int = 168
    rows: int = 120_000
    rounds: int | None = None
    rate: float = 0.07
    holidays: str | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        todo = "Take a value in the range, or leave the setting out."
        issues = []
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is None and name == "rounds":
                continue
            whole = name != "rate"
            number = isinstance(value, int) or (not whole and isinstance(value, float))
            if isinstance(value, bool) or not number or not low <= value <= high:
                allowed = f"a {'whole ' if whole else ''}number from {low:g} to {high:g}"
                issues.append(Issue("Range", f"settings.{name}", "", value, allowed, todo))
        if self.holidays is not None and self.holidays not in CALENDARS:
            allowed = f"one of {', '.join(map(repr, CALENDARS))}, or None"
            issues.append(Issue("Enum", "settings.holidays", "", self.holidays, allowed, todo))
        if issues:
            raise InputError(issues)


_RANGES = (
    ("horizon", 1, 2_000),
    ("rows", 1_000, 5_000_000),
    ("rounds", 1, 5_000),
    ("rate", 1e-3, 1.0),
    ("seed", 0, 2**31 - 1),
)


def read_settings(given: Any) -> Settings:
    """Return settings from JSON values.

    Raises
    ------
    InputError
        [Format] or [UnknownField], and what `Settings` raises.
    """
    todo = "Give fields of Settings only; a saved forecaster: save it again with this version of pdnopt."
    if not isinstance(given, Mapping):
        raise InputError(Issue("Format", "settings", "", type(given).__name__, "a JSON object", todo))
    known = {field.name for field in fields(Settings)}
    strange = sorted(set(given) - known)
    if strange:
        raise InputError(Issue("UnknownField", "settings", "", strange, ", ".join(sorted(known)), todo))
    return Settings(**given)
