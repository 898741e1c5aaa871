"""What passes between the coordinator and a node: weights and a few numbers, as npz without pickle, checked on arrival.

A message is an npz file, not compressed: one array ``says`` (the bytes of a JSON object), and a float32 array for each
weight. Nothing is believed of it: more bytes than allowed, an archive that unpacks to more than it is, other dtypes,
names or shapes than expected, values that are not finite, numbers out of range - all are refused [MessageRefused]
before they are used.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdnopt.errors import InputError, Issue

__all__ = [
    "MAX_BYTES",
    "Answer",
    "Task",
    "Weights",
    "check_shapes",
    "read_answer",
    "read_task",
    "write_message",
]

MAX_BYTES = 64 * 2**20
"""Of one message."""

SAYS = "says"
MAX_SAYS = 2**16
MAX_WINDOWS = 10**9

Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Task:
    """What the coordinator asks of a node.

    Attributes
    ----------
    kind : {"train", "finish"}
        Train some steps from these weights, or keep them as the model that was agreed on, and judge it.
    round : int
    weights : dict of str to ndarray
    settings : dict
        Fields of `lstm.settings.Settings`.
    steps : int
        Training steps of this round.
    pace : float
        Part of the learning rate that this round uses, 0 to 1.
    longest : float or None
        Clipping length of the update; None: not clipped.
    noise : float
        Standard deviation of the noise over the clipping length.
    """

    kind: str
    round: int
    weights: Weights
    settings: dict[str, Any]
    steps: int
    pace: float
    longest: float | None
    noise: float


@dataclass(frozen=True)
class Answer:
    """What a node gives back.

    Attributes
    ----------
    round : int
    update : dict of str to ndarray
        What training changed; empty to a task ``"finish"``.
    windows : int
        Windows that the node trains on: its weight in the average.
    loss : float or None
        Mean training loss of the round.
    sql : list of float
        To ``"finish"``: the scaled quantile loss of each circuit on the node's own held-out windows.
    """

    round: int
    update: Weights
    windows: int
    loss: float | None
    sql: list[float]


def write_message(message: Task | Answer) -> bytes:
    """Return a message as bytes."""
    says = dict(message.__dict__)
    weights: Weights = says.pop("weights" if isinstance(message, Task) else "update")
    text = json.dumps(says, allow_nan=False).encode()
    file = io.BytesIO()
    arrays: Mapping[str, Any] = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    np.savez(file, allow_pickle=False, **{SAYS: np.frombuffer(text, np.uint8), **arrays})
    return file.getvalue()


def read_task(data: bytes) -> Task:
    """Return the task in a message. Raises InputError [MessageRefused]."""
    says, weights = _open(data, "task")
    try:
        task = Task(
            kind=str(says["kind"]),
            round=_number(says["round"], 0, MAX_WINDOWS),
            weights=weights,
            settings=dict(says["settings"]),
            steps=_number(says["steps"], 0, 100_000),
            pace=float(says["pace"]),
            longest=None if says["longest"] is None else float(says["longest"]),
            noise=float(says["noise"]),
        )
        if task.kind not in ("train", "finish"):
            raise ValueError(f"kind {task.kind!r}")
        if not 0 <= task.pace <= 1 or not 0 <= task.noise < np.inf:
            raise ValueError(f"pace {task.pace}, noise {task.noise}")
        if task.longest is not None and not 0 < task.longest < np.inf:
            raise ValueError(f"longest {task.longest}")
        if task.noise and task.longest is None:
            raise ValueError("noise without clipping")
    except (KeyError, TypeError, ValueError) as error:
        raise _refused("task", f"{type(error).__name__}: {error}") from None
    return task


def read_answer(data: bytes, node: str, number: int, expected: Weights | None) -> Answer:
    """Return the answer in a message of a node; one to another round without its update.

    Parameters
    ----------
    data : bytes
    node : str
        Who sent it, for messages.
    number : int
        The round that is running.
    expected : dict of str to ndarray or None
        Weights whose names and shapes the update must have; None: no update.

    Raises
    ------
    InputError
        [MessageRefused], all that is wrong with the update at once.
    """
    says, update = _open(data, node)
    if says.get("round") != number:
        update, expected = {}, None
    check_shapes(node, update, expected or {})
    try:
        loss = None if says["loss"] is None else float(says["loss"])
        sql = [float(value) for value in says["sql"]]
        if not np.isfinite([*sql, 0.0 if loss is None else loss]).all():
            raise ValueError("a loss that is not finite")
        return Answer(
            _number(says["round"], 0, MAX_WINDOWS),
            update,
            _number(says["windows"], 0, MAX_WINDOWS),
            loss,
            sql,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _refused(node, f"{type(error).__name__}: {error}") from None


def check_shapes(path: str, given: Weights, wanted: Weights) -> None:
    """Raise InputError [MessageRefused] for every weight that is missing, not expected or of another shape."""
    issues = []
    for name in sorted({*wanted, *given}):
        if name not in given or name not in wanted:
            found = "missing" if name not in given else "not expected"
            issues.append(_issue(f"{path}.{name}", found, "the weights of the network, no others"))
        elif given[name].shape != wanted[name].shape:
            issues.append(_issue(f"{path}.{name}", given[name].shape, f"shape {wanted[name].shape}"))
    if issues:
        raise InputError(issues)


def _open(data: bytes, path: str) -> tuple[dict[str, Any], Weights]:
    """Return what a message says, and its arrays, all finite float32."""
    if len(data) > MAX_BYTES:
        raise _refused(path, f"{len(data)} bytes", f"at most {MAX_BYTES} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_BYTES:
            raise ValueError(f"unpacks to {unpacked} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        text = arrays.pop(SAYS)
        if text.dtype != np.uint8 or text.size > MAX_SAYS:
            raise ValueError("what it says")
        says = json.loads(text.tobytes())
        if not isinstance(says, dict):
            raise ValueError("what it says is no object")
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, EOFError, NotImplementedError) as error:
        raise _refused(path, f"{type(error).__name__}: {error}") from None
    issues = []
    for name, value in arrays.items():
        if value.dtype != np.float32:
            issues.append(_issue(f"{path}.{name}", str(value.dtype), "float32"))
        elif not np.isfinite(value).all():
            bad = int((~np.isfinite(value)).sum())
            issues.append(_issue(f"{path}.{name}", f"{bad} values that are not finite", "finite numbers"))
    if issues:
        raise InputError(issues)
    return says, arrays


def _number(value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r} is no whole number from {least} to {most}")
    return value


def _issue(path: str, found: Any, allowed: str) -> Issue:
    todo = "The message is left out; look at the node's log, and at who may write to the transport."
    return Issue("MessageRefused", path, "", found, allowed, todo)


def _refused(path: str, found: str, allowed: str = "a message of this version of pdnopt") -> InputError:
    return InputError(_issue(path, found, allowed))
