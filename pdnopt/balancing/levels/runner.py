"""A balance by zones: as `pdnopt.balancing.runner`, with the programme cut into zones under a global level."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pdnopt.balancing.data import S_BASE_KW
from pdnopt.balancing.flow import Injections
from pdnopt.balancing.inverters import Bounds, read_bounds
from pdnopt.balancing.levels.coordination import Coordination
from pdnopt.balancing.levels.measures import measure
from pdnopt.balancing.levels.tree import read_tree
from pdnopt.balancing.levels.zones import MOST_INVERTERS, find_zones
from pdnopt.balancing.link import evened
from pdnopt.balancing.points import Sight, look, point_of
from pdnopt.balancing.programme import Answer
from pdnopt.balancing.runner import AGREED_PU, BalanceRunner
from pdnopt.errors import InputError, Issue

__all__ = ["ZonedRunner"]

ROUNDS = 6
MOST_WORKERS = 2


class ZonedRunner(BalanceRunner):
    """A network prepared for many balances by zones.

    Parameters
    ----------
    net, formulation, options
        As of a `BalanceRunner`; ``options.zones`` and ``options.workers`` say how it is cut and who solves.
    """

    def _compile(self, options: Any) -> None:
        spec = MOST_INVERTERS if options.zones is True else options.zones
        tree = read_tree(self.network, self.area, self.inverters)
        self.zones = find_zones(self.network, self.area, self.inverters, tree, spec)
        workers = options.workers
        if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
            todo = "Leave it out: what the machine has is used then."
            raise InputError(Issue("Range", "workers", "", workers, "a whole number, 1 or more", todo))
        if workers is None:
            few = len(self.zones) < 8  # a worker takes longer to start than these to solve
            workers = 1 if few else min(MOST_WORKERS, os.cpu_count() or 1)
        self.levels = Coordination(self.network, self.area, self.inverters, tree, self.zones, workers)

    def _prime(self) -> None:
        """Ask every zone how good it can be, and solve for the table's loads."""
        bounds = read_bounds(self.base, self.inverters, (), (), None)
        told = self.loads.at({})
        sight = self._sight(told, self._start_kva)
        self.levels.caps(point_of(self.area, self.inverters, bounds, sight, self._start_kva), all_zones=True)
        _, found, _, _ = self.search(told, bounds, self.formulation.terms, np.inf)
        if found is not None:
            self._start_kva = found
        self.levels.keep()

    def _terms(self, options: Any) -> tuple[str, ...]:
        if options.minimize is not None and tuple(options.minimize) != self.formulation.terms:
            allowed = "the order of all terms as it is"
            todo = "Leave out minimize, or leave out zones."
            raise InputError(Issue("NotHeld", "minimize", "", list(options.minimize), allowed, todo))
        return super()._terms(options)

    def search(
        self, told: Injections, bounds: Bounds, terms: tuple[str, ...], deadline_s: float
    ) -> tuple[Answer, np.ndarray | None, Sight, int]:
        """Solve by rounds until flow and programmes agree in every zone."""
        inverters, structure = self.inverters, self.area.structure
        s_kva = self.start_kva(bounds)
        self.levels.rewind()
        sight = self._sight(told, s_kva)
        exchange, which, solved = None, None, False
        for count in range(1, ROUNDS + 1):
            point = point_of(self.area, inverters, bounds, sight, s_kva)
            found = self.levels.round(point, s_kva / S_BASE_KW, exchange, which, deadline_s)
            if not found.solved and count > 1:
                solved = False
                break
            told_now = np.repeat(bounds.told, 3)
            new = np.where(told_now, self.even(found.s_pu * S_BASE_KW, bounds), s_kva)
            j = np.conj(new / S_BASE_KW) * (point.g_re + 1j * point.g_im)
            change = j - (point.j_re + 1j * point.j_im)
            expected = sight.v[self.area.rows] + structure.reach.voltage @ change
            s_kva, exchange, solved = new, found.exchange, found.solved
            sight = self._sight(told, s_kva, sight.v)
            apart = np.abs(sight.v[self.area.rows] - expected).reshape(-1, 3).max(axis=1, initial=0.0)
            which = self._apart(apart)
            if not which or not found.solved:
                break
        values = measure(self.area, inverters, sight, s_kva)
        self._agreed = solved and not which
        # every zone is at its optimum, the whole may not be: nothing is claimed to be proved
        return Answer("feasible", values, {"p": s_kva.real / S_BASE_KW}), s_kva, sight, count

    def _note(self, answer: Answer, rounds: int) -> str:
        many = f"{len(self.zones)} zone{'' if len(self.zones) == 1 else 's'}"
        if self._agreed:
            return f"by {many}: programmes and flow agree after {rounds} round{'' if rounds == 1 else 's'}"
        return f"by {many}: stopped after {rounds} rounds, before programmes and flow agreed"

    def even(self, s_kva: np.ndarray, bounds: Bounds) -> np.ndarray:
        """Return set-points (kVA, (3I,)) whose DC links are even, within the ratings."""
        inverters = self.inverters
        even = evened(s_kva.reshape(-1, 3), inverters.s_max_kva, inverters.loss, bounds.b_low, bounds.b_high)
        return even.ravel()

    def _apart(self, apart: np.ndarray) -> list[int]:
        """Return the zones in which the flow is not what was expected."""
        return [z for z, zone in enumerate(self.zones) if apart[zone.nodes].max(initial=0.0) > AGREED_PU]

    def _sight(self, told: Injections, s_kva: np.ndarray, start: np.ndarray | None = None) -> Sight:
        v = self.flow.solve(told, self.inverters.rows, s_kva, start).v
        return look(self.flow, told, self.inverters, v, s_kva)
