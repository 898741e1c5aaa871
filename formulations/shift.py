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
    (8) e_bt = e_b,t-1 + dt (eta_in charge - discharge / eta_out);  charge_bp, discharge_bp <= rating x_dp
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

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from pdnopt.shifting.data import Columns, ShiftData
from pdnopt.shifting.matrix import Matrix, MatrixBuilder
from pdnopt.shifting.stakes import Stake

__all__ = ["SHIFT", "Shift"]

LATER = 1e-3
"""A step later a move wears by this part more: of equals the sooner is taken, and nothing is put off for ever."""

GATHERED = 4
"""So many devices that hang alike in every scenario are summed in columns of their own before they enter rows (5)."""


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
        constraint_limits(b, data, x, m)  # (3)
        constraint_dwell(b, data, m)  # (4)
        charge, discharge, e = variables_battery(b, data)
        constraint_energy(b, data, x, charge, discharge, e)  # (8)
        hung = Hung(b, data, x)
        slack = b.columns(len(data.nominal.step), cost=BEYOND * data.course.hours * data.nominal.p)
        shed = [constraint_nominal(b, data, hung, charge, discharge, slack)]  # (5), (6)
        constant = float(data.nominal.fixed_loss @ data.nominal.p)
        outcomes = []
        for stake in data.failures:
            columns = constraint_failure(b, data, stake, hung, x, e)  # (5), (6), (7)
            shed.append(columns)
            outcomes.append((stake, columns))
            constant += float(stake.fixed_loss @ stake.p)
        constraint_guard(b, data, outcomes, x)  # (9)
        constraint_at_risk(b, data, outcomes, x)  # (10)
        for stake in data.ends:
            shed.append(constraint_failure(b, data, stake, hung, x, e))  # (S5)
        peak = constraint_peak(b, data, x, charge, discharge)  # (11)
        columns_of = Columns(x, m, e, charge, discharge, tuple(shed), slack, peak)
        return b.build(), columns_of, constant


def variables_positions(
    b: MatrixBuilder, data: ShiftData
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Positions x with what they lose (S1), and moves m with their cost (S3)."""
    n_steps = data.course.n_steps
    later = 1.0 + LATER * np.arange(n_steps)
    x, m = [], []
    for d, may in enumerate(data.devices.may):
        high = np.broadcast_to(may.astype(float), (n_steps, len(may)))
        x.append(b.columns(n_steps, len(may), high=high, cost=objective_expected(data, d), integer=True))
        cost = (data.move_risk[d] + data.move_wear[d] * later)[:, None]
        stays = np.ones((n_steps, 1))
        dwell = data.course.step_s * np.arange(n_steps) < data.devices.dwell_left_s[d] - 1e-9
        stays[dwell] = 0.0
        m.append(b.columns(n_steps, len(may), high=high * stays, cost=cost))
    return tuple(x), tuple(m)


def constraint_position(
    b: MatrixBuilder, data: ShiftData, x: Sequence[np.ndarray], m: Sequence[np.ndarray]
) -> None:
    """Equations (1) and (2)."""
    n_steps = data.course.n_steps
    for d in range(data.devices.n):
        one = b.rows(f"position(d{d})", n_steps, 1.0, 1.0)
        b.add(one[:, None], x[d], 1.0)
        n = x[d].shape[1]
        before = np.zeros((n_steps, n))
        before[0, data.devices.held[d]] = -1.0
        rows = b.rows(f"move(d{d})", n_steps * n, before.ravel()).reshape(n_steps, n)
        b.add(rows, m[d], 1.0)
        b.add(rows, x[d], -1.0)
        b.add(rows[1:], x[d][:-1], 1.0)


def constraint_limits(
    b: MatrixBuilder, data: ShiftData, x: Sequence[np.ndarray], m: Sequence[np.ndarray]
) -> None:
    """Equation (3)."""
    n_steps, n_areas = data.course.n_steps, int(data.area.max(initial=-1)) + 1
    most = data.nominal.hung_kw(n_steps).max(axis=2)
    for name, limit, weight in (
        ("moves", data.max_moves, np.ones_like(most)),
        ("moved_kw", data.max_shift_kw, most),
    ):
        if limit < inf:
            rows = b.rows(name, n_areas * n_steps, -inf, limit).reshape(n_areas, n_steps)
            for d in range(data.devices.n):
                b.add(rows[data.area[d]][:, None], m[d], weight[d][:, None])


def constraint_dwell(b: MatrixBuilder, data: ShiftData, m: Sequence[np.ndarray]) -> None:
    """Equation (4)."""
    n_steps = data.course.n_steps
    for d in range(data.devices.n):
        span = int(np.ceil(data.devices.min_dwell_s[d] / data.course.step_s - 1e-9))
        for t in range(n_steps):
            until = min(t + max(span, 1), n_steps)
            if until > t + 1:
                row = b.rows(f"dwell(d{d},t{t})", 1, -inf, 1.0)
                b.add(row[0], m[d][t:until], 1.0)


def variables_battery(
    b: MatrixBuilder, data: ShiftData
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], np.ndarray]:
    """Powers by position, with their cost (S4), and stored energy."""
    bat, hours, n_steps = data.batteries, data.course.hours, data.course.n_steps
    least = data.nominal.hung_kw(n_steps).min(axis=2)
    charge, discharge = [], []
    for k, d in enumerate(bat.device):
        n = len(data.devices.may[d])
        room = data.charge_room_kw[k, :n].T
        lost_in = data.energy * (1.0 - bat.eta_in[k])
        lost_out = data.energy * (1.0 / bat.eta_out[k] - 1.0)
        charge.append(b.columns(n_steps, n, high=room, cost=hours * lost_in))
        most = np.minimum(bat.discharge_kw[k], least[d])[:, None]
        discharge.append(b.columns(n_steps, n, high=most, cost=hours * (data.cycle[k] + lost_out)))
    low = np.repeat(bat.low_kwh[:, None], n_steps, axis=1)
    high = np.repeat(bat.high_kwh[:, None], n_steps, axis=1)
    e = b.columns(bat.n, n_steps, low=low, high=high)
    return tuple(charge), tuple(discharge), e


def constraint_energy(
    b: MatrixBuilder,
    data: ShiftData,
    x: Sequence[np.ndarray],
    charge: Sequence[np.ndarray],
    discharge: Sequence[np.ndarray],
    e: np.ndarray,
) -> None:
    """Equation (8)."""
    bat, hours, n_steps = data.batteries, data.course.hours, data.course.n_steps
    for k, d in enumerate(bat.device):
        start = np.zeros(n_steps)
        start[0] = bat.now_kwh[k]
        rows = b.rows(f"energy(b{k})", n_steps, start, start)
        b.add(rows, e[k], 1.0)
        b.add(rows[1:], e[k][:-1], -1.0)
        b.add(rows[:, None], charge[k], -hours * bat.eta_in[k])
        b.add(rows[:, None], discharge[k], hours / bat.eta_out[k])
        for power, rating in ((charge[k], bat.charge_kw[k]), (discharge[k], bat.discharge_kw[k])):
            held = b.rows(f"stands(b{k})", power.size, -inf, 0.0).reshape(power.shape)
            b.add(held, power, 1.0)
            b.add(held, x[d], -rating)


class Hung:
    """What hangs on groups as a sum over columns: devices that hang alike are gathered first."""

    def __init__(self, b: MatrixBuilder, data: ShiftData, x: Sequence[np.ndarray]) -> None:
        self.b, self.data, self.x = b, data, x
        nominal = data.nominal
        self.base = nominal.hang_kw
        self.moment = {
            (int(t), int(s)): v for v, (t, s) in enumerate(zip(nominal.step, nominal.scenario, strict=True))
        }
        stakes = [s for s in (nominal, *data.failures, *data.ends) if s.n_groups]
        self.members: list[np.ndarray] = []
        self.alone: list[int] = []
        keys: dict[bytes, list[int]] = {}
        ratio = {id(stake): self._ratio(stake) for stake in stakes}
        for d in range(data.devices.n):
            parts = [np.asarray(len(data.devices.may[d])).tobytes()]
            for stake in stakes:
                parts += [stake.group[d].tobytes(), ratio[id(stake)][d].round(9).tobytes()]
            keys.setdefault(b"".join(parts), []).append(d)
        for group in keys.values():
            if len(group) >= GATHERED:
                self.members.append(np.array(group))
            else:
                self.alone += group
        self.ratio = ratio
        self.sum = [self._gather(k, group) for k, group in enumerate(self.members)]

    def _ratio(self, stake: Stake) -> np.ndarray:
        """Return what hangs on each device over what hangs with nothing failed, (D, V, N)."""
        at = [self.moment[int(t), int(s)] for t, s in zip(stake.step, stake.scenario, strict=True)]
        base = self.base[:, at]
        return np.where(base > 1e-9, stake.hang_kw / np.where(base > 1e-9, base, 1.0), 1.0)

    def _gather(self, k: int, group: np.ndarray) -> np.ndarray:
        """Add columns (P, V, N): kW of a class of devices on each position."""
        b, data = self.b, self.data
        n = len(data.devices.may[group[0]])
        kw = self.base[group]
        total = b.columns(n, *kw.shape[1:], high=kw.sum(axis=0)[None])
        rows = b.rows(f"gathered(k{k})", total.size, 0.0, 0.0).reshape(total.shape)
        b.add(rows, total, 1.0)
        for d, mine in zip(group, kw, strict=True):
            for p in range(n):
                b.add(rows[p], self.x[d][data.nominal.step, p][:, None], -mine)
        return total

    def add(self, rows: np.ndarray, stake: Stake, v: int, factor: np.ndarray, floor: bool = False) -> None:
        """Add factor[i, j, n] times the kW of priority n on group j to row i; at moment ``v`` of a stake.

        ``floor``: what caps leave instead. rows : (I,), factor : (I, J, N).
        """
        t = int(stake.step[v])
        at = self.moment[t, int(stake.scenario[v])]
        for d in self.alone:
            kw = (stake.hang_kw[d, v] - stake.floor_kw[d, v]) if floor else stake.hang_kw[d, v]
            for p, j in enumerate(stake.group[d]):
                if j >= 0:
                    self.b.add(rows, self.x[d][t, p], factor[:, j] @ kw)
        for group, total in zip(self.members, self.sum, strict=True):
            d = int(group[0])
            ratio = self.ratio[id(stake)][d, v]
            if floor:
                kw = stake.hang_kw[group, v].sum(axis=0)
                ratio = ratio * (1.0 - stake.floor_kw[group, v].sum(axis=0) / np.where(kw > 0, kw, 1.0))
            for p, j in enumerate(stake.group[d]):
                if j >= 0:
                    self.b.add(rows[:, None], total[p, at][None, :], factor[:, j] * ratio)


def constraint_nominal(
    b: MatrixBuilder,
    data: ShiftData,
    hung: Hung,
    charge: Sequence[np.ndarray],
    discharge: Sequence[np.ndarray],
    slack: np.ndarray,
) -> np.ndarray:
    """Equations (5) and (6) with nothing failed; returns the caps, (V, J, N), with their cost (S2)."""
    stake, hours = data.nominal, data.course.hours
    n_vectors, n_groups, n = len(stake.step), stake.n_groups, len(data.weight)
    cost = hours * stake.p[:, None, None] * data.weight
    cap = b.columns(n_vectors, n_groups, n, cost=np.broadcast_to(cost, (n_vectors, n_groups, n)))
    if not n_groups:
        return cap
    for v in range(n_vectors):
        t = int(stake.step[v])
        rows = b.rows(f"load(t{t},s{stake.scenario[v]})", len(stake.gain), -inf, stake.rest_kw[:, v])
        hung.add(rows, stake, v, np.repeat(stake.gain[:, :, None], n, axis=2))
        b.add(rows[:, None, None], cap[v][None], -stake.gain[:, :, None])
        b.add(rows, slack[v], -1.0)
        for k, d in enumerate(data.batteries.device):
            for p, j in enumerate(stake.group[d]):
                if j >= 0:
                    b.add(rows, charge[k][t, p], stake.gain[:, j])
                    b.add(rows, discharge[k][t, p], -stake.gain[:, j])
        _shed_rows(b, stake, hung, v, cap[v], stake.board_kw[:, v] - stake.board_floor_kw[:, v], floor=True)
    return cap


def constraint_failure(
    b: MatrixBuilder, data: ShiftData, stake: Stake, hung: Hung, x: Sequence[np.ndarray], e: np.ndarray
) -> np.ndarray:
    """Equations (5) to (7) after a failure; returns what is shed, (V, J, N), with its cost (S1, S5)."""
    n_vectors, n_groups, n = len(stake.step), stake.n_groups, len(data.weight)
    cost = stake.hours * stake.p[:, None, None] * data.weight
    shed = b.columns(n_vectors, n_groups, n, cost=np.broadcast_to(cost, (n_vectors, n_groups, n)))
    if not n_groups:
        return shed
    bat = data.batteries
    for v in range(n_vectors):
        t = int(stake.step[v])
        name = f"load({stake.name.replace(' ', '')},t{t},s{stake.scenario[v]})"
        rows = b.rows(name, len(stake.gain), -inf, stake.rest_kw[:, v])
        hung.add(rows, stake, v, np.repeat(stake.gain[:, :, None], n, axis=2))
        b.add(rows[:, None, None], shed[v][None], -stake.gain[:, :, None])
        _shed_rows(b, stake, hung, v, shed[v], stake.board_kw[:, v], floor=False)
        all_of = b.rows(f"all({v})", n_groups, -inf, stake.board_kw[:, v].sum(axis=1)) if bat.n else None
        if all_of is not None:
            b.add(all_of[:, None], shed[v], 1.0)
            hung.add(all_of, stake, v, -np.repeat(np.eye(n_groups)[:, :, None], n, axis=2))
        for k, d in enumerate(bat.device):
            useful = stake.group[d] >= 0
            if not useful.any():
                continue
            behind = float(stake.hang_kw[d, v].sum())
            most = min(float(bat.discharge_kw[k]), behind)
            give = b.columns(len(useful), high=most * useful)
            for p, j in enumerate(stake.group[d]):
                if j >= 0:
                    b.add(rows, give[p], -stake.gain[:, j])
                    assert all_of is not None
                    b.add(all_of[j], give[p], 1.0)
                    stands = b.rows("gives", 1, -inf, 0.0)
                    b.add(stands[0], give[p], 1.0)
                    b.add(stands[0], x[d][t, p], -most)
            for sooner in (True, False):
                floor = -float(bat.eta_out[k] * bat.low_kwh[k])
                if sooner and t == 0:
                    stored = b.rows("lasts", 1, -inf, floor + float(bat.eta_out[k] * bat.now_kwh[k]))
                else:
                    stored = b.rows("lasts", 1, -inf, floor)
                    b.add(stored[0], e[k, t - 1 if sooner else t], -bat.eta_out[k])
                b.add(stored[0], give, stake.hours)
    return shed


def _shed_rows(
    b: MatrixBuilder, stake: Stake, hung: Hung, v: int, shed: np.ndarray, board_kw: np.ndarray, floor: bool
) -> None:
    """shed_jn <= what hangs there (or what caps can take of it), equation (6)."""
    n_groups, n = shed.shape
    rows = b.rows(f"hangs({v})", n_groups * n, -inf, board_kw.ravel())
    b.add(rows, shed.ravel(), 1.0)
    hung.add(rows, stake, v, -np.eye(n_groups * n).reshape(n_groups * n, n_groups, n), floor)


def objective_expected(data: ShiftData, d: int) -> np.ndarray:
    """Equation (S1), what positions lose: the cost of x of one device, (T, P)."""
    cost = np.zeros((data.course.n_steps, len(data.devices.may[d])))
    for stake in data.failures:
        np.add.at(cost, stake.step, (stake.loss[d] * stake.p).T)
    return cost


def constraint_guard(
    b: MatrixBuilder, data: ShiftData, outcomes: Sequence[tuple[Stake, np.ndarray]], x: Sequence[np.ndarray]
) -> None:
    """Equations (S6) and (9)."""
    total = sum(float(stake.p.sum()) for stake, _ in outcomes)
    if data.guard <= 0.0 or total <= 0.0:
        return
    eta = b.columns(1, cost=data.guard * total)
    for stake, shed in outcomes:
        tail = b.columns(len(stake.p), cost=data.guard * stake.p / (1.0 - data.guard_level))
        rows = b.rows(f"guard({stake.name.replace(' ', '')})", len(stake.p), stake.fixed_loss)
        b.add(rows, tail, 1.0)
        b.add(rows, eta[0], 1.0)
        b.add(rows[:, None, None], shed, -stake.hours * data.weight)
        for d in range(data.devices.n):
            b.add(rows[:, None], x[d][stake.step], -stake.loss[d].T)


def constraint_at_risk(
    b: MatrixBuilder, data: ShiftData, outcomes: Sequence[tuple[Stake, np.ndarray]], x: Sequence[np.ndarray]
) -> None:
    """Equation (10)."""
    if data.max_at_risk_kw == inf:
        return
    for stake, shed in outcomes:
        left = data.max_at_risk_kw - stake.fixed_critical_kw
        rows = b.rows(f"at_risk({stake.name.replace(' ', '')})", len(stake.p), -inf, left)
        if shed.size:
            b.add(rows[:, None], shed[:, :, 0], 1.0)
        for d in range(data.devices.n):
            b.add(rows[:, None], x[d][stake.step], stake.critical_kw[d].T)


def constraint_peak(
    b: MatrixBuilder,
    data: ShiftData,
    x: Sequence[np.ndarray],
    charge: Sequence[np.ndarray],
    discharge: Sequence[np.ndarray],
) -> int:
    """Equation (11); without rows where nobody asks for the peak. Caps are not counted on."""
    peak = b.columns(1)
    stake = data.nominal
    if not data.import_gain:
        return int(peak[0])
    rows = b.rows("peak", len(stake.step), -inf, -data.import_kw[stake.step, stake.scenario])
    b.add(rows, peak[0], -1.0)
    for d, gain in enumerate(data.import_gain):
        kw = stake.hang_kw[d].sum(axis=1)
        b.add(rows[:, None], x[d][stake.step], kw[:, None] * gain)
    for k, d in enumerate(data.batteries.device):
        b.add(rows[:, None], charge[k][stake.step], data.import_gain[d])
        b.add(rows[:, None], discharge[k][stake.step], -data.import_gain[d])
    return int(peak[0])


SHIFT = Shift()
