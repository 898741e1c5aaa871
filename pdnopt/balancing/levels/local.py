"""The rule of one micro-inverter: from what it measures itself to its set-point. Needs nobody, and nothing but numpy.

Phase by phase, around an operating point (o) that the zonal level gave, or the even state where nobody gave
one:

    p = p_o + k_c U(P - P_o) - k_p D(U(v) - U(v_o))          power between phases                      (1)
    q = q_o + k_c U(Q - Q_o) - k_q D(v - v_o)                voltage, and reactive power between phases (2)

v: voltages (pu), P, Q: what its circuit draws without it (what the circuit takes from the network, and what the
inverter gives), U: what is above the mean of the phases, D: nothing within the dead band, what is beyond it
else. At the operating point every difference is 0 and the answer is the operating point: the levels agree. As
loads change the rule follows what they change.

Then the limits, in this order: a step towards (1), (2) by ``smoothing`` of the way; apparent power of each
phase; what phases give and lose comes from the battery on the DC link or from the other phases
(`pdnopt.balancing.link`).

`pdnopt.balancing.levels.gains` sets k_p and k_q so that any number of such inverters on one network settle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.balancing.link import evened

__all__ = ["Measured", "RuleSettings", "local_setpoint"]


@dataclass(frozen=True)
class RuleSettings:
    """What one inverter knows. Vectors have an entry for each of the phases a, b, c.

    Attributes
    ----------
    s_max_kva : float
        Largest apparent power of a phase.
    loss : float
        Part of the apparent power.
    b_low_kw, b_high_kw : float
        What its battery may deliver; both 0 without one.
    s_kva : tuple of complex
        Operating point: set-point (delivery positive).
    v_pu : tuple of float
        Operating point: voltages to neutral.
    circuit_kva : tuple of complex
        Operating point: what its circuit draws without the inverter.
    share : float
        k_c: 1 over the number of inverters that measure the same circuit.
    p_gain_kw, q_gain_kvar : float
        k_p, k_q, per pu of voltage.
    dead_band_pu : float
    smoothing : float
        Part of the way that is gone in one step, above 0, at most 1.
    """

    s_max_kva: float
    loss: float = 0.03
    b_low_kw: float = 0.0
    b_high_kw: float = 0.0
    s_kva: tuple[complex, ...] = (0j, 0j, 0j)
    v_pu: tuple[float, ...] = (1.0, 1.0, 1.0)
    circuit_kva: tuple[complex, ...] = (0j, 0j, 0j)
    share: float = 1.0
    p_gain_kw: float = 0.0
    q_gain_kvar: float = 0.0
    dead_band_pu: float = 0.002
    smoothing: float = 0.5


@dataclass(frozen=True)
class Measured:
    """What one inverter measures: voltages, what its circuit takes from the network (nan: not measured), what it gives."""

    v_pu: np.ndarray
    circuit_kva: np.ndarray
    s_kva: np.ndarray


def local_setpoint(settings: RuleSettings, measured: Measured) -> np.ndarray:
    """Return the next set-point, kVA by phase (complex, delivery positive), from settings and measurements alone."""
    v, v_o = np.asarray(measured.v_pu, dtype=float), np.asarray(settings.v_pu)
    s_o = np.asarray(settings.s_kva, dtype=complex)
    given = np.asarray(measured.s_kva, dtype=complex)
    drawn = np.asarray(measured.circuit_kva, dtype=complex) + given
    change = _above_mean(drawn - np.asarray(settings.circuit_kva))
    if not np.isfinite(change).all():  # the meter of the circuit is silent: voltages are enough to go on
        change = np.zeros(3, dtype=complex)
    across = _beyond(v - v_o, settings.dead_band_pu)
    between = _beyond(_above_mean(v - v_o), settings.dead_band_pu)
    if not np.isfinite(across).all():  # no voltage, no change
        across, between = np.zeros(3), np.zeros(3)
    wanted = s_o + settings.share * change - settings.p_gain_kw * between - 1j * settings.q_gain_kvar * across
    step = given + settings.smoothing * (wanted - given)
    one = np.ones(1)
    even = evened(
        _clipped(step, settings.s_max_kva)[None, :],
        settings.s_max_kva * one,
        settings.loss * one,
        settings.b_low_kw * one,
        settings.b_high_kw * one,
    )
    return np.asarray(even[0])


def _above_mean(x: np.ndarray) -> np.ndarray:
    return np.asarray(x - x.mean())


def _beyond(x: np.ndarray, band: float) -> np.ndarray:
    """Return what is beyond the dead band."""
    return np.asarray(np.sign(x) * np.maximum(np.abs(x) - band, 0.0))


def _clipped(s: np.ndarray, most: float) -> np.ndarray:
    """Return powers no larger than the rating, their direction kept."""
    size = np.abs(s)
    return np.asarray(np.where(size > most, s * (most / np.maximum(size, 1e-12)), s))
