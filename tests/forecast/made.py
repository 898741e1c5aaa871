"""Series whose distribution is known, because a generator made them."""

from __future__ import annotations

import numpy as np
import pandas as pd


def hourly(kw: np.ndarray, names: list[str] | None = None, tz: str = "UTC") -> pd.DataFrame:
    """Return values (T,) or (T, C) as an hourly frame."""
    kw = kw if kw.ndim == 2 else kw[:, None]
    index = pd.date_range(pd.Timestamp("2024-01-01", tz=tz), periods=len(kw), freq="h")
    return pd.DataFrame(kw, index=index, columns=names or [f"c{k}" for k in range(kw.shape[1])])


def profile(hours: int) -> np.ndarray:
    """Return a day's shape around 10 kW."""
    return 10.0 + 3.0 * np.sin(2 * np.pi * np.arange(hours) / 24)
