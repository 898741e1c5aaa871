"""A drawing of a plant: rows are noted one by one and written into the network in bulk.

``pandapower.create_*`` costs a millisecond or more a row, and a network of 20,000 circuits has thousands of
rows. Indices count from 0 in the order of drawing, so that they are known before anything is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cases.ratings import LIMITS_PU, Conductor, Transformer
from pdnopt.plant.create.rows import complete

__all__ = ["Drawing"]


class Drawing:
    """Buses, lines, transformers, switches, transfer devices and interlocks, noted as rows."""

    def __init__(self) -> None:
        self._rows: dict[str, list[dict[str, Any]]] = {
            table: [] for table in ("bus", "line", "trafo", "switch", "transfer", "interlock")
        }

    def _note(self, table: str, **row: Any) -> int:
        self._rows[table].append(row)
        return len(self._rows[table]) - 1

    def bus(self, name: str, vn_kv: float) -> int:
        """Note a bus."""
        return self._note("bus", name=name, vn_kv=vn_kv)

    def line(self, name: str, from_bus: int, to_bus: int, length_km: float, what: Conductor) -> int:
        """Note a line."""
        return self._note(
            "line", name=name, from_bus=from_bus, to_bus=to_bus, length_km=length_km, **vars(what)
        )

    def trafo(
        self, name: str, hv_bus: int, lv_bus: int, kv: tuple[float, float], what: Transformer, curve: str
    ) -> int:
        """Note a transformer, Dyn5."""
        return self._note("trafo", name=name, hv_bus=hv_bus, lv_bus=lv_bus, kv=kv, what=what, curve=curve)

    def switch(
        self,
        name: str,
        bus: int,
        element: int,
        in_ka: float,
        t_operate_ms: float,
        et: str = "b",
        closed: bool = True,
        operation: str = "remote",
        transfer: float = np.nan,
    ) -> int:
        """Note a breaker, a switch or one position of a transfer device."""
        return self._note(
            "switch",
            name=name,
            bus=bus,
            element=element,
            et=et,
            in_ka=in_ka,
            t_operate_ms=t_operate_ms,
            closed=closed,
            operation=operation,
            transfer=transfer,
        )

    def sts(self, name: str, bus: int, sources: Sequence[int], in_ka: float, transfer_ms: float) -> int:
        """Note a static transfer switch that stands on its first source, prefers it and moves by itself."""
        return self.transfer(name, "STS", bus, sources, in_ka, transfer_ms)

    def transfer(
        self,
        name: str,
        kind: str,
        bus: int,
        sources: Sequence[int],
        in_ka: float,
        transfer_ms: float,
        auto: bool = True,
    ) -> int:
        """Note a transfer device with open transition that stands on its first source and prefers it."""
        index = len(self._rows["transfer"])
        positions = [
            self.switch(
                f"{name}/{k + 1}", source, bus, in_ka, transfer_ms, closed=k == 0, transfer=float(index)
            )
            for k, source in enumerate(sources)
        ]
        return self._note(
            "transfer",
            name=name,
            kind=kind,
            bus=bus,
            transfer_ms=transfer_ms,
            transition="open",
            auto=auto,
            preferred=float(positions[0]),
        )

    def interlock(self, name: str, switches: Sequence[int], max_closed: int) -> int:
        """Note an interlock."""
        return self._note("interlock", name=name, switches=list(switches), max_closed=max_closed)

    def write(self, net: Any) -> None:
        """Write all rows into an empty plant."""
        import pandapower as pp

        bus = _columns(self._rows["bus"])
        low, high = LIMITS_PU
        pp.create_buses(
            net, len(bus["name"]), vn_kv=bus["vn_kv"], name=bus["name"], min_vm_pu=low, max_vm_pu=high
        )
        line = _columns(self._rows["line"])
        pp.create_lines_from_parameters(
            net,
            line["from_bus"],
            line["to_bus"],
            length_km=line["length_km"],
            r_ohm_per_km=line["r_ohm_per_km"],
            x_ohm_per_km=line["x_ohm_per_km"],
            c_nf_per_km=0.0,
            max_i_ka=line["max_i_ka"],
            parallel=line["parallel"],
            df=line["df"],
            name=line["name"],
        )
        self._write_trafos(net)
        switch = _columns(self._rows["switch"])
        pp.create_switches(
            net,
            switch["bus"],
            switch["element"],
            et=switch["et"],
            closed=switch["closed"],
            type="CB",
            name=switch["name"],
        )
        net.switch["in_ka"] = np.asarray(switch["in_ka"], dtype=float)
        for name in ("operation", "t_operate_ms", "transfer"):
            net.switch[name] = switch[name]
        complete(net, "switch")
        for table in ("transfer", "interlock"):
            if self._rows[table]:
                net[table] = pd.DataFrame(self._rows[table], index=pd.RangeIndex(len(self._rows[table])))
                net[table].index = net[table].index.astype("int64")
                complete(net, table)

    def _write_trafos(self, net: Any) -> None:
        import pandapower as pp

        if not self._rows["trafo"]:
            return
        trafo = _columns(self._rows["trafo"])
        what: list[Transformer] = trafo["what"]
        pp.create_transformers_from_parameters(
            net,
            trafo["hv_bus"],
            trafo["lv_bus"],
            sn_mva=[t.sn_mva for t in what],
            vn_hv_kv=[hv for hv, _ in trafo["kv"]],
            vn_lv_kv=[lv for _, lv in trafo["kv"]],
            vkr_percent=[t.vkr_percent for t in what],
            vk_percent=[t.vk_percent for t in what],
            pfe_kw=[t.p_no_load_w / 1000.0 for t in what],
            i0_percent=[t.p_no_load_w / (t.sn_mva * 1e4) for t in what],
            shift_degree=150.0,
            vector_group="Dyn",
            name=trafo["name"],
        )
        net.trafo["overload_curve"] = trafo["curve"]
        complete(net, "trafo")


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}
