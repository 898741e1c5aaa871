"""Interlocks between switches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pdnopt.plant.create.rows import add_row

__all__ = ["create_interlock"]


def create_interlock(net: Any, switches: Sequence[int], name: str, max_closed: int = 1) -> int:
    """Create an interlock: at most ``max_closed`` of ``switches`` (indices in net.switch) are closed.

    Returns
    -------
    int : index in ``net.interlock``.
    """
    return add_row(
        net,
        "interlock",
        {"name": name, "switches": [int(s) for s in switches], "max_closed": int(max_closed)},
    )
