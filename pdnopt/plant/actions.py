"""What a device can be told, and what it does to a State.

=============================  ==================  ==========================================
device                         action              before, after
=============================  ==================  ==========================================
``switch:NAME``                open, close         closed or not (bool)
``transfer:NAME``              transfer            position: ``"switch:NAME"`` or None
``transfer:NAME``              prefer              the position it goes to first: ``"switch:NAME"`` or None
``ups:NAME``                   mode                "online", "battery", "eco", "bypass", "off"
``ext_grid:NAME``              start, stop         running or not (bool)
``rack:NAME``, ``load:NAME``,  cap, shed, restore  kW it may draw
``asymmetric_load:NAME``
``storage:NAME``               power               kW, charging positive
``storage:NAME``               form                holds an island's voltage or not (bool)
``asymmetric_sgen:NAME``       setpoint            ``{"p_kw": [a, b, c], "q_kvar": [a, b, c]}``, delivery positive;
                                                   it changes no State
``asymmetric_load:NAME``       phase               the one phase it draws from: "a", "b", "c"; it changes no State
=============================  ==================  ==========================================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from pdnopt.errors import PlanError
from pdnopt.plant.demand import Demand
from pdnopt.plant.grid import Grid
from pdnopt.plant.state import State

__all__ = ["Action", "Actuator"]


@dataclass(frozen=True)
class Action:
    """One command, or one thing that a device does by itself (step 0).

    Parameters
    ----------
    step : int
        Actions of one step are sent together; 0 for automatic ones.
    t_s : float
        Seconds after the failure at which it has taken effect.
    device, action : str
        See the module's table.
    before, after : Any
        State of the device before and after.
    reason : str
        Why, in words.
    """

    step: int
    t_s: float
    device: str
    action: str
    before: Any
    after: Any
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary of plain values."""
        return asdict(self)


class Actuator:
    """Carries out actions on States of one grid. Names are looked up once."""

    def __init__(self, grid: Grid, demand: Demand) -> None:
        self.grid, self.demand = grid, demand
        self._at = {
            "switch": {name: k for k, name in enumerate(grid.switches.name)},
            "transfer": {name: k for k, name in enumerate(grid.transfers.name)},
            "ups": {name: k for k, name in enumerate(grid.upss.name)},
            "ext_grid": {name: k for k, name in enumerate(grid.sources.name)},
            "storage": {name: k for k, name in enumerate(grid.storages.name)},
        }
        self._unit = {name: k for k, name in enumerate(demand.name)}

    def position(self, device: str) -> int:
        """Return the device's position in its table. Raises PlanError for an unknown name."""
        table = device.partition(":")[0]
        where = self._unit if table in ("rack", "load", "asymmetric_load") else self._at.get(table, {})
        if device not in where:
            raise PlanError(
                f"the plan names {device!r}, which this network does not have; solve again for it"
            )
        return where[device]

    def act(self, state: State, actions: Iterable[Action]) -> State:
        """Return the state after the actions, in the order given."""
        closed, source_on = state.closed.copy(), state.source_on.copy()
        ups_mode, served = state.ups_mode.copy(), state.served.copy()
        storage_on, storage_kw = state.storage_on.copy(), state.storage_kw.copy()
        upss = self.grid.upss
        for item in actions:
            table = item.device.partition(":")[0]
            k = self.position(item.device)
            if table == "switch":
                closed[k] = bool(item.after)
            elif item.action == "prefer":
                continue  # a setting: it moves nothing now
            elif table == "transfer":
                closed[self.grid.transfers.positions[k]] = False
                if item.after is not None:
                    closed[self._at["switch"][item.after]] = True
            elif table == "ups":
                ups_mode[k] = item.after
                if upss.bypass[k] >= 0:
                    closed[upss.bypass[k]] = item.after in ("bypass", "eco")
            elif table == "ext_grid":
                source_on[k] = bool(item.after)
            elif table == "storage":
                if item.action == "form":
                    storage_on[k] = bool(item.after)
                else:
                    storage_kw[k] = float(item.after)
            else:
                d_kw = self.demand.d_kw[k]
                part = min(max(item.after / d_kw, 0.0), 1.0) if d_kw > 0 else float(item.action != "shed")
                served[k] = part
        return state.but(
            closed=closed,
            source_on=source_on,
            ups_mode=ups_mode,
            served=served,
            storage_on=storage_on,
            storage_kw=storage_kw,
        )
