"""A node as a process of its own: ``python -m pdnopt.forecast.federated.worker`` with a job on standard input.

The job is one line of JSON: ``root`` (the spool), ``name``, ``history`` (a file that `series.read_series` reads),
``held_out``, ``seed``, ``keep`` (a folder or null), ``allow_negative``, ``timezone``, ``idle_s`` (ends after so long
without a task). What it has to say goes to standard error, a line each. It ends when the coordinator closes the spool.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pdnopt.errors import InputError
from pdnopt.forecast.federated.messages import read_task, write_message
from pdnopt.forecast.federated.node import Node
from pdnopt.forecast.federated.transports import Inbox
from pdnopt.forecast.series import Source, read_series

__all__ = ["main"]


def main() -> int:
    """Answer tasks until there are none; return 2 where the job or the history is bad."""
    job = json.loads(sys.stdin.readline())
    inbox = Inbox(Path(job["root"]), job["name"])
    try:
        node = Node(
            job["name"],
            read_series([Path(job["history"])], Source(job["timezone"]))[0],
            held_out=int(job["held_out"]),
            seed=int(job["seed"]),
            keep=None if job["keep"] is None else Path(job["keep"]),
            allow_negative=bool(job["allow_negative"]),
        )
    except InputError as error:
        print(error, file=sys.stderr, flush=True)
        return 2
    while (data := inbox.receive(float(job["idle_s"]))) is not None:
        try:
            answer = node.answer(read_task(data))
        except InputError as error:
            print(f"{node.name}: {error}", file=sys.stderr, flush=True)
            continue
        inbox.send(write_message(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
