"""The loop on real devices, by a device map."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from pdnopt.alarms import Alarm
from pdnopt.control.lease import Lease
from pdnopt.control.planner import WorkerPlanner
from pdnopt.devicemap import read_device_map
from pdnopt.errors import InputError, Issue
from pdnopt.executor.drivers.opening import modes_of, open_paths, send_heartbeat
from pdnopt.journal import Journal
from pdnopt.loop import ControlLoop, LoopSettings
from pdnopt.protocols.clocks import SystemClock
from pdnopt.protocols.messages import Heartbeat

__all__ = ["run_devices"]

BEAT_S = 2.0


def run_devices(
    net: Any,
    devices_path: Path,
    journal_path: Path,
    *,
    hours: float | None = None,
    lease_path: Path | None = None,
    holder: str = "controller",
    settings: LoopSettings | None = None,
    told: Callable[[Alarm], None] | None = None,
    confirm: Callable[[Any], str | None] | None = None,
    watched: Callable[[ControlLoop], AbstractContextManager[Any]] = nullcontext,
) -> ControlLoop:
    """Control real devices until the time is over, or until KeyboardInterrupt; return the loop, closed.

    Parameters
    ----------
    net : pandapowerNet
        As given; validated.
    devices_path : Path
        `pdnopt.devicemap`.
    journal_path : Path
    hours : float, optional
        None: for ever.
    lease_path : Path, optional
        A file that a standby shares; by default one beside the journal, so that every life has a token of its own.
    holder : str
        This controller's name in the lease and in the commands.
    settings, told, confirm
        Of `ControlLoop`.
    watched : callable, optional
        Given the loop, returns the context that it runs in: a view.

    Raises
    ------
    InputError
        The map does not fit the network; every fault at once.
    """
    from pdnopt.plant.files import network_to_text

    devices = read_device_map(devices_path)
    clock = SystemClock()
    paths = open_paths(devices, clock)
    journal = Journal(journal_path)
    if journal.meta("network") is None:
        journal.set_meta("network", network_to_text(net))
        journal.set_meta("name", str(getattr(net, "name", "") or ""))
    lease = Lease(lease_path or journal_path.with_name(f"{journal_path.name}.lease"), holder, clock)
    beats = _Beats(paths, clock)
    planner, background = WorkerPlanner(net), WorkerPlanner(net, ())
    loop = ControlLoop(
        net,
        paths,
        journal,
        clock,
        planner,
        modes_of(devices),
        background=background,
        lease=lease,
        beat=beats.beat,
        told=told,
        settings=settings,
        confirm=confirm,
    )
    missing = sorted(set(loop.pictures.devices) - set(devices.devices))
    controlled = [name for name in missing if name.partition(":")[0] in ("transfer", "ups")]
    try:
        if controlled:
            todo = "Add them, or take them out of the network."
            raise InputError(
                [
                    Issue(
                        "Missing", f"{devices_path} devices", name, None, "an entry in the device map", todo
                    )
                    for name in controlled
                ]
            )
        with watched(loop):
            loop.start()
            loop.run(float("inf") if hours is None else clock.monotonic_s() + 3600.0 * hours)
    except KeyboardInterrupt:
        pass
    finally:
        beats.end()
        loop.close()
        paths.close()
        journal.close()
    return loop


class _Beats:
    """Heartbeats on a thread of their own: a slow device delays no tick. They stop when the loop stops asking for them."""

    def __init__(self, paths: Any, clock: SystemClock) -> None:
        self._paths, self._clock = paths, clock
        self._token, self._sequence = 0, 0
        self._asked, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name="heartbeat")
        self._thread.start()

    def beat(self, token: int) -> None:
        """Let one out soon."""
        self._token = token
        self._asked.set()

    def end(self) -> None:
        """Send no more."""
        self._ended.set()
        self._asked.set()
        self._thread.join(5.0)

    def _work(self) -> None:
        while not self._ended.is_set():
            self._asked.wait()
            self._asked.clear()
            if self._ended.is_set():
                return
            self._sequence = max(self._sequence + 1, int(self._clock.utc_s() * 1000))
            send_heartbeat(self._paths, Heartbeat(self._sequence, self._token, self._clock.utc_s()))
            self._ended.wait(BEAT_S)
