"""Who solves the contingencies of a sweep: this process, a pool of processes, or a cluster."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from pdnopt.errors import InputError, Issue
from pdnopt.plant.files import network_to_text
from pdnopt.sweeps.bench import Bench
from pdnopt.sweeps.cluster import Cluster
from pdnopt.sweeps.job import Job, Task, job_to_text
from pdnopt.sweeps.pool import Pool
from pdnopt.sweeps.rows import Row

__all__ = ["Crew", "Here", "assemble"]

PAYS_S = 15.0
"""Work left from which on a pool is sooner: its processes take 2 s to start, and build a session each."""

TRIED = 3
"""Contingencies solved here before the time of the others is estimated."""


class Crew(Protocol):
    """What solves tasks."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """Yield a row for every number of every task, once, in the order in which they are done."""

    def close(self) -> None:
        """Let go of processes and connections."""


class Here:
    """This process, until the work left is seen to be worth a pool.

    Parameters
    ----------
    net : pandapowerNet
    job : Job
    hire : callable, optional
        Returns a pool, or None where there can be none.
    """

    def __init__(self, net: Any, job: Job, hire: Callable[[], Pool | None] | None = None) -> None:
        self._bench = Bench(net, job)
        self._hire = hire
        self._pool: Pool | None = None

    def run(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """See `Crew`."""
        begun = time.monotonic()
        for k, task in enumerate(tasks):
            if (
                self._hire is not None
                and k >= TRIED
                and (time.monotonic() - begun) / k * (len(tasks) - k) > PAYS_S
            ):
                self._pool, self._hire = self._hire(), None
            if self._pool is not None:
                yield from self._pool.run(tasks[k:])
                return
            yield from self._bench.solve(task)

    def close(self) -> None:
        """See `Crew`."""
        if self._pool is not None:
            self._pool.close()


def assemble(net: Any, job: Job, workers: int | None, cluster: str | None, priorities: Sequence[int]) -> Crew:
    """Return who works: ``workers`` processes (1: this one; None: as many as pay), or the cluster at an address.

    Raises
    ------
    InputError
        Arguments out of range or against each other; what workers cannot be sent.
    """
    issues = []
    whole = isinstance(workers, int) and not isinstance(workers, bool) and workers >= 1
    if workers is not None and not whole:
        allowed = "a whole number from 1, or None"
        issues.append(Issue("Range", "sweep(workers=...)", "", workers, allowed, "Correct the number."))
    if cluster is not None and workers is not None:
        todo = "Leave one of them out: a cluster has workers of its own."
        issues.append(Issue("Conflict", "sweep(workers=...)", "", workers, "None with a cluster", todo))
    alone = "extend" in job.keywords and job.keywords["extend"] is not None
    if alone and (cluster is not None or workers not in (None, 1)):
        todo = "Use workers=1, and no cluster."
        issues.append(
            Issue(
                "Conflict", "sweep(extend=...)", "", "a function", "nothing that other processes need", todo
            )
        )
    if issues:
        raise InputError(issues)
    if cluster is not None:
        return Cluster(cluster, job_to_text(job, network_to_text(net)), priorities)
    if workers is not None and workers > 1:
        return Pool(job_to_text(job, network_to_text(net)), workers, priorities)

    def hire() -> Pool | None:
        try:
            return Pool(job_to_text(job, network_to_text(net)), cores(), priorities)
        except InputError:  # the network holds what only this process has; it can go on here
            return None

    possible = workers is None and not alone and cores() > 1 and bool(sys.executable)
    return Here(net, job, hire if possible else None)


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
