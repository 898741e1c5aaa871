"""What the programme of compensation currents is built of (`FilterStructure`) and solved with (`FilterPoint`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

__all__ = ["IN_PERCENT", "FilterPoint", "FilterStructure"]

IN_PERCENT = 100.0
"""Voltages and currents of the programme are in percent of 1 pu: harmonics are small, numbers near 1 are not."""


@dataclass(frozen=True)
class FilterStructure:
    """What never changes while switches and orders stand. Matrices are sparse and complex, order after order.

    Attributes
    ----------
    h : int
        H orders; V rows of voltages, J currents (three a point), K phases of inverters.
    y : shape (HV, HV)
        Admittances with sources, pu.
    enters : shape (HV, HK)
        Where compensation currents enter.
    current : shape (HJ, HV)
        Currents of the points.
    """

    h: int
    y: csr_array
    enters: csr_array
    current: csr_array


@dataclass(frozen=True)
class FilterPoint:
    """The numbers of one solve: see `formulations.blocks.harmonics`. Voltages and currents in percent of 1 pu."""

    v_re: np.ndarray  # (HV,) voltages without compensation
    v_im: np.ndarray
    i_re: np.ndarray  # (HJ,) currents without compensation
    i_im: np.ndarray
    v_one: np.ndarray  # (V,) fundamental voltage, pu
    v_single: np.ndarray  # (HV,) limits of each harmonic
    v_thd: np.ndarray  # (V,)
    i_load: np.ndarray  # (J,) what TDD is a part of, pu
    i_single: np.ndarray  # (HJ,)
    i_tdd: np.ndarray  # (J,)
    room: np.ndarray  # (K,) current that the fundamental leaves; 0: failed, stale, no active filter
