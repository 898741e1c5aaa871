"""Nodes as processes of their own, started and ended here: each reads its file, the coordinator never does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pdnopt.forecast.federated.transports import Spool

__all__ = ["Nodes", "processes"]

END_S = 10.0
LOG = "log.txt"


class Nodes(Spool):
    """The spool of running node processes.

    Attributes
    ----------
    running : dict of str to Popen
    """

    def __init__(self, root: Path, nodes: Sequence[str]) -> None:
        super().__init__(root, nodes)
        self.running: dict[str, subprocess.Popen[str]] = {}

    def may_answer(self) -> set[str]:
        """Return the nodes whose processes run."""
        return {name for name, process in self.running.items() if process.poll() is None}

    def logs(self) -> dict[str, str]:
        """Return what nodes had to say: faults of their files, tasks that they refused, why they ended."""
        texts = {name: (self.root / name / LOG).read_text(encoding="utf-8") for name in self.running}
        return {name: text.strip() for name, text in texts.items() if text.strip()}


@contextmanager
def processes(
    root: Path,
    histories: Mapping[str, Path],
    *,
    held_out: int = 14,
    seed: int = 0,
    keep: Path | None = None,
    allow_negative: bool = False,
    timezone: str | None = None,
    idle_s: float = 600.0,
) -> Iterator[Nodes]:
    """Start a process for each node, and end them all at the end.

    Parameters
    ----------
    root : Path
        An empty folder for the spool; each node's log is ``NODE/log.txt`` in it.
    histories : mapping of str to Path
        By node, the file of its measurements (`series.read_series`), kW.
    held_out : int
        Windows at the end of each history that are not trained on.
    seed : int
        The nodes' seeds are this and the numbers after it.
    keep : Path, optional
        Folder in which each node saves the agreed model, ``KEEP/NODE``.
    allow_negative, timezone
        As for `read_history` and `series.Source`.
    idle_s : float
        A node ends by itself after so long without a task, in s.
    """
    nodes = Nodes(root, list(histories))
    logs = []
    try:
        for k, (name, path) in enumerate(histories.items()):
            job = {
                "root": str(root),
                "name": name,
                "history": str(path),
                "held_out": held_out,
                "seed": seed + k,
                "keep": None if keep is None else str(keep / name),
                "allow_negative": allow_negative,
                "timezone": timezone,
                "idle_s": idle_s,
            }
            log = (root / name / LOG).open("w", encoding="utf-8")
            logs.append(log)
            command = [sys.executable, "-m", "pdnopt.forecast.federated.worker"]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, text=True
            )
            nodes.running[name] = process
            assert process.stdin is not None
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.close()
        yield nodes
    finally:
        nodes.close()
        for process in nodes.running.values():
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for log in logs:
            log.close()
