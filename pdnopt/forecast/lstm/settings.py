"""What an LSTM is made of and how it is trained; the defaults were chosen on data before every scored window."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.holidays import CALENDARS

__all__ = ["LEVELS", "Settings", "read_settings"]

LEVELS = (0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975)
"""Quantiles that the network itself gives; others between the outermost two are interpolated."""

AT_MOST: dict[str, tuple[float, float]] = {
    "horizon": (1, 2_016),
    "context": (1, 2_016),
    "hidden": (1, 512),
    "members": (1, 16),
    "batch": (1, 4_096),
    "steps": (1, 100_000),
    "learning_rate": (1e-7, 1.0),
    "dropout": (0.0, 0.9),
    "weight_decay": (0.0, 10.0),
    "seed": (0, 2**31 - 1),
}
"""Least and greatest value of each setting: a settings file is input like any other."""


@dataclass(frozen=True)
class Settings:
    """How a network looks and how it is trained.

    Parameters
    ----------
    horizon : int
        Steps that are forecast at once. Longer horizons are refused, shorter ones cut.
    context : int
        Steps of the past that the encoder reads, one after another.
    hidden : int
        Width of the recurrent state.
    members : int
        Networks, of different seeds, whose quantiles are averaged.
    steps : int
        Training steps of each network: batches of ``batch`` windows.
    batch : int
        Windows in a batch; a window is one circuit from one origin.
    learning_rate : float
        Greatest step of AdamW; it rises over the first tenth and falls to nothing by a cosine.
    dropout, weight_decay : float
        Against fitting noise.
    holidays : str, optional
        Calendar of `holidays.CALENDARS` whose holidays the network is told; default: none.
    time_of_year : bool
        Whether the network is told it: only for histories of two years and more, what it has not seen it cannot know.
    seed : int
        Of the weights, the windows and the dropout; the same seed gives the same network.
    """

    horizon: int = 24
    context: int = 96
    hidden: int = 48
    members: int = 1
    steps: int = 800
    batch: int = 64
    learning_rate: float = 3e-3
    dropout: float = 0.1
    weight_decay: float = 1e-2
    holidays: str | None = None
    time_of_year: bool = False
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)


def read_settings(given: Any, path: str = "settings") -> Settings:
    """Return checked settings.

    Parameters
    ----------
    given : mapping of str to number
        Any of the fields of :class:`Settings`; the rest keep their defaults.
    path : str
        Where the values come from, for messages.

    Raises
    ------
    InputError
        Unknown names, values of another type or out of range; all at once.
    """
    if not isinstance(given, dict):
        raise InputError(
            Issue("Type", path, "", type(given).__name__, "an object of names and numbers", "Correct it.")
        )
    kinds = {field.name: type(field.default) for field in fields(Settings) if field.name in AT_MOST}
    issues: list[Issue] = []
    values: dict[str, Any] = {}
    given = dict(given)
    holidays, year = given.pop("holidays", None), given.pop("time_of_year", False)
    if not isinstance(year, bool):
        issues.append(Issue("Range", f"{path}.time_of_year", "", year, "true or false", "Correct the value."))
    if holidays is not None and holidays not in CALENDARS:
        allowed = f"one of {', '.join(map(repr, CALENDARS))}, or null"
        issues.append(Issue("Enum", f"{path}.holidays", "", holidays, allowed, "Leave it out."))
    for name, value in given.items():
        if name not in kinds:
            allowed = ", ".join([*kinds, "holidays", "time_of_year"])
            issues.append(Issue("UnknownField", f"{path}.{name}", "", value, allowed, "Correct the name."))
            continue
        least, most = AT_MOST[name]
        whole = kinds[name] is int
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or not least <= value <= most:
            allowed = f"{'a whole number' if whole else 'a number'} from {least:g} to {most:g}"
            issues.append(Issue("Range", f"{path}.{name}", "", value, allowed, "Correct the value."))
            continue
        values[name] = int(value) if whole else float(value)
    if issues:
        raise InputError(issues)
    return Settings(holidays=holidays, time_of_year=year, **values)
