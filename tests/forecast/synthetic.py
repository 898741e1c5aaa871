"""Series whose laws are known, for tests of trained models; nothing here is a measurement."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["daily"]


def daily(
    days: int = 60, circuits: int = 4, seed: int = 0, zone: str = "UTC", noise_kw: float = 0.5
) -> pd.DataFrame:
    """Return 10 kW + 3 kW sin(hour, a phase for each circuit) + uniform noise of +-noise_kw, hourly."""
    index = pd.date_range("2025-01-01", periods=24 * days, freq="h", tz=zone)
    rng = np.random.default_rng(seed)
    turn = index.hour.to_numpy()[:, None] / 24 + rng.uniform(0, 1, circuits)
    kw = 10 + 3 * np.sin(2 * np.pi * turn) + rng.uniform(-noise_kw, noise_kw, (len(index), circuits))
    return pd.DataFrame(kw, index=index, columns=[f"c{k}" for k in range(circuits)])
