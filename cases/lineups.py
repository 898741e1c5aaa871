"""The power train of a hall from its MV boards to its PDUs: lineups of transformer, genset, UPS and OUT board.

What each letter means and how lineups are tied: the diagram in `cases.hall`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any

from cases import ratings as rt
from cases.bulk import Drawing
from cases.two_mains import line_ka
from pdnopt.plant import create_genset, create_ups

__all__ = ["LETTERS", "Lineup", "Train"]

LETTERS: dict[str, str] = {"2N": "AB", "3N/2": "ABC", "4N/3": "ABCD", "N+1 catcher": "ABCR"}
"""Lineups of a block by topology; R is the reserve."""
PDU_LENGTH_KM = 0.04


@dataclass
class Lineup:
    """Indices of one lineup: buses, and switches that others refer to."""

    name: str
    main: int
    gen: int
    ups_in: int
    ups_out: int
    out: int
    qm: int
    qg: int
    pdus: list[int] = field(default_factory=list)


class Train:
    """Draws blocks of lineups of one size, and writes their gensets and UPSs.

    Parameters
    ----------
    drawing : Drawing
    topology : str
        A key of `LETTERS`.
    ups_mw : float
        Rated power of each UPS.
    """

    def __init__(self, drawing: Drawing, topology: str, ups_mw: float) -> None:
        self.drawing, self.topology, self.ups_mw = drawing, topology, ups_mw
        self.letters = LETTERS[topology]
        self.input_mva = ups_mw / rt.UPS_EFFICIENCY[-1][1] / rt.UPS_INPUT_PF
        self.main_ka = rt.breaker_ka(line_ka(rt.HEADROOM * self.input_mva, rt.LV_KV))
        self.out_ka = rt.breaker_ka(line_ka(rt.HEADROOM * ups_mw / rt.RACK_PF, rt.LV_KV))
        self.blocks: list[list[Lineup]] = []

    @property
    def block_mva(self) -> float:
        """What a block draws at rated power of all its UPSs."""
        return len(self.letters) * self.input_mva

    def _switch(self, name: str, bus: int, element: int, in_ka: float, **keywords: Any) -> int:
        return self.drawing.switch(name, bus, element, in_ka, rt.CLOSE_MS, **keywords)

    def block(self, prefix: str, boards: list[int]) -> list[Lineup]:
        """Draw a block; the first half of its lineups hangs on the first of its two MV boards."""
        n = len(self.letters)
        lineups = [
            self._lineup(prefix + letter, boards[0 if 2 * k < n else 1])
            for k, letter in enumerate(self.letters)
        ]
        for left, right in zip(lineups[::2], lineups[1::2], strict=False):
            pair = f"{left.name}-{right.name}"
            tie = self._switch(f"QT-{pair}", left.main, right.main, self.main_ka, closed=False)
            self.drawing.interlock(f"main-tie-main {pair}", [left.qm, right.qm, tie], 2)
        tie_bus = self.drawing.bus(f"TIE{' ' * bool(prefix)}{prefix}", rt.LV_KV)
        ties = [
            self._switch(f"QX-{one.name}", one.out, tie_bus, self.out_ka, closed=False) for one in lineups
        ]
        self.drawing.interlock(f"OUT ties{prefix}", ties, 2)
        self._pdus(lineups)
        self.blocks.append(lineups)
        return lineups

    def _lineup(self, name: str, mv: int) -> Lineup:
        d, kv = self.drawing, rt.LV_KV
        main, gen = d.bus(f"main {name}", kv), d.bus(f"gen {name}", kv)
        ups_in, ups_out, out = (d.bus(f"{what} {name}", kv) for what in ("UPS in", "UPS out", "OUT"))
        what = rt.transformer(rt.HEADROOM * self.input_mva)
        trafo = d.trafo(f"TX-{name}", mv, main, (rt.MV_KV, kv), what, "cast-resin")
        self._switch(f"QH-{name}", mv, trafo, 0.63, et="t")
        qm = self._switch(f"QM-{name}", main, trafo, self.main_ka, et="t")
        gen_ka = rt.breaker_ka(line_ka(rt.GENSET_MARGIN * self.ups_mw / rt.GENSET_PF, kv))
        qg = self._switch(f"QG-{name}", gen, main, gen_ka, closed=False)
        d.interlock(f"mains or genset {name}", [qm, qg], 1)
        busway = d.line(f"busway {name}", main, ups_in, rt.BUSWAY_LENGTH_KM, rt.busway(self.main_ka))
        self._switch(f"QU-{name}", main, busway, self.main_ka, et="l")
        self._switch(f"QO-{name}", ups_out, out, self.out_ka)
        self._switch(f"QB-{name}", main, out, self.out_ka, closed=False, operation="manual")
        return Lineup(name, main, gen, ups_in, ups_out, out, qm, qg)

    def _pdus(self, lineups: list[Lineup]) -> None:
        """PDUs of each lineup from its OUT board; in a catcher block behind an STS with the reserve."""
        d = self.drawing
        catcher = self.topology == "N+1 catcher"
        n_pdu = max(2, ceil(self.ups_mw * 1000.0 / rt.PDU_KW - 1e-9))
        frame = rt.breaker_ka(2.0 * line_ka(rt.HEADROOM * self.ups_mw / n_pdu / rt.RACK_PF, rt.LV_KV))
        for lineup in lineups[:-1] if catcher else lineups:
            for k in range(1, n_pdu + 1):
                name = f"{lineup.name}{k:02d}"
                head = lineup.out
                if catcher:
                    head = d.bus(f"STS out {name}", rt.LV_KV)
                    d.sts(f"STS-{name}", head, [lineup.out, lineups[-1].out], frame, rt.STS_MS)
                pdu = d.bus(f"PDU-{name}", rt.LV_KV)
                cable = d.line(f"cable {name}", head, pdu, PDU_LENGTH_KM, rt.PDU_CABLE)
                self._switch(f"F-{name}", head, cable, frame, et="l")
                lineup.pdus.append(pdu)

    def write(self, net: Any) -> None:
        """Write gensets and UPSs; the drawing is in the network already."""
        for lineup in (one for block in self.blocks for one in block):
            genset_mw = rt.GENSET_MARGIN * self.ups_mw
            create_genset(
                net,
                lineup.gen,
                f"Genset-{lineup.name}",
                max_p_mw=genset_mw,
                start_s=rt.GENSET_START_S,
                fuel_mwh=rt.FUEL_H * genset_mw,
            )
            create_ups(
                net,
                lineup.ups_in,
                lineup.ups_out,
                f"UPS-{lineup.name}",
                p_rated_mw=self.ups_mw,
                s_rated_mva=self.ups_mw / rt.UPS_OUTPUT_PF,
                bypass_bus=lineup.main,
                efficiency=[list(point) for point in rt.UPS_EFFICIENCY],
                input_pf=rt.UPS_INPUT_PF,
                overload_curve="ups",
                e_max_mwh=self.ups_mw * rt.AUTONOMY_MIN / 60.0,
                p_charge_max_mw=rt.BATTERY_CHARGE * self.ups_mw,
                walk_in_s=rt.UPS_WALK_IN_S,
                n_modules=max(2, ceil(self.ups_mw / rt.UPS_MODULE_MW - 1e-9)),
            )
