"""Two utility feeds, two transformers, two main boards with gensets and ties: what several cases stand on.

::

    Utility 1 -QF- feeder -QI- MV 1 -QH- TX-A -QM- main A -QG- Genset-A
                               | QT-MV                | QT
    Utility 2 -QF- feeder -QI- MV 2 -QH- TX-B -QM- main B -QG- Genset-B

Ties and genset breakers are open and interlocked (main-tie-main: at most two of three are closed). One transformer
carries both main boards. UPSs get their ratings beside kW and kVA from `cases.ratings`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import Any

from cases import ratings as rt
from cases.bulk import Drawing
from pdnopt.plant import create_genset, create_overload_curve, create_ups, create_utility

__all__ = ["TwoMains", "line_ka"]

MV_LENGTH_KM = 0.5
MV_FRAME_KA = 0.63
"""Vacuum circuit breakers begin at 630 A (IEC 62271-100, usual)."""


def line_ka(mva: float, kv: float) -> float:
    """Return the current in kA of a balanced three-phase load."""
    return mva / (sqrt(3.0) * kv)


@dataclass
class TwoMains:
    """The drawing of the supply, and of the UPSs behind it.

    Parameters
    ----------
    drawing : Drawing
    load_mw : float
        Demand of all racks.
    kv : float
        Voltage of the main boards.
    """

    drawing: Drawing
    load_mw: float
    kv: float = rt.LV_KV
    main: dict[str, int] = field(init=False, default_factory=dict)
    gen: dict[str, int] = field(init=False, default_factory=dict)
    grid: list[int] = field(init=False, default_factory=list)
    ups: list[tuple[str, str, float, int, int]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        d, mv, incomer, main_breaker = self.drawing, {}, {}, {}
        frame = rt.breaker_ka(line_ka(self.total_mva, self.kv))
        for k, side in enumerate("AB", start=1):
            self.grid.append(d.bus(f"grid {k}", rt.MV_KV))
            mv[side] = d.bus(f"MV {k}", rt.MV_KV)
            cable = rt.mv_cable(line_ka(self.total_mva, rt.MV_KV))
            feeder = d.line(f"feeder {k}", self.grid[-1], mv[side], MV_LENGTH_KM, cable)
            d.switch(f"QF-{k}", self.grid[-1], feeder, MV_FRAME_KA, rt.CLOSE_MS, et="l")
            incomer[side] = d.switch(f"QI-{k}", mv[side], feeder, MV_FRAME_KA, rt.CLOSE_MS, et="l")
            self.main[side], self.gen[side] = d.bus(f"main {side}", self.kv), d.bus(f"gen {side}", self.kv)
            what = rt.transformer(self.total_mva)
            kv = (rt.MV_KV, self.kv)
            trafo = d.trafo(f"TX-{side}", mv[side], self.main[side], kv, what, "cast-resin")
            d.switch(f"QH-{side}", mv[side], trafo, MV_FRAME_KA, rt.CLOSE_MS, et="t")
            main_breaker[side] = d.switch(f"QM-{side}", self.main[side], trafo, frame, rt.CLOSE_MS, et="t")
            genset = d.switch(f"QG-{side}", self.gen[side], self.main[side], frame, rt.CLOSE_MS, closed=False)
            d.interlock(f"mains or genset {side}", [main_breaker[side], genset], 1)
        tie = d.switch("QT-MV", mv["A"], mv["B"], MV_FRAME_KA, rt.CLOSE_MS, closed=False)
        d.interlock("main-tie-main MV", [*incomer.values(), tie], 2)
        tie = d.switch("QT", self.main["A"], self.main["B"], frame, rt.CLOSE_MS, closed=False)
        d.interlock("main-tie-main", [*main_breaker.values(), tie], 2)

    @property
    def total_mva(self) -> float:
        """All racks through UPSs at low load, with HEADROOM."""
        return rt.HEADROOM * self.load_mw / rt.UPS_EFFICIENCY[0][1] / rt.UPS_INPUT_PF

    def draw_ups(self, name: str, side: str, mw: float, both_mains: bool = False) -> int:
        """Draw input breaker, input and output bus of a UPS; return the output bus.

        ``both_mains``: in place of the breaker a transfer switch, on ``side`` and by itself on the other main board when
        that one dies.
        """
        d = self.drawing
        ups_in, ups_out = d.bus(f"{name} in", self.kv), d.bus(f"{name} out", self.kv)
        input_mva = rt.HEADROOM * mw / rt.UPS_EFFICIENCY[-1][1] / rt.UPS_INPUT_PF
        frame = rt.breaker_ka(line_ka(input_mva, self.kv))
        if both_mains:
            other = "B" if side == "A" else "A"
            d.transfer(f"ATS-{name}", "ATS", ups_in, [self.main[side], self.main[other]], frame, rt.ATS_MS)
        else:
            d.switch(f"QU-{name}", self.main[side], ups_in, frame, rt.CLOSE_MS)
        self.ups.append((name, side, mw, ups_in, ups_out))
        return ups_out

    def write(self, net: Any, module_mw: float) -> None:
        """Write the drawing into an empty plant, with its sources and UPSs of modules of ``module_mw``."""
        self.drawing.write(net)
        create_overload_curve(net, "ups", rt.UPS_CURVE)
        create_overload_curve(net, "cast-resin", rt.CAST_RESIN_CURVE, recovery_s=14400.0)
        for k, bus in enumerate(self.grid, start=1):
            create_utility(
                net,
                bus,
                f"Utility-{k}",
                vm_pu=rt.UTILITY_PU,
                max_p_mw=self.total_mva,
                sync_group="grid",
                s_sc_max_mva=500.0,
            )
        for side, bus in self.gen.items():
            genset_mw = rt.GENSET_MARGIN * sum(mw for _, of_side, mw, *_ in self.ups if of_side == side)
            create_genset(
                net,
                bus,
                f"Genset-{side}",
                max_p_mw=genset_mw,
                start_s=rt.GENSET_START_S,
                fuel_mwh=rt.FUEL_H * genset_mw,
            )
        for name, side, mw, ups_in, ups_out in self.ups:
            create_ups(
                net,
                ups_in,
                ups_out,
                name,
                p_rated_mw=mw,
                s_rated_mva=mw / rt.UPS_OUTPUT_PF,
                bypass_bus=self.main[side],
                efficiency=[list(point) for point in rt.UPS_EFFICIENCY],
                input_pf=rt.UPS_INPUT_PF,
                overload_curve="ups",
                e_max_mwh=mw * rt.AUTONOMY_MIN / 60.0,
                p_charge_max_mw=rt.BATTERY_CHARGE * mw,
                walk_in_s=rt.UPS_WALK_IN_S,
                n_modules=round(mw / module_mw),
            )
