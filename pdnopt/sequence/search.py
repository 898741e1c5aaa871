"""Find the order of device moves: every state on the way allowed by structure, nobody darkened without need.

A depth-first search. At every point the moves that are allowed are tried in the order of what they do: first
those that darken nobody, most urgent relief first (judged by AC power flow over all candidates at once), then
those that darken only units which may lose voltage. Make before break happens where it is allowed because the
closing move then darkens nobody and comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from pdnopt.plant.actions import Action
from pdnopt.plant.state import State
from pdnopt.sequence.scene import Scene
from pdnopt.sequence.structure import Structure, inspect

__all__ = ["Manner", "find_order"]

MAX_VISITS = 400
CALM_VISITS = 60
"""Visits of the search that lets no move make anything more overloaded than it is."""

CALM = 1e-4
"""What counts as more overloaded, part of the limit."""


@dataclass(frozen=True)
class Manner:
    """How an order is looked for: whom it may darken, and whether it may raise an overload for a moment."""

    may_darken: np.ndarray
    calm: bool


def find_order(scene: Scene, state: State, moves: list[Action], manner: Manner) -> list[Action] | None:
    """Return the moves in an allowed order; None where the search finds none."""
    return _Search(scene, manner).run(state, moves)


class _Search:
    """One depth-first search within a number of visits."""

    def __init__(self, scene: Scene, manner: Manner) -> None:
        self.scene, self.may_darken, self.calm = scene, manner.may_darken, manner.calm
        self.visits = CALM_VISITS if manner.calm else MAX_VISITS

    def run(self, state: State, moves: list[Action]) -> list[Action] | None:
        here = inspect(self.scene.grid, state)
        worst = float(self.scene.judge([state]).stress()[0]) if self.calm and moves else inf
        return self._visit(state, here, worst, moves)

    def _visit(self, state: State, here: Structure, worst: float, left: list[Action]) -> list[Action] | None:
        if not left:
            return []
        self.visits -= 1
        if self.visits < 0:
            return None
        options = self._options(state, here, left)
        if not options:
            return None
        stress = np.zeros(1)
        if len(options) > 1 or self.calm:
            stress = self.scene.judge([after for _, _, after, _ in options]).stress()
        for k in sorted(range(len(options)), key=lambda k: self._rank(options[k], float(stress[k]), k)):
            if self.calm and stress[k] > max(worst, 1.0) + CALM:
                continue
            _, move, after, there = options[k]
            rest = self._visit(after, there, float(stress[k]), [other for other in left if other is not move])
            if rest is not None:
                return [move, *rest]
        return None

    def _rank(
        self, option: tuple[bool, Action, State, Structure], stress: float, k: int
    ) -> tuple[bool, int, float, int]:
        """Darken nobody, part what the failure joined, relieve what is most urgent; then as given."""
        joined = option[3].extra if self.scene.given_extra else 0
        return option[0], joined, round(stress, 6), k

    def _options(
        self, state: State, here: Structure, left: list[Action]
    ) -> list[tuple[bool, Action, State, Structure]]:
        """Return the moves allowed now: whether somebody goes dark, the move, the state and structure after it."""
        scene = self.scene
        lit = scene.lit(state, here)
        options = []
        for move in left:
            acted = scene.actuator.act(state, [move])
            after = scene.settle(acted)
            if not _stays(scene, move, acted, after):
                continue  # a device would undo it at once: other moves come first
            there = inspect(scene.grid, after)
            if there.clash or there.extra > max(here.extra, scene.given_extra) + 1:
                continue
            if here.extra > scene.given_extra and there.extra >= here.extra:
                continue  # a loop that was closed to keep voltage is opened next
            darkened = lit & ~scene.lit(after, there) & (after.served > 0)
            if (darkened & ~self.may_darken).any() and not _within_holdup(move):
                continue
            options.append((bool(darkened.any()), move, after, there))
        return options


def _stays(scene: Scene, move: Action, acted: State, after: State) -> bool:
    """Return whether the device is where it was sent once all devices have come to rest."""
    table, k = move.device.partition(":")[0], scene.actuator.position(move.device)
    if table == "transfer":
        positions = scene.grid.transfers.positions[k]
        return bool(np.array_equal(acted.closed[positions], after.closed[positions]))
    if table == "ups":
        return bool((acted.ups_mode[k] == "off") == (after.ups_mode[k] == "off"))
    return True


def _within_holdup(move: Action) -> bool:
    """A transfer to another position darkens nobody for good: its output is live again in the same action."""
    return move.device.startswith("transfer:") and move.after is not None
