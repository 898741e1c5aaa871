"""How messages reach nodes: within this process, or through a folder to processes of their own.

The folder (``Spool``) has two folders for each node, ``ROOT/NODE/in`` and ``ROOT/NODE/out``. A message is a file that
is written beside under a name that begins with a dot, and renamed: who looks sees whole messages only. Only the newest
task counts, so a node that was away does not work through old ones. The folder may lie on a disk that machines share.
Whoever may write to it can speak in a node's name: give each node's folders to that node and the coordinator only.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pdnopt.errors import InputError, Issue
from pdnopt.forecast.federated.messages import MAX_BYTES

__all__ = ["InProcess", "Inbox", "Spool", "Transport"]

POLL_S = 0.02
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Transport(Protocol):
    """Carries messages between the coordinator and nodes; what they say is none of its business."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Return the names of all nodes, also of those that do not answer."""
        ...

    def may_answer(self) -> set[str]:
        """Return the nodes from which an answer may still come; those that are known to be gone are not among them."""
        ...

    def send(self, node: str, message: bytes) -> None:
        """Send a task; never waits, and never fails because a node is gone."""
        ...

    def receive(self, timeout_s: float) -> tuple[str, bytes] | None:
        """Return the next answer and who sent it; None where none comes in time."""
        ...


class InProcess:
    """Nodes as functions in this process.

    Parameters
    ----------
    nodes : mapping of str to callable
        Takes a task's bytes, returns an answer's bytes, or None where it does not answer.
    """

    def __init__(self, nodes: Mapping[str, Callable[[bytes], bytes | None]]) -> None:
        self._nodes = dict(nodes)
        self._asked: deque[tuple[str, bytes]] = deque()

    @property
    def nodes(self) -> tuple[str, ...]:
        """Return the names."""
        return tuple(self._nodes)

    def may_answer(self) -> set[str]:
        """Return the nodes that have not worked yet."""
        return {node for node, _ in self._asked}

    def send(self, node: str, message: bytes) -> None:
        """Keep a task until somebody waits for its answer."""
        self._asked.append((node, message))

    def receive(self, timeout_s: float) -> tuple[str, bytes] | None:
        """Let the next node work, and return its answer."""
        while self._asked:
            node, message = self._asked.popleft()
            answer = self._nodes[node](message)
            if answer is not None:
                return node, answer
        return None


class Spool:
    """The coordinator's side of a folder.

    Parameters
    ----------
    root : Path
    nodes : sequence of str
        Letters, digits, ``_`` and ``-``.
    """

    def __init__(self, root: Path, nodes: Sequence[str]) -> None:
        check_names(nodes)
        self.root, self._names = Path(root), tuple(nodes)
        for node in nodes:
            for box in ("in", "out"):
                (self.root / node / box).mkdir(parents=True, exist_ok=True)
        self._count = 0

    @property
    def nodes(self) -> tuple[str, ...]:
        """Return the names."""
        return self._names

    def may_answer(self) -> set[str]:
        """Return all nodes: a folder does not tell who is gone."""
        return set(self._names)

    def send(self, node: str, message: bytes) -> None:
        """Put a task into a node's folder."""
        self._count += 1
        _put(self.root / node / "in", f"{self._count:08d}", message)

    def receive(self, timeout_s: float) -> tuple[str, bytes] | None:
        """Return the oldest answer that lies in any node's folder."""
        until = time.monotonic() + timeout_s
        while True:
            for node in self._names:
                for path in _waiting(self.root / node / "out"):
                    data = _take(path)
                    if data is not None:
                        return node, data
            if time.monotonic() >= until:
                return None
            time.sleep(min(POLL_S, max(0.0, until - time.monotonic())))

    def close(self) -> None:
        """Tell every node that there is nothing more to come."""
        for node in self._names:
            _put(self.root / node / "in", "stop", b"")


class Inbox:
    """A node's side of the folder.

    Parameters
    ----------
    root : Path
    node : str
    """

    def __init__(self, root: Path, node: str) -> None:
        check_names([node])
        self._in, self._out = Path(root) / node / "in", Path(root) / node / "out"
        self._count = 0

    def receive(self, timeout_s: float) -> bytes | None:
        """Return the newest task; None where none comes in time, or none will come any more."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            waiting = _waiting(self._in)
            tasks = [path for path in waiting if path.name != "stop"]
            for old in tasks[:-1]:
                old.unlink(missing_ok=True)
            if tasks and (data := _take(tasks[-1])) is not None:
                return data
            if waiting and not tasks:
                return None
            time.sleep(POLL_S)
        return None

    def send(self, message: bytes) -> None:
        """Put an answer into the node's folder."""
        self._count += 1
        _put(self._out, f"{os.getpid():08d}-{self._count:08d}", message)


def check_names(nodes: Sequence[str]) -> None:
    """Raise InputError for names that are no folder names, or that two nodes have."""
    issues = [
        Issue("Format", "nodes", node, node, "letters, digits, _ and -, at most 64", "Rename the node.")
        for node in nodes
        if not NAME.fullmatch(node)
    ]
    if len(set(nodes)) < len(nodes):
        twice = sorted({node for node in nodes if list(nodes).count(node) > 1})
        issues.append(Issue("NotUnique", "nodes", "", twice, "one name a node", "Rename one of them."))
    if not nodes:
        issues.append(Issue("Empty", "nodes", "", 0, "at least one node", "Name the nodes."))
    if issues:
        raise InputError(issues)


def _put(folder: Path, name: str, message: bytes) -> None:
    beside = folder / f".{name}"
    beside.write_bytes(message)
    beside.replace(folder / name)


def _waiting(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("[!.]*") if path.is_file())


def _take(path: Path) -> bytes | None:
    """Return a file's bytes, and remove it; of one that is too large only so much that it is refused."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        path.unlink()
    except OSError:
        return None
    return data
