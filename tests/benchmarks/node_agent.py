"""How small and how quick the agent of a power node is: ``pdnopt node`` as a process, on a real mosquitto over mutual TLS.

``python -m tests.benchmarks.node_agent [--commands 200] [--idle 20]`` runs a node of 8 made-up devices (4 inverters, 4
loads; one step a second) and prints: seconds of the process from its start until the controller has readings of all devices
(CPU time: the machine may be busy), resident memory, the part of one core that it takes when nothing happens, which heavy
libraries it holds; ms from a command (select, operate) to its read-back; and seconds (CPU) and memory of the process that
makes one forecast of the 4 loads, 24 steps ahead, by a deployed LSTM. Linux only: it reads ``/proc``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from pdnopt.executor.drivers.mqtt import MqttDriver
from pdnopt.node.forecasting import Order
from pdnopt.node.measurements import Measurements
from tests.benchmarks._reporting import Aims, Table, machine, milliseconds
from tests.node.site import NODE, Site, carry_out, reading, until

ROOT = Path(__file__).parents[2]
HEAVY = ("numpy", "pandas", "scipy", "pandapower", "torch", "onnxruntime", "highspy")
LOADS = [f"load:L{k}" for k in range(4)]
INVERTERS = [f"asymmetric_sgen:M{k}" for k in range(4)]
TOPICS = {name: name.partition(":")[2] for name in [*INVERTERS, *LOADS]}
AIM_MB, AIM_START_S, AIM_IDLE, AIM_READ_BACK_MS = 64.0, 2.0, 0.03, 250.0
TICKS = os.sysconf("SC_CLK_TCK")
HOUR_S, DAYS = 3600, 28


class Bench(Site):
    """A site with more devices."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"node-1": list(TOPICS.values())})

    def file(self) -> Path:
        text = NODE.format(port=self.port, watchdog_s=60.0, setpoint_s=600.0).partition("devices:")[0]
        text = text.replace("step_s: 0.1", "step_s: 1").replace("publish_s: 0.2", "publish_s: 1")
        text += "devices:\n"
        for name in INVERTERS:
            text += f'  "{name}": {{simulated: {{p_kw: 6.0}}, s_max_kva: 5.0}}\n'
        for name in LOADS:
            text += f'  "{name}": {{simulated: {{p_kw: 4.0}}}}\n'
        path = self.folder / "node.yaml"
        path.write_text(text, encoding="utf-8")
        return path


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024.0


def held(pid: int) -> list[str]:
    maps = Path(f"/proc/{pid}/maps").read_text()
    return [name for name in HEAVY if f"/{name}/" in maps]


def start(site: Bench, driver: MqttDriver) -> tuple[subprocess.Popen[bytes], float]:
    """Return a node that has been heard, and the CPU time that it took until then."""
    command = [sys.executable, "-m", "pdnopt", "node", "--config", str(site.folder / "node.yaml")]
    begun_s = site.clock.utc_s()
    with open(site.folder / "node.log", "ab") as log:
        node = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def heard() -> bool:
        found = [item for item in driver.read(list(TOPICS)) if item.quantity == "available" and item.value]
        return len(found) == len(TOPICS) and all(item.stamp_s > begun_s for item in found)

    until(heard, "all devices are heard", 60.0)
    return node, cpu_s(node.pid)


def read_backs(site: Bench, driver: MqttDriver, commands: int) -> list[float]:
    """Return seconds from each command to the reading that shows it."""
    times = []
    for k in range(commands):
        wanted = {"p_kw": [round(0.01 * (k + 1), 2), 0.0, 0.0], "q_kvar": [0.0] * 3}
        device = INVERTERS[k % len(INVERTERS)]
        begun = time.perf_counter()
        reply = carry_out(driver, site.command(device, "setpoint", wanted))
        if not reply.accepted:
            raise RuntimeError(f"{device}: {reply}")
        while reading(driver, device, "setpoint") != wanted:
            time.sleep(0.001)
        times.append(time.perf_counter() - begun)
    return times


def forecast(folder: Path) -> tuple[float, float, int]:
    """Return CPU seconds and MB of the process of one forecast, and how many circuits it was for."""
    from pdnopt.forecast.lstm.forecaster import LSTMForecaster
    from pdnopt.forecast.lstm.settings import Settings
    from pdnopt.forecast.registry import Registry

    index = pd.date_range("2026-01-01", periods=DAYS * 24, freq="h", tz="UTC")
    day = 4.0 + np.sin(2 * np.pi * index.hour.to_numpy() / 24)
    past = pd.DataFrame({name: day * (1 + k / 10) for k, name in enumerate(LOADS)}, index=index)
    registry = Registry(folder / "models")
    made = LSTMForecaster(Settings(horizon=24, context=48, hidden=32, steps=20, batch=16)).fit(past)
    registry.promote(registry.add(made, {}), None)
    begin_s = int(index[-1].timestamp()) + HOUR_S
    kept = Measurements(folder / "m.db", HOUR_S, 1e9)
    for k in range(48 * 12):
        now_s = begin_s + 300.0 * k
        kept.add(now_s, float(300 * k), dict.fromkeys(LOADS, 4.0))
    kept.close()
    order = Order(
        str(folder / "models"),
        str(kept.path),
        tuple(LOADS),
        HOUR_S,
        begin_s + 48.0 * HOUR_S,
        24,
        (0.1, 0.5, 0.9),
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = (
        "from pdnopt.node.forecast_worker import main; main(); "
        "lines = open('/proc/self/status').read().split(); print(int(lines[lines.index('VmHWM:') + 1]) / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(asdict(order)).encode() + b"\n",
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer, peak_mb = done.stdout.splitlines()
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used_s, float(peak_mb), len(json.loads(answer)["kw"])


def main() -> int:
    """Print the tables; return 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commands", type=int, default=200)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds in which nothing happens")
    chosen = parser.parse_args()
    if not Path("/proc/self/status").exists():
        print("this needs Linux's /proc")
        return 0
    print(f"Agent of a power node, 8 made-up devices, real broker. {machine()}\n")
    with tempfile.TemporaryDirectory() as name:
        site = Bench(Path(name))
        site.file()
        driver = site.controller(TOPICS, timeout_s=10.0)
        starts = []
        for _ in range(3):
            node, took_s = start(site, driver)
            starts.append(took_s)
            node.send_signal(signal.SIGTERM)
            node.wait(timeout=30.0)
        node, _ = start(site, driver)
        before_s, begun = cpu_s(node.pid), time.perf_counter()
        time.sleep(chosen.idle)
        idle = (cpu_s(node.pid) - before_s) / (time.perf_counter() - begun)
        times = read_backs(site, driver, chosen.commands)
        memory_mb, libraries = resident_mb(node.pid), held(node.pid)
        node.send_signal(signal.SIGTERM)
        node.wait(timeout=30.0)
        driver.close()
        site.broker.end()
        worker_s, worker_mb, circuits = forecast(Path(name))
    table = Table("what", "figure")
    table.row("resident memory after all of it", f"{memory_mb:.0f} MB")
    table.row("heavy libraries in it", ", ".join(libraries) or "none")
    table.row("CPU from start to readings of all devices, best of 3", f"{min(starts):.2f} s")
    table.row("part of a core when nothing happens", f"{100 * idle:.1f} %")
    table.row("command to read-back over TLS, p50 / p99 / longest", " / ".join(milliseconds(times)) + " ms")
    table.row(
        f"process of one LSTM forecast, {circuits} circuits x 24 steps",
        f"{worker_s:.1f} s CPU, {worker_mb:.0f} MB",
    )
    print()
    aims = Aims()
    middle_ms = 1e3 * float(np.median(times))
    aims.add("resident memory", f"{memory_mb:.0f} MB", f"<= {AIM_MB:.0f} MB", memory_mb <= AIM_MB)
    aims.add("heavy libraries held", len(libraries), 0, not libraries)
    aims.add(
        "CPU to first readings", f"{min(starts):.2f} s", f"<= {AIM_START_S:g} s", min(starts) <= AIM_START_S
    )
    aims.add("idle", f"{100 * idle:.1f} %", f"<= {100 * AIM_IDLE:.0f} % of a core", idle <= AIM_IDLE)
    aims.add(
        "command to read-back, median",
        f"{middle_ms:.0f} ms",
        f"<= {AIM_READ_BACK_MS:g} ms",
        middle_ms <= AIM_READ_BACK_MS,
    )
    aims.add("circuits forecast", circuits, len(LOADS), circuits == len(LOADS))
    return 0 if aims.met else 1


if __name__ == "__main__":
    sys.exit(main())
