"""An emulated device behind the guard that real devices have (`pdnopt.gateway.guard`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pdnopt.emulator.plant import EmulatedPlant
from pdnopt.gateway.guard import Guard, GuardSettings
from pdnopt.gateway.memory import GuardMemory, VolatileMemory
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.messages import Heartbeat

__all__ = ["EmulatedEquipment", "GuardedSide"]


class EmulatedEquipment:
    """One device of an emulated plant, as its guard knows it."""

    def __init__(self, plant: EmulatedPlant, device: str) -> None:
        self.plant, self.device = plant, device

    def local(self) -> bool:
        """Whether a person has put it in local mode."""
        return self.device in self.plant.local

    def present(self, action: str) -> Any:
        """Return what ``Command.expects`` is compared with; None for an unknown action and for an open transfer device."""
        try:
            return self.plant.state_of(self.device, action)
        except KeyError:
            return None

    def objection(self, command: Command) -> Reply | None:
        """Return how it would refuse now."""
        return self.plant.objection(self.device, command.action, command.value)

    def actuate(self, command: Command) -> Reply:
        """Tell it."""
        return self.plant.command(self.device, command.action, command.value)

    def revert(self) -> None:
        """End external set-points: a battery and an inverter go back to what the network was given with.

        Positions, modes and caps stay: they have been verified, and a cap that falls away might overload what it relieves.
        """
        self.plant.revert(self.device)


class GuardedSide:
    """The guards of all devices of a plant; each is made when it is first spoken to.

    Parameters
    ----------
    plant : EmulatedPlant
    clock : Clock
        Of the devices.
    settings : GuardSettings, optional
    verify : callable, optional
        (text, signature) -> whether the controller signed it.
    """

    def __init__(
        self,
        plant: EmulatedPlant,
        clock: Clock,
        settings: GuardSettings | None = None,
        verify: Callable[[bytes, bytes], bool] | None = None,
    ) -> None:
        self.plant, self.clock, self.settings, self.verify = plant, clock, settings, verify
        self.guards: dict[str, Guard] = {}
        self.memories: dict[str, GuardMemory] = {}
        self._known = frozenset(plant.devices)
        self._drawn = 0

    def guard(self, device: str) -> Guard | None:
        """Return the guard of a device, None for an unknown one."""
        if device not in self._known:
            return None
        if device not in self.guards:
            memory = self.memories.setdefault(device, VolatileMemory())
            self.guards[device] = Guard(
                device,
                EmulatedEquipment(self.plant, device),
                self.clock,
                memory,
                verify=self.verify,
                settings=self.settings,
                draw=self._draw,
            )
        return self.guards[device]

    def restart(self) -> None:
        """Lose everything that the guards have not written down, as a power cut would."""
        self.guards.clear()

    def select(self, command: Command) -> Reply:
        """Offer a command to its device."""
        guard = self.guard(command.device)
        return _nobody(command) if guard is None else guard.select(command)

    def operate(self, command: Command, ticket: int) -> Reply:
        """Let its device carry it out."""
        guard = self.guard(command.device)
        return _nobody(command) if guard is None else guard.operate(command, ticket)

    def cancel(self, command: Command, ticket: int) -> None:
        """Give the selection up."""
        guard = self.guard(command.device)
        if guard is not None:
            guard.cancel(command, ticket)

    def heartbeat(self, beat: Heartbeat) -> bool:
        """Tell all guards that the leader lives; True where all took it."""
        taken = [
            guard.heartbeat(beat).accepted for guard in self.guards.values()
        ]  # all hear it, whatever one says
        return all(taken)

    def tick(self) -> None:
        """Let the guards' time-outs happen."""
        for guard in list(self.guards.values()):
            guard.tick()

    def _draw(self) -> int:
        self._drawn += 1
        return self._drawn


def _nobody(command: Command) -> Reply:
    return Reply(False, Refusal.NOT_AVAILABLE, f"this plant has no {command.device}")
