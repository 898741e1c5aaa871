"""What the racks and loads of an emulated plant ask for."""

from __future__ import annotations

from collections.abc import Mapping

from pdnopt.emulator.world import World

__all__ = ["Wishes"]

TABLES = ("load", "asymmetric_load")


class Wishes:
    """Demand by row of the load tables, and factors on top of it by unit."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._loads_kw: dict[str, dict[int, float]] = {}
        self._factor: dict[str, float] = {}

    def set(self, loads_kw: Mapping[str, Mapping[int, float]]) -> None:
        """Let rows ask for so many kW; those that are not named ask for what the network says."""
        self._loads_kw = {table: dict(rows) for table, rows in loads_kw.items()}
        self._tell()

    def scale(self, factor: float) -> None:
        """Let every row ask for ``factor`` times what the network says."""
        d = self.world.as_given
        self._loads_kw = {}
        for number, table in enumerate(TABLES):
            mine = d.table == number
            index = self.world.net[table].index[d.row[mine]]
            self._loads_kw[table] = dict(zip(index.tolist(), (d.p_kw[mine] * factor).tolist(), strict=True))
        self._tell()

    def overload(self, unit: str, factor: float) -> None:
        """Let a unit (or "all") ask for ``factor`` times what it asks for otherwise."""
        self._factor[unit] = factor
        self._tell()

    def _tell(self) -> None:
        loads = self._loads_kw
        if self._factor:
            d = self.world.as_given
            every = self._factor.get("all", 1.0)
            loads = {}
            for k, (number, row) in enumerate(zip(d.table, d.row, strict=True)):
                table = TABLES[int(number)]
                index = int(self.world.net[table].index[row])
                kw = self._loads_kw.get(table, {}).get(index, float(d.p_kw[k]))
                factor = every * self._factor.get(d.name[int(d.unit[k])], 1.0)
                loads.setdefault(table, {})[index] = kw * factor
        self.world.set_loads(loads)
