"""Ratings and impedances of the halls, each with where it comes from.

"Typical" means: the middle of what catalogues of several makers show, no single sheet. "(commonly quoted)"
means that the number circulates and that we have not read it in its document. The regulation's loss table and
the standards named here are quoted from common knowledge of them; the UPS overload thresholds (Huawei,
Riello) and Siemens's words on GEAFOL were read in excerpts.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ATS_MS",
    "AUTONOMY_MIN",
    "BATTERY_CHARGE",
    "BUSWAY_LENGTH_KM",
    "CAST_RESIN_CURVE",
    "CLOSE_MS",
    "CONTINUOUS_S",
    "FUEL_H",
    "GENSET_MARGIN",
    "GENSET_PF",
    "GENSET_START_S",
    "HEADROOM",
    "LIMITS_PU",
    "LV_KV",
    "MV_KV",
    "PDU_CABLE",
    "PDU_KW",
    "RACK_PF",
    "STS_MS",
    "TRANSFORMERS",
    "UPS_CURVE",
    "UPS_EFFICIENCY",
    "UPS_INPUT_PF",
    "UPS_MODULE_MW",
    "UPS_OUTPUT_PF",
    "UPS_WALK_IN_S",
    "UTILITY_PU",
    "Conductor",
    "Transformer",
    "breaker_ka",
    "busway",
    "mv_cable",
    "transformer",
]

LV_KV = 0.4
"""SOURCE: IEC 60038, 230/400 V."""
MV_KV = 20.0
"""SOURCE: IEC 60038, preferred distribution voltage."""
LIMITS_PU = (0.9, 1.1)
"""SOURCE: EN 50160 (+-10 %); ANSI C84.1 is narrower for service voltage."""
UTILITY_PU = 1.02
"""SOURCE: usual set-point of a primary substation (commonly quoted), inside EN 50160."""

HEADROOM = 1.25
"""Feeders and devices above and below a UPS are at least this times its rating. SOURCE: NEC 215.3, 125 % of
continuous load; so the UPS is what binds."""

# --- UPS

CONTINUOUS_S = 31_536_000.0
"""A year: as good as always (pandapower's JSON keeps no infinity in its tables)."""
UPS_CURVE = ((1.05, CONTINUOUS_S), (1.10, 3600.0), (1.25, 600.0), (1.50, 60.0))
"""(ratio, s). SOURCE: 110 %/60 min, 125 %/10 min, 150 %/1 min typical of catalogues of large double
conversion UPSs (for instance 125 % for 10 min, 150 % for 1 min in the data of Schneider's Galaxy VS). Up to
105 % is no overload yet: Huawei's UPS2000-G manual starts its overload table at 105 %, Riello's Dialog Plus
at 102 %."""
UPS_EFFICIENCY = [[0.1, 0.92], [0.25, 0.955], [0.5, 0.965], [0.75, 0.965], [1.0, 0.96]]
"""[loading, efficiency]. SOURCE: typical transformer-free double conversion, 96..97 % at its best, falling to
both sides (commonly quoted)."""
UPS_INPUT_PF = 0.99
"""SOURCE: IGBT rectifiers with power factor correction, > 0.99 at load (typical catalogue value)."""
UPS_OUTPUT_PF = 1.0
"""p_rated / s_rated: kVA bind, for inverter and static bypass alike. SOURCE: present frames have kVA = kW
(typical)."""
UPS_WALK_IN_S = 15.0
"""SOURCE: rectifier soft start adjustable over 5..30 s (typical catalogue values)."""
UPS_MODULE_MW = 0.6
"""SOURCE: frames of 400..600 kW in parallel make a system of MW (typical)."""
AUTONOMY_MIN = 6.0
"""At rated power; about 8 min at 75 %. SOURCE: 5..15 min is usual before gensets (FIELD_NOTES)."""
BATTERY_CHARGE = 0.1
"""Charging power over rated power. SOURCE: typical catalogue value, 10..20 %."""

# --- gensets

GENSET_START_S = 10.0
"""SOURCE: NFPA 110 type 10: at most 10 s to readiness."""
GENSET_MARGIN = 1.25
"""Genset MW over UPS MW: conversion loss, charging, margin. ``step_mw`` is left unlimited: the rectifier
of the UPS walks in over UPS_WALK_IN_S, so that the genset sees a ramp."""
GENSET_PF = 0.8
"""SOURCE: rated power factor of standby sets, kVA = kW / 0.8 (typical)."""
FUEL_H = 12.0
"""SOURCE: Uptime Institute Tier Standard, 12 h of on-site fuel."""

# --- transformers


@dataclass(frozen=True)
class Transformer:
    """A transformer, clock number 5; without more said a cast-resin one 20/0.4 kV."""

    sn_mva: float
    p_load_w: float
    p_no_load_w: float
    vk_percent: float = 6.0
    vector_group: str = "Dyn"

    @property
    def vkr_percent(self) -> float:
        """Real part of the short-circuit voltage, from the load loss."""
        return self.p_load_w / (self.sn_mva * 1e6) * 100.0


TRANSFORMERS = (
    Transformer(0.400, 4500, 675),
    Transformer(0.630, 7100, 990),
    Transformer(0.800, 8000, 1170),
    Transformer(1.000, 9000, 1395),
    Transformer(1.250, 11000, 1620),
    Transformer(1.600, 13000, 1980),
    Transformer(2.000, 16000, 2340),
    Transformer(2.500, 19000, 2790),
    Transformer(3.150, 22000, 3420),
)
"""SOURCE: losses: Regulation (EU) 548/2014, Annex I table I.2, dry type, tier 2 (Ak, A0 - 10 %).
uk 6 %: usual for cast resin of 630 kVA and more; we take it for all."""
CAST_RESIN_CURVE = ((1.20, 7200.0), (1.40, 1800.0))
"""(ratio, s). SOURCE: cast resin with forced air is offered for up to +40..50 % (Siemens Power Engineering
Guide on GEAFOL: 50 % with fans); IEC 60076-12 is the loading guide. The times are ours, on the safe side."""


def transformer(load_mva: float) -> Transformer:
    """Return the smallest standard transformer for a load; the largest where none is enough."""
    return next((t for t in TRANSFORMERS if t.sn_mva >= load_mva), TRANSFORMERS[-1])


# --- breakers and switches

_FRAMES_A = (32, 63, 100, 160, 250, 400, 630, 800, 1000, 1250, 1600, 2000, 2500, 3200, 4000, 5000, 6300)


def breaker_ka(load_ka: float) -> float:
    """Return the rated current of the smallest breaker frame that carries ``load_ka``.

    SOURCE: R10 series of IEC 60059, frames of IEC 60947-2 breakers up to 6300 A; above: several in parallel.
    """
    amperes = 1000.0 * load_ka
    fitting = next((a for a in _FRAMES_A if a >= amperes - 1e-6), None)
    return (fitting if fitting is not None else 6300 * -(-amperes // 6300)) / 1000.0


CLOSE_MS = 100.0
"""Motor operation of an air or vacuum circuit breaker. SOURCE: closing below 80 ms plus relay (typical)."""
ATS_MS = 100.0
"""SOURCE: open transition of a motor-driven automatic transfer switch, 50..150 ms (typical)."""
STS_MS = 4.0
"""SOURCE: static transfer switch, a quarter of a cycle (typical); inside the 20 ms of the ITI curve."""

# --- conductors


@dataclass(frozen=True)
class Conductor:
    """Positive-sequence data of one line; ``parallel`` of them, derated by ``df``."""

    r_ohm_per_km: float
    x_ohm_per_km: float
    max_i_ka: float
    parallel: int = 1
    df: float = 1.0


_AT_90_C = 1.0 + 0.00393 * 70.0
"""Copper from 20 to 90 degC. SOURCE: IEC 60228 Annex / IEC 60287-1-1, alpha20 = 0.00393 1/K."""

PDU_CABLE = Conductor(0.0754 * _AT_90_C, 0.08, 0.538, parallel=2, df=0.8)
"""2 x multi-core 240 mm2 Cu XLPE on tray. SOURCE: r: IEC 60228 class 2, 0.0754 ohm/km at 20 degC; ampacity
538 A: IEC 60364-5-52 table B.52.12, reference method E, three loaded conductors (commonly quoted); grouping
0.8 and x = 0.08 ohm/km typical."""
PDU_KW = 200.0
"""Rated UPS power a PDU. Its breaker carries twice this and HEADROOM (800 A): in 2N one side carries all."""

BUSWAY_LENGTH_KM = 0.015


def busway(rated_ka: float) -> Conductor:
    """Return copper busbar trunking for ``rated_ka``.

    SOURCE: typical catalogue values: r about 0.042 ohm/km at 1000 A and warm, x about 0.018 ohm/km,
    both in inverse proportion to the rating (4000 A: 0.0105 and 0.0045 ohm/km).
    """
    return Conductor(0.042 / rated_ka, 0.018 / rated_ka, rated_ka)


def mv_cable(load_ka: float) -> Conductor:
    """Return single-core 300 mm2 Cu XLPE 12/20 kV cables in trefoil, as many in parallel as the load needs.

    SOURCE: r: IEC 60228 class 2, 0.0601 ohm/km at 20 degC; 0.65 kA in air and x = 0.11 ohm/km are typical
    catalogue values.
    """
    return Conductor(0.0601 * _AT_90_C, 0.11, 0.65, parallel=max(1, -int(-load_ka // 0.65)))


# --- racks

RACK_PF = 0.99
"""SOURCE: server power supplies with active correction, half load and up (typical; 80 PLUS: 0.95)."""
