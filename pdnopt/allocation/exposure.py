"""The numbers of a reserve allocation: what every choice loads in every scenario, under every load vector.

All loads, limits and margins of the rows are in kW of load: a row of a component that is rated in kVA, or that lies above a
UPS, is divided by what one kW of load adds to it. So a margin says how many kW of load more the component would carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdnopt.allocation.choices import Choices
from pdnopt.allocation.scenarios import Components, Scenario, ScenarioReader
from pdnopt.plant.demand import Demand

__all__ = ["Core", "Exposure", "Frame", "Local"]


@dataclass(frozen=True)
class Local:
    """A contingency that hits one decided device alone: its position ``position``, or (-1) all that it feeds."""

    name: str
    device: int
    position: int


@dataclass(frozen=True)
class Exposure:
    """C scenarios, R rows, Q stations, D devices, V load vectors.

    Attributes
    ----------
    choices : Choices
    stands : tuple of int arrays, (C, K), by kind
        The station on which each choice ends in each scenario; -1: none.
    row : int, shape (R,)
        The component (row of Components) of each row.
    kp, ks : float, shape (C, R, Q)
        Load of a row per kW and per kVA at a station.
    base_kw : float, shape (C, R, V)
        What it carries of load that no choice moves, and of the UPSs' own draw.
    limit_kw : float, shape (C, R)
    local_limit_kw : float, shape (R,)
        After a failure that changes nothing above the devices.
    p_kw, s_kva : float, shape (C, D, V)
        What hangs on each device, after the cords have shared.
    open_row : bool, shape (R,)
        Rows that choices can load; the others are what they are.
    system : int arrays
        Rows that are reserve systems: the UPSs on whose stations a choice can stand.
    pattern : int, shape (C,)
        Scenarios of one pattern have the same living stations.
    alike : int, shape (C,)
        The first scenario with the same living cords: what hangs on the devices is the same.
    """

    choices: Choices
    stands: tuple[np.ndarray, ...]
    row: np.ndarray
    kp: np.ndarray
    ks: np.ndarray
    base_kw: np.ndarray
    limit_kw: np.ndarray
    local_limit_kw: np.ndarray
    p_kw: np.ndarray
    s_kva: np.ndarray
    open_row: np.ndarray
    system: np.ndarray
    pattern: np.ndarray
    alike: np.ndarray

    @property
    def n_vectors(self) -> int:
        """Number of load vectors."""
        return int(self.base_kw.shape[2])

    def station_of(self, chosen: np.ndarray, scenario: int) -> np.ndarray:
        """Return the station on which each device ends, shape (D,)."""
        out = np.full(len(chosen), -1)
        for k, members in enumerate(self.choices.members):
            out[members] = self.stands[k][scenario, chosen[members]]
        return out

    def load_kw(self, chosen: np.ndarray) -> np.ndarray:
        """Return the load of every row under one choice a device, shape (C, R, V)."""
        n_stations, n_vectors = self.kp.shape[2], self.n_vectors
        out = self.base_kw.copy()
        stations: dict[int, np.ndarray] = {}
        for c in range(len(out)):
            at = stations.setdefault(int(self.pattern[c]), self.station_of(chosen, c))
            live = at >= 0
            for gain, power in ((self.kp[c], self.p_kw[c]), (self.ks[c], self.s_kva[c])):
                hangs = np.zeros((n_stations, n_vectors))
                np.add.at(hangs, at[live], power[live])
                out[c] += gain @ hangs
        return out

    def core(self) -> Core:
        """Return the scenarios and rows that can bind, each once."""
        kp, ks = self.kp[:, self.open_row], self.ks[:, self.open_row]
        some = np.unique(self.alike)
        p_kw, s_kva = self.p_kw[some], self.s_kva[some]
        one = (s_kva / np.where(p_kw > 0, p_kw, 1.0))[p_kw > 0]
        if len(one) and np.ptp(one) <= 1e-9 * one.max():  # one power factor: kVA are kW times a number
            kp, ks = kp + ks * one[0], np.zeros_like(ks)
        rest = self.limit_kw[:, self.open_row, None] - self.base_kw[:, self.open_row]
        place = np.searchsorted(some, self.alike)
        hangs = [part.tobytes() for part in p_kw.round(6)]
        kp_key, ks_key = kp.round(9), ks.round(9)
        classes: dict[tuple[object, ...], list[int]] = {}
        for c in range(len(kp)):
            key = (int(self.pattern[c]), hangs[place[c]], kp_key[c].tobytes(), ks_key[c].tobytes())
            classes.setdefault(key, []).append(c)
        first = np.array([members[0] for members in classes.values()])
        rest = np.array([rest[members].min(axis=0) for members in classes.values()])
        kp, ks = kp[first], ks[first]
        same: dict[bytes, list[int]] = {}
        for r in range(kp.shape[1]):
            same.setdefault(kp[:, r].round(9).tobytes() + ks[:, r].round(9).tobytes(), []).append(r)
        tight = rest.min(axis=(0, 2), initial=np.inf)
        lead = np.array([rows[int(tight[rows].argmin())] for rows in same.values()], dtype=int)
        rest = (
            np.stack([rest[:, rows].min(axis=1) for rows in same.values()], axis=1)
            if len(lead)
            else rest[:, :0]
        )
        system = self.system
        n = len(lead)
        full = [
            np.concatenate([gain[:, lead], more[first][:, system]], axis=1)
            for gain, more in ((kp, self.kp), (ks, self.ks))
        ]
        nothing = np.full((len(first), len(system), self.n_vectors), np.inf)
        return Core(
            choices=self.choices,
            stands=tuple(stands[first] for stands in self.stands),
            pattern=self.pattern[first],
            kp=full[0],
            ks=full[1],
            p_kw=self.p_kw[first],
            s_kva=self.s_kva[first],
            rest_kw=np.concatenate([rest, nothing], axis=1),
            system=n + np.arange(len(system)),
            system_base_kw=self.base_kw[0, system],
            system_limit_kw=self.limit_kw[0, system],
            component=self.row[np.r_[np.flatnonzero(self.open_row)[lead], system]],
        )


@dataclass(frozen=True)
class Core:
    """What of an Exposure can bind: scenarios and rows that ask the same of the choices are one.

    C classes of scenarios, the first that of nothing failed; R rows, the last ones the reserve systems once more, for their
    spread only.

    Attributes
    ----------
    choices, stands, pattern, kp, ks, p_kw, s_kva
        As of the Exposure.
    rest_kw : float, shape (C, R, V)
        Least of limit - base over the members of a class; inf for the rows of the spread.
    system : int arrays
        The rows of the reserve systems.
    system_base_kw : float, shape (systems, V); system_limit_kw : (systems,)
        Of the reserve systems with nothing failed.
    component : int, shape (R,)
        Row of Components of each row; of those that carry the same, the first.
    """

    choices: Choices
    stands: tuple[np.ndarray, ...]
    pattern: np.ndarray
    kp: np.ndarray
    ks: np.ndarray
    p_kw: np.ndarray
    s_kva: np.ndarray
    rest_kw: np.ndarray
    system: np.ndarray
    system_base_kw: np.ndarray
    system_limit_kw: np.ndarray
    component: np.ndarray

    @property
    def n_vectors(self) -> int:
        """Number of load vectors."""
        return int(self.rest_kw.shape[2])

    def hung_kw(self, chosen: np.ndarray) -> np.ndarray:
        """Return what choices hang on every row, (C, R, V)."""
        n_stations, n_vectors = self.kp.shape[2], self.n_vectors
        out = np.zeros(self.rest_kw.shape)
        stations: dict[int, np.ndarray] = {}
        for c in range(len(out)):
            key = int(self.pattern[c])
            if key not in stations:
                at = np.full(len(chosen), -1)
                for k, members in enumerate(self.choices.members):
                    at[members] = self.stands[k][c, chosen[members]]
                stations[key] = at
            at = stations[key]
            live = slice(None) if (at >= 0).all() else at >= 0
            for gain, power in ((self.kp[c], self.p_kw[c]), (self.ks[c], self.s_kva[c])):
                if not gain.any():
                    continue
                hangs = [np.bincount(at[live], power[live, v], n_stations) for v in range(n_vectors)]
                out[c] += gain @ np.array(hangs).T
        return out

    def hung_by_parts_kw(self, weights: Sequence[np.ndarray]) -> np.ndarray:
        """Return what fractional choices hang on every row; ``weights`` by kind, (members, K); (C, R, V)."""
        n_stations = self.kp.shape[2]
        out = np.zeros(self.rest_kw.shape)
        for k, members in enumerate(self.choices.members):
            shares: dict[int, np.ndarray] = {}
            for c in range(len(out)):
                key = int(self.pattern[c])
                if key not in shares:
                    hot = self.stands[k][c][:, None] == np.arange(n_stations)
                    shares[key] = np.ascontiguousarray((weights[k] @ hot.astype(float)).T)
                out[c] += self.kp[c] @ (shares[key] @ self.p_kw[c][members])
                if self.ks[c].any():
                    out[c] += self.ks[c] @ (shares[key] @ self.s_kva[c][members])
        return out


class Frame:
    """What of an Exposure does not depend on loads: scenarios, paths, sharing of cords. Built once for a network."""

    def __init__(self, reader: ScenarioReader, demand: Demand, scenarios: Sequence[Scenario]) -> None:
        self.reader, self.demand, self.scenarios = reader, demand, list(scenarios)
        choices, parts = reader.choices, reader.components
        n_stations = len(choices.station_node)
        self.n_stations = n_stations
        alive = np.array([one.alive for one in self.scenarios], dtype=bool).reshape(
            len(self.scenarios), n_stations
        )
        self.pattern = np.unique(alive, axis=0, return_inverse=True)[1].ravel()
        self.stands = tuple(kind.stands(alive) for kind in choices.kinds)
        self.output_live = np.zeros((len(self.scenarios), len(choices.name)), dtype=bool)
        for k, members in enumerate(choices.members):
            for d in members:
                self.output_live[:, d] = self.stands[k][:, choices.held[d]] >= 0
                if choices.kinds[k].auto:
                    self.output_live[:, d] = (self.stands[k][:, choices.allowed[d]] >= 0).any(axis=1)
        self.allowed = self._steady(choices)
        tan = demand.cord_tan_phi
        self.kva_per_kw = np.hypot(1.0, tan)
        p_kw = np.maximum(demand.cord_kw.sum(), 1e-9)
        self.mean_kva_per_kw = float((demand.cord_kw * self.kva_per_kw).sum() / p_kw) or 1.0
        self.factor = np.ones(len(parts.name))
        self.sense = self._sense(parts)
        carries = np.zeros(len(parts.name), dtype=bool)
        for one in self.scenarios:
            carries[np.unique((one.p + one.s).nonzero()[0])] = True
        self.row = np.flatnonzero(carries)
        self._gains = self._dense_gains()
        self.living_as_given = self._living(0)
        lives: dict[bytes, int] = {}
        self.alike = [lives.setdefault(self._living(c).tobytes(), c) for c in range(len(self.scenarios))]
        sharing = {c: self._weights(c) for c in set(self.alike)}
        self.sharing = [sharing[c] for c in self.alike]

    def _steady(self, choices: Choices) -> tuple[np.ndarray, ...]:
        """Return which choices leave a device live wherever one of them does: no load is lost for a margin's sake."""
        out = []
        for d, may in enumerate(choices.allowed):
            kind = int(choices.kind[d])
            live = self.stands[kind] >= 0
            best = live[:, may].sum(axis=0).max(initial=0)
            steady = may & (live.sum(axis=0) == best)
            out.append(steady if steady.any() else may)
        return tuple(out)

    def _sense(self, parts: Components) -> np.ndarray:
        """Return what one kW of load adds to each component, in its unit; shape (E,)."""
        sense = np.zeros(len(parts.name))
        for one in self.scenarios:
            gain = one.p + one.s * self.mean_kva_per_kw
            sense = np.maximum(sense, np.asarray(gain.max(axis=1).toarray()).ravel())
        return np.where(sense > 0, sense, np.where(parts.by_p, 1.0, self.mean_kva_per_kw))

    def _living(self, c: int) -> np.ndarray:
        one, device = self.scenarios[c], self.reader.cord_device
        living = one.living.copy()
        behind = device >= 0
        living[behind] &= self.output_live[c][device[behind]]
        return living

    def _weights(self, c: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return of one scenario: living cords, their part of what a unit's dead cords leave, and revived cords."""
        return self.weights(self._living(c))

    def weights(self, living: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return living cords, their part of what a unit's dead cords leave, and the cords of revived units."""
        demand = self.demand
        unit = demand.cord_unit
        share = np.where(living, demand.cord_share, 0.0)
        total = np.bincount(unit, weights=share, minlength=demand.n)[unit]
        count = np.bincount(unit, weights=living.astype(float), minlength=demand.n)[unit]
        weight = np.where(total > 0, share / np.where(total > 0, total, 1.0), living / np.maximum(count, 1.0))
        back = (
            np.bincount(unit, weights=(living & ~self.living_as_given).astype(float), minlength=demand.n)[
                unit
            ]
            > 0
        )
        return living, weight, back

    def draw_kw(self, sharing: tuple[np.ndarray, np.ndarray, np.ndarray], cord_kw: np.ndarray) -> np.ndarray:
        """Return what each cord draws, (cords, V), as `pdnopt.plant.demand.share_out` has it."""
        living, weight, back = sharing
        unit = self.demand.cord_unit
        gone = np.where((living & ~back)[:, None], 0.0, cord_kw)
        lost = np.zeros((self.demand.n, cord_kw.shape[1]))
        some = np.flatnonzero(gone.any(axis=1))
        np.add.at(lost, unit[some], gone[some])
        kept = np.where((living & ~back)[:, None], cord_kw, 0.0)
        return np.asarray(np.where(living[:, None], kept + weight[:, None] * lost[unit], 0.0))

    def hangs(self, draw_kw: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return draws summed: kW and kVA by device, (D, V); kW and kVA by column of fixed boards, (Q + B, V)."""
        device, board = self.reader.cord_device, self.reader.cord_board
        kva = draw_kw * self.kva_per_kw[:, None]
        n_devices, n_columns = len(self.reader.choices.name), len(self.reader.feeding)

        def total(at: np.ndarray, power: np.ndarray, n: int) -> np.ndarray:
            out = np.zeros((n, power.shape[1]))
            mine = at >= 0
            for v in range(power.shape[1]):
                out[:, v] = np.bincount(at[mine], weights=power[mine, v], minlength=n)[:n]
            return out

        return (
            total(device, draw_kw, n_devices),
            total(device, kva, n_devices),
            total(board, draw_kw, n_columns),
            total(board, kva, n_columns),
        )

    def exposure(self, cord_kw: np.ndarray, limits: np.ndarray, local_limits: np.ndarray) -> Exposure:
        """Return the numbers for load vectors.

        Parameters
        ----------
        cord_kw : float, shape (cords, V)
        limits : float, shape (C, E)
            What each component carries in each scenario, in its unit.
        local_limits : float, shape (E,)
            The same after a failure that changes nothing above the devices.
        """
        n_vectors, n = cord_kw.shape[1], len(self.scenarios)
        parts, choices, row = self.reader.components, self.reader.choices, self.row
        base = np.zeros((n, len(row), n_vectors))
        p_kw = np.zeros((n, len(choices.name), n_vectors))
        s_kva = np.zeros_like(p_kw)
        hangs: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = {}
        for c, one in enumerate(self.scenarios):
            alike = int(self.alike[c])
            if alike not in hangs:
                hangs[alike] = self.hangs(self.draw_kw(self.sharing[c], cord_kw))
            p_kw[c], s_kva[c], board_p, board_s = hangs[alike]
            base[c] = (one.p @ board_p + one.s @ board_s + one.fixed[:, None])[row]
        scale = 1.0 / self.sense[row]
        kp, ks = (gains * scale[:, None] for gains in self._gains)
        open_row = np.asarray(((kp > 0) | (ks > 0)).any(axis=(0, 2)))
        return Exposure(
            choices=choices,
            stands=self.stands,
            row=row,
            kp=kp,
            ks=ks,
            base_kw=base * scale[:, None],
            limit_kw=limits[:, row] / (self.sense * self.factor)[row],
            local_limit_kw=local_limits[row] / (self.sense * self.factor)[row],
            p_kw=p_kw,
            s_kva=s_kva,
            open_row=open_row,
            system=np.flatnonzero((parts.table[row] == "ups") & parts.by_p[row] & open_row),
            pattern=self.pattern,
            alike=np.array(self.alike),
        )

    def _dense_gains(self) -> tuple[np.ndarray, np.ndarray]:
        """Return kW and kVA on every row per kW and per kVA at a station, (C, R, Q) each."""
        n = self.n_stations
        return (
            np.array([one.p[self.row][:, :n].toarray() for one in self.scenarios]),
            np.array([one.s[self.row][:, :n].toarray() for one in self.scenarios]),
        )
