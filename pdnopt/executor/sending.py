"""One step on its way: written down, selected, operated. Nothing is operated unless all of the step is selected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdnopt.executor.log import Log
from pdnopt.executor.paths import Paths
from pdnopt.protocols.clocks import Clock
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.quantities import STATES

if TYPE_CHECKING:
    from pdnopt.plant.actions import Action

__all__ = ["Sender", "Sent"]


@dataclass
class Sent:
    """A command that may have reached its device.

    ``due_s``: monotonic; read back until then. ``done_s``: when the plan wants it done, seconds after the origin. ``step``:
    whose it is. ``path``, ``ticket``: how it went. ``certain``: the device's guard has said yes. ``retried``: it has been
    asked for again by another path.
    """

    command: Command
    due_s: float
    done_s: float
    step: int
    path: str = ""
    ticket: int = 0
    certain: bool = False
    retried: bool = False


class Sender:
    """Makes commands of actions and brings them to the guards. Raises PdnoptError where the log cannot be written."""

    def __init__(self, paths: Paths, log: Log, clock: Clock, controller: str, command_s: float) -> None:
        self.paths, self.log, self.clock = paths, log, clock
        self.controller, self.command_s = controller, command_s

    def write(
        self, actions: Sequence[Action], plan_hash: str, fencing: int, area_of: Callable[[str], str]
    ) -> list[Command]:
        """Return the actions as commands, all of them in the log."""
        now_s = self.clock.utc_s()
        commands = []
        for item in actions:
            number = self.log.last_sequence(item.device) + 1
            command = Command(
                id=f"{self.controller}/{fencing}/{item.device}/{number}",
                device=item.device,
                action=item.action,
                value=item.after,
                expects=item.before if item.action in STATES else None,
                sequence=number,
                issued_s=now_s,
                expires_s=now_s + self.command_s,
                plan_hash=plan_hash,
                fencing=fencing,
                area=area_of(item.device),
            )
            self.log.record(command)
            commands.append(command)
        return commands

    def send(self, items: Sequence[Sent]) -> tuple[list[Sent], str, str]:
        """Select all, then operate all; return what may have been taken, and which device refused, and why.

        At the first refusal the other selections are given up and what was not operated is written off.
        """
        for k, item in enumerate(items):
            item.path, reply = self._select(item.command)
            if not reply.accepted:
                self._write_off(item, reply)
                self._give_up(items[:k])
                self._never_sent(items[k + 1 :])
                return [], item.command.device, _why(reply)
            item.ticket = reply.ticket
        for k, item in enumerate(items):
            reply = self.paths.drivers[item.path].operate(item.command, item.ticket)
            self.log.answered(item.command.id, self.clock.utc_s(), "operate", reply)
            if not reply.accepted and reply.refusal is not Refusal.UNREACHABLE:
                self._write_off(item, reply)
                self._give_up(items[k + 1 :])
                return list(items[:k]), item.command.device, _why(reply)
            item.certain = reply.accepted
        return list(items), "", ""

    def by_another_path(self, item: Sent) -> bool:
        """Ask again for a command of which a read-back has shown that it was not taken; return whether it was taken now.

        It is the same command: a guard that did take it answers as before and moves nothing.
        """
        for path in self.paths.route(item.command.device):
            if path == item.path or item.command.expires_s <= self.clock.utc_s():
                continue
            driver = self.paths.drivers[path]
            reply = driver.select(item.command)
            if reply.refusal is Refusal.UNREACHABLE:
                continue
            if reply.accepted or reply.refusal is Refusal.OLD_SEQUENCE:
                reply = driver.operate(item.command, reply.ticket)
            self.log.answered(item.command.id, self.clock.utc_s(), "operate", reply)
            item.path = path
            return reply.accepted
        return False

    def _select(self, command: Command) -> tuple[str, Reply]:
        """Select by the first path that answers: a selection moves nothing, so another path may be tried at once."""
        path, reply = "", Reply(False, Refusal.UNREACHABLE, "no path leads to it")
        for path in self.paths.route(command.device):
            reply = self.paths.drivers[path].select(command)
            if reply.refusal is not Refusal.UNREACHABLE:
                break
        self.log.answered(command.id, self.clock.utc_s(), "select", reply)
        return path, reply

    def _give_up(self, items: Sequence[Sent]) -> None:
        for item in items:
            self.paths.drivers[item.path].cancel(item.command, item.ticket)
            self.log.ended(item.command.id, self.clock.utc_s(), "not taken", None, "given up")

    def _never_sent(self, items: Sequence[Sent]) -> None:
        for item in items:
            self.log.ended(item.command.id, self.clock.utc_s(), "not taken", None, "never sent")

    def _write_off(self, item: Sent, reply: Reply) -> None:
        self.log.ended(item.command.id, self.clock.utc_s(), "refused", None, _why(reply))


def _why(reply: Reply) -> str:
    return f"{reply.refusal}: {reply.detail}" if reply.detail else str(reply.refusal)
