"""``mim_pod``: a 415/240 V pod of single-phase racks, a far row of it far from even, with micro-inverters (MIM) at its PDUs.

::

    UPS-A - QO-A - OUT A - F-A1..F-A6 - cables - PDU-A1 .. PDU-A6           near racks' cords A, phase to neutral
                    | +- F-A7 - long cable - PDU-A7 in - IT-A7 (Dyn) - PDU-A7      far racks with one cord
                 QX |
                    | +- F-B7 - long cable - PDU-B7 in - IT-B7 (Dyn) - PDU-B7      far racks with one cord
    UPS-B - QO-B - OUT B - F-B1..F-B6 - cables - PDU-B1 .. PDU-B6           near racks' cords B, on the same phase

* 108 near racks of 3.9 kW on average, 18 on each pair of PDUs, both cords on one phase. Of each pair's 70 kW 33.7 % hang on
  phase a, 33.6 % on b, 32.7 % on c, exactly.
* 20 far racks of 1.3 kW with one cord, ten on PDU-A7, ten on PDU-B7, 100 m away behind isolating transformers. That row
  is being filled, and strip after strip begins with phase a: seven racks on a, two on b, one on c.
* 20 micro-inverters with active filters, 44.4 kVA of all phases together, 10 % of the load: one of 0.4 kVA a phase at
  each near PDU, four of 1.25 kVA a phase at each far one. Those of side A have a battery of 2.4 kWh each on their DC links.
  They inject nothing as given: their set-points are what `balance` decides.
* Transformers and the boards before the UPSs: `cases.two_mains`, at 415 V. QX joins the OUT boards, open.

What is hard
------------
* At PDU-A7 and PDU-B7 the voltage unbalance is 2.4 % (NEMA MG-1: 1 %; IEC 61000-2-2: 2 %), and phase a of their
  transformers is at 96 % when their kVA are at 43 %.
* Each UPS has room for all near racks and its own far ones (99 % of 450 kVA), and its fullest phase has not: 102 % of a
  third by three-phase power flow; 104 % as the racks hang, which is what reroute and its checker count (105 % is no
  overload yet). With both far rows it has 110 %. Who looks at three-phase sums finds nothing to do.

All powers are drawn, none is measured. How uneven the far row is, is ours; a UPS with its phases at 98, 50 and 20 % is
told of in "How to balance three-phase power to maximize UPS capacity" (TechTarget SearchDataCenter).

Ratings
-------
* 415/240 V: IEC 60038 has 230/400 V; 240/415 V is its predecessor and usual in data halls, as it gives 240 V racks.
* UPS 450 kVA: half the pod 51 %. Curve, efficiency, autonomy: `cases.ratings`.
* Near PDU 160 A (a whole pair is 100 A on average); cable 70 mm2 Cu, 25 m: r of IEC 60228 class 2, 0.268 ohm/km at
  20 degC; 246 A in air (IEC 60364-5-52 table B.52.12, method E, commonly quoted), grouping 0.8; x = 0.08 ohm/km.
* Far PDU 50 A; cable 10 mm2 Cu, 100 m: 1.83 ohm/km at 20 degC, 75 A, else from the same tables.
* Isolating transformer 31.5 kVA (a size of the R10 series): 5.8 % with 3.2 % of resistance and 125 W without load. SOURCE:
  the 37.5 kVA row of Eaton's "Typical data for 600-volt class general-purpose dry-type transformers", type DS-3, 150 degC
  rise; its rows from 15 to 75 kVA have 3.5..6.9 %.
* Zero sequence: a neutral as thick as a phase makes r0 = r + 3 r = 4 r; x0 = 4 x alike.
* Cords 32 A, 240 V (IEC 60309, 7.7 kVA).
* Micro-inverter: 3 % loss (typical of small string inverters with filter, 97..98 %). Battery: 48 V, 50 Ah, at half its
  capacity an hour (typical of rack modules).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cases import ratings as rt
from cases.bulk import Drawing
from cases.racks import RackDraw, draw_groups
from cases.two_mains import TwoMains, line_ka
from pdnopt.plant import (
    create_empty_plant,
    create_micro_inverter,
    create_single_phase_racks,
    create_storage,
)

__all__ = ["mim_pod"]

KV = 0.415
PAIRS = 6
RACKS_PER_PHASE = 6
PAIR_KW = 70.0
PHASE_PARTS = (0.337, 0.336, 0.327)
FAR = 7
"""Number of the far PDU of each side."""
FAR_RACKS = (7, 2, 1)
"""By phase."""
FAR_RACK_KW = 1.3
LOAD_MW = (PAIRS * PAIR_KW + 2 * sum(FAR_RACKS) * FAR_RACK_KW) / 1000.0
UPS_MW = 0.45
UPS_MODULE_MW = 0.05
POWER_FACTOR = 0.97
"""SOURCE: server power supplies with active correction at 30..50 % load (typical)."""
HOLDUP_MS = 12.0
"""SOURCE: server power supplies, 10..20 ms at full load (typical)."""
CORD_A = 32.0
PDU_KA, FAR_PDU_KA = 0.16, 0.05
PDU_LENGTH_KM, FAR_LENGTH_KM = 0.025, 0.1
_WARM = 1.0 + 0.00393 * 70.0
PDU_CABLE = rt.Conductor(0.268 * _WARM, 0.08, 0.246, df=0.8)
FAR_CABLE = rt.Conductor(1.83 * _WARM, 0.08, 0.075, df=0.8)
ISOLATING = rt.Transformer(0.0315, 1008.0, 125.0, vk_percent=5.8)
ZERO_SEQUENCE = 4.0
NEAR_MIM_MVA, FAR_MIM_MVA = 0.0004, 0.00125
FAR_MIMS = 4
MIM_LOSS_PERCENT = 3.0
BATTERY_MWH, BATTERY_MW = 0.0024, 0.0012
SOC_PERCENT, SOC_MIN_PERCENT = 90.0, 10.0


def mim_pod(seed: int = 0) -> Any:
    """Build the case.

    Parameters
    ----------
    seed : int
        Of the rack powers inside each phase of a pair of PDUs or of a far PDU, and of priorities and floors.

    Returns
    -------
    pandapowerNet
        128 racks, 236 single-phase circuits, 446 kW; 2 UPSs of 450 kW, 14 PDUs, 20 micro-inverters.
    """
    plant = TwoMains(Drawing(), LOAD_MW, KV)
    boards, pdus = {}, {}
    for side in "AB":
        boards[side], pdus[side] = _side(plant, side)
    tie_ka = rt.breaker_ka(line_ka(rt.HEADROOM * UPS_MW, KV))
    plant.drawing.switch("QX", boards["A"], boards["B"], tie_ka, rt.CLOSE_MS, closed=False)
    net = create_empty_plant("mim_pod")
    plant.write(net, UPS_MODULE_MW)
    for name, of in (("r0", "r"), ("x0", "x")):
        net.line[f"{name}_ohm_per_km"] = ZERO_SEQUENCE * net.line[f"{of}_ohm_per_km"]
    net.line["c0_nf_per_km"] = 0.0
    rng = np.random.default_rng(seed)
    _near_racks(net, pdus, rng)
    for side in "AB":
        _far_racks(net, pdus[side][-1], f"R{side}{FAR}", rng)
    _micro_inverters(net, pdus)
    return net


def _side(plant: TwoMains, side: str) -> tuple[int, list[int]]:
    """UPS, output board, cables and PDUs of one side, the far one last; returns the board and the PDUs."""
    d = plant.drawing
    ups_out = plant.draw_ups(f"UPS-{side}", side, UPS_MW)
    board = d.bus(f"OUT {side}", KV)
    d.switch(f"QO-{side}", ups_out, board, rt.breaker_ka(line_ka(rt.HEADROOM * UPS_MW, KV)), rt.CLOSE_MS)
    pdus = []
    for name in (f"{side}{k}" for k in range(1, PAIRS + 1)):
        pdus.append(d.bus(f"PDU-{name}", KV))
        cable = d.line(f"cable {name}", board, pdus[-1], PDU_LENGTH_KM, PDU_CABLE)
        d.switch(f"F-{name}", board, cable, PDU_KA, rt.CLOSE_MS, et="l")
    name = f"{side}{FAR}"
    before = d.bus(f"PDU-{name} in", KV)
    cable = d.line(f"cable {name}", board, before, FAR_LENGTH_KM, FAR_CABLE)
    d.switch(f"F-{name}", board, cable, FAR_PDU_KA, rt.CLOSE_MS, et="l")
    pdus.append(d.bus(f"PDU-{name}", KV))
    d.trafo(f"IT-{name}", before, pdus[-1], (KV, KV), ISOLATING, "cast-resin")
    return board, pdus


def _near_racks(net: Any, pdus: dict[str, list[int]], rng: np.random.Generator) -> None:
    """Racks in groups of one pair and one phase, so that each phase of a pair has its exact part."""
    for phase, part in enumerate(PHASE_PARTS):
        draw = draw_groups(rng, PAIRS, RACKS_PER_PHASE, part * PAIR_KW)
        pair = np.repeat(np.arange(PAIRS), RACKS_PER_PHASE)
        buses = np.column_stack([np.array(pdus[side])[pair] for side in "AB"])
        names = [f"R{p + 1}{'abc'[phase]}{k % RACKS_PER_PHASE + 1}" for k, p in enumerate(pair)]
        _write_racks(net, buses, phase, names, draw)


def _far_racks(net: Any, pdu: int, name: str, rng: np.random.Generator) -> None:
    """Racks with one cord at a far PDU; each phase draws exactly its number of racks times their mean."""
    for phase, count in enumerate(FAR_RACKS):
        draw = draw_groups(rng, 1, count, count * FAR_RACK_KW)
        names = [f"{name}{'abc'[phase]}{k + 1}" for k in range(count)]
        _write_racks(net, np.full((count, 1), pdu), phase, names, draw)


def _write_racks(net: Any, buses: np.ndarray, phase: int, names: list[str], draw: RackDraw) -> None:
    create_single_phase_racks(
        net,
        buses,
        np.full(buses.shape, phase),
        names,
        draw.p_mw.ravel(),
        power_factor=POWER_FACTOR,
        priority=draw.priority.ravel(),
        min_p_mw=draw.min_p_mw.ravel(),
        holdup_ms=HOLDUP_MS,
        breaker_a=CORD_A,
    )


def _micro_inverters(net: Any, pdus: dict[str, list[int]]) -> None:
    """One at each near PDU, several at a far one; those of side A with batteries."""
    for side, buses in pdus.items():
        places = [(f"{side}{k}", bus, NEAR_MIM_MVA) for k, bus in enumerate(buses[:-1], start=1)]
        places += [(f"{side}{FAR}.{k + 1}", buses[-1], FAR_MIM_MVA) for k in range(FAR_MIMS)]
        for name, bus, s_mva in places:
            storage = None
            if side == "A":
                storage = create_storage(
                    net,
                    bus,
                    f"DES-{name}",
                    p_max_mw=BATTERY_MW,
                    e_max_mwh=BATTERY_MWH,
                    soc_percent=SOC_PERCENT,
                    soc_min_percent=SOC_MIN_PERCENT,
                    coupling="dc",
                )
            create_micro_inverter(
                net, bus, f"MIM-{name}", s_mva, storage, MIM_LOSS_PERCENT, active_filter=True
            )
