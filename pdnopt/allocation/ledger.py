"""The rows of a core written for a search among whole choices: every row once, every way to behave once.

Two choices *behave* alike where they stand on the same station in every pattern of living stations; whatever the device,
they then load the same rows. Two rows are one where the same devices load them in the same part; the lesser limit holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from pdnopt.allocation.exposure import Core

__all__ = ["Ledger"]


class Ledger:
    """I rows, T sections, B behaviours, D devices.

    Parameters
    ----------
    data : Core
    allowed : sequence of bool arrays, (K,), by device

    Attributes
    ----------
    power : tuple of float arrays, (D, T)
        kW of each device in each section: one pattern of power over the devices, under one load vector; then kVA, where
        rows are rated so and power factors differ.
    gain : tuple of float arrays, (I, B)
        Load of a row per kW (per kVA) of a device that behaves so.
    section : int, shape (I,)
        Ascending.
    rest_kw : float, shape (I,)
    choice_of : int, shape (D, B)
        The choice of a device that behaves so, of several the one that it has made as given; -1: none allowed.
    spread_gain : tuple of float arrays, (systems, B); system_limit_kw, system_base_kw
        Load of the reserve systems with nothing failed.
    """

    def __init__(self, data: Core, allowed: Sequence[np.ndarray]) -> None:
        self.data = data
        self.n_vectors = data.n_vectors
        self._behaviours(data, allowed)
        powers = (data.p_kw, data.s_kva) if data.ks.any() else (data.p_kw,)
        gains = (data.kp, data.ks)[: len(powers)]
        c, group = self._sections(powers)
        self.power = tuple(
            np.ascontiguousarray(power[c].transpose(1, 0, 2).reshape(power.shape[1], -1)) for power in powers
        )
        self._rows(data, gains, group)
        at = self._at(np.zeros(len(data.system), dtype=int))
        self.spread_gain = tuple(self._by_behaviour(gain[0, data.system], at) for gain in gains)
        self.system_limit_kw, self.system_base_kw = data.system_limit_kw, data.system_base_kw

    def _behaviours(self, data: Core, allowed: Sequence[np.ndarray]) -> None:
        """Number the ways to behave, and say which choice of each device behaves so."""
        first = np.unique(data.pattern, return_index=True)[1]
        keys: dict[bytes, int] = {}
        stands, of_kind = [], []
        for by_choice in data.stands:
            number = []
            for column in by_choice[first].T:
                key = column.tobytes()
                if key not in keys:
                    keys[key] = len(keys)
                    stands.append(column)
                number.append(keys[key])
            of_kind.append(np.array(number, dtype=int))
        self._first = first
        self._stands = np.array(stands, dtype=int).reshape(len(keys), len(first)).T  # patterns x behaviours
        self._place = np.searchsorted(data.pattern[first], data.pattern)
        choices, n = data.choices, len(data.choices.name)
        self.behaviour_of_kind = tuple(of_kind)
        self.choice_of = np.full((n, len(keys)), -1)
        for k, members in enumerate(choices.members):
            if not len(members):
                continue
            may = np.array([allowed[d] for d in members])
            for choice in range(may.shape[1] - 1, -1, -1):
                mine = members[may[:, choice]]
                self.choice_of[mine, of_kind[k][choice]] = choice
            held = choices.held[members]
            fits = may[np.arange(len(members)), held]
            self.choice_of[members[fits], of_kind[k][held[fits]]] = held[fits]

    def behaviour(self, chosen: np.ndarray) -> np.ndarray:
        """Return how each device behaves under a choice, (D,)."""
        out = np.zeros(len(chosen), dtype=int)
        for k, members in enumerate(self.data.choices.members):
            out[members] = self.behaviour_of_kind[k][chosen[members]]
        return out

    def chosen(self, behaviour: np.ndarray) -> np.ndarray:
        """Return a choice of each device that behaves so, (D,)."""
        return np.asarray(self.choice_of[np.arange(len(behaviour)), behaviour])

    def by_behaviour(self, costs: Sequence[np.ndarray]) -> np.ndarray:
        """Return costs by device and choice as costs by behaviour, (D, B); 0 where a device cannot behave so."""
        out = np.zeros(self.choice_of.shape)
        for members in self.data.choices.members:
            if len(members):
                own = np.array([costs[d] for d in members])
                choice = self.choice_of[members]
                out[members] = np.where(
                    choice >= 0, np.take_along_axis(own, np.maximum(choice, 0), axis=1), 0.0
                )
        return out

    def _sections(self, powers: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the classes of scenarios that differ in power, and which of these each class is."""
        keys: dict[bytes, int] = {}
        first, group = [], []
        for c in range(len(powers[0])):
            key = b"".join(power[c].tobytes() for power in powers)
            if key not in keys:
                keys[key] = len(keys)
                first.append(c)
            group.append(keys[key])
        return np.array(first, dtype=int), np.array(group, dtype=int)

    def _at(self, c: np.ndarray) -> np.ndarray:
        """Return the station of each behaviour in some classes of scenarios, (len(c), B)."""
        return np.asarray(self._stands[self._place[c]])

    def _by_behaviour(self, gain: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return gains by station, (n, Q), as gains by behaviour, (n, B)."""
        return np.where(at >= 0, np.take_along_axis(gain, np.maximum(at, 0), axis=1), 0.0)

    def _rows(self, data: Core, gains: Sequence[np.ndarray], group: np.ndarray) -> None:
        """Gather what is loaded alike."""
        open_row = np.isfinite(data.rest_kw).any(axis=2)
        c, r = np.nonzero(open_row)
        at = self._at(c)
        gain = tuple(self._by_behaviour(one[c, r], at).round(9) for one in gains)
        keys: dict[bytes, int] = {}
        lead, same = [], np.zeros(len(c), dtype=int)
        for i in range(len(c)):
            key = b"".join((int(group[c[i]]).to_bytes(4, "little"), *(one[i].tobytes() for one in gain)))
            if key not in keys:
                keys[key] = len(keys)
                lead.append(i)
            same[i] = keys[key]
        rest = np.full((len(lead), self.n_vectors), inf)
        np.minimum.at(rest, same, data.rest_kw[c, r])
        v = np.arange(self.n_vectors)
        section = (group[c[lead]][:, None] * self.n_vectors + v).ravel()
        order = np.argsort(section, kind="stable")
        self.rest_kw = rest.ravel()[order]
        self.section = section[order]
        self.gain = tuple(np.repeat(one[lead], self.n_vectors, axis=0)[order] for one in gain)

    def load_kw(self, behaviour: np.ndarray) -> np.ndarray:
        """Return the load of every row, (I,)."""
        out = np.zeros(len(self.rest_kw))
        for total, gain in zip(self._totals(behaviour), self.gain, strict=True):
            out += np.einsum("ib,bi->i", gain, total[:, self.section])
        return out

    def system_part(self, behaviour: np.ndarray) -> np.ndarray:
        """Return the loading of every reserve system with nothing failed, (systems, V)."""
        out = self.system_base_kw.copy()
        for total, gain in zip(self._totals(behaviour), self.spread_gain, strict=True):
            out += gain @ total[:, : self.n_vectors]
        return np.asarray(out / self.system_limit_kw[:, None])

    def _totals(self, behaviour: np.ndarray) -> list[np.ndarray]:
        """Return the power that behaves alike, (B, T), kW and kVA."""
        hot = np.zeros((self.choice_of.shape[1], len(behaviour)))
        hot[behaviour, np.arange(len(behaviour))] = 1.0
        return [hot @ power for power in self.power]
