"""Two published detectors of the Numenta Anomaly Benchmark, said again from their descriptions.

They are there to check the scorer: their rows in the published tables must come out. Both are told the range or the
parameters that their authors tuned on the benchmark, as published.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import erfc, rel_entr
from scipy.stats import chi2

__all__ = ["relative_entropy", "windowed_gaussian"]

Floats = NDArray[np.float64]


def windowed_gaussian(value: Floats, width: int = 6400, step: int = 100) -> Floats:
    """Return 1 - Q(z) of every point under the mean and deviation of the window before it.

    The window grows to ``width`` points and then moves on by ``step`` points at a time.
    """
    centred = value - value.mean()
    first, second = (np.cumsum(np.append(0.0, power)) for power in (centred, centred**2))
    i = np.arange(1, len(value))
    end = np.where(i <= width, i, width + (i - width) // step * step)
    start = np.maximum(end - width, 0)
    mean = (first[end] - first[start]) / (end - start)
    deviation = np.sqrt(np.maximum((second[end] - second[start]) / (end - start) - mean**2, 0.0))
    deviation[deviation == 0.0] = 1e-6
    return np.append(0.0, 1.0 - 0.5 * erfc(np.abs(centred[1:] - mean) / deviation / np.sqrt(2.0)))


def relative_entropy(value: Floats, bins: int = 5, width: int = 52, confidence: float = 0.99) -> Floats:
    """Return 1 where the histogram of the last ``width`` points agrees with none seen before, else 0.

    Wang et al., "Statistical techniques for online anomaly detection in data centers", IM 2011, figure 1.
    """
    score = np.zeros(len(value))
    size = np.ptp(value) / bins
    if size == 0.0:
        return score
    bin_of = np.minimum(np.ceil((value - value.min()) / size), bins - 1)
    counts = sliding_window_view(bin_of[:, None] == np.arange(bins), width, axis=0).sum(axis=2)
    limit = float(chi2.ppf(confidence, bins - 1))
    known = np.empty((0, bins))
    for i in np.sort(np.unique(counts, axis=0, return_index=True)[1]):  # one seen before agrees with itself
        seen = counts[i] / width
        if not (2.0 * width * rel_entr(seen, known).sum(axis=1) < limit).any():
            score[i + width - 1] = float(len(known) > 0)
            known = np.append(known, seen[None], axis=0)
    return score
