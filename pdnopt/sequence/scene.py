"""What every part of the sequencer needs to know of the plant."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from pdnopt.plant.actions import Action, Actuator
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State, fed_units, islands
from pdnopt.sequence.structure import Structure

if TYPE_CHECKING:
    from pdnopt.acjudge import Ratios

__all__ = ["Judge", "Scene", "Settle"]

Judge = Callable[[list[State]], "Ratios"]
"""AC power flow of several states at once."""

Settle = Callable[[State], State]
"""What the plant's own devices do after a command."""


@dataclass(frozen=True)
class Scene:
    """The plant, what carries actions out on it, and what judges its states.

    ``given_extra``: loops and parallel sources that the failure itself left (:class:`Structure`). ``until_s``: when the
    time is over, on the clock of time.perf_counter.
    """

    grid: Grid
    demand: Demand
    actuator: Actuator
    settle: Settle
    judge: Judge
    given_extra: int
    until_s: float = inf
    known: dict[Hashable, float] = field(default_factory=dict)
    """Stress of the states met so far."""

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return time.perf_counter() > self.until_s

    def stress(self, states: list[State]) -> np.ndarray:
        """Return how urgent each state is (`acjudge.Ratios.stress`); one batch for those not met before."""
        keys = [(state.position, state.draw) for state in states]
        fresh = {key: state for key, state in zip(keys, states, strict=True) if key not in self.known}
        if fresh:
            found = self.judge(list(fresh.values())).stress()
            self.known.update(zip(fresh, found.tolist(), strict=True))
        return np.array([self.known[key] for key in keys])

    def after(self, state: State, actions: Iterable[Action]) -> State:
        """Return the state after some actions and what devices then do by themselves."""
        return self.settle(self.actuator.act(state, actions))

    def lit(self, state: State, structure: Structure | None = None) -> np.ndarray:
        """Return which units have a living cord, shape (D,)."""
        isl = islands(self.grid, state) if structure is None else structure.islands
        return fed_units(self.demand, state, isl.energised)
