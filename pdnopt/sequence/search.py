"""Find the order of device moves: every state on the way allowed by structure, nobody darkened without need.

A depth-first search. At every point the moves that are allowed are tried in the order of what they do: first
those that darken nobody, most urgent relief first (judged by AC power flow over a few candidates at once, in the
order of the relief that each gives by itself at the start), then those that darken only units which may lose
voltage. Make before break happens where it is allowed because the closing move then darkens nobody and comes first.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from math import inf

import numpy as np

from pdnopt.plant.actions import Action
from pdnopt.plant.state import State
from pdnopt.sequence.scene import Scene
from pdnopt.sequence.structure import Structure, inspect

__all__ = ["Manner", "find_order", "gentle_visits"]

SPARE_VISITS = 80
CALM_SPARE_VISITS = 20
"""Visits of the search beyond one for each move; the smaller number where no move may make anything more overloaded."""

CANDIDATES = 6
"""Moves that darken nobody are compared so many at a time; the next ones are looked at where none of them leads on."""

CALM = 1e-4
"""What counts as more overloaded, part of the limit."""


@dataclass(frozen=True)
class Manner:
    """How an order is looked for: whom it may darken, and whether it may raise an overload for a moment."""

    may_darken: np.ndarray
    calm: bool


@dataclass(frozen=True)
class _Option:
    """A move that is allowed now, what it leads to, and whether somebody goes dark."""

    darkens: bool
    move: Action
    state: State
    structure: Structure


def find_order(scene: Scene, state: State, moves: list[Action], manner: Manner) -> list[Action] | None:
    """Return the moves in an allowed order; None where the search finds none before the scene's time is over."""
    return _Search(scene, manner).run(state, moves)


def gentle_visits(moves: int) -> int:
    """Return the visits after which the searches for an order that darkens nobody, calm and not, have given up."""
    return _visits(moves, calm=True) + _visits(moves, calm=False)


def _visits(moves: int, calm: bool) -> int:
    return moves + (CALM_SPARE_VISITS if calm else SPARE_VISITS)


class _Search:
    """One depth-first search within a number of visits."""

    def __init__(self, scene: Scene, manner: Manner) -> None:
        self.scene, self.may_darken, self.calm = scene, manner.may_darken, manner.calm
        self.visits = 0
        self.dead_ends: set[Hashable] = set()

    def run(self, state: State, moves: list[Action]) -> list[Action] | None:
        self.visits = _visits(len(moves), self.calm)
        here = inspect(self.scene.grid, state)
        chunks = self._chunks(state, here, moves, len(moves))
        first = next(chunks)
        worst = inf
        if self.calm and moves:  # judged together with what is looked at next
            worst = float(self.scene.stress([state, *(option.state for option in first)])[0])
        if self.calm and len(moves) > CANDIDATES:
            straight = self._straight(state, here, worst, moves)
            if straight is not None:
                return straight
        if len(moves) > CANDIDATES:
            first = [*first, *(option for chunk in chunks for option in chunk)]
            leading = [option.move for option, _ in self._ranked(first)]
            moves = [*leading, *(move for move in moves if not any(move is other for other in leading))]
        return self._visit(state, here, worst, moves)

    def _straight(
        self, state: State, here: Structure, worst: float, moves: list[Action]
    ) -> list[Action] | None:
        """Return the moves as given, each as soon as it is allowed and darkens nobody, where they relieve nothing.

        They do not where the end is as loaded as the start; then the order matters little, most will do, and all states
        of one are judged at once: none may be more loaded than both start and end.
        """
        ordered: list[Action] = []
        states: list[State] = []
        left = list(moves)
        while left:
            lit = self.scene.lit(state, here)
            options = (self._option(state, here, lit, move) for move in left)
            option = next((found for found in options if found is not None and not found.darkens), None)
            if option is None or self.scene.late:
                return None
            ordered.append(option.move)
            states.append(option.state)
            state, here = option.state, option.structure
            left = [move for move in left if move is not option.move]
        stress = self.scene.stress(states)
        end = float(stress[-1])
        needless = end >= worst - CALM or worst <= 1.0 + CALM
        return ordered if needless and (stress <= max(worst, end, 1.0) + CALM).all() else None

    def _visit(self, state: State, here: Structure, worst: float, left: list[Action]) -> list[Action] | None:
        if not left:
            return []
        place = (state.position, frozenset(map(id, left)))
        if place in self.dead_ends:
            return None
        self.visits -= 1
        if self._over():
            return None
        for chunk in self._chunks(state, here, left, CANDIDATES):
            for option, stress in self._ranked(chunk):
                if self.calm and stress > max(worst, 1.0) + CALM:
                    continue
                others = [other for other in left if other is not option.move]
                rest = self._visit(option.state, option.structure, stress, others)
                if rest is not None:
                    return [option.move, *rest]
        if not self._over():
            self.dead_ends.add(place)
        return None

    def _over(self) -> bool:
        return self.visits < 0 or self.scene.late

    def _ranked(self, options: list[_Option]) -> list[tuple[_Option, float]]:
        """Order options: darken nobody, part what the failure joined, relieve what is most urgent; then as given."""
        stress = np.zeros(len(options))
        if len(options) > 1 or (self.calm and options):
            stress = self.scene.stress([option.state for option in options])

        def rank(k: int) -> tuple[bool, int, float, int]:
            joined = options[k].structure.extra if self.scene.given_extra else 0
            return options[k].darkens, joined, round(float(stress[k]), 6), k

        return [(options[k], float(stress[k])) for k in sorted(range(len(options)), key=rank)]

    def _chunks(
        self, state: State, here: Structure, left: list[Action], size: int
    ) -> Iterator[list[_Option]]:
        """Yield the moves allowed now, so many at a time that darken nobody; those that darken somebody come last."""
        lit = self.scene.lit(state, here)
        gentle: list[_Option] = []
        darkening: list[_Option] = []
        for move in left:
            option = self._option(state, here, lit, move)
            if option is None:
                continue
            (darkening if option.darkens else gentle).append(option)
            if len(gentle) >= size:
                yield gentle
                gentle = []
        yield gentle
        yield darkening

    def _option(self, state: State, here: Structure, lit: np.ndarray, move: Action) -> _Option | None:
        """Return what a move leads to; None where it is not allowed now."""
        scene = self.scene
        acted = scene.actuator.act(state, [move])
        after = scene.settle(acted)
        if not _stays(scene, move, acted, after):
            return None  # a device would undo it at once: other moves come first
        there = inspect(scene.grid, after)
        if there.clash or there.extra > max(here.extra, scene.given_extra) + 1:
            return None
        if here.extra > scene.given_extra and there.extra >= here.extra:
            return None  # a loop that was closed to keep voltage is opened next
        darkened = lit & ~scene.lit(after, there) & (after.served > 0)
        if (darkened & ~self.may_darken).any() and not _within_holdup(move):
            return None
        return _Option(bool(darkened.any()), move, after, there)


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
