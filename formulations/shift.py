"""Shift: does it pay to move load off what may fail, now, step by step - or is moving the greater risk?

Sets        D transfer devices, P_d positions of device d, T steps, S load scenarios with weights pi_s, W failures with the
            probability p_wt of happening in step t, B batteries behind devices, J groups of stations, N priorities
Data        hang_wdtsn kW behind device d in failure w once cords have shared, by priority; j = group_wd(p) what it loads
            gain_wrj, rest_wrts   load of component r per kW in a group; what it carries beside what no choice moves
            loss_wdpts kWh-eq lost behind d if it stands on p when w happens: its source dies and it stays (`fail_auto`)
                       or is slower than the hold-up
            c_move_dt  kWh-eq of a planned transfer: it stays open (`fail_move`), interrupts, wears
            h hours that what a failure leaves unserved lasts; dt hours of a step; v_n kWh-eq per kWh of priority n
Variables   x_dpt in {0, 1} position; m_dpt >= 0 move to p
            shed_wtsjn kW that must go after w (w = 0: nothing failed, a cap in force during the step)
            charge_bpt, discharge_bpt kW while the device stands on p; e_bt kWh stored after step t
            b_wtsbp kW that a battery gives after w; eta, u_wts of the guard; peak_kw
Minimise    cost [kWh-eq] =
    (S1) expected  sum_wts p_wt pi_s ( sum_dp loss x + h sum_jn v_n shed )           what failures are expected to cost
    (S2) nominal   sum_ts pi_s dt sum_jn v_n shed_0                                   caps before anything fails
    (S3) moves     sum c_move_dt m_dpt
    (S4) cycling   sum dt ( c_wear discharge + c_energy losses )
    (S5) end       sum over every single failure c of what it would leave unserved at T, as if it happened (N-1)
    (S6) guard     g ( P eta + sum q u / (1 - a) ), q = p_wt pi_s, P = sum q: P times the CVaR at level a of the loss, given
                   that something fails (Rockafellar and Uryasev, Optimization of conditional value-at-risk, 2000)
  then grid_peak [kW] = peak_kw, with (S1) + (S2) + (S3) + (S5) + (S6) no higher than found; positions stay
subject to
    (1) sum_p x_dpt = 1
    (2) m_dpt >= x_dpt - x_dp,t-1                                x_dp0 is where it stands
    (3) per step and area: sum m <= max_moves, sum hang m <= max_shift_kw
    (4) sum of m over a dwell time <= 1
    (5) sum_j gain_wrj (hang_j(x) - shed_j - b_j) <= rest_wr     w = 0: + charge - discharge in place of b
    (6) sum_n shed_jn + b_j <= hang_j(x),  shed_jn <= hang_jn(x)  w = 0: shed_jn <= what caps can take of it
    (7) h sum_p b_bp <= eta_out (e_bt - e_low), at both ends of the step;  b_bp <= discharge_b x_dp
    (8) e_bt = e_b,t-1 + dt (eta_in charge - discharge / eta_out);  charge_bp, discharge_bp <= rating x_dp;
        e_bt keeps its bounds though the power goes on for the latency of the next command
    (9) u_wts >= loss of the outcome - eta
    (10) critical load dark or shed in any outcome <= max_at_risk_kw
    (11) peak_kw >= grid import in every step

Assumptions: after a failure the best shedding and discharging is told within the overload times (reroute does that), what is
shed may be a part of a rack; a unit with another living way loses nothing by one device; two failures in one horizon have
probability zero unless given as a common cause. Where load is linear in positions: `pdnopt.shifting.stakes`.
Founding rules that this replaces: greedy shift (10211669), threshold switching (11048311): `pdnopt.shifting.rules`.

There is no Pyomo model here: rows and columns come as whole arrays by scenario and moment (`pdnopt.shifting.matrix`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from pdnopt.shifting.data import Columns, ShiftData
from pdnopt.shifting.matrix import Matrix, MatrixBuilder
from pdnopt.shifting.stakes import Stake

__all__ = ["SHIFT", "Shift"]

LATER = 1e-3
"""A step later a move wears by this part more: of equals the sooner is taken, and nothing is put off for ever."""


BEYOND = 1000.0
"""kWh-equivalents of a kWh beyond a limit that no cap can keep: never worth it; what is left of it is told."""


@dataclass(frozen=True)
class Shift:
    """The registered formulation."""

    name: str = "shift"
    kind: str = "multi-period"
    terms: tuple[str, ...] = ("cost", "grid_peak")

    def build(self, data: ShiftData) -> tuple[Matrix, Columns, float]:
        """Return the programme, where its variables are, and the cost that no choice changes."""
        b = MatrixBuilder()
        x, m = variables_positions(b, data)  # (S1), (S3)
        constraint_position(b, data, x, m)  # (1), (2)
        constraint_gradual(b, data, m)  # (3)
        constraint_dwell(b, data, m)  # (4)
        charge, discharge, e = variables_battery(b, data)  # (S4)
        constraint_energy(b, data, x, charge, discharge, e)  # (8)
        gathered = Gathered(b, data, x)
        slack = b.columns(len(data.nominal.step), cost=BEYOND * data.course.hours * data.nominal.p)
        cap = constraint_nominal(b, data, gathered, charge, discharge, slack)  # (5), (6), (S2)
        shed = [
            constraint_failure(b, data, stake, gathered, e) for stake in data.failures
        ]  # (5) to (7), (S1)
        constraint_guard(b, data, shed, x)  # (9), (S6)
        constraint_at_risk(b, data, shed, x)  # (10)
        ends = [constraint_failure(b, data, stake, gathered, e) for stake in data.ends]  # (5) to (7), (S5)
        peak = constraint_peak(b, data, x, charge, discharge)  # (11)
        constant = sum(float(stake.fixed_loss @ stake.p) for stake in data.failures)
        return b.build(), Columns(x, m, e, charge, discharge, (cap, *shed, *ends), slack, peak), constant


def variables_positions(b: MatrixBuilder, data: ShiftData) -> tuple[np.ndarray, np.ndarray]:
    """Positions x with what they lose (S1), and moves m with their cost (S3); both (D, T, P)."""
    devices, n_steps = data.devices, data.course.n_steps
    shape = (devices.n, n_steps, devices.width)
    may = devices.may[:, None, :].astype(float)
    x = b.columns(*shape, high=may, cost=objective_expected(data), integer=True)
    free = data.course.step_s * np.arange(n_steps) >= devices.dwell_left_s[:, None] - 1e-9
    cost = data.move_risk + data.move_wear * (1.0 + LATER * np.arange(n_steps))
    m = b.columns(*shape, high=may * free[:, :, None], cost=cost[:, :, None])
    return x, m


def objective_expected(data: ShiftData) -> np.ndarray:
    """Equation (S1), what positions lose: the cost of x, (D, T, P)."""
    cost = np.zeros((data.course.n_steps, data.devices.n, data.devices.width))
    for stake in data.failures:
        np.add.at(cost, stake.step, np.moveaxis(stake.loss * stake.p, 2, 0))
    return cost.swapaxes(0, 1)


def constraint_position(b: MatrixBuilder, data: ShiftData, x: np.ndarray, m: np.ndarray) -> None:
    """Equations (1) and (2)."""
    one = b.rows("position", *x.shape[:2], low=1.0, high=1.0)
    b.add(one[:, :, None], x, 1.0)
    before = np.zeros(x.shape)
    before[np.arange(len(x)), 0, data.devices.held] = -1.0
    rows = b.rows("move", *x.shape, low=before)
    b.add(rows, m, 1.0)
    b.add(rows, x, -1.0)
    b.add(rows[:, 1:], x[:, :-1], 1.0)


def constraint_gradual(b: MatrixBuilder, data: ShiftData, m: np.ndarray) -> None:
    """Equation (3)."""
    n_steps, n_areas = data.course.n_steps, int(data.area.max(initial=-1)) + 1
    most_kw = data.nominal.hung_kw(n_steps).max(axis=2)
    for name, limit, weight in (
        ("moves", data.max_moves, np.ones_like(most_kw)),
        ("moved_kw", data.max_shift_kw, most_kw),
    ):
        if limit < inf:
            rows = b.rows(name, n_areas, n_steps, high=limit)
            b.add(rows[data.area][:, :, None], m, weight[:, :, None])


def constraint_dwell(b: MatrixBuilder, data: ShiftData, m: np.ndarray) -> None:
    """Equation (4)."""
    n_steps = data.course.n_steps
    spans = np.ceil(data.devices.min_dwell_s / data.course.step_s - 1e-9)
    for d in np.flatnonzero(spans > 1):
        for t in range(n_steps - 1):
            row = b.rows("dwell", 1, high=1.0)
            b.add(row[0], m[d, t : t + int(spans[d])], 1.0)


def variables_battery(b: MatrixBuilder, data: ShiftData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Powers by position, (B, T, P), with their cost (S4), and stored energy, (B, T)."""
    bat, hours, n_steps = data.batteries, data.course.hours, data.course.n_steps
    shape = (bat.n, n_steps, data.devices.width)
    lost_in = hours * data.energy * (1.0 - bat.eta_in)
    lost_out = hours * data.energy * (1.0 / bat.eta_out - 1.0) + hours * data.cycle
    least_kw = data.nominal.hung_kw(n_steps).min(axis=2)[bat.device]
    most_kw = np.minimum(bat.discharge_kw[:, None], least_kw)
    charge = b.columns(*shape, high=data.charge_room_kw.swapaxes(1, 2), cost=lost_in[:, None, None])
    discharge = b.columns(*shape, high=most_kw[:, :, None], cost=lost_out[:, None, None])
    e = b.columns(bat.n, n_steps, low=bat.low_kwh[:, None], high=bat.high_kwh[:, None])
    return charge, discharge, e


def constraint_energy(
    b: MatrixBuilder, data: ShiftData, x: np.ndarray, charge: np.ndarray, discharge: np.ndarray, e: np.ndarray
) -> None:
    """Equation (8)."""
    bat, hours = data.batteries, data.course.hours
    start = np.zeros(e.shape)
    start[:, 0] = data.start_kwh
    rows = b.rows("energy", *e.shape, low=start, high=start)
    b.add(rows, e, 1.0)
    b.add(rows[:, 1:], e[:, :-1], -1.0)
    b.add(rows[:, :, None], charge, -hours * bat.eta_in[:, None, None])
    b.add(rows[:, :, None], discharge, hours / bat.eta_out[:, None, None])
    late_h = (
        data.latency_h
    )  # a battery goes on until the next command has arrived: it has energy, or room, for that
    spare = b.rows("spare", *e.shape, low=bat.low_kwh[:, None])
    b.add(spare, e, 1.0)
    b.add(spare[:, :, None], discharge, -late_h / bat.eta_out[:, None, None])
    room = b.rows("room", *e.shape, high=bat.high_kwh[:, None])
    b.add(room, e, 1.0)
    b.add(room[:, :, None], charge, late_h * bat.eta_in[:, None, None])
    for name, power, rating in (
        ("charges", charge, bat.charge_kw),
        ("discharges", discharge, bat.discharge_kw),
    ):
        held = b.rows(name, *power.shape, high=0.0)
        b.add(held, power, 1.0)
        b.add(held, x[bat.device], -rating[:, None, None])


class Gathered:
    """What hangs on groups with nothing failed, summed over devices that load the same groups in every scenario.

    So a row of a scenario has entries by class of devices, and by device only where cords share otherwise than before.
    """

    def __init__(self, b: MatrixBuilder, data: ShiftData, x: np.ndarray) -> None:
        self.b, self.x, self.base = b, x, data.nominal.hang_kw
        self.n_scenarios = data.course.n_scenarios
        keys = [stake.group for stake in (data.nominal, *data.failures, *data.ends) if stake.n_groups]
        every = np.concatenate([*keys, np.zeros((len(x), 1), dtype=int)], axis=1)
        _, self.first, of = np.unique(every, axis=0, return_index=True, return_inverse=True)
        self.of = of.ravel()
        shape = (len(self.first), x.shape[2], *self.base.shape[1:])
        self.total = b.columns(*shape) if keys else np.zeros((*shape[:2], 0, 0), dtype=int)
        if keys:
            rows = b.rows("gathered", *shape, low=0.0, high=0.0)
            b.add(rows, self.total, 1.0)
            d, v, n = np.nonzero(self.base)
            for p in range(x.shape[2]):
                b.add(rows[self.of[d], p, v, n], x[d, data.nominal.step[v], p], -self.base[d, v, n])

    def hangs(self, stake: Stake) -> np.ndarray:
        """Add columns (V, J, N): kW that devices hang on each group in a scenario."""
        b = self.b
        at = stake.step * self.n_scenarios + stake.scenario
        shape = (len(at), stake.n_groups, self.base.shape[2])
        out = b.columns(*shape)
        rows = b.rows(f"hangs({stake.label})", *shape, low=0.0, high=0.0)
        b.add(rows, out, 1.0)
        self.last = out
        c, p = np.nonzero(stake.group[self.first] >= 0)
        j = stake.group[self.first][c, p]
        b.add(rows[:, j].swapaxes(0, 1), self.total[c, p][:, at], -1.0)
        change = stake.hang_kw - self.base[:, at]
        self.add(rows, stake, np.where(np.abs(change) > 1e-9, change, 0.0), -1.0)
        return out

    def add(self, rows: np.ndarray, stake: Stake, kw: np.ndarray, sign: float) -> None:
        """Add sign times kW behind single devices, (D, V, N), to rows (V, J, N)."""
        d, v, n = np.nonzero(kw)
        for p in range(self.x.shape[2]):
            j = stake.group[d, p]
            on = j >= 0
            self.b.add(
                rows[v[on], j[on], n[on]], self.x[d[on], stake.step[v[on]], p], sign * kw[d[on], v[on], n[on]]
            )


def constraint_nominal(
    b: MatrixBuilder,
    data: ShiftData,
    gathered: Gathered,
    charge: np.ndarray,
    discharge: np.ndarray,
    slack: np.ndarray,
) -> np.ndarray:
    """Equations (5) and (6) with nothing failed; returns the caps, (V, J, N), with their cost (S2)."""
    stake = data.nominal
    cap, rows = _loads(b, data, stake, gathered, data.course.hours)
    if not stake.n_groups:
        return cap
    b.add(rows, slack[:, None], -1.0)
    room = b.rows("caps", *cap.shape, high=np.moveaxis(stake.board_kw - stake.board_floor_kw, 0, 1))
    b.add(room, cap, 1.0)
    gathered.add(room, stake, stake.hang_kw - stake.floor_kw, -1.0)
    group = stake.group[data.batteries.device]
    k, p = np.nonzero(group >= 0)
    for power, sign in ((charge, 1.0), (discharge, -1.0)):
        at = power[k, :, p][:, stake.step]
        b.add(rows.T[None], at[:, None, :], sign * stake.gain[:, group[k, p]].T[:, :, None])
    return cap


def constraint_failure(
    b: MatrixBuilder, data: ShiftData, stake: Stake, gathered: Gathered, e: np.ndarray
) -> np.ndarray:
    """Equations (5) to (7) after a failure; returns what is shed, (V, J, N), with its cost (S1, S5)."""
    shed, rows = _loads(b, data, stake, gathered, stake.hours)
    bat = data.batteries
    group = stake.group[bat.device]
    k, p = np.nonzero(group >= 0)
    if not stake.n_groups or not len(k):
        return shed
    n_vectors = len(stake.step)
    most_kw = np.minimum(bat.discharge_kw[:, None], stake.hang_kw[bat.device].sum(axis=2))[k]
    give = b.columns(len(k), n_vectors, high=most_kw)
    b.add(rows.T[None], give[:, None, :], -stake.gain[:, group[k, p]].T[:, :, None])
    together = b.rows(
        f"no_feedback({stake.label})", n_vectors, stake.n_groups, high=stake.board_kw.sum(axis=2).T
    )
    b.add(together[:, :, None], shed, 1.0)
    b.add(together[:, :, None], gathered.last, -1.0)
    b.add(together[:, group[k, p]].T, give, 1.0)
    stands = b.rows(f"stands({stake.label})", *give.shape, high=0.0)
    b.add(stands, give, 1.0)
    b.add(stands, gathered.x[bat.device[k], :, p][:, stake.step], -most_kw)
    eta, floor = bat.eta_out[:, None], (bat.eta_out * bat.low_kwh)[:, None]
    for sooner in (1, 0):  # stored at the beginning of the step, and at its end
        first = stake.step - sooner < 0
        high = np.where(first, eta * data.start_kwh[:, None], 0.0) - floor
        lasts = b.rows(f"lasts({stake.label})", bat.n, n_vectors, high=high)
        b.add(lasts[k], give, stake.hours)
        b.add(lasts[:, ~first], e[:, (stake.step - sooner)[~first]], -eta)
    return shed


def _loads(
    b: MatrixBuilder, data: ShiftData, stake: Stake, gathered: Gathered, hours: float
) -> tuple[np.ndarray, np.ndarray]:
    """Equation (5) without batteries, and shed <= what hangs there (6); returns shed, (V, J, N), and rows (5), (V, R)."""
    shape = (len(stake.step), stake.n_groups, len(data.weight))
    cost = hours * stake.p[:, None, None] * data.weight
    shed = b.columns(*shape, cost=np.broadcast_to(cost, shape))
    rows = b.rows(f"load({stake.label})", shape[0], len(stake.gain), high=stake.rest_kw.T)
    if not stake.n_groups:
        return shed, rows
    hung = gathered.hangs(stake)
    b.add(rows[:, :, None, None], hung[:, None], stake.gain[:, :, None])
    b.add(rows[:, :, None, None], shed[:, None], -stake.gain[:, :, None])
    there = b.rows(f"there({stake.label})", *shape, high=np.moveaxis(stake.board_kw, 0, 1))
    b.add(there, shed, 1.0)
    b.add(there, hung, -1.0)
    return shed, rows


def constraint_guard(b: MatrixBuilder, data: ShiftData, shed: list[np.ndarray], x: np.ndarray) -> None:
    """Equations (S6) and (9)."""
    total = sum(float(stake.p.sum()) for stake in data.failures)
    if data.guard <= 0.0 or total <= 0.0:
        return
    eta = b.columns(1, cost=data.guard * total)
    for stake, gone in zip(data.failures, shed, strict=True):
        tail = b.columns(len(stake.p), cost=data.guard * stake.p / (1.0 - data.guard_level))
        rows = b.rows(f"guard({stake.label})", len(stake.p), low=stake.fixed_loss)
        b.add(rows, tail, 1.0)
        b.add(rows, eta[0], 1.0)
        b.add(rows[:, None, None], gone, -stake.hours * data.weight)
        d, p, v = np.nonzero(stake.loss)
        b.add(rows[v], x[d, stake.step[v], p], -stake.loss[d, p, v])


def constraint_at_risk(b: MatrixBuilder, data: ShiftData, shed: list[np.ndarray], x: np.ndarray) -> None:
    """Equation (10)."""
    if data.max_at_risk_kw == inf:
        return
    for stake, gone in zip(data.failures, shed, strict=True):
        left = data.max_at_risk_kw - stake.fixed_critical_kw
        rows = b.rows(f"at_risk({stake.label})", len(stake.p), high=left)
        b.add(rows[:, None], gone[:, :, 0], 1.0)
        d, p, v = np.nonzero(stake.critical_kw)
        b.add(rows[v], x[d, stake.step[v], p], stake.critical_kw[d, p, v])


def constraint_peak(
    b: MatrixBuilder, data: ShiftData, x: np.ndarray, charge: np.ndarray, discharge: np.ndarray
) -> int:
    """Equation (11); without rows where nobody asks for the peak. Caps are not counted on."""
    peak = b.columns(1)
    if not data.peak:
        return int(peak[0])
    stake, bat = data.nominal, data.batteries
    rows = b.rows("peak", len(stake.step), high=-data.import_kw[stake.step, stake.scenario])
    b.add(rows, peak[0], -1.0)
    kw = stake.hang_kw.sum(axis=2)
    b.add(rows[:, None], x[:, stake.step], kw[:, :, None] * data.import_gain[:, None])
    gain = data.import_gain[bat.device][:, None]
    b.add(rows[:, None], charge[:, stake.step], gain)
    b.add(rows[:, None], discharge[:, stake.step], -gain)
    return int(peak[0])


SHIFT = Shift()
