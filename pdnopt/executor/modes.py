"""Who lets commands out: for every area of the plant one of three modes, as operators know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from pdnopt.errors import InputError, Issue

__all__ = ["Mode", "Modes"]


class Mode(StrEnum):
    """Disabled: no command leaves. Manual: a person confirms each step of a switching sheet. Automatic: they go."""

    DISABLED = "disabled"
    MANUAL = "manual"
    AUTOMATIC = "automatic"


class Modes:
    """The mode of each area, and the area of each device.

    Parameters
    ----------
    by_area : mapping
        Area -> mode.
    area_of : callable
        Device -> area; "" is an area like any other.
    default : Mode
        Of areas that are not named.
    """

    def __init__(
        self,
        by_area: Mapping[str, Mode] | None = None,
        area_of: Callable[[str], str] = lambda device: "",
        default: Mode = Mode.MANUAL,
    ) -> None:
        self._by_area, self.area_of, self.default = dict(by_area or {}), area_of, default

    def of(self, device: str) -> Mode:
        """Return the mode of the device's area."""
        return self._by_area.get(self.area_of(device), self.default)

    def set(self, area: str, mode: str) -> None:
        """Change an area's mode. It counts from the next step on; what has been sent is read back in any mode.

        Raises
        ------
        InputError
            There is no such mode.
        """
        try:
            self._by_area[area] = Mode(mode)
        except ValueError:
            allowed = ", ".join(Mode)
            raise InputError(
                Issue("Enum", f"areas.{area}.mode", area, mode, f"one of {allowed}", "Correct the mode.")
            ) from None

    def table(self) -> dict[str, Mode]:
        """Return the areas that have been named."""
        return dict(self._by_area)
