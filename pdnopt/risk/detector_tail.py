"""How rare a novelty is among the recent ones of its own kind: a streaming estimate of the upper tail.

Peaks over threshold, as in Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017, with Hill's
estimator of the tail and a floor below which novelty means nothing:

1. u is the `LEVEL` quantile of the last `MEMORY` novelties, f the resolution: what is too small to matter.
2. xi = (sum of ln((n + f) / (u + f)) over the n beyond u + XI `WEIGHT`) / (their number + `WEIGHT`), at least `LEAST`.
3. P(novelty > n) = (1 - LEVEL) ((n + f) / (u + 2 f)) ^ (-1 / xi); `decades` is -log10 of it, at least 0.

A novelty within the resolution is none (0 decades), and in 3 it must exceed u by the resolution before it counts as rarer
than 1 - LEVEL, so that a series of few different values does not alarm over a hair.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pdnopt.risk.detector_history import Floats, History

__all__ = ["LEVEL", "Tail"]

LEVEL = 0.99
MEMORY = 2000
LEAST_POINTS = 200
"""Novelties that must be there before rarity is spoken of."""
EVERY = 16
"""Novelties between two estimates of u and xi."""
XI, WEIGHT, LEAST = 0.2, 10.0, 0.05
"""What is assumed of the tail before it is seen, how many exceedances that is worth, and the lightest tail believed."""
MOST_DECADES = 15.0
"""Beyond double precision nothing is told apart."""


@dataclass(eq=False)
class Tail:
    """The upper tail of one stream of novelties."""

    recent: History = field(default_factory=lambda: History(MEMORY))
    threshold: float = np.nan
    xi: float = XI

    def decades(self, novelty: float, resolution: float) -> float:
        """Return -log10 of the probability of so much novelty, and remember it; 0 while too little is known."""
        if self.recent.count >= LEAST_POINTS and (self.recent.count % EVERY == 0 or np.isnan(self.threshold)):
            self._estimate(resolution)
        self.recent.append(novelty)
        if np.isnan(self.threshold) or novelty <= resolution:
            return 0.0
        excess = np.log((novelty + resolution) / (self.threshold + 2.0 * resolution))
        found = -np.log10(1.0 - LEVEL) + excess / self.xi / np.log(10.0)
        return float(np.clip(found, 0.0, MOST_DECADES))

    def _estimate(self, resolution: float) -> None:
        """Equations 1 and 2."""
        known: Floats = self.recent.rows
        self.threshold = float(np.quantile(known, LEVEL))
        excess = np.log((known[known > self.threshold] + resolution) / (self.threshold + resolution))
        self.xi = max(float(excess.sum() + XI * WEIGHT) / (len(excess) + WEIGHT), LEAST)
