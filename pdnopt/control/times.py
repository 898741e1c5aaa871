"""How long devices take to move."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pdnopt.plant.grid import Grid

__all__ = ["own_times_s"]


def own_times_s(grid: Grid) -> dict[str, float]:
    """Return device -> seconds from the command to the end of the move."""
    return dict(_times(grid))


def _times(grid: Grid) -> Iterator[tuple[str, float]]:
    yield from zip(grid.switches.name, _finite(grid.switches.t_operate_s), strict=True)
    yield from zip(grid.transfers.name, _finite(grid.transfers.transfer_s), strict=True)
    yield from zip(grid.sources.name, _finite(grid.sources.start_s), strict=True)
    for name, bypass in zip(grid.upss.name, grid.upss.bypass, strict=True):
        yield name, float(grid.switches.t_operate_s[bypass]) if bypass >= 0 else 0.0


def _finite(values: np.ndarray) -> list[float]:
    return [float(v) if np.isfinite(v) else 0.0 for v in values]
