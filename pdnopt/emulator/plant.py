"""``EmulatedPlant``: a plant that lives in time, by exact events, and is the judge of whoever controls it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from math import inf
from typing import Any

import numpy as np

from pdnopt.checker.tolerances import POWER_KW, RATING
from pdnopt.emulator.clocks import Clocks, Rates, group_table
from pdnopt.emulator.commanding import MODE_WORDS, Panel
from pdnopt.emulator.ledger import Ledger
from pdnopt.emulator.metering import Meters
from pdnopt.emulator.network import present_network
from pdnopt.emulator.sensors import Sensors
from pdnopt.emulator.transfers import Transfers
from pdnopt.emulator.units import Units
from pdnopt.emulator.upstream import switches_of
from pdnopt.emulator.wishes import Wishes
from pdnopt.emulator.world import Snapshot, World
from pdnopt.errors import InputError, Issue
from pdnopt.protocols.commands import Reply
from pdnopt.protocols.readings import Reading

__all__ = ["MISBEHAVIOURS", "EmulatedPlant"]

SAME_S = 1e-9
ROUNDS_AT_ONCE = 500
START_UTC_S = 1_798_588_800.0
"""The emulated clock begins on 2026-12-30, 00:00 UTC, unless told otherwise."""

MISBEHAVIOURS = ("no_move", "stall_open")


class EmulatedPlant:
    """A plant in time.

    Everything that happens has an exact time: commands and transfers end, overload budgets, batteries and hold-ups run out,
    units restart. Between two of these nothing changes, and AC power flow says what holds.

    Parameters
    ----------
    net : pandapowerNet
        As `pdnopt.load_case` gives it (PLANT.md); copied.
    seed : int
        For the noise of meters.
    start_utc_s : float
        What the plant's clock says at the beginning.

    Attributes
    ----------
    t_s : float
        Seconds since the beginning.
    ledger : Ledger
        What really happened.
    local : set of str
        Devices that an operator has switched to local: they refuse every command.

    Notes
    -----
    What is simplified: a rectifier takes its whole load at once when its input returns, and charges ``walk_in_s`` later at
    ``p_charge_max_mw``, without loss; a genset takes any step of load, one beyond ``step_mw`` is a violation; temperatures
    are what a scenario says.
    """

    def __init__(self, net: Any, seed: int = 0, start_utc_s: float = START_UTC_S) -> None:
        self.world = World(net)
        self.seed, self.start_utc_s = seed, start_utc_s
        self.t_s = 0.0
        self.ledger = Ledger()
        self.local: set[str] = set()
        self.units, self.clocks, self.panel = Units(self.world), Clocks(self.world), Panel(self)
        self.meters = Meters(self, seed)
        self.sensors = Sensors(self, seed)
        self.transfers, self.wishes = Transfers(self), Wishes(self.world)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._wrong: dict[tuple[str, str], int] = {}
        self._snap: Snapshot | None = None
        self._rates: Rates | None = None
        self._runs_out_s = inf
        self._source_kw: np.ndarray | None = None
        self._living: np.ndarray | None = None

    # --- what devices there are

    @property
    def devices(self) -> tuple[str, ...]:
        """Everything that can be read: all devices of all tables, racks and buses included."""
        return self.meters.devices

    @property
    def utc_s(self) -> float:
        """The plant's own UTC."""
        return self.start_utc_s + self.t_s

    @property
    def failed(self) -> tuple[str, ...]:
        """What has failed, in the words of ``solve(failed=...)``."""
        return tuple(self.world.failed)

    @property
    def living(self) -> np.ndarray:
        """Which cords have voltage and a working supply."""
        if self._living is None:
            self._living = self.world.living
        return self._living

    @property
    def fed(self) -> np.ndarray:
        """Which units have a living cord."""
        return self.world.demand.fed(self.living)

    def switched_how(self) -> tuple[Any, ...]:
        """Return how the plant is switched and what is broken, by content: it changes when something happens."""
        w = self.world
        flags = (
            w.s.closed,
            w.s.src_on,
            w.outage.sw_locked,
            w.outage.tr_stuck,
            w.outage.ups_dead,
            w.outage.node_dead,
        )
        return (*(item.tobytes() for item in flags), *w.s.mode, *w.failed)

    # --- time

    @property
    def next_event_s(self) -> float:
        """When something happens by itself, seconds since the beginning; inf for never."""
        queued = self._queue[0][0] if self._queue else inf
        self._looked()
        return float(
            min(
                queued,
                self.transfers.due_s(),
                self._runs_out_s,
                self.units.due_s(),
                self.clocks.walk_in_due_s(self.t_s),
            )
        )

    def advance(self, to_s: float) -> None:
        """Let time pass up to ``to_s``, seconds since the beginning; what is due at that very moment has happened."""
        rounds, moment = 0, -1.0
        while True:
            due = max(self.next_event_s, self.t_s)
            if not due <= to_s + SAME_S:
                break
            rounds = rounds + 1 if due <= moment + SAME_S else 0
            moment = due
            if rounds > ROUNDS_AT_ONCE:
                raise RuntimeError(f"the emulated plant does not come to rest at {due:g} s: a device hunts")
            self._pass(due)
            self._happen()
        self._pass(max(to_s, self.t_s))

    def at(self, t_s: float, do: Callable[[], None]) -> None:
        """Do something at a time; if that is now, at once."""
        if t_s <= self.t_s + SAME_S:
            do()
            self._react()
            return
        heapq.heappush(self._queue, (t_s, next(self._order), do))

    def snapshot(self) -> Snapshot:
        """Return the AC power flow of this moment."""
        return self._looked()[0]

    def _looked(self) -> tuple[Snapshot, Rates]:
        if self._snap is None or self._rates is None:
            charging = self.clocks.charging_kw(self.t_s)
            self.world.charge(charging)
            self._snap = self.world.snapshot()
            self._rates = self.clocks.rates(self._snap, charging)
            self._runs_out_s = self.t_s + self._rates.due_s
            self._judge_steps(self._snap)
            if not self._snap.converged:
                self.ledger.say(self.t_s, "", "has no power flow", "voltage collapse")
        return self._snap, self._rates

    def _judge_steps(self, snap: Snapshot) -> None:
        """A genset that is given more than ``step_mw`` at once."""
        v = self.world.view
        p_kw = np.nan_to_num(snap.flow.ext_grid_p_kw[0])
        if self._source_kw is not None:
            limit = v.src_step_kw * (1 + RATING) + POWER_KW
            for k in np.flatnonzero(v.src_genset & self.world.s.src_on & (p_kw - self._source_kw > limit)):
                stress = float((p_kw[k] - self._source_kw[k]) / v.src_step_kw[k])
                self.ledger.over(f"{v.names['ext_grid'][k]} load step", stress, 0.0)
        self._source_kw = p_kw

    def _pass(self, to_s: float) -> None:
        dt_s = to_s - self.t_s
        if dt_s > 0:
            snap, rates = self._looked()
            self.ledger.pass_time(self.world, snap, dt_s)
            self.clocks.run(rates, dt_s)
            self.t_s = to_s

    def _happen(self) -> None:
        """Let everything that is due now happen."""
        snap, rates = self._looked()
        self._trip_overloaded(snap, rates)
        self._run_down(rates)
        while self._queue and self._queue[0][0] <= self.t_s + SAME_S:
            heapq.heappop(self._queue)[2]()
            self._react()  # what arrives at the same moment sees what the first has done
        self.transfers.end()
        self.transfers.go_back()
        self._react()

    def _react(self) -> None:
        """Devices answer what has just changed; units notice; the power flow is another one."""
        w, v = self.world, self.world.view
        mode, closed, forming = w.s.mode.copy(), w.s.closed.copy(), w.s.st_forming.copy()
        w.settle(self.t_s)
        for k in np.flatnonzero(w.s.mode != mode):
            self.ledger.say(self.t_s, v.names["ups"][k], MODE_WORDS[str(w.s.mode[k])], "by itself")
            if mode[k] == "battery" and w.s.mode[k] == "online":
                self.clocks.back_since_s[k] = self.t_s
        for k in np.flatnonzero(w.s.st_forming != forming):
            self.ledger.say(
                self.t_s,
                v.names["storage"][k],
                "holds its island" if w.s.st_forming[k] else "leaves its island",
                "by itself",
            )
        owners = v.sw_transfer[closed & ~w.s.closed]
        for k in np.unique(owners[owners >= 0]):
            self.ledger.say(self.t_s, v.names["transfer"][k], "leaves its source", "by itself")
        lost, back = self.units.look(self.t_s)
        self.ledger.interrupt(w, lost, self.t_s)
        for k in back:
            self.ledger.say(self.t_s, w.demand.name[k], "is back")
        self.transfers.watch()
        self._snap = self._rates = self._living = None

    # --- what runs out

    def _trip_overloaded(self, snap: Snapshot, rates: Rates) -> None:
        ratios = {group_table(group.names): group.ratio[0] for group in snap.groups}
        w, v = self.world, self.world.view
        for table, k in self.clocks.spent(rates):
            name, why = v.names[table][k], f"{100 * float(ratios[table][k]):.0f} % of its rating for too long"
            if table == "ups":
                mode = "bypass" if w.bypass_takes(k) else "off"
                w.set_mode(k, mode)
                w.s.ups_waiting[k] = False
                self.ledger.say(self.t_s, name, f"overloaded, {MODE_WORDS[mode]}", why)
                continue
            rows = [k] if table == "switch" else switches_of(w, table, k)
            w.trip(rows)
            self.ledger.say(self.t_s, name, "trips", why)

    def _run_down(self, rates: Rates) -> None:
        w, v = self.world, self.world.view
        empty = self.clocks.empty(rates)
        for k in empty["ups"]:
            v.ups_e_kwh[k] = 0.0
            self.ledger.say(self.t_s, v.names["ups"][k], "battery empty")
        for k in empty["storage"]:
            v.st_now_kwh[k] = v.st_floor_kwh[k]
            w.s.st_kw[k] = max(float(w.s.st_kw[k]), 0.0)
            self.ledger.say(self.t_s, v.names["storage"][k], "battery empty")
        for k in empty["ext_grid"]:
            w.s.src_on[k] = False
            v.src_ok[k] = False
            self.ledger.say(self.t_s, v.names["ext_grid"][k], "fuel empty")
        for k in self.clocks.full(rates):
            v.st_now_kwh[k] = v.st_size_kwh[k]
            w.s.st_kw[k] = min(float(w.s.st_kw[k]), 0.0)
        if any(empty.values()):
            w.forget_supplies()

    # --- failures

    def fail(self, name: str) -> None:
        """Let something fail, in the words of ``solve(failed=...)``: "ups:UPS-A", "transfer:X@stuck", ...

        Raises
        ------
        InputError
            The name means nothing.
        """
        if name in self.world.failed:
            return
        self.world.strike([*self.world.failed, name], self.t_s)
        self.ledger.say(self.t_s, name, "fails")
        self._react()

    def restore(self, name: str) -> None:
        """Repair it: its locks are gone; its switches stay as they are, a UPS stays off, a utility has voltage again.

        Raises
        ------
        InputError
            It has not failed.
        """
        if name not in self.world.failed:
            have = ", ".join(self.world.failed) or "nothing"
            raise InputError(
                Issue("InvalidName", "restore", name, name, f"what has failed: {have}", "Name one of them.")
            )
        w, v = self.world, self.world.view
        dead = w.outage.src_dead.copy()
        w.strike([item for item in w.failed if item != name], self.t_s)
        back = dead & ~w.outage.src_dead & v.src_ok & ~v.src_genset & ~v.src_companion
        w.s.src_on |= back
        self.ledger.say(self.t_s, name, "is restored")
        self._react()

    def operator(self, device: str, action: str, value: Any) -> Reply:
        """Let a person at the device do something: the device's own rules hold, its mode does not."""
        was = device in self.local
        self.local.discard(device)
        reply = self.command(device, action, value)
        if was:
            self.local.add(device)
        self.ledger.say(
            self.t_s, device, "operator", f"{action} {value}: {'done' if reply.accepted else reply.detail}"
        )
        return reply

    def revert(self, device: str) -> None:
        """Let a battery or an inverter go back to what the network was given with: its local rule."""
        table = device.partition(":")[0]
        w = self.world
        if table == "storage":
            k = w.view.at["storage"][device]
            w.s.st_kw[k] = 0.0 if w.outage.st_dead[k] else w.view.st_kw[k]
        elif table == "asymmetric_sgen":
            w.inverters.set(device, None)
        else:
            return
        self.ledger.say(self.t_s, device, "goes by its local rule")
        self._react()

    def misbehave(self, device: str, kind: str, times: int = 1) -> None:
        """Let a device get its next moves wrong.

        "no_move": it takes a command and stays; "stall_open": a transfer device stays between its positions.
        """
        if kind not in MISBEHAVIOURS:
            allowed = " or ".join(MISBEHAVIOURS)
            raise InputError(Issue("Enum", "misbehave", device, kind, allowed, "Correct the word."))
        self._wrong[device, kind] = self._wrong.get((device, kind), 0) + times

    def misbehaves(self, device: str, kind: str) -> bool:
        """Return whether this move goes wrong; counts it."""
        left = self._wrong.get((device, kind), 0)
        if left > 0:
            self._wrong[device, kind] = left - 1
        return left > 0

    # --- what is asked for, and what is told

    def set_loads(self, loads_kw: Mapping[str, Mapping[int, float]]) -> None:
        """Give rows of the load tables other demands, kW (all that are not named: as the network has them)."""
        self.wishes.set(loads_kw)
        self._react()

    def scale_loads(self, factor: float) -> None:
        """Let every load ask for ``factor`` times what the network says."""
        self.wishes.scale(factor)
        self._react()

    def overload(self, unit: str, factor: float) -> None:
        """Let a rack or load (or "all") ask for ``factor`` times what it asks for otherwise; 1 ends it."""
        self.wishes.overload(unit, factor)
        self.ledger.say(
            self.t_s, unit, "asks for more" if factor > 1 else "asks for less", f"times {factor:g}"
        )
        self._react()

    def unknown_failure(self, name: str) -> list[Issue]:
        """Return what is wrong with the name of a failure; nothing changes."""
        return self.world.unknown_failure(name)

    def set_temperature(self, ups: str, temperature_c: float) -> None:
        """Change the inlet temperature of a UPS: another overload curve may hold."""
        v = self.world.view
        v.ups_temperature_c = v.ups_temperature_c.astype(float)
        v.ups_temperature_c[v.at["ups"][ups]] = temperature_c
        self._react()

    def command(self, device: str, action: str, value: Any) -> Reply:
        """Tell a device to do something, in the words of `pdnopt.plant.actions`; it is taken or refused at once."""
        reply = self.panel.take(device, action, value)
        self.ledger.commands["accepted" if reply.accepted else str(reply.refusal)] += 1
        if not reply.accepted:
            self.ledger.say(self.t_s, device, "refuses", f"{action} {value}: {reply.detail}")
        return reply

    def objection(self, device: str, action: str, value: Any) -> Reply | None:
        """Return how a device would refuse a command now, None where it would take it."""
        return self.panel.objection(device, action, value)

    def state_of(self, device: str, action: str) -> Any:
        """Return what the device knows of itself, in the words of ``Command.expects``; KeyError for an unknown one."""
        return self.panel.state_of(device, action)

    def readings(self, devices: str | Iterable[str], path: str = "") -> list[Reading]:
        """Return every quantity that the meters of the devices show, true or not."""
        return self.meters.read([devices] if isinstance(devices, str) else devices, path)

    def network(self) -> Any:
        """Return the present truth as a new network: failed parts out of service, switches, modes, batteries, loads."""
        return present_network(self.world, self.snapshot(), self.clocks.used, self.t_s)
