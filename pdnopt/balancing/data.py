"""What the programme of a balance is built of (`Structure`) and solved with (`Point`); see `formulations.balance`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from pdnopt.balancing.reach import Reach

__all__ = ["INSCRIBED", "N_DIRECTIONS", "SLACK", "S_BASE_KW", "Nothing", "Point", "Structure"]

S_BASE_KW = 100.0
"""1 pu of power, a phase; near the size of a PDU, so that numbers in the programme are near 1."""
N_DIRECTIONS = 16
INSCRIBED = float(np.cos(np.pi / N_DIRECTIONS))
"""Radius of the circle inside the polygon: 0.981, 1.9 % below the rating."""


SLACK = {"violations": 1e-6, "vuf": 2e-5, "spread": 5e-4, "spread_sum": 2e-4, "neutral": 2e-4, "losses": 1e-3}
"""How much worse a term may be, in its own unit, for the sake of those after it; of the sums over feeders: on average."""


@dataclass(frozen=True)
class Nothing:
    """When nothing is left of ``terms``: variables that equations define are within boxes (half widths).

    The boxes lie inside what the terms' slack allows, so that they prove it with far fewer rows: those with ``idle``
    variables say nothing more then. ``measure`` gives the terms' values.
    """

    terms: tuple[str, ...]
    boxes: dict[str, np.ndarray]
    idle: tuple[str, ...]
    measure: Callable[[dict[str, np.ndarray]], dict[str, float]]


@dataclass(frozen=True)
class Structure:
    """What never changes while the plant's switches stand. Matrices are sparse and complex.

    Attributes
    ----------
    y : shape (V, V)
    enters : shape (V, 3I)
        Where the currents of inverters enter; rows of sources are left out.
    at_source : shape (3F, 3I)
        1 where a feeder is a source to whose own bus an inverter's phase is joined.
    current : shape (3F, V)
    two : shape (B, V)
        Negative-sequence voltage.
    reach : Reach
        What the four make of the inverters' currents.
    limit : float, shape (F,)
        pu of current, inf: none.
    scale : float, shape (F,)
        What the spread is a part of: the rating, or the current at the start where there is none.
    counts : bool, shape (F,)
        Feeders that count for spread and neutral.
    v_min, v_max : float, shape (V,)
    loss : float, shape (I,)
        Part of the apparent power.
    sized_link : bool
        The DC links lose parts of the sizes s, which may be above |p + jq| (`balancing.link` evens that out afterwards),
        instead of tangents at the point: one solve at a point is then enough, wherever set-points turn to.
    """

    y: csr_array
    enters: csr_array
    at_source: csr_array
    current: csr_array
    two: csr_array
    reach: Reach
    limit: np.ndarray
    scale: np.ndarray
    counts: np.ndarray
    v_min: np.ndarray
    v_max: np.ndarray
    loss: np.ndarray
    sized_link: bool = False


@dataclass(frozen=True)
class Point:
    """The numbers of one solve, each a vector (complex ones split in two): see the module's docstring."""

    g_re: np.ndarray  # (3I,) 1 / conj(v)
    g_im: np.ndarray
    j_re: np.ndarray  # (3I,) currents of the inverters at the point
    j_im: np.ndarray
    turn_re: np.ndarray  # (3F,) unit phasor of the current
    turn_im: np.ndarray
    amps: np.ndarray  # (3F,) |I|
    weight: np.ndarray  # (3F,) 2 r |I|
    neutral: np.ndarray  # (counted F,) |sum of phases|
    neutral_turn_re: np.ndarray  # its unit phasor
    neutral_turn_im: np.ndarray
    two: np.ndarray  # (B,) |V2| / |V1|
    two_turn_re: np.ndarray  # unit phasor of V2, over |V1|
    two_turn_im: np.ndarray
    volt_re: np.ndarray  # (V,) unit phasor of the voltage
    volt_im: np.ndarray
    volts: np.ndarray  # (V,) |v|
    loss_p: np.ndarray  # (3I,) loss times direction of s
    loss_q: np.ndarray
    p_low: np.ndarray
    p_high: np.ndarray
    q_low: np.ndarray
    q_high: np.ndarray
    s_high: np.ndarray
    b_low: np.ndarray  # (I,)
    b_high: np.ndarray
