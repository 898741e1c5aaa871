"""Which pairs of a sweep are pruned, from the single failures that are solved for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from pdnopt.sweeps.contest import Contest, Ledger
from pdnopt.sweeps.pairs import Parts, quiet, union_row
from pdnopt.sweeps.rows import Row

__all__ = ["Pruner"]


class Pruner:
    """The pairs of a contest whose two failures lie in different parts of the plant.

    Parameters
    ----------
    contest : Contest
        Of pairs.
    parts : Parts
    latency_s : float
        Before the first command.
    """

    def __init__(self, contest: Contest, parts: Parts, latency_s: float) -> None:
        self._contest, self._parts, self._latency_s = contest, parts, latency_s

    @cached_property
    def candidates(self) -> list[int]:
        """Positions of those pairs."""
        names = {name for failed in self._contest.failures for name in failed}
        part = {name: self._parts.of_failure(name) for name in names}
        return [
            k
            for k, (a, b) in enumerate(self._contest.failures)
            if part[a] is not None and part[b] is not None and part[a] != part[b]
        ]

    @cached_property
    def singles(self) -> Contest:
        """The failures of those pairs alone, and at last none at all."""
        pairs = [self._contest.failures[k] for k in self.candidates]
        names = list(dict.fromkeys(name for failed in pairs for name in failed))
        return Contest([*((name,) for name in names), ()], self._contest.cases, self._contest.n)

    @property
    def pays(self) -> bool:
        """Whether there are more such pairs than failures to solve for them."""
        return len(self.candidates) > len(self.singles.failures)

    def missing(self, ledger: Ledger) -> bool:
        """Whether a row of such a pair is missing."""
        return any(number not in ledger.rows for number in self._numbers())

    def rows(self, ledger: Ledger, singles: Ledger) -> Iterator[Row]:
        """Yield the rows that are missing and follow from those of the single failures."""
        contest, alone = self._contest, self.singles
        place = {failed: k for k, failed in enumerate(alone.failures)}
        for number in self._numbers():
            if number in ledger.rows:
                continue
            contingency, case = contest.place(number)
            failed = contest.failures[contingency]
            base, *rows = (
                singles.rows[alone.number(place[one], case)] for one in ((), *((name,) for name in failed))
            )
            row = union_row(failed, rows, base, self._parts, self._latency_s) if quiet(base, 0.0) else None
            if row is not None:
                yield {**row, "number": number}

    def _numbers(self) -> Iterator[int]:
        for k in self.candidates:
            for case in range(self._contest.cases.n):
                yield self._contest.number(k, case)
