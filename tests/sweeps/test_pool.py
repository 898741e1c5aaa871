"""A pool of processes gives the rows and plans that one process gives, whatever happens to its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import pdnopt
from pdnopt.plant.files import network_to_text
from pdnopt.sweeps.job import Job, Task, job_to_text
from pdnopt.sweeps.pool import Pool
from tests.plants import random_plant

ROOT = Path(__file__).resolve().parents[2]
KEYWORDS = {"explain": False, "time_limit_s": float("inf")}


def plans_of(net: Any, **how: Any) -> pd.DataFrame:
    """Return the rows of all single failures with their plans, without the times."""
    frame = pdnopt.sweep(net, plans=True, time_limit_s=None, **how)
    return frame.drop(columns=["total_s"])


@pytest.mark.parametrize("source", ["two_feed", 11])
def test_a_pool_gives_the_same_plans(source: str | int) -> None:
    """Byte for byte: plans, bounds, gaps, findings; and a random plant that went through a file."""
    net = pdnopt.load_case(source) if isinstance(source, str) else random_plant(source)[0]
    one, many = plans_of(net, workers=1), plans_of(net, workers=2)
    assert one["n_actions"].max() > 0
    pd.testing.assert_frame_equal(one, many, check_exact=True)
    assert one["plan"].tolist() == many["plan"].tolist()
    assert one["result"].tolist() == many["result"].tolist()


@pytest.fixture
def pool() -> Iterator[Pool]:
    net = pdnopt.load_case("two_feed")
    with Pool(job_to_text(Job("reroute", KEYWORDS), network_to_text(net)), 2, [1, 2, 3]) as pool:
        yield pool


def tasks_of(n: int) -> list[Task]:
    """Return ``n`` contingencies that need a solver."""
    return [Task(k, (("ups:UPS-A", "ups:UPS-B")[k % 2],)) for k in range(n)]


def test_a_killed_worker_is_replaced_and_nothing_is_lost_or_twice(pool: Pool) -> None:
    rows = []
    killed: list[int] = []
    for row in pool.run(tasks_of(30)):
        rows.append(row)
        if len(rows) in (3, 9, 15):
            victim = max(pool.pids, key=lambda pid: pid not in killed)
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)
    assert sorted(row["number"] for row in rows) == list(range(30))
    assert {row["status"] for row in rows} == {"optimal"}
    assert len(set(killed)) == 3
    assert not set(killed) & set(pool.pids)


def test_a_contingency_that_ends_every_worker_is_given_up_and_the_others_are_solved(pool: Pool) -> None:
    stop = threading.Event()

    def assassin() -> None:
        while not stop.is_set():
            for child in list(pool._children):
                if child.chunk and child.chunk[0].number == 4:
                    child.process.kill()
            time.sleep(0.002)

    thread = threading.Thread(target=assassin)
    thread.start()
    try:
        rows = {
            row["number"]: row
            for row in pool.run([*tasks_of(4), Task(4, ("ups:UPS-A",), 0, ((5, ("ups:UPS-A",)),))])
        }
    finally:
        stop.set()
        thread.join()
    assert sorted(rows) == list(range(6))
    assert rows[4]["status"] == "crashed"
    assert {rows[k]["status"] for k in (0, 1, 2, 3, 5)} == {"optimal"}


def test_what_is_wrong_in_a_worker_is_told_as_in_this_process() -> None:
    net = pdnopt.load_case("two_feed")
    told = []
    for workers in (1, 2):
        with pytest.raises(pdnopt.InputError, match="nonsense") as caught:
            pdnopt.sweep(net, components=["ups"], workers=workers, minimize=("unserved", "nonsense"))
        told.append([issue.to_dict() for issue in caught.value.issues])
    assert told[0] == told[1]


def test_workers_that_cannot_begin_are_told_with_their_last_words(pool: Pool) -> None:
    broken = Pool(pool.job.replace('"reroute"', '"nowhere"'), 2)
    with broken, pytest.raises(pdnopt.InputError, match="nowhere"):
        list(broken.run(tasks_of(2)))
    broken = Pool("no job", 2)
    with broken, pytest.raises(pdnopt.PdnoptError, match="a worker of the sweep failed"):
        list(broken.run(tasks_of(2)))


SCRIPT = """
import sys
import pdnopt

def tell(done, total, name):
    print(done, flush=True)

frame = pdnopt.sweep(pdnopt.load_case("two_feed"), 2, workers=2, progress=tell)
print("rows", len(frame))
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Run a script in a process group of its own, as a shell does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        process_group=0,
    )


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started (Linux)."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found


def gone(pids: list[int]) -> Callable[[], bool]:
    return lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids)


def wait_for(what: Callable[[], bool], seconds: float = 60.0) -> bool:
    until = time.monotonic() + seconds
    while not what() and time.monotonic() < until:
        time.sleep(0.05)
    return what()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_the_sweep(end: signal.Signals) -> None:
    """Ctrl-C reaches the whole process group; kill -9 only the parent. The script has no guard for its main module."""
    with start(SCRIPT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "5":
                break
        workers = children_of(process.pid)
        assert len(workers) == 2
        if end is signal.SIGINT:
            os.killpg(process.pid, end)
        else:
            process.kill()
        _, words = process.communicate(timeout=60)
        assert process.returncode != 0
        assert wait_for(gone(workers))
        assert end is signal.SIGKILL or words.strip().endswith("KeyboardInterrupt")
        assert words.count("Traceback") == (end is signal.SIGINT)
