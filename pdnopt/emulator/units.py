"""Racks and loads over time: how long each has been without voltage, who is interrupted, who restarts."""

from __future__ import annotations

from math import inf

import numpy as np

from pdnopt.emulator.world import World

__all__ = ["Units"]

SAME_S = 1e-9


class Units:
    """Hold-up and restart of every unit.

    Attributes
    ----------
    dark_since_s : float, shape (units,)
        NaN while it has voltage.
    restart_at_s : float, shape (units,)
        When one that went down and has voltage again draws power; NaN for the others.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        n = world.demand.n
        self.dark_since_s = np.where(world.fed, np.nan, 0.0)
        self.restart_at_s = np.full(n, np.nan)

    def look(self, t_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Follow voltage and time; return who went down just now and who came back, as rows."""
        w = self.world
        fed, down = w.fed, w.down
        self.dark_since_s = np.where(
            fed, np.nan, np.where(np.isnan(self.dark_since_s), t_s, self.dark_since_s)
        )
        expired = t_s - np.nan_to_num(self.dark_since_s, nan=inf) >= w.demand.holdup_s - SAME_S
        lost = ~fed & ~down & expired
        begins = fed & down & np.isnan(self.restart_at_s)
        self.restart_at_s[begins] = t_s + w.restart_s[begins]
        self.restart_at_s[~fed] = np.nan
        back = fed & down & (self.restart_at_s <= t_s + SAME_S)
        down[lost], down[back] = True, False
        self.restart_at_s[back] = np.nan
        return np.flatnonzero(lost), np.flatnonzero(back)

    def due_s(self) -> float:
        """Return when the next unit goes down or comes back; inf for none."""
        w = self.world
        waiting = ~w.down & ~np.isnan(self.dark_since_s)
        goes = (self.dark_since_s + w.demand.holdup_s)[waiting]
        comes = self.restart_at_s[~np.isnan(self.restart_at_s)]
        return float(min(goes.min(initial=inf), comes.min(initial=inf)))
