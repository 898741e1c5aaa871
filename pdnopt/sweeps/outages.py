"""Outages with one outcome: contingencies that leave the very same plant behind are solved once.

What devices do after a failure, what may be switched, and every number of the model follow from the state at t = 0 after
protection (`response.strike`): what is dead, open, locked or derated. Two contingencies for which all of that is equal have
the same answer; only their names differ, and the words of the plan. A bus and a line in one protective zone are such a
pair, and so is a zone with anything inside it. The checker still judges the plan for each of them by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from hashlib import blake2b
from typing import Any

import numpy as np

from pdnopt.plant.demand import Demand
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, initial_state
from pdnopt.response import Struck, strike

__all__ = ["Outages"]


class Outages:
    """What failures leave of one network before anything reacts.

    Parameters
    ----------
    net : pandapowerNet
    grid, demand : Grid, Demand
        Of that network.
    """

    def __init__(self, net: Any, grid: Grid, demand: Demand) -> None:
        self._net, self._grid, self._demand = net, grid, demand
        self._before = initial_state(grid, demand)
        self._parsed: dict[str, Any] = {}

    def groups(self, contingencies: Iterable[Sequence[str]]) -> list[list[int]]:
        """Return the positions of the contingencies in groups with one outcome, in order of the first of each."""
        found: dict[bytes, list[int]] = {}
        for position, failed in enumerate(contingencies):
            found.setdefault(self._key(failed), []).append(position)
        return list(found.values())

    def fresh_nodes(self, name: str) -> np.ndarray:
        """Return the nodes that die with one component, bool, shape (N,)."""
        return np.asarray(self._struck((name,)).state.dead & ~self._before.dead)

    def _struck(self, failed: Sequence[str]) -> Struck:
        outages = []
        for name in failed:
            if name not in self._parsed:
                self._parsed[name] = parse_failed(self._net, [name])
            outages += self._parsed[name]
        return strike(self._grid, self._demand, self._before, outages)

    def _key(self, failed: Sequence[str]) -> bytes:
        """Return what two contingencies must have in common: a digest of all that is left."""
        struck = self._struck(failed)
        digest = blake2b(struck.barred.tobytes())
        for field in fields(State):
            values = getattr(struck.state, field.name)
            data = "|".join(values).encode() if values.dtype == object else values.tobytes()
            digest.update(field.name.encode() + data)
        upss = struck.grid.upss
        for numbers in (upss.p_rated_kw, upss.s_rated_kva, upss.n_modules):
            digest.update(numbers.tobytes())
        return digest.digest()
