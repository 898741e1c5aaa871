"""Companions: the rows of native tables that stand for a UPS or a battery."""

from __future__ import annotations

from typing import Any

from pdnopt.plant.tables import values

__all__ = ["companion_rows"]


def companion_rows(net: Any, table: str, owner: str) -> dict[int, int]:
    """Return, by index of the owner, the row of ``table`` whose column ``owner`` ("ups", "storage") names it."""
    owners = values(net, table, owner)
    return {int(o): int(row) for row, o in zip(net[table].index, owners, strict=True) if o == o}
