"""What sets an inverter or a battery while no controller's set-point is in force: by its own measurements only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["RULES", "Hold", "Rule", "Zero"]


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
