"""A worker process of a sweep: reads lines of JSON, solves, and writes lines of JSON. Started by `pool`.

The first line is the job; every other one is a list of tasks. For each row a line ``{"row": ...}`` goes back, after
each task ``{"done": number}``, and ``{"error": ...}`` where something is wrong that the caller must know. When its input
ends the process ends, in the middle of a solve too: its parent is gone, or does not want it any more.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import traceback
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any

from pdnopt.errors import InputError, Issue, PdnoptError
from pdnopt.sweeps.bench import Bench, bench_of
from pdnopt.sweeps.job import tasks_from_text

__all__ = ["WorkerError", "error_of", "raise_error", "serve", "solve_chunk"]


class WorkerError(PdnoptError, RuntimeError):
    """Something went wrong in a worker that is no bad input; the message holds the worker's traceback."""


def serve() -> None:
    """Work until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the input
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no reply
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests, lines), daemon=True).start()

    def reply(message: Mapping[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")

    try:
        bench = bench_of(lines.get())
        reply({"ready": os.getpid()})
        while True:
            for task in tasks_from_text(lines.get()):
                for row in bench.solve(task):
                    reply({"row": row})
                reply({"done": task.number})
    except BrokenPipeError:
        os._exit(1)
    except Exception as error:
        reply({"error": error_of(error)})
        raise


def _listen(requests: Any, lines: SimpleQueue[str]) -> None:
    for line in requests:
        lines.put(line)
    os._exit(0)


def error_of(error: Exception) -> dict[str, Any]:
    """Return an exception as plain JSON values."""
    issues = [issue.to_dict() for issue in error.issues] if isinstance(error, InputError) else []
    return {"issues": issues, "text": "".join(traceback.format_exception(error))}


def raise_error(error: Mapping[str, Any]) -> None:
    """Raise what `error_of` told: InputError as such, anything else as WorkerError."""
    if error["issues"]:
        raise InputError([Issue(**issue) for issue in error["issues"]])
    raise WorkerError(f"a worker of the sweep failed:\n{error['text']}")


_LOCK = threading.Lock()
_BENCHES: dict[str, Bench] = {}
"""The bench of the job at hand in a process of a cluster; one, since networks are large."""


def solve_chunk(job: str, tasks: str) -> str:
    """Solve tasks in a process of a cluster: texts in, one text out (``rows``, or ``error``). One call at a time."""
    with _LOCK:
        try:
            if job not in _BENCHES:
                bench = bench_of(job)
                _BENCHES.clear()
                _BENCHES[job] = bench
            rows = [row for task in tasks_from_text(tasks) for row in _BENCHES[job].solve(task)]
        except Exception as error:
            return json.dumps({"error": error_of(error)})
        return json.dumps({"rows": rows})
