"""A worker that hangs, dies or is late has found nothing better; else it finds what this process finds."""

import os
import signal
import subprocess
import sys
import time
from math import inf

import numpy as np
import pytest
from scipy.sparse import csr_array

from pdnopt.engine.highs import HighsModel, SolverError
from pdnopt.engine.remote import RemoteModel, Worker
from pdnopt.engine.wire import Kind, Message, WireError, decode, encode

pytestmark = pytest.mark.skipif(
    os.name != "posix", reason="workers are for POSIX systems; elsewhere HiGHS is in-process"
)


def market_split(rows: int, columns: int, seed: int = 1) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """A market-split problem (Cornuejols and Dawande 1998): small, and hopeless for branch and bound; slacks are paid."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 100, (rows, columns)).astype(float)
    half = np.floor(weights.sum(axis=1) / 2)
    matrix = csr_array(np.hstack([weights, np.eye(rows), -np.eye(rows)]))
    n = columns + 2 * rows
    integer = np.arange(n) < columns
    high = np.where(integer, 1.0, 1e4)
    return (matrix, half, half, np.zeros(n), high, integer), (~integer).astype(float)


@pytest.fixture
def worker():
    """A worker, stopped at the end."""
    made = Worker()
    yield made
    made.stop()


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    """Whether a process ends soon: nobody waits for one that was killed."""
    until_s = time.perf_counter() + 10.0
    while alive(pid) and time.perf_counter() < until_s:
        time.sleep(0.01)
    return not alive(pid)


@pytest.mark.parametrize("relax", [False, True])
def test_it_finds_what_this_process_finds(worker: Worker, relax: bool) -> None:
    model, cost = market_split(2, 12)
    told: list[tuple[float, float]] = []
    here, there = HighsModel(relax=relax), RemoteModel(worker, 1, relax, lambda *pair: told.append(pair))
    for solver in (here, there):
        solver.load(*model)
        solver.set_cost(cost)
    for columns in (np.zeros(0, dtype=int), np.arange(3)):
        for solver in (here, there):
            solver.set_col_bounds(columns, np.ones(len(columns)), np.ones(len(columns)))
            solver.set_row_bounds(0, -inf, 200.0)
        a, b = here.solve(), there.solve(time.perf_counter() + 60.0)
        assert a.status == b.status == "optimal"
        assert a.x is not None
        assert b.x is not None
        assert a.x.tolist() == b.x.tolist()
        assert (a.objective, a.bound) == (b.objective, b.bound)
    assert relax or told  # better points are told on the way


def test_a_deadline_in_a_hard_mip_returns_the_best_so_far_and_a_valid_bound(worker: Worker) -> None:
    model, cost = market_split(6, 50)
    solver = RemoteModel(worker, 2, relax=False)
    solver.load(*model)
    solver.set_cost(cost)
    outcome = solver.solve(time.perf_counter() + 2.0)
    assert outcome.status == "feasible"
    assert outcome.x is not None
    matrix, low, _, _, _, integer = model
    assert matrix @ outcome.x == pytest.approx(low, abs=1e-5)
    assert np.abs(outcome.x[integer] - np.round(outcome.x[integer])).max() < 1e-6
    assert outcome.objective == pytest.approx(float(cost @ outcome.x))
    assert 0.0 - 1e-9 <= outcome.bound <= outcome.objective


def test_a_point_told_on_the_way_is_kept_when_the_worker_is_stopped_for_good(worker: Worker) -> None:
    """SIGSTOP after the first better point: the deadline returns that point, and the hanging process is gone."""
    model, cost = market_split(6, 50)
    stopped: list[int] = []

    def stop(_objective: float, _bound: float) -> None:
        if not stopped and _objective < inf:
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGSTOP)
            stopped.append(worker.pid)

    solver = RemoteModel(worker, 2, relax=False, found=stop)
    solver.load(*model)
    solver.set_cost(cost)
    outcome = solver.solve(time.perf_counter() + 2.0)
    assert stopped
    assert outcome.status == "feasible"
    assert gone(stopped[0])
    again = solver.solve(time.perf_counter() + 60.0, max_nodes=1)  # a new worker is sent the whole model
    assert worker.pid != stopped[0]
    assert again.x is not None


def test_a_worker_that_does_not_even_read_is_late_not_a_hang(worker: Worker) -> None:
    worker.start()
    assert worker.pid is not None
    first = worker.pid
    os.kill(first, signal.SIGSTOP)
    n = 400_000  # more than a pipe holds
    solver = RemoteModel(worker, 0, relax=True)
    solver.load(csr_array((1, n)), np.zeros(1), np.ones(1), np.zeros(n), np.ones(n), np.zeros(n, dtype=bool))
    assert solver.solve(time.perf_counter() + 0.5).status == "no_incumbent"
    assert gone(first)


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_killed_worker_has_found_nothing_better_and_the_next_one_works(worker: Worker, when: str) -> None:
    model, cost = market_split(6, 50)

    def kill(*_: float) -> None:
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)

    solver = RemoteModel(worker, 2, relax=False, found=kill if when == "during" else None)
    solver.load(*model)
    solver.set_cost(cost)
    if when == "before":
        solver.solve(time.perf_counter() + 5.0, max_nodes=0)
        kill()
    outcome = solver.solve(time.perf_counter() + 30.0)
    assert outcome.status in ("no_incumbent", "feasible")
    small, its_cost = market_split(1, 6)
    other = RemoteModel(worker, 1, relax=True)
    other.load(*small)
    other.set_cost(its_cost)
    assert other.solve(time.perf_counter() + 30.0).status == "optimal"


def test_what_is_not_finite_is_refused_before_it_is_sent(worker: Worker) -> None:
    model, cost = market_split(1, 6)
    solver = RemoteModel(worker, 1, relax=True)
    solver.load(*model)
    with pytest.raises(SolverError, match="cost"):
        solver.set_cost(np.full(len(cost), np.nan))
    matrix, *rest = model
    with pytest.raises(SolverError, match="coefficient"):
        solver.load(csr_array(matrix * np.inf), *rest)
    assert worker.pid is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits another process's memory by prlimit")
def test_a_worker_out_of_memory_has_found_nothing_and_the_next_one_works(worker: Worker) -> None:
    import resource

    small, its_cost = market_split(1, 6)
    solver = RemoteModel(worker, 1, relax=True)
    solver.load(*small)
    solver.set_cost(its_cost)
    assert solver.solve(time.perf_counter() + 60.0).status == "optimal"
    assert worker.pid is not None
    with open(f"/proc/{worker.pid}/statm", encoding="utf-8") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (used + (1 << 24), used + (1 << 24)))
    n = 2_000_000
    large = RemoteModel(worker, 2, relax=False)
    wide = csr_array((np.ones(n), (np.zeros(n, dtype=int), np.arange(n))), shape=(1, n))
    large.load(wide, np.ones(1), np.full(1, 9.0), np.zeros(n), np.ones(n), np.ones(n, dtype=bool))
    assert large.solve(time.perf_counter() + 60.0).status == "no_incumbent"
    assert solver.solve(time.perf_counter() + 60.0).status == "optimal"


def test_a_worker_that_cannot_start_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/does/not/exist")
    made = Worker()
    made.start()
    assert not made.usable


def test_no_time_is_no_answer_and_no_process(worker: Worker) -> None:
    assert RemoteModel(worker, 0, relax=True).solve(time.perf_counter() - 1.0).status == "no_incumbent"
    assert worker.pid is None


ORPHAN = """
import os, sys, time
import numpy as np
sys.path.insert(0, {root!r})
from tests.engine.test_worker import market_split
from pdnopt.engine.remote import RemoteModel, Worker
worker = Worker()
solver = RemoteModel(worker, 2, relax=False, found=lambda *_: (print(worker.pid, flush=True), {end}))
model, cost = market_split(6, 50)
solver.load(*model)
solver.set_cost(cost)
solver.solve(time.perf_counter() + 60.0)
"""


@pytest.mark.parametrize("end", ["os._exit(1)", "os.kill(os.getpid(), 9)", "sys.exit()"])
def test_no_orphan_is_left_and_nothing_is_warned(end: str) -> None:
    """The session ends in the middle of a solve: its worker does too."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = ORPHAN.format(root=root, end=end)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code], capture_output=True, text=True, timeout=60
    )
    pid = int(done.stdout.split()[0])
    assert gone(pid)
    assert "ResourceWarning" not in done.stderr


def test_messages_survive_the_wire_and_nonsense_is_refused() -> None:
    sent = Message(Kind.LOAD, 3, (1.5, inf), (np.arange(4.0), np.array([True, False]), np.zeros(0)))
    raw = b"".join(bytes(part) for part in encode(sent))

    def reader(data: bytes):
        at = [0]

        def read(n: int) -> bytes:
            at[0] += n
            return data[at[0] - n : at[0]]

        return read

    got = decode(reader(raw))
    assert got[:3] == sent[:3]
    assert [array.tolist() for array in got.arrays] == [[0.0, 1.0, 2.0, 3.0], [1, 0], []]
    with pytest.raises(WireError):
        decode(reader(b"x" + raw[1:]))
