"""An emulated plant that lives by the wall clock, and shows every device as the registers of docs/REGISTERS.md."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from pdnopt.emulator.plant import EmulatedPlant
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.commands import Refusal, Reply
from pdnopt.protocols.readings import Quality
from pdnopt.protocols.registers import Header, decode_command, encode_block, result_code

__all__ = ["LivePlant"]


class LivePlant:
    """A plant that many servers ask, one at a time.

    Parameters
    ----------
    plant : EmulatedPlant
    clock : Clock
        What the plant lives by.
    speed : float
        Seconds of the plant in one second of the clock. Stamps are the clock's whatever the speed.
    """

    def __init__(self, plant: EmulatedPlant, clock: Clock, speed: float = 1.0) -> None:
        self.plant, self.clock, self.speed = plant, clock, speed
        self.actuations: Counter[str] = Counter()
        self._results: dict[str, int] = {}
        self._lock = threading.RLock()
        self._began_s = clock.monotonic_s()
        self._positions = {
            name: tuple(plant.world.view.names["switch"][row] for row in plant.world.view.tr_positions[k])
            for k, name in enumerate(plant.world.view.names["transfer"])
        }

    def positions(self, device: str) -> tuple[str, ...]:
        """Return the switches of a transfer device in the order of its registers; () for others."""
        return self._positions.get(device, ())

    def live(self) -> float:
        """Let the plant live up to now; return its time in s."""
        with self._lock:
            self.plant.advance(max(self.plant.t_s, (self.clock.monotonic_s() - self._began_s) * self.speed))
            return self.plant.t_s

    def ask(self, what: Callable[[EmulatedPlant], Any]) -> Any:
        """Ask the plant something, or do something to it, while nobody else does."""
        with self._lock:
            self.live()
            return what(self.plant)

    def silent(self, device: str) -> bool:
        """Whether the device does not answer at all: its meter is dead."""
        with self._lock:
            return self.plant.meters.silent(device)

    def words(self, device: str) -> list[int]:
        """Return the registers of a device as its meters show it."""
        with self._lock:
            self.live()
            local = device in self.plant.local
            told = {r.quantity: r.value for r in self.plant.readings(device) if r.quality is Quality.GOOD}
            able = told.pop("available", True)
            header = Header(
                available=bool(able) or local,
                local=local,
                stamp_s=self.clock.utc_s() + self.plant.meters.skew_s.get(device, 0.0),
                actuations=self.actuations[device],
                result=self._results.get(device, 0),
            )
            return encode_block(device.partition(":")[0], header, told, self.positions(device))

    def tell(self, device: str, words: Sequence[int]) -> Reply:
        """Take a command's registers; what comes of it is shown in the device's registers afterwards."""
        with self._lock:
            self.live()
            try:
                action, value = decode_command(words, self.positions(device))
            except ValueError as error:
                reply = Reply(False, Refusal.MALFORMED, str(error))
            else:
                if action == "revert":
                    self.plant.revert(device)
                    reply = Reply(True)
                else:
                    reply = self.plant.command(device, action, value)
                    self.actuations[device] += int(reply.accepted)
            self._results[device] = result_code(reply)
            return reply
