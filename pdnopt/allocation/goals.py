"""The terms of an allocation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Goal"]


@dataclass(frozen=True)
class Goal:
    """One term: "margin", "balance", or a linear cost by device and choice, and by how much it may miss its bound."""

    name: str
    cost: tuple[np.ndarray, ...] | None
    tolerance: float
