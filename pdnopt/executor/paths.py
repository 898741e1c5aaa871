"""Which ways lead to a device: two independent ones where the device map gives two."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pdnopt.devicemap.limits import Limits
from pdnopt.protocols.drivers import Driver
from pdnopt.protocols.readings import Quality, Reading

__all__ = ["Paths"]


class Paths:
    """Drivers by name, and for every device the names of those that reach it, best first.

    Parameters
    ----------
    drivers : mapping
        Name -> Driver.
    routes : mapping or None
        Device -> names of drivers; None, or a device that is not in it: all drivers in their order.
    limits : mapping or None
        Device -> how far it may be told to go.
    """

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        routes: Mapping[str, Sequence[str]] | None = None,
        limits: Mapping[str, Limits] | None = None,
    ) -> None:
        self.drivers = dict(drivers)
        self._limits = dict(limits or {})
        self._routes = {device: tuple(names) for device, names in (routes or {}).items()}
        self._all = tuple(self.drivers)

    def route(self, device: str) -> tuple[str, ...]:
        """Return the names of the drivers that reach a device, best first."""
        return self._routes.get(device, self._all)

    def limits(self, device: str) -> Limits:
        """Return how far a device may be told to go, by action."""
        return self._limits.get(device, {})

    def read(self, devices: Iterable[str]) -> dict[str, dict[str, Reading]]:
        """Return device -> quantity -> reading; what one path cannot tell is asked of the next."""
        found: dict[str, dict[str, Reading]] = {device: {} for device in devices}
        open_devices = list(found)
        for turn in range(max((len(self.route(device)) for device in found), default=0)):
            asked: dict[str, list[str]] = defaultdict(list)
            for device in open_devices:
                if turn < len(self.route(device)):
                    asked[self.route(device)[turn]].append(device)
            for name, names in asked.items():
                for item in self.drivers[name].read(names):
                    known = found.get(item.device)
                    if known is None:
                        continue  # nobody asked for it
                    before = known.get(item.quantity)
                    if before is None or (before.quality != Quality.GOOD and item.quality == Quality.GOOD):
                        known[item.quantity] = item
            open_devices = [device for device in open_devices if not _told(found[device])]
        return found

    def read_every_path(self, devices: Iterable[str]) -> list[Reading]:
        """Return what every path says of every device: for comparing them."""
        asked: dict[str, list[str]] = defaultdict(list)
        for device in devices:
            for name in self.route(device):
                asked[name].append(device)
        return [item for name, names in asked.items() for item in self.drivers[name].read(names)]

    def close(self) -> None:
        """End all connections."""
        for driver in self.drivers.values():
            driver.close()


def _told(readings: Mapping[str, Reading]) -> bool:
    return bool(readings) and all(item.quality != Quality.MISSING for item in readings.values())
