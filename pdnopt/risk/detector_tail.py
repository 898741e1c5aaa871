"""How rare a novelty is among the recent ones of its own kind: a streaming estimate of the upper tail.

Peaks over threshold, as in Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017, with Hill's
estimator of the tail and a floor below which novelty means nothing:

1. u is the `LEVEL` quantile of the last `MEMORY` novelties, f the resolution: what is too small to matter.
2. xi = (sum of ln((n + f) / (u + f)) over the n beyond u + XI `WEIGHT`) / (number of them known whole + `WEIGHT`), at least
   `LEAST`.
3. P(novelty > n) = (1 - LEVEL) ((n + f) / (u + 2 f)) ^ (-1 / xi); `decades` is -log10 of it, at least 0.

A novelty within the resolution is none (0 decades), and in 3 it must exceed u by the resolution before it counts as rarer
than 1 - LEVEL, so that a series of few different values does not alarm over a hair. What is rarer than `KEPT_DECADES` is
remembered as being at least that rare (a censored value, hence "known whole"): one event does not blind the detector to
the next, and what keeps happening is learnt.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pdnopt.risk.detector_history import History

__all__ = ["LEVEL", "Tail"]

LEVEL = 0.99
MEMORY = 4000
"""Novelties that the tail is estimated from."""
LEAST_POINTS = 200
"""Novelties that must be there before rarity is spoken of."""
EVERY = 16
"""Novelties between two estimates of u and xi."""
XI, WEIGHT, LEAST = 0.2, 10.0, 0.05
"""What is assumed of the tail before it is seen, how many exceedances that is worth, and the lightest tail believed."""
KEPT_DECADES = 2.5
"""The rarest that a novelty is remembered to have been."""
MOST_DECADES = 15.0
"""Beyond double precision nothing is told apart."""


@dataclass(eq=False)
class Tail:
    """The upper tail of one stream of novelties."""

    recent: History = field(default_factory=lambda: History(MEMORY, 2))
    """Novelty, and 1 where it is only known to have been at least that."""
    threshold: float = np.nan
    xi: float = XI

    def decades(self, novelty: float, resolution: float) -> float:
        """Return -log10 of the probability of so much novelty, and remember it; 0 while too little is known."""
        if self.recent.count >= LEAST_POINTS and (self.recent.count % EVERY == 0 or np.isnan(self.threshold)):
            self._estimate(resolution)
        if np.isnan(self.threshold):
            self.recent.append(np.array((novelty, 0.0)))
            return 0.0
        start, usual = -np.log10(1.0 - LEVEL), self.threshold + 2.0 * resolution
        kept_ratio = 10.0 ** ((KEPT_DECADES - start) * self.xi)  # equation 3 the other way round
        most = kept_ratio * usual - resolution
        self.recent.append(np.array((min(novelty, most), float(novelty > most))))
        if novelty <= resolution:
            return 0.0
        found = start + np.log10((novelty + resolution) / usual) / self.xi
        return float(np.clip(found, 0.0, MOST_DECADES))

    def _estimate(self, resolution: float) -> None:
        """Equations 1 and 2."""
        known, cut = self.recent.rows.T
        self.threshold = float(np.quantile(known, LEVEL))
        beyond = known > self.threshold
        excess = np.log((known[beyond] + resolution) / (self.threshold + resolution))
        whole = np.count_nonzero(cut[beyond] == 0.0)
        self.xi = max(float(excess.sum() + XI * WEIGHT) / (whole + WEIGHT), LEAST)
