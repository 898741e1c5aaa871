"""All contingencies of a sweep in all its load cases, numbered; and the rows as they come in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pdnopt.sweeps.job import Task
from pdnopt.sweeps.load_cases import LoadCases
from pdnopt.sweeps.outages import Outages
from pdnopt.sweeps.rows import CRASHED, Row, name_of
from pdnopt.sweeps.store import Store

__all__ = ["Contest", "Ledger", "Meter", "Progress"]

Progress = Callable[[int, int, str], None]
"""Called with rows done, rows in all, the contingency done last."""


@dataclass(frozen=True)
class Contest:
    """What is to be solved: contingencies times load cases, numbered by contingency, then by case.

    Attributes
    ----------
    failures : sequence of tuple of str
        What fails, one a contingency.
    cases : LoadCases
    first : int
        The number of the first row.
    """

    failures: Sequence[tuple[str, ...]]
    cases: LoadCases
    first: int = 0

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.failures) * self.cases.n

    @property
    def numbers(self) -> range:
        """The numbers of its rows."""
        return range(self.first, self.first + self.n)

    def number(self, contingency: int, case: int) -> int:
        """Return the number of a row."""
        return self.first + contingency * self.cases.n + case

    def place(self, number: int) -> tuple[int, int]:
        """Return the contingency and the case of a row."""
        return divmod(number - self.first, self.cases.n)

    def tasks(self, outages: Outages, share: bool, settled: Collection[int] = ()) -> Iterator[Task]:
        """Yield what must be solved, one load case after another, ``settled`` rows left out.

        With ``share`` contingencies with one outcome make one task.
        """
        groups = outages.groups(self.failures) if share else [[k] for k in range(len(self.failures))]
        for case in range(self.cases.n):
            for group in groups:
                open_ = [k for k in group if self.number(k, case) not in settled]
                if open_:
                    first, *others = open_
                    same = tuple((self.number(k, case), self.failures[k]) for k in others)
                    yield Task(self.number(first, case), self.failures[first], case, same)


class Ledger:
    """The rows of a contest: collected once each, labelled, kept in a store, and counted.

    Parameters
    ----------
    contest : Contest
    store : Store or None
    """

    def __init__(self, contest: Contest, store: Store | None) -> None:
        self.contest, self._store = contest, store
        stored = store.rows if store is not None else []
        self.rows = {int(row["number"]): row for row in stored if row["number"] in contest.numbers}
        self.resumed = len(self.rows)

    def add(self, row: Row, meter: Meter) -> None:
        """Take a row, unless there is one of its number, and have it counted."""
        number = int(row["number"])
        if number in self.rows:
            return
        self.rows[number] = row = {**row, **self.contest.cases.labels[self.contest.place(number)[1]]}
        if (
            self._store is not None and row["status"] != CRASHED
        ):  # it is tried again when the sweep is resumed
            self._store.add(row)
        meter.tell(row)

    def missing(self, tasks: Iterable[Task]) -> list[Task]:
        """Return the tasks of which a row is missing; whole, since what they share comes from their first."""
        return [task for task in tasks if any(number not in self.rows for number in task.numbers)]


class Meter:
    """Counts rows for who looks on."""

    def __init__(self, progress: Progress | None, contest: Contest, done: int) -> None:
        self._progress, self.done, self.total = progress, done, contest.n
        self._say(name_of(contest.failures[0]) if contest.failures else "")

    def expect(self, more: int) -> None:
        """Count rows that are to come besides."""
        self.total += more

    def tell(self, row: Row) -> None:
        """Count a row."""
        self.done += 1
        self._say(row["contingency"])

    def _say(self, name: str) -> None:
        if self._progress is not None:
            self._progress(self.done, self.total, name)
