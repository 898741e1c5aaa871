"""What sets an inverter or a battery while no controller's set-point is in force: by its own measurements only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pdnopt.errors import Issue
from pdnopt.protocols.fields import check_fields, text

__all__ = ["RULES", "Hold", "Rule", "Zero", "check_rule", "make_rule"]


class Rule(Protocol):
    """A local rule."""

    def __call__(self, measured: Mapping[str, Any], now: Any) -> Any:
        """Return the next set-point.

        Parameters
        ----------
        measured : mapping
            The device's own good values, by quantity.
        now : Any
            The set-point that it goes by now; None where it cannot be told.
        """


class Zero:
    """Give and take nothing."""

    def __init__(self, table: str) -> None:
        self.nothing: Any = (
            0.0 if table == "storage" else {"p_kw": [0.0, 0.0, 0.0], "q_kvar": [0.0, 0.0, 0.0]}
        )

    def __call__(self, measured: Mapping[str, Any], now: Any) -> Any:
        return self.nothing


class Hold(Zero):
    """Stay where the controller has put it; nothing where that cannot be told."""

    def __call__(self, measured: Mapping[str, Any], now: Any) -> Any:
        return self.nothing if now is None else now


RULES = {"zero": Zero, "hold": Hold}
"""Kind -> rule."""


def check_rule(
    table: str, data: dict[str, Any], path: str, id_: str, where: Callable[[str], str]
) -> list[Issue]:
    """Return what is wrong with a rule's settings."""
    return check_fields(data, {"kind": text(one_of=tuple(RULES))}, path, id_, where)


def make_rule(table: str, data: Mapping[str, Any]) -> Rule:
    """Return the rule of checked settings; none given: zero."""
    return RULES[data.get("kind", "zero")](table)
