"""The solver process of a controller: reads lines of JSON, solves, writes lines of JSON. Started by `planner`.

The first line is the job: the network and the problems to compile. When that is done a line ``ready`` goes back; every later
line is an `Ask`, answered by an `Answer`. When its input ends the process ends, in the middle of a solve too.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from queue import SimpleQueue
from typing import Any

from pdnopt.control.desk import Ask, Desk
from pdnopt.plant.files import network_from_text

__all__ = ["serve"]


def serve() -> None:
    """Work until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no reply
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests, lines), daemon=True).start()
    job = json.loads(lines.get())
    desk = Desk(network_from_text(job["network"]))
    for problem in job["problems"]:
        desk.answer(Ask(problem, {}, time_limit_s=1.0))
    try:
        replies.write("ready\n")
        while True:
            replies.write(desk.answer(Ask.from_json(lines.get())).to_json() + "\n")
    except BrokenPipeError:
        os._exit(1)


def _listen(requests: Any, lines: SimpleQueue[str]) -> None:
    for line in requests:
        lines.put(line)
    os._exit(0)
