"""What a sweep asks, as values and as JSON text: what is the same for all contingencies, and one of them.

Workers get texts only. Nothing of a job is pickled, and a network is read with what a file's network is read with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pdnopt import __version__
from pdnopt.errors import InputError, Issue

__all__ = ["Job", "Task", "job_from_text", "job_to_text", "tasks_from_text", "tasks_to_text"]

SERIES = ("p_load_kw", "p_asymmetric_kw")
"""Keywords that are Series of kW by row."""


@dataclass(frozen=True)
class Job:
    """What is the same for every contingency of a sweep.

    Attributes
    ----------
    problem : str
    keywords : dict
        Of `Session`, without ``failed``.
    loads : tuple of Series
        The demand of each load case, kW by row of net.load; empty: one case, as the keywords have it.
    plans : bool
        Whether rows carry their plan.
    """

    problem: str
    keywords: Mapping[str, Any]
    loads: tuple[pd.Series, ...] = ()
    plans: bool = False


@dataclass(frozen=True)
class Task:
    """One contingency in one load case, and the others that leave the plant in the very same state.

    Attributes
    ----------
    number : int
        Place of its row in the sweep.
    failed : tuple of str
    case : int
        Position of the load case.
    same : tuple of (int, tuple of str)
        Number and outages of each contingency with the same outcome.
    """

    number: int
    failed: tuple[str, ...]
    case: int = 0
    same: tuple[tuple[int, tuple[str, ...]], ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of all its rows."""
        return (self.number, *(number for number, _ in self.same))


def job_to_text(job: Job, network: str) -> str:
    """Return a job and the text of its network as one line of JSON."""
    keywords = {
        key: _series_to_plain(value) if key in SERIES and value is not None else _plain(value)
        for key, value in job.keywords.items()
    }
    return json.dumps(
        {
            "version": __version__,
            "network": network,
            "problem": job.problem,
            "keywords": keywords,
            "loads": [_series_to_plain(series) for series in job.loads],
            "plans": job.plans,
        }
    )


def job_from_text(text: str) -> tuple[Job, str]:
    """Return the job and the text of its network. Raises InputError where another version of pdnopt wrote it."""
    data = json.loads(text)
    if data["version"] != __version__:
        todo = "Install the same version of pdnopt on every worker."
        raise InputError(
            Issue("Version", "cluster", "worker", __version__, f"pdnopt {data['version']}", todo)
        )
    keywords = {
        key: _series_from_plain(value) if key in SERIES and value is not None else value
        for key, value in data["keywords"].items()
    }
    loads = tuple(_series_from_plain(item) for item in data["loads"])
    return Job(data["problem"], keywords, loads, data["plans"]), data["network"]


def tasks_to_text(tasks: Iterable[Task]) -> str:
    """Return tasks as one line of JSON."""
    return json.dumps([[task.number, task.failed, task.case, task.same] for task in tasks])


def tasks_from_text(text: str) -> list[Task]:
    """Read what `tasks_to_text` wrote."""
    return [
        Task(number, tuple(failed), case, tuple((other, tuple(names)) for other, names in same))
        for number, failed, case, same in json.loads(text)
    ]


def _series_to_plain(series: Any) -> list[list[Any]]:
    return [[int(row) for row in series.index], [float(kw) for kw in series]]


def _series_from_plain(value: Sequence[Sequence[Any]]) -> pd.Series:
    return pd.Series(value[1], index=np.array(value[0], dtype=np.int64), dtype=float)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    todo = "Leave it out, or use workers=1."
    raise InputError(Issue("NotAllowed", "sweep", "", type(value).__name__, "numbers and texts", todo))
