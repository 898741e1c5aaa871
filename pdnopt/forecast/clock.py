"""Time of day as people and machines keep it: the same wall-clock hour, also across daylight saving.

The index runs in absolute time with a constant step, so a day of daylight saving has 23 or 25 hours. A load that follows the
clock on the wall then repeats after 23 or 25 hours, not after 24.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DAY_S", "season_of", "utc_offset_s", "wall_lag"]

DAY_S = 86_400.0


def season_of(step_s: float) -> int:
    """Return how many steps a day has; 1 where the step does not divide a day."""
    steps = DAY_S / step_s
    return round(steps) if steps >= 1 and abs(steps - round(steps)) < 1e-9 else 1


def utc_offset_s(index: pd.DatetimeIndex) -> np.ndarray:
    """Return by how many seconds the wall clock is ahead of UTC at each time stamp."""
    wall = index.tz_localize(None).as_unit("s").to_numpy().astype("int64")
    utc = index.tz_convert(None).as_unit("s").to_numpy().astype("int64")
    return np.asarray(wall - utc, dtype=float)


def wall_lag(index: pd.DatetimeIndex, season: int, step_s: float) -> np.ndarray:
    """Return how many steps before each time stamp the wall clock showed the same time, a season before.

    It is `season` everywhere but within a season after a change of the clocks, where it is larger or smaller by the hour
    that was put in or left out. Where a season is no whole number of days the clock on the wall means nothing, and the lag
    is `season`. In the hour that is left out in spring the lag is that of the hour after.

    Parameters
    ----------
    index : DatetimeIndex, shape (T,)
        With a timezone and a constant step.
    season : int
        Steps of a season.
    step_s : float
        Step in s.
    """
    import pandas as pd

    lag = np.full(len(index), season)
    if (season * step_s) % DAY_S:
        return lag
    earlier = index - pd.Timedelta(seconds=season * step_s)
    put_in = (
        utc_offset_s(earlier) - utc_offset_s(index)
    ) / step_s  # an hour in autumn, minus an hour in spring
    return np.asarray(lag + np.round(put_in).astype(int))
