"""The same rows on a real Dask cluster, with workers that die."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import pdnopt
from pdnopt.cli import app
from tests.sweeps.test_pool import plans_of

distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

# not ours: what Dask says of its own when a worker dies
pytestmark = [pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        yield cluster


def pids(cluster: Any) -> list[int]:
    """Return the processes of the workers that are there now."""
    return [nanny.pid for nanny in cluster.workers.values() if nanny.pid]


def test_the_same_plans_with_a_worker_killed_on_the_way(cluster: Any) -> None:
    """Byte for byte what one process gives; every contingency once."""
    net = pdnopt.load_case("two_feed")
    done: list[str] = []
    killed: list[int] = []

    def kill(rows: int, _: int, name: str) -> None:
        done.append(name)
        if rows in (4, 12):
            victim = next(pid for pid in pids(cluster) if pid not in killed)
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    far = plans_of(net, cluster=cluster.scheduler_address, progress=kill)
    near = plans_of(net, workers=1)
    assert len(killed) == 2
    assert sorted(done[1:]) == sorted(near["contingency"])
    pd.testing.assert_frame_equal(near, far, check_exact=True)


def test_a_pair_sweep_and_its_bad_input_on_the_cluster(cluster: Any) -> None:
    net = pdnopt.load_case("two_feed")
    how: dict[str, Any] = {"k": 2, "components": ["ups", "ext_grid"]}
    far = pdnopt.sweep(net, cluster=cluster.scheduler_address, **how)
    near = pdnopt.sweep(net, workers=1, **how)
    pd.testing.assert_frame_equal(near.drop(columns="total_s"), far.drop(columns="total_s"), check_exact=True)
    with pytest.raises(pdnopt.InputError, match="nonsense"):
        pdnopt.sweep(net, cluster=cluster.scheduler_address, minimize=("nonsense",))


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdnopt.sweeps.cluster.CONNECT_S", 1.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    for wrong in (address, "nonsense://there"):
        done = CliRunner().invoke(app, ["sweep", "two_feed", "--components", "ups", "--cluster", wrong])
        assert done.exit_code == 2, done.output
        assert "Unreachable" in done.output
        assert "dask scheduler" in done.output


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(pdnopt.InputError, match=r"pdnopt\[cluster\]"):
        pdnopt.sweep(pdnopt.load_case("two_feed"), components=["ups"], cluster="tcp://127.0.0.1:1")
