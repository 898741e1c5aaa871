"""The coordinator: sends weights out, averages what comes back in time, again and again.

Federated averaging (McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized data",
algorithm 1), with n_k the training windows of node k and d_k what its training changed::

    w <- w + sum_k n_k d_k / sum_k n_k          over the nodes k that answered in time                   (1)

*Dropouts and stragglers.* A round ends when every node that answered the last round has answered, or at its deadline;
the others' answers count if they arrive before that. With fewer than ``fewest`` answers the round is void and the
weights stay. An answer to an earlier round is dropped. So a node that is gone costs one deadline, and one that comes
back is heard again. *Refused* are updates that `messages` refuses, and, where they are clipped and not blurred, those
that are longer than allowed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from pdnopt.errors import InputError, Issue, PdnoptError
from pdnopt.forecast.federated.messages import Answer, Task, Weights, read_answer, write_message
from pdnopt.forecast.federated.node import initial_weights
from pdnopt.forecast.federated.privacy import epsilon, length
from pdnopt.forecast.federated.transports import Transport
from pdnopt.forecast.lstm.settings import Settings

__all__ = ["Federation", "FederationError", "Outcome", "Round", "average", "federate"]

LOOK_S = 1.0
"""After so long without an answer it is looked who may still answer."""

ROUNDING = 1e-3
"""An update may be longer than the clipping length by this part: float32."""


class FederationError(PdnoptError, RuntimeError):
    """Too few nodes answered, round after round."""


@dataclass(frozen=True)
class Federation:
    """How nodes train together.

    Attributes
    ----------
    settings : Settings
        Of the network; ``members`` is 1.
    rounds : int
    local_steps : int
        Training steps of each node in a round.
    deadline_s : float
        Until when answers of a round are waited for, in s.
    fewest : int
        Answers that a round needs.
    patience : int
        Void rounds one after another, after which there is no point in going on.
    longest : float, optional
        Clipping length of updates (`privacy`); default: not clipped.
    noise : float
        Standard deviation of the noise over the clipping length; 0: none.
    """

    settings: Settings = field(default_factory=Settings)
    rounds: int = 20
    local_steps: int = 40
    deadline_s: float = 120.0
    fewest: int = 2
    patience: int = 3
    longest: float | None = None
    noise: float = 0.0

    def issues(self, nodes: int) -> list[Issue]:
        """Return what is wrong with these values for a number of nodes."""
        out = [
            Issue("Range", f"federation.{name}", "", value, f"from {least} to {most}", "Correct the value.")
            for name, value, least, most in (
                ("rounds", self.rounds, 1, 10_000),
                ("local_steps", self.local_steps, 1, 100_000),
                ("fewest", self.fewest, 1, nodes),
                ("patience", self.patience, 1, 1_000),
                ("settings.members", self.settings.members, 1, 1),
            )
            if not least <= value <= most
        ]
        for name, number, fits, allowed in (
            ("deadline_s", self.deadline_s, 0 < self.deadline_s < math.inf, "more than 0 s"),
            ("longest", self.longest, self.longest is None or 0 < self.longest < math.inf, "more than 0"),
            ("noise", self.noise, 0 <= self.noise < math.inf, "0 or more"),
            ("noise", self.noise, not self.noise or self.longest is not None, "0 where nothing is clipped"),
        ):
            if not fits:
                out.append(Issue("Range", f"federation.{name}", "", number, allowed, "Correct the value."))
        return out


@dataclass(frozen=True)
class Round:
    """What happened in a round.

    Attributes
    ----------
    number : int
    answered : tuple of str
        Nodes whose updates were averaged.
    missing : tuple of str
        Nodes that had not answered when the round ended.
    refused : dict of str to str
        Nodes whose updates were refused, and why.
    late : tuple of str
        Nodes whose answer to an earlier round arrived in this one.
    void : bool
        Too few answers: the weights stayed.
    loss : float
        Mean training loss of the nodes, weighted by their windows; NaN in a void round.
    seconds : float
    """

    number: int
    answered: tuple[str, ...]
    missing: tuple[str, ...]
    refused: dict[str, str]
    late: tuple[str, ...]
    void: bool
    loss: float
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What a federation came to.

    Attributes
    ----------
    weights : dict of str to ndarray
    rounds : tuple of Round
    sql : dict of str to list of float
        By node, the scaled quantile loss of each of its circuits on its own held-out windows; only of nodes that were still
        there at the end.
    epsilon : float
        What the noise guarantees each node (`privacy`, delta 1e-5); infinite without noise.
    """

    weights: Weights
    rounds: tuple[Round, ...]
    sql: dict[str, list[float]]
    epsilon: float


def federate(
    transport: Transport,
    federation: Federation | None = None,
    progress: Callable[[Round], None] | None = None,
) -> Outcome:
    """Train one network on the circuits of many nodes.

    Parameters
    ----------
    transport : Transport
        Reaches the nodes.
    federation : Federation, optional
    progress : callable, optional
        Called with each round that has ended.

    Raises
    ------
    InputError
        [Range] values that make no sense, all at once.
    FederationError
        ``patience`` void rounds one after another.
    """
    federation = federation or Federation()
    issues = federation.issues(len(transport.nodes))
    if issues:
        raise InputError(issues)
    weights = initial_weights(federation.settings)
    rounds: list[Round] = []
    awaited = set(transport.nodes)
    void = 0
    for number in range(federation.rounds):
        task = _task(federation, "train", number, weights)
        answers, report = _ask(transport, task, federation, awaited)
        report = _judged(report, answers, federation.fewest)
        rounds.append(report)
        if progress is not None:
            progress(report)
        void = void + 1 if report.void else 0
        if void >= federation.patience:
            raise FederationError(
                f"{void} rounds one after another had fewer than {federation.fewest} answers; the last: "
                f"missing {', '.join(report.missing) or 'none'}, refused {report.refused or 'none'}. "
                "Look at the nodes' logs, give them a longer deadline, or ask for fewer answers."
            )
        if not report.void:
            weights = average(weights, answers)
            awaited = set(answers)
    final, _ = _ask(transport, _task(federation, "finish", federation.rounds, weights), federation, awaited)
    sql = {node: answer.sql for node, answer in final.items()}
    return Outcome(weights, tuple(rounds), sql, epsilon(federation.rounds, federation.noise))


def average(weights: Weights, answers: dict[str, Answer]) -> Weights:
    """Return equation (1)."""
    total = sum(answer.windows for answer in answers.values())
    out = {}
    for name, value in weights.items():
        # in order of names, so that who answered first changes no bit
        change = sum(
            (answers[node].windows / total) * answers[node].update[name].astype(float)
            for node in sorted(answers)
        )
        out[name] = (value + change).astype(np.float32)
    return out


def _task(federation: Federation, kind: str, number: int, weights: Weights) -> Task:
    # a cosine to almost nothing over the rounds: averages of nodes that still take large steps stay rough
    pace = 0.5 * (1 + math.cos(math.pi * number / federation.rounds))
    return Task(
        kind,
        number,
        weights,
        federation.settings.to_dict(),
        federation.local_steps,
        pace,
        federation.longest,
        federation.noise,
    )


def _ask(
    transport: Transport, task: Task, federation: Federation, awaited: set[str]
) -> tuple[dict[str, Answer], Round]:
    """Send a task to all nodes and gather what comes back until all awaited have answered, or the deadline."""
    begun = time.monotonic()
    message = write_message(task)
    for node in transport.nodes:
        transport.send(node, message)
    answers: dict[str, Answer] = {}
    refused: dict[str, str] = {}
    late: list[str] = []
    expected = task.weights if task.kind == "train" else None
    while waited := awaited - {*answers, *refused}:
        left_s = federation.deadline_s - (time.monotonic() - begun)
        if left_s <= 0:
            break
        hopeless = not waited & transport.may_answer()
        got = transport.receive(0.0 if hopeless else min(left_s, LOOK_S))
        if got is None:
            if hopeless:
                break
            continue
        node, data = got
        try:
            answer = read_answer(data, node, task.round, expected)
            if answer.round != task.round:
                late.append(node)
                continue
            _check(answer, node, task)
            answers[node] = answer
        except InputError as error:
            refused[node] = str(error)
    missing = tuple(node for node in transport.nodes if node not in answers and node not in refused)
    seconds = time.monotonic() - begun
    report = Round(
        task.round, tuple(sorted(answers)), missing, refused, tuple(late), False, math.nan, seconds
    )
    return answers, report


def _check(answer: Answer, node: str, task: Task) -> None:
    """Raise InputError for an update that is well formed, and yet not to be averaged."""
    if task.kind != "train":
        return
    if answer.windows < 1 or answer.loss is None:
        found = f"{answer.windows} windows, loss {answer.loss}"
        todo = "The node has nothing to train on."
        raise InputError(Issue("MessageRefused", node, "", found, "a trained update", todo))
    if task.longest is not None and not task.noise:
        found_length = length(answer.update)
        if found_length > task.longest * (1 + ROUNDING):
            allowed = f"a length of at most {task.longest:g}"
            raise InputError(
                Issue("MessageRefused", node, "", found_length, allowed, "The node did not clip it.")
            )


def _judged(report: Round, answers: dict[str, Answer], fewest: int) -> Round:
    if len(answers) < fewest:
        return replace(report, void=True)
    windows = np.array([answer.windows for answer in answers.values()], dtype=float)
    losses = np.array([answer.loss for answer in answers.values()], dtype=float)
    return replace(report, loss=float(np.average(losses, weights=windows)))
