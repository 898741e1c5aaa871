"""Contingencies solved in this process, whichever it is: the caller's, a child's or one of a cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from pdnopt.checker import Checker
from pdnopt.plant.files import network_from_text
from pdnopt.plant.grid import read_grid
from pdnopt.result import Result
from pdnopt.session import Session
from pdnopt.sweeps.job import Job, Task, job_from_text
from pdnopt.sweeps.rows import Row, ratings_kw, row_of, shared_row

__all__ = ["Bench", "bench_of"]


class Bench:
    """One network and its session, which solves every contingency of every load case.

    Parameters
    ----------
    net : pandapowerNet
        Already validated.
    job : Job
    """

    def __init__(self, net: Any, job: Job) -> None:
        self.net, self.job = net, job
        self._ratings = ratings_kw(read_grid(net))

    @cached_property
    def _session(self) -> Session:
        keywords = {"explain": False, **self.job.keywords, "validate": False}
        return Session(self.net, self.job.problem, **keywords)

    @cached_property
    def _checker(self) -> Checker:
        return Checker(self.net)

    def solve(self, task: Task) -> Iterator[Row]:
        """Yield the row of a contingency, then those of the outages with the same outcome."""
        result = self._solve(task.case, task.failed)
        row = row_of(task, result, self._ratings, self.job.plans)
        yield row
        for number, failed in task.same:
            shared = self._shared(number, failed, row, result)
            if shared is None:
                other = replace(task, number=number, failed=failed)
                shared = row_of(other, self._solve(task.case, failed), self._ratings, self.job.plans)
            yield shared

    def _shared(self, number: int, failed: Sequence[str], row: Row, result: Result) -> Row | None:
        """Return the row of an outage by the plan of another one; None where the checker does not confirm it."""
        if not result.ok:
            return None
        begun = time.perf_counter()
        report = self._checker.report(replace(result.plan, failed=tuple(failed)))
        if any(issue.severity == "error" for issue in report.issues):
            return None
        shared = shared_row(number, failed, row, report, self._ratings)
        return {**shared, "total_s": time.perf_counter() - begun}

    def _solve(self, case: int, failed: Sequence[str]) -> Result:
        loads = {"p_load_kw": self.job.loads[case]} if self.job.loads else {}
        return self._session.solve(failed=failed, **loads)


def bench_of(text: str) -> Bench:
    """Return the bench of a job's text."""
    job, network = job_from_text(text)
    return Bench(network_from_text(network), job)
