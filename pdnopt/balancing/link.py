"""The DC link of a micro-inverter: what its phases give and lose comes from its battery, or from other phases.

    sum over phases of (p + l |p + jq|) = b,   low <= b <= high     (b: what the battery delivers; 0 without one)

Losses are not linear, and a linear programme meets them at a point only. The rest is evened out here by the
same power in all three phases, which changes no unbalance. numpy only: also what an inverter itself needs.
"""

from __future__ import annotations

import numpy as np

__all__ = ["evened", "taken"]

ROUNDS = 12


def taken(s: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Return what each inverter takes from its DC link, (I,); ``s`` complex (I, 3), delivery positive."""
    return np.asarray(s.real.sum(axis=1) + loss * np.abs(s).sum(axis=1))


def evened(
    s: np.ndarray, most: np.ndarray, loss: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Return set-points near ``s`` within the ratings whose DC links are even.

    Parameters
    ----------
    s : complex, shape (I, 3)
        Delivery positive, in any unit of power.
    most : shape (I,)
        Largest apparent power of a phase.
    loss : shape (I,)
        Part of the apparent power.
    low, high : shape (I,)
        What the battery may deliver.
    """
    p, q, cap = s.real.copy(), s.imag.copy(), most[:, None]
    p, q = _within(p, q, cap)
    for _ in range(ROUNDS):
        link = (p + loss[:, None] * np.hypot(p, q)).sum(axis=1)
        over = link - np.clip(link, low, high)
        down, up = p > -cap, p < cap  # phases that can still give less, and more
        free = np.where(over[:, None] > 0, down, up)
        share = free / np.maximum(free.sum(axis=1, keepdims=True), 1)
        p, q = _within(p - over[:, None] * share, q, cap)
    return np.asarray(p + 1j * q)


def _within(p: np.ndarray, q: np.ndarray, cap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return powers within the rating; what goes beyond it is taken from q first."""
    p = np.clip(p, -cap, cap)
    room = np.sqrt(np.maximum(cap**2 - p**2, 0.0))
    return p, np.clip(q, -room, room)
