"""Contingencies solved on a Dask cluster.

Dask itself trusts its peers (it sends pickles between them): connect only to a cluster of your own, over ``tls://`` where
others share the network. What pdnopt sends and gets are texts.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any

from pdnopt.errors import InputError, Issue, PdnoptError
from pdnopt.sweeps.job import Task, tasks_to_text
from pdnopt.sweeps.pool import MAX_DEATHS, chunks_of
from pdnopt.sweeps.rows import Row, crashed_row
from pdnopt.sweeps.worker import raise_error, solve_chunk

__all__ = ["Cluster"]

CONNECT_S = 10.0
"""How long the scheduler may take to answer."""

LEAST_WORKERS = 4
"""The cluster counts as so large at least when tasks are cut into chunks: more workers may join."""


class Cluster:
    """A connection to a Dask scheduler for one job. Close it, or use it as a context.

    Parameters
    ----------
    address : str
        ``tcp://host:port`` or ``tls://host:port``.
    job : str
        From `job.job_to_text`.
    priorities : sequence of int
        As in `pool.Pool`.

    Raises
    ------
    InputError
        The extra ``cluster`` is missing, or no scheduler answers.
    """

    def __init__(self, address: str, job: str, priorities: Sequence[int] = ()) -> None:
        self._distributed = _distributed()
        self.priorities = priorities
        try:
            self.client = self._distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, ImportError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            todo = f"Start one with `dask scheduler`, and correct the address; it said: {reason}"
            allowed = "the address of a running Dask scheduler, for instance tcp://10.0.0.5:8786"
            raise InputError(Issue("Unreachable", "cluster", "", address, allowed, todo)) from None
        try:
            self.client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError:
            self.client.close()
            todo = f"Start one with `dask worker {address} --nthreads 1`."
            raise InputError(
                Issue("NoWorkers", "cluster", "", address, "a cluster with a worker", todo)
            ) from None
        with warnings.catch_warnings():  # a network of many MB is large for a task, and sent once
            warnings.simplefilter("ignore")
            # by a task, not scattered: where the worker dies that holds the text, Dask makes it again
            self._job = self.client.submit(str, job)

    def run(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """Yield a row for every number of every task, once, in the order in which they are done. Raises as `Pool.run`."""
        workers = max(LEAST_WORKERS, len(self.client.scheduler_info()["workers"]))
        todo = deque(chunks_of(tasks, workers))
        left = {number for task in tasks for number in task.numbers}
        ends: Counter[int] = Counter()
        pending: dict[Any, list[Task]] = {}
        done = self._distributed.as_completed(loop=self.client.loop)
        try:
            while left:
                while todo:
                    chunk = todo.popleft()
                    future = self.client.submit(solve_chunk, self._job, tasks_to_text(chunk), pure=False)
                    pending[future] = chunk
                    done.add(future)
                future = next(done)
                chunk = pending.pop(future)
                for row in self._rows(future, chunk, todo, ends):
                    if row["number"] in left:
                        left.remove(row["number"])
                        yield row
        except (OSError, self._distributed.comm.CommClosedError) as error:
            text = "the connection to the Dask scheduler broke. Start the sweep again; with resume=... it goes on from there"
            raise PdnoptError(f"{text} ({error})") from None
        finally:
            if self.client.status == "running":
                self.client.cancel(list(pending))

    def close(self) -> None:
        """Leave the cluster; it goes on."""
        self.client.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rows(self, future: Any, chunk: list[Task], todo: deque[list[Task]], ends: Counter[int]) -> list[Row]:
        """Return the rows of a chunk; one that the cluster gave up is put back, task by task."""
        if future.status == "finished":
            try:
                answer = json.loads(future.result())
            except self._distributed.client.FutureCancelledError:
                answer = None  # its worker died before the result was fetched
            if answer is not None:
                if "error" in answer:
                    raise_error(answer["error"])
                return list(answer["rows"])
        elif future.status == "error" and not isinstance(future.exception(), self._distributed.KilledWorker):
            raise PdnoptError(f"the Dask cluster failed: {future.exception()}")
        if len(chunk) > 1:
            todo.extend([task] for task in chunk)
            return []
        task = chunk[0]
        ends[task.number] += 1
        if ends[task.number] < MAX_DEATHS:
            todo.append([task])
            return []
        todo.extend([Task(number, failed, task.case)] for number, failed in task.same)
        return [crashed_row(task.number, task.failed, self.priorities)]


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        todo = "Install it: python -m pip install 'pdnopt[cluster]'"
        raise InputError(
            Issue("Missing", "cluster", "", "distributed is not installed", "the extra 'cluster'", todo)
        ) from None
    return distributed
