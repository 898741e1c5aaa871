"""``Board``: the alarms that are up, each journalled when it is raised, ended or acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from pdnopt.journal import Journal, JournalError

__all__ = ["Alarm", "Board", "Severity"]


class Severity(StrEnum):
    """How bad: INFO needs nobody, WARNING a look, MAJOR a person soon, CRITICAL a person now."""

    INFO = "info"
    WARNING = "warning"
    MAJOR = "major"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Alarm:
    """One alarm.

    Attributes
    ----------
    number : int
        Of the journal; -1 where the journal could not take it.
    device, kind : str
        Together its key: an alarm is up once.
    severity : Severity
    text : str
        What is wrong, in words.
    recommended : str
        What to do next; for a component that wears, the repair that the risk module advises.
    since_s : float
        UTC, seconds since 1970.
    acknowledged_by : str
        Who has seen it; "" nobody.
    """

    number: int
    device: str
    kind: str
    severity: Severity
    text: str
    recommended: str
    since_s: float
    acknowledged_by: str = ""

    @property
    def key(self) -> str:
        """Return what makes it the same alarm."""
        return f"{self.device}/{self.kind}"


class Board:
    """The alarms of one controller.

    Parameters
    ----------
    journal : Journal
        A journal that fails ends commands, never alarms: they then live here and in the hooks only.
    told : callable, optional
        Called with every new alarm; must not block (`hooks.Messenger.send` does not).
    """

    def __init__(self, journal: Journal, told: Callable[[Alarm], None] | None = None) -> None:
        self._journal, self._told = journal, told
        self._up: dict[str, Alarm] = {}
        for row in journal.alarms(only_open=True):
            found = Alarm(
                row["id"],
                row["device"],
                row["kind"],
                Severity(row["severity"]),
                row["text"],
                row["recommended"],
                row["t_s"],
                row["acknowledged_by"],
            )
            self._up[found.key] = found

    @property
    def up(self) -> list[Alarm]:
        """Return the alarms that are up, the worst first, of equals the oldest."""
        rank = {severity: -k for k, severity in enumerate(Severity)}
        return sorted(self._up.values(), key=lambda alarm: (rank[alarm.severity], alarm.since_s, alarm.key))

    def has(self, device: str, kind: str) -> bool:
        """Return whether an alarm is up."""
        return f"{device}/{kind}" in self._up

    def raise_alarm(
        self, t_s: float, device: str, kind: str, severity: Severity, text: str, recommended: str
    ) -> Alarm:
        """Put an alarm up, unless it is; return the one that is up. A graver severity or another text puts it up anew."""
        known = self._up.get(f"{device}/{kind}")
        if known is not None and (known.severity, known.text) == (severity, text):
            return known
        if known is not None:
            self.end(t_s, device, kind)
        try:
            number = self._journal.alarm_raised(
                f"{device}/{kind}", t_s, device, kind, str(severity), text, recommended
            )
        except JournalError:
            number = -1
        alarm = Alarm(number, device, kind, severity, text, recommended, t_s)
        self._up[alarm.key] = alarm
        if self._told is not None:
            self._told(alarm)
        return alarm

    def end(self, t_s: float, device: str, kind: str) -> None:
        """Take an alarm down, if it is up."""
        alarm = self._up.pop(f"{device}/{kind}", None)
        if alarm is None or alarm.number < 0:
            return
        try:
            self._journal.alarm_ended(alarm.number, t_s)
        except JournalError:
            return

    def only(self, t_s: float, kind: str, devices: Iterable[str]) -> None:
        """Take down the alarms of a kind whose devices are not among those named."""
        still = set(devices)
        for alarm in list(self._up.values()):
            if alarm.kind == kind and alarm.device not in still:
                self.end(t_s, alarm.device, kind)

    def acknowledge(self, t_s: float, device: str, kind: str, who: str) -> bool:
        """Write down who has seen an alarm; return whether one was up that nobody had seen."""
        alarm = self._up.get(f"{device}/{kind}")
        if alarm is None or alarm.acknowledged_by:
            return False
        if alarm.number >= 0:
            self._journal.alarm_acknowledged(alarm.number, t_s, who)
        self._up[alarm.key] = replace(alarm, acknowledged_by=who)
        return True
