"""How much of a node's data its weights may give away: clipping, noise, and what the noise is worth.

A node's update is what training changed in the weights, d. It is clipped to the length S, then noise may be added::

    d <- d min(1, S / |d|)                                              (1)
    d <- d + N(0, (z S)^2) for every weight                             (2)

Two nodes of whatever data send updates that are at most 2 S apart before the noise. So one round is a Gaussian
mechanism with sensitivity 2 S and standard deviation z S; R rounds have, in zero-concentrated differential privacy (Bun
and Steinke 2016, 1.6, 1.7 and 1.3 there)::

    rho = R (2 S)^2 / (2 (z S)^2) = 2 R / z^2                           (3)
    epsilon = rho + 2 sqrt(rho ln(1 / delta))                           (4)

**What this means, honestly.** (4) holds for a node's whole data against everybody, the coordinator included, because
the node itself adds the noise. With a handful of nodes it costs dearly: an epsilon below 10 takes z = 1.1 for a single
round and 5.1 for twenty (delta 1e-5), and the mean of n nodes has noise z S / sqrt(n) in *each* weight, so with eight
nodes and 30,000 weights the noise is some 60 z times as long as the update itself: nothing is learned. Noise is
therefore off by default; a small z blurs what single rows leave in the weights and proves nothing. Without noise the
only protection is that weights, not measurements, leave the node: weights can give away something of what was trained
on. The number of windows and the scores that a node reports are neither clipped nor blurred.
"""

from __future__ import annotations

import math

import numpy as np

from pdnopt.errors import InputError, Issue

__all__ = ["blur", "clip_update", "epsilon", "length"]


def length(update: dict[str, np.ndarray]) -> float:
    """Return the Euclidean length of all weights together."""
    return math.sqrt(sum(float(np.square(value, dtype=float).sum()) for value in update.values()))


def clip_update(update: dict[str, np.ndarray], longest: float) -> dict[str, np.ndarray]:
    """Return equation (1): an update no longer than `longest`."""
    found = length(update)
    if found <= longest:
        return update
    return {name: (value * (longest / found)).astype(np.float32) for name, value in update.items()}


def blur(update: dict[str, np.ndarray], deviation: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return equation (2): an update with Gaussian noise of a standard deviation in every weight."""
    return {
        name: (value + rng.normal(0.0, deviation, value.shape)).astype(np.float32)
        for name, value in sorted(update.items())
    }


def epsilon(rounds: int, noise: float, delta: float = 1e-5) -> float:
    """Return equation (4): what R rounds with noise multiplier z guarantee; infinite without noise.

    Parameters
    ----------
    rounds : int
    noise : float
        z, standard deviation over clipping length.
    delta : float
        Probability, between 0 and 1, with which the guarantee may fail.
    """
    if not 0 < delta < 1:
        raise InputError(Issue("Range", "delta", "", delta, "between 0 and 1", "For instance 1e-5."))
    if noise <= 0:
        return math.inf
    rho = 2 * rounds / noise**2
    return rho + 2 * math.sqrt(rho * math.log(1 / delta))
