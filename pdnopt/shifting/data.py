"""The numbers of one shift, and where the variables of its programme are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdnopt.shifting.course import Course
from pdnopt.shifting.plant import Batteries, Devices
from pdnopt.shifting.stakes import Stake

__all__ = ["Columns", "ShiftData"]


@dataclass(frozen=True)
class ShiftData:
    """The numbers of one shift.

    Attributes
    ----------
    nominal : Stake
        Nothing failed, all moments.
    failures : tuple of Stake
        W, each at the moments at which it can happen.
    ends : tuple of Stake
        Every single failure at the end of the last step.
    move_risk, move_wear : float, shape (D, T)
    weight : float, shape (N,)
    latency_h : float
        From the beginning of a step until its commands take effect, h.
    start_kwh : float, shape (B,)
        Stored when the first command takes effect: until then batteries go on as they do now.
    area : int, shape (D,)
    cycle : float, shape (B,)
        kWh-equivalents per kWh discharged; ``energy`` per kWh lost.
    charge_room_kw : float, shape (B, P_max, T)
        What a battery may charge beside the load on the device's own position.
    import_gain : float, shape (D, P); import_kw : float, shape (T, S)
        kW of grid import per kW behind a device by position, and what no choice moves; ``peak``: whether they are wanted.
    """

    devices: Devices
    batteries: Batteries
    course: Course
    nominal: Stake
    failures: tuple[Stake, ...]
    ends: tuple[Stake, ...]
    move_risk: np.ndarray
    move_wear: np.ndarray
    weight: np.ndarray
    area: np.ndarray
    cycle: np.ndarray
    energy: float
    charge_room_kw: np.ndarray
    import_gain: np.ndarray
    import_kw: np.ndarray
    peak: bool
    latency_h: float
    start_kwh: np.ndarray
    max_moves: float
    max_shift_kw: float
    guard: float
    guard_level: float
    max_at_risk_kw: float


@dataclass(frozen=True)
class Columns:
    """Where the variables are.

    Attributes
    ----------
    x, m : int, shape (D, T, P)
    e : int, shape (B, T)
    charge, discharge : int, shape (B, T, P)
    shed : tuple of int arrays, (V, J, N), by stake
        The nominal one first, then failures, then ends.
    slack : int, shape (V,)
        kW beyond every limit with nothing failed.
    peak : int
    """

    x: np.ndarray
    m: np.ndarray
    e: np.ndarray
    charge: np.ndarray
    discharge: np.ndarray
    shed: tuple[np.ndarray, ...]
    slack: np.ndarray
    peak: int
