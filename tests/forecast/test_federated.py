"""Federated training: what is averaged, what is refused, and who may be missing."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pdnopt.errors import InputError
from pdnopt.forecast.federated.coordinator import Federation, FederationError, average, federate
from pdnopt.forecast.federated.messages import (
    MAX_BYTES,
    Answer,
    Task,
    Weights,
    read_answer,
    read_task,
    write_message,
)
from pdnopt.forecast.federated.node import Node, initial_weights
from pdnopt.forecast.federated.privacy import blur, clip_update, epsilon, length
from pdnopt.forecast.federated.processes import processes
from pdnopt.forecast.federated.transports import InProcess, Spool
from pdnopt.forecast.history import read_history
from pdnopt.forecast.lstm.forecaster import LSTMForecaster
from pdnopt.forecast.lstm.settings import Settings
from tests.forecast.series import ett
from tests.forecast.synthetic import daily

TINY = Settings(horizon=6, context=12, hidden=4, steps=4, batch=8)
SHORT = Federation(settings=TINY, rounds=3, local_steps=2, deadline_s=20.0, fewest=2)


def kinds(error: pytest.ExceptionInfo[InputError]) -> list[str]:
    return [issue.kind for issue in error.value.issues]


def task_of(**changes: object) -> Task:
    weights = {"a": np.zeros((2, 3), np.float32), "b": np.ones(4, np.float32)}
    return dataclasses.replace(Task("train", 3, weights, TINY.to_dict(), 5, 0.5, None, 0.0), **changes)


def answer_of(**changes: object) -> Answer:
    update = {"a": np.full((2, 3), 0.5, np.float32), "b": np.arange(4, dtype=np.float32)}
    return dataclasses.replace(Answer(3, update, 10, 0.25, []), **changes)


# What is averaged


def test_the_average_weighs_by_windows() -> None:
    """FedAvg by hand: (1 x 10 + 4 x 30) / 40 = 3.25 is added."""
    answers = {
        "x": answer_of(windows=10, update={"a": np.ones((2, 3), np.float32)}),
        "y": answer_of(windows=30, update={"a": np.full((2, 3), 4.0, np.float32)}),
    }
    found = average({"a": np.full((2, 3), 2.0, np.float32)}, answers)
    np.testing.assert_allclose(found["a"], 5.25)
    other_order = average({"a": np.full((2, 3), 2.0, np.float32)}, dict(reversed(answers.items())))
    np.testing.assert_array_equal(found["a"], other_order["a"])


def test_one_node_alone_is_training_in_place() -> None:
    """With a single node, a round is that many training steps from the weights that went out, done here once more."""
    from pdnopt.forecast.lstm.fitting import Sampler, fit_network, new_network, read_weights, write_weights
    from pdnopt.forecast.lstm.forecaster import frame_from
    from pdnopt.forecast.lstm.known import CALENDAR, Known

    history = daily(20, 2)
    node = Node("x", history, held_out=2, seed=5)
    federation = dataclasses.replace(SHORT, rounds=1, local_steps=7, fewest=1)
    found = federate(InProcess({"x": lambda data: write_message(node.answer(read_task(data)))}), federation)
    seen = read_history(history.iloc[: len(history) - 12])
    known, values = Known.read(None, seen.index, TINY)
    network = new_network(CALENDAR, TINY, 0)
    write_weights(network, initial_weights(TINY))
    seed = int(np.random.SeedSequence([5, 0]).generate_state(1)[0]) % 2**31
    sampler = Sampler.over([frame_from(seen, known, values)], TINY)
    fit_network(network, sampler, TINY, seed, steps=7, pace=lambda step: 1.0)
    for name, value in read_weights(network).items():
        np.testing.assert_allclose(found.weights[name], value, atol=1e-6)
    assert len(found.sql["x"]) == 2


# What may pass


def test_a_message_comes_back_as_it_was() -> None:
    task = read_task(write_message(task_of()))
    assert task.settings == TINY.to_dict()
    np.testing.assert_array_equal(task.weights["b"], np.ones(4))
    answer = read_answer(write_message(answer_of()), "x", 3, task.weights)
    assert (answer.windows, answer.loss, answer.round) == (10, 0.25, 3)
    np.testing.assert_array_equal(answer.update["b"], np.arange(4))


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def said() -> np.ndarray:
    return np.frombuffer(json.dumps({"round": 3, "windows": 1, "loss": 0.1, "sql": []}).encode(), np.uint8)


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(2 * MAX_BYTES))
    return file.getvalue()


A, B = np.zeros((2, 3), np.float32), np.zeros(4, np.float32)


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: write_message(answer_of(update={"a": A * np.nan, "b": B + np.inf})), 2),
        (lambda: write_message(answer_of(update={"a": A.T, "b": B[:3]})), 2),
        (lambda: write_message(answer_of(update={"a": A, "c": B})), 2),
        (lambda: write_message(answer_of(update={})), 2),
        (lambda: write_message(answer_of(windows=-1)), 1),
        (lambda: write_message(answer_of(windows=1.5)), 1),
        (lambda: npz(says=said(), a=A, b=B.astype(float)), 1),
        (lambda: npz(says=np.array([answer_of()], dtype=object), a=A, b=B), 1),  # pickled
        (lambda: npz(says=np.frombuffer(b"[1]", np.uint8), a=A, b=B), 1),
        (lambda: npz(a=A, b=B), 1),
        (lambda: b"", 1),
        (lambda: b"no zip", 1),
        (bomb, 1),
        (lambda: bytes(MAX_BYTES + 1), 1),
    ],
)  # fmt: skip
def test_what_is_refused(make: Callable[[], bytes], count: int) -> None:
    with pytest.raises(InputError) as error:
        read_answer(make(), "x", 3, {"a": A, "b": B})
    assert kinds(error) == ["MessageRefused"] * count
    assert all("x" in issue.path for issue in error.value.issues)


@pytest.mark.parametrize(
    "changes",
    [{"kind": "run"}, {"pace": 2.0}, {"noise": 1.0}, {"longest": 0.0}, {"steps": -1}, {"round": "1"}],
)
def test_a_node_refuses_tasks_that_make_no_sense(changes: dict[str, object]) -> None:
    with pytest.raises(InputError) as error:
        read_task(write_message(task_of(**changes)))
    assert kinds(error) == ["MessageRefused"]


def test_a_node_refuses_weights_that_do_not_fit() -> None:
    node = Node("x", daily(20, 1), held_out=2)
    weights = initial_weights(TINY)
    wrong = {**weights, "shape.bias": weights["shape.bias"][:2], "more": A}
    for kind in ("train", "finish"):
        with pytest.raises(InputError) as error:
            node.answer(task_of(kind=kind, weights=wrong))
        assert kinds(error) == ["MessageRefused"] * 2


# Clipping and noise


def test_clipping_by_hand() -> None:
    update = {"a": np.array([3.0], np.float32), "b": np.array([0.0, 4.0], np.float32)}
    assert length(update) == 5.0
    clipped = clip_update(update, 1.0)
    np.testing.assert_allclose(clipped["a"], [0.6])
    np.testing.assert_allclose(clipped["b"], [0.0, 0.8])
    assert clip_update(update, 5.0) is update


def test_noise_has_the_deviation_that_was_asked_for() -> None:
    update = {"a": np.full(40_000, 2.0, np.float32)}
    noisy = blur(update, 0.3, np.random.default_rng(0))["a"]
    assert noisy.mean() == pytest.approx(2.0, abs=0.01)
    assert noisy.std() == pytest.approx(0.3, rel=0.02)


def test_epsilon_by_hand_and_against_the_exact_gaussian_mechanism() -> None:
    assert epsilon(20, 0.0) == math.inf
    rho = 2 * 20 / 10.0**2
    assert epsilon(20, 10.0, 1e-5) == pytest.approx(rho + 2 * math.sqrt(rho * math.log(1e5)))
    # The exact delta of a Gaussian mechanism (Balle and Wang 2018, theorem 8), sensitivity 2, deviation z: ours is on the
    # safe side of it, and of 20 rounds, which are one with a deviation of z / sqrt(20)
    phi = lambda x: 0.5 * math.erfc(-x / math.sqrt(2))  # noqa: E731
    for rounds, z in ((1, 1.2), (1, 4.0), (20, 6.0), (20, 20.0)):
        eps, apart = epsilon(rounds, z), 2 * math.sqrt(rounds) / z
        exact = phi(apart / 2 - eps / apart) - math.exp(eps) * phi(-apart / 2 - eps / apart)
        assert 0 <= exact <= 1e-5


# Who may be missing


def fake(windows: int = 10, change: float = 1.0, **spoil: object) -> Callable[[bytes], bytes]:
    """Return a node that adds `change` to every weight, without training."""

    def answer(data: bytes) -> bytes:
        task = read_task(data)
        update = (
            {} if task.kind == "finish" else {k: np.full_like(v, change) for k, v in task.weights.items()}
        )
        return write_message(dataclasses.replace(Answer(task.round, update, windows, 0.5, [1.0]), **spoil))

    return answer


def shift(found: dict[str, np.ndarray]) -> float:
    """Return by how much every weight has moved; it must be the same for all."""
    start = initial_weights(TINY)
    moved = np.concatenate([(found[name] - start[name]).ravel() for name in start])
    assert np.ptp(moved) < 1e-5
    return float(moved.mean())


def test_nodes_that_drop_out_and_come_back() -> None:
    """By hand: with y (10 + 3 x 30 + 10) / 50 = 2.2 are added in a round, without it 1."""
    alive = {0: "xyz", 1: "xz", 2: "xyz", 3: "xyz"}
    nodes = {"x": fake(), "y": fake(30, 3.0), "z": fake()}

    def sometimes(name: str) -> Callable[[bytes], bytes | None]:
        return lambda data: nodes[name](data) if name in alive[read_task(data).round] else None

    found = federate(InProcess({name: sometimes(name) for name in nodes}), SHORT)
    assert [done.answered for done in found.rounds] == [("x", "y", "z"), ("x", "z"), ("x", "y", "z")]
    assert [done.missing for done in found.rounds] == [(), ("y",), ()]
    assert shift(found.weights) == pytest.approx(2.2 + 1 + 2.2, abs=1e-5)
    assert set(found.sql) == {"x", "y", "z"}


def test_an_update_with_nan_or_of_another_shape_is_never_averaged() -> None:
    bad = {
        "nan": lambda data: fake(10**6, math.nan)(data),
        "shape": fake(10**6, update={"a": A}),
        "none": fake(0),
        "garbage": lambda data: b"garbage",
    }
    found = federate(InProcess({"x": fake(), "y": fake(), **bad}), SHORT)
    assert set(found.rounds[0].refused) == set(bad)
    assert shift(found.weights) == pytest.approx(3.0, abs=1e-5)


def test_an_update_longer_than_agreed_is_refused_where_it_is_not_blurred() -> None:
    clipped = dataclasses.replace(SHORT, longest=0.5)
    with pytest.raises(FederationError, match="refused"):
        federate(InProcess({"x": fake(), "y": fake()}), clipped)
    found = federate(InProcess({"x": fake(change=1e-3), "y": fake(change=1e-3)}), clipped)
    assert shift(found.weights) == pytest.approx(3e-3, abs=1e-5)


def test_a_straggler_costs_one_deadline_and_its_late_answer_is_dropped() -> None:
    class Slow(InProcess):
        """`y` answers a round too late."""

        kept: bytes | None = None

        def receive(self, timeout_s: float) -> tuple[str, bytes] | None:
            got = super().receive(timeout_s)
            if got is None or got[0] != "y":
                return got
            before, self.kept = self.kept, got[1]
            return super().receive(timeout_s) if before is None else ("y", before)

    found = federate(Slow({"y": fake(10**6, 100.0), "x": fake(), "z": fake()}), SHORT)
    assert [done.answered for done in found.rounds] == [("x", "z")] * 3
    assert [done.late for done in found.rounds] == [(), ("y",), ("y",)]
    assert found.rounds[0].missing == ("y",)
    assert shift(found.weights) == pytest.approx(3.0, abs=1e-5)


def test_too_few_nodes_void_a_round_and_end_it_in_the_end() -> None:
    alone = {"x": fake(), "y": lambda data: None, "z": lambda data: None}
    seen = []
    with pytest.raises(FederationError, match="3 rounds one after another had fewer than 2 answers") as error:
        federate(InProcess(alone), dataclasses.replace(SHORT, rounds=9), seen.append)
    assert [done.void for done in seen] == [True] * 3
    assert "y, z" in str(error.value)


def test_values_that_make_no_sense_are_told_all_at_once() -> None:
    wrong = Federation(
        settings=dataclasses.replace(TINY, members=2), rounds=0, fewest=9, deadline_s=math.nan, noise=1.0
    )
    with pytest.raises(InputError) as error:
        federate(InProcess({"x": fake()}), wrong)
    assert {issue.path.removeprefix("federation.") for issue in error.value.issues} == {
        "settings.members",
        "rounds",
        "fewest",
        "deadline_s",
        "noise",
    }
    with pytest.raises(InputError) as error:
        Spool(Path("nowhere"), ["a/b", "c", "c"])
    assert kinds(error) == ["Format", "NotUnique"]


# Nodes that are processes


def test_nodes_as_processes_one_of_which_is_killed(tmp_path: Path) -> None:
    histories = {}
    for k in range(3):
        histories[f"n{k}"] = tmp_path / f"n{k}.csv"
        daily(20, 2, seed=k).to_csv(histories[f"n{k}"])
    federation = dataclasses.replace(SHORT, rounds=4, deadline_s=120.0)
    with processes(tmp_path / "spool", histories, held_out=2, keep=tmp_path / "keep") as nodes:

        def kill(done: object) -> None:
            nodes.running["n1"].kill()  # again and again does no harm
            nodes.running["n1"].wait()

        found = federate(nodes, federation, kill)
    assert found.rounds[0].answered == ("n0", "n1", "n2")
    assert [done.answered for done in found.rounds[1:]] == [("n0", "n2")] * 3
    assert set(found.sql) == {"n0", "n2"}
    assert sorted(path.name for path in (tmp_path / "keep").iterdir()) == ["n0", "n2"]
    answer = LSTMForecaster.load(tmp_path / "keep" / "n2").predict(6)
    assert np.isfinite(answer.to_numpy()).all()
    assert answer.index[0] == daily(21).index[24 * 20]
    assert nodes.logs() == {}
    assert all(process.poll() is not None for process in nodes.running.values())


# Real series


def test_eight_nodes_two_of_which_drop_out_come_close_to_central_training() -> None:
    """Two transformers' loads and oil temperatures on eight nodes; the benchmark `federated` is the larger version."""
    from pdnopt.forecast.backtest import Windows, run_backtest
    from pdnopt.forecast.lstm.export import to_onnx
    from pdnopt.forecast.lstm.fitting import Sampler, fit_network, new_network, read_weights, write_weights
    from pdnopt.forecast.lstm.forecaster import frame_from
    from pdnopt.forecast.lstm.known import CALENDAR, Known
    from pdnopt.forecast.standing import Standing

    wide = ett()[0].iloc[-150 * 24 :]
    settings = Settings(horizon=24, context=24, hidden=12, batch=16, learning_rate=1e-2)
    federation = Federation(settings=settings, rounds=8, local_steps=12, deadline_s=300.0, fewest=4)
    held_out, cut = 14, len(wide) - 14 * 24

    def sql(weights: Weights) -> float:
        network = new_network(CALENDAR, settings, 0)
        write_weights(network, weights)
        model = LSTMForecaster(settings, allow_negative=True)
        model.serve(to_onnx([network], CALENDAR, settings), wide.iloc[:cut])
        standing = Standing(model, wide.index[cut - 1])
        found = run_backtest(lambda: standing, wide, Windows(24, held_out), allow_negative=True)
        return found.scores.sql

    parts = [wide.columns[k : k + 2] for k in (0, 2, 4, 7, 9, 11)] + [wide.columns[[6]], wide.columns[[13]]]
    names = [f"n{k}" for k in range(8)]
    nodes = {
        name: Node(name, wide[list(part)], held_out=held_out, seed=k, allow_negative=True)
        for k, (name, part) in enumerate(zip(names, parts, strict=True))
    }

    def reached(name: str) -> Callable[[bytes], bytes | None]:
        def answer(data: bytes) -> bytes | None:
            task = read_task(data)
            gone = name in ("n2", "n5") and task.round >= 2
            return None if gone or task.kind == "finish" else write_message(nodes[name].answer(task))

        return answer

    found = federate(InProcess({name: reached(name) for name in names}), federation)
    assert [len(done.answered) for done in found.rounds] == [8, 8] + [6] * 6

    seen = read_history(wide.iloc[:cut], allow_negative=True)
    known, values = Known.read(None, seen.index, settings)
    sampler = Sampler.over([frame_from(seen, known, values)], settings)
    network = new_network(CALENDAR, settings, settings.seed)
    fit_network(network, sampler, dataclasses.replace(settings, batch=128), 0, steps=96)
    central, federated, start = (
        sql(weights) for weights in (read_weights(network), found.weights, initial_weights(settings))
    )
    assert federated <= 1.05 * central
    assert central < 0.8 * start  # and both have learnt something
