"""Random plants and failures, the same for the same seed: for the brute-force and the fuzz tests.

Every plant is valid (`pdnopt.validate`), radial with one source an island, has an AC power flow and is within
all limits before the failure. Ratings are drawn from what the components carry then, so tightly that many
failures force load to be capped or shed.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pandapower as pp
from hypothesis import strategies as st

from pdnopt.acflow import FlowEngine
from pdnopt.checker import Checker
from pdnopt.plan import Plan
from pdnopt.plant import (
    create_empty_plant,
    create_genset,
    create_interlock,
    create_overload_curve,
    create_racks,
    create_storage,
    create_switch,
    create_transfer,
    create_ups,
    create_utility,
)
from pdnopt.validation import validate

KV = 0.4
SQRT3 = 3.0**0.5
MAX_TRIES = 60
R_OHM_PER_KM, X_OHM_PER_KM = 0.268, 0.082
"""Copper cable 70 mm2 (IEC 60228 class 2), as in case two_feed."""


@dataclass(frozen=True)
class Size:
    """How large a plant may be."""

    switches: int
    racks: int
    utilities: int
    upss: int
    pdus: int
    extras: bool
    """Storage, eco mode, limited fuel, load steps, dwell times, loads without a rack: beyond brute force."""


SMALL = Size(switches=12, racks=6, utilities=3, upss=3, pdus=3, extras=False)
LARGE = Size(switches=30, racks=30, utilities=3, upss=5, pdus=9, extras=True)


def random_plant(seed: int, size: Size = SMALL) -> tuple[Any, list[str]]:
    """Return a network and the failure to answer."""
    net = _plant(seed, size)
    rng = np.random.default_rng([seed, 2])
    return net, random_failure(net, rng, count=2 if rng.random() < 0.15 else 1)


@cache
def _empty_plant() -> Any:
    """Return an empty plant, to be copied: pandapower takes 0.1 s to make one."""
    return create_empty_plant()


@lru_cache(maxsize=64)
def _plant(seed: int, size: Size) -> Any:
    for attempt in range(MAX_TRIES):
        net = _Builder(np.random.default_rng([seed, 1, attempt]), size).build(f"random {seed}")
        if net is not None:
            return net
    raise RuntimeError(f"no valid plant for seed {seed}")


def random_failure(net: Any, rng: np.random.Generator, count: int = 1) -> list[str]:
    """Return ``count`` different outages, of all forms, those that hurt most often first."""
    names: list[str] = []
    for _ in range(20):
        if len(names) < count:
            name = _one_failure(net, rng)
            if name and name.partition("@")[0] not in {n.partition("@")[0] for n in names}:
                names.append(name)
    return names


_TABLES = ("ups", "ext_grid", "bus", "line", "trafo", "switch", "transfer", "load", "storage", "rack")
_WEIGHTS = (0.42, 0.2, 0.1, 0.08, 0.04, 0.06, 0.05, 0.03, 0.01, 0.01)
_FORMS = {
    "ups": (("", 0.64), ("@rectifier", 0.12), ("@to_bypass", 0.12), ("@module", 0.12)),
    "transfer": (("", 0.5), ("@stuck", 0.5)),
    "switch": (("", 0.6), ("@stuck_open", 0.2), ("@stuck_closed", 0.2)),
    "load": (("", 0.5), ("@psu", 0.5)),
}


def _one_failure(net: Any, rng: np.random.Generator) -> str:
    table = str(rng.choice(_TABLES, p=_WEIGHTS))
    if table == "rack":
        racks = sorted({str(v) for v in net.load["rack"] if v})
        return f"rack:{rng.choice(racks)}" if racks else ""
    rows = net[table]
    if table == "ext_grid":
        rows = rows[rows["kind"].isin(["utility", "genset"])]
    elif table == "load":
        rows = rows[rows["kind"] != "ups_input"]
    elif table == "switch":
        rows = rows[rows["closed"] | (rng.random() < 0.3)]
    if not len(rows):
        return ""
    name = str(rng.choice(rows["name"].to_numpy(object)))
    forms = _FORMS.get(table, (("", 1.0),))
    return f"{table}:{name}" + str(rng.choice([f for f, _ in forms], p=[w for _, w in forms]))


class _Builder:
    """Draws one plant: wiring first, without limits; then ratings from what the wiring carries."""

    def __init__(self, rng: np.random.Generator, size: Size) -> None:
        self.rng, self.size = rng, size
        self.left = size.switches
        self.net: Any = None
        self.zero_flow_kva = 0.0

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def build(self, name: str) -> Any:
        """Return the network, or None where this draw is no valid plant."""
        self.net = deepcopy(_empty_plant())
        self.net["name"] = name
        mains = self._mains()
        outs = self._upss(mains)
        pdus = self._pdus(mains, outs)
        self._racks(pdus, outs, mains)
        if self.size.extras:
            self._extras(pdus)
        flow = FlowEngine(self.net).run()
        if not flow.converged[0]:
            return None
        self._rate(flow)
        return self.net if self._fit() else None

    def _fit(self) -> bool:
        if any(issue.severity == "error" for issue in validate(self.net)):
            return False
        checker = Checker(self.net)
        return not any(issue.severity == "error" for issue in checker.check(Plan(), []))

    # --- wiring

    def _bus(self, name: str, kv: float = KV) -> int:
        return int(pp.create_bus(self.net, kv, name=name, min_vm_pu=0.9, max_vm_pu=1.1))

    def _switch(self, a: int, b: int, name: str, closed: bool, et: str = "b") -> int:
        self.left -= 1
        operation = str(self.rng.choice(["remote", "manual", "locked"], p=[0.92, 0.04, 0.04]))
        speed = float(self.rng.choice([50.0, 100.0, 1000.0]))
        return create_switch(
            self.net, a, b, name, et=et, closed=closed, operation=operation, t_operate_ms=speed
        )

    def _line(self, a: int, b: int, name: str) -> int:
        return int(
            pp.create_line_from_parameters(
                self.net,
                a,
                b,
                length_km=round(self.pick(0.005, 0.06), 3),
                r_ohm_per_km=R_OHM_PER_KM,
                x_ohm_per_km=X_OHM_PER_KM,
                c_nf_per_km=0.0,
                max_i_ka=99999.0,
                name=name,
            )
        )

    def _mains(self) -> list[int]:
        rng, net = self.rng, self.net
        n = int(rng.choice([1, 2, 3], p=[0.2, 0.6, 0.2])) if self.size.utilities >= 3 else 2
        group = "grid" if self.chance(0.4) else ""
        mains, breakers = [], []
        for k in range(n):
            main = self._bus(f"main {k + 1}")
            source = main
            if self.chance(0.2):
                high = self._bus(f"grid {k + 1}", 10.0)
                low = self._bus(f"low {k + 1}")
                pp.create_transformer_from_parameters(
                    net, high, low, sn_mva=1.0, vn_hv_kv=10.0, vn_lv_kv=KV, vkr_percent=1.0, vk_percent=5.0,
                    pfe_kw=0.0, i0_percent=0.0, name=f"T{k + 1}",
                )  # fmt: skip
                create_utility(net, high, f"Utility-{k + 1}", sync_group=group)
                source = low
            else:
                source = self._bus(f"grid {k + 1}")
                create_utility(net, source, f"Utility-{k + 1}", sync_group=group)
            breakers.append(self._switch(source, main, f"Q{k + 1}", True))
            mains.append(main)
        if n == 1 and self.chance(0.6):
            mains.append(self._bus("main 2"))
            self._switch(mains[0], mains[1], "QT", True)
        else:
            for k in range(n - 1):
                if self.chance(0.75):
                    tie = self._switch(mains[k], mains[k + 1], f"QT{k + 1}", False)
                    if self.chance(0.35):
                        create_interlock(
                            net, [breakers[k], tie, breakers[k + 1]], f"main-tie-main {k + 1}", 2
                        )
        if self.chance(0.4):
            self._genset(mains, breakers)
        return mains

    def _genset(self, mains: list[int], breakers: list[int]) -> None:
        at = int(self.rng.integers(len(mains)))
        bus = self._bus("gen")
        extra: dict[str, Any] = {}
        if self.size.extras and self.chance(0.3):
            extra = {"fuel_mwh": round(self.pick(0.01, 0.2), 3)}
        create_genset(self.net, bus, "G", max_p_mw=1.0, start_s=float(self.rng.choice([5.0, 10.0])), **extra)
        breaker = self._switch(bus, mains[at], "QG", False)
        if at < len(breakers) and self.chance(0.5):
            create_interlock(self.net, [breakers[at], breaker], "mains-genset", 1)

    def _upss(self, mains: list[int]) -> list[int]:
        rng, outs = self.rng, []
        points = [(1.25, 600.0), (1.5, 60.0), (3.0, 5.0)]
        create_overload_curve(self.net, "short", points)
        create_overload_curve(self.net, "long", [(1.1, 7200.0), *points])
        n = int(rng.choice([1, 2, 3], p=[0.15, 0.6, 0.25]))
        if self.size.upss > 3:
            n = int(rng.integers(1, self.size.upss + 1))
        bypasses, ties = self.chance(0.75), self.chance(0.85)
        for k in range(n):
            main = mains[k % len(mains)]
            out = self._bus(f"out {k + 1}")
            bypass = None
            if bypasses and self.left > n:
                self.left -= 1
                bypass = int(rng.choice(mains)) if self.chance(0.2) else main
            create_ups(
                self.net,
                main,
                out,
                f"UPS-{k + 1}",
                p_rated_mw=1.0,
                s_rated_mva=1.0,
                bypass_bus=bypass,
                efficiency=float(rng.choice([0.94, 0.96])),
                overload_curve=str(rng.choice(["", "short", "long"])),
                n_modules=int(rng.choice([1, 2, 4])),
                mode="eco" if self.size.extras and bypass is not None and self.chance(0.1) else "online",
            )
            outs.append(out)
        for k in range(len(outs) - 1):
            if ties and self.left > 2 and self.chance(0.9):
                self._switch(outs[k], outs[k + 1], f"QX{k + 1}", False)
        return outs

    def _pdus(self, mains: list[int], outs: list[int]) -> list[int]:
        rng, pdus = self.rng, []
        for k in range(int(rng.integers(1, self.size.pdus + 1))):
            pdu = self._bus(f"PDU {k + 1}")
            feed = outs[k % len(outs)] if self.chance(0.85) else int(rng.choice(mains))
            others = [b for b in (*outs, *mains) if b != feed]
            form = str(rng.choice(["line", "gated line", "switch", "transfer"], p=[0.2, 0.35, 0.15, 0.3]))
            if form == "transfer" and self.left >= 2 and others:
                self._transfer(pdu, [feed, int(rng.choice(others[: len(outs)] or others))], k)
            elif form == "gated line" and self.left >= 1:
                line = self._line(feed, pdu, f"F{k + 1}")
                self._switch(feed, line, f"QF{k + 1}", True, et="l")
            elif form == "switch" and self.left >= 1:
                self._switch(feed, pdu, f"QF{k + 1}", True)
            else:
                self._line(feed, pdu, f"F{k + 1}")
            if self.left >= 1 and others and self.chance(0.25):
                self._switch(int(rng.choice(others)), pdu, f"QR{k + 1}", False)
            pdus.append(pdu)
        return pdus

    def _transfer(self, pdu: int, feeds: list[int], k: int) -> None:
        self.left -= 2
        extra: dict[str, Any] = {}
        if self.size.extras and self.chance(0.2):
            extra = {"min_dwell_s": 5.0}
        create_transfer(
            self.net,
            pdu,
            feeds,
            f"STS-{k + 1}",
            kind="STS",
            transfer_ms=float(self.rng.choice([4.0, 100.0])),
            transition=str(self.rng.choice(["open", "closed"], p=[0.8, 0.2])),
            auto=self.chance(0.6),
            preferred=0 if self.chance(0.7) else None,
            **extra,
        )

    def _racks(self, pdus: list[int], outs: list[int], mains: list[int]) -> None:
        rng = self.rng
        places = [*pdus, *outs] if self.chance(0.4) else list(pdus)
        if self.chance(0.1):
            places += mains
        n = int(rng.integers(max(2, self.size.racks // 4), self.size.racks + 1))
        dual = rng.random(n) < (0.75 if len(places) > 1 else 0.0)
        cap_able, firm = self.pick(0.2, 0.8), 0.15 if self.chance(0.4) else 0.0
        limits = self.chance(0.3)
        for cords in (2, 1):
            mine = np.flatnonzero(dual == (cords == 2))
            if len(mine):
                self._rack_batch(mine, cords, places, cap_able, firm, limits)

    def _rack_batch(
        self, numbers: np.ndarray, cords: int, places: list[int], cap_able: float, firm: float, limits: bool
    ) -> None:
        """Create racks of one number of cords, shares and power factor at once (one by one is slow)."""
        rng, n = self.rng, len(numbers)
        buses = np.array([rng.choice(places, size=cords, replace=False) for _ in range(n)])
        kw = 0.5 * rng.integers(6, 41, n)
        part = float(rng.choice([0.5, 0.3]))
        shares = np.array([part, 1.0 - part] if cords == 2 else [1.0])
        rows = create_racks(
            self.net,
            buses,
            [f"R{k + 1}" for k in numbers],
            kw / 1000.0,
            power_factor=float(rng.choice([1.0, 0.98, 0.95])),
            shares=list(shares),
            priority=rng.choice([1, 2, 3], n, p=[0.3, 0.3, 0.4]),
            min_p_mw=np.where(rng.random(n) < cap_able, np.round(kw * rng.uniform(0.3, 0.9, n), 1), np.nan)
            / 1000.0,
            sheddable=rng.random(n) >= firm,
        )
        holdup = rng.choice([20.0, 20.0, 500.0], n)
        per_rack = {"holdup_ms": holdup}
        if limits:
            most = np.minimum(1.0, shares.max() * rng.uniform(1.05, 1.8, n)) * kw / 1000.0 * 1.001
            per_rack["max_p_mw"] = np.where(rng.random(n) < 0.5, most, np.nan)
            amps = np.round(shares.max() * rng.uniform(1.2, 2.2, n) * kw / (SQRT3 * KV), 1)
            per_rack["breaker_a"] = np.where(rng.random(n) < 0.2, amps, np.nan)
        for column, value in per_rack.items():
            self.net.load.loc[rows.ravel(), column] = np.repeat(value, cords)

    def _extras(self, pdus: list[int]) -> None:
        rng, net = self.rng, self.net
        if self.chance(0.3):
            create_storage(
                net,
                int(rng.choice(pdus)),
                "DES-1",
                p_max_mw=round(self.pick(0.005, 0.03), 3),
                e_max_mwh=round(self.pick(0.005, 0.05), 3),
                soc_min_percent=10.0,
                grid_forming=self.chance(0.5),
            )
        if self.chance(0.3):
            row = int(pp.create_load(net, int(rng.choice(pdus)), p_mw=0.004, q_mvar=0.001, name="lights"))
            net.load.loc[row, "priority"] = float(rng.integers(1, 4))
            net.load.loc[row, ["kind", "rack", "cord", "cools"]] = ""
            for column in ("sheddable", "psu_ok"):  # pandapower has put NaN, as True or in an object column
                net.load[column] = [bool(v) if v == v else True for v in net.load[column]]

    # --- ratings

    def _rate(self, flow: Any) -> None:
        net, tight = self.net, self.pick(1.1, 1.6)
        demand = net.load["kind"] != "ups_input"
        total_kw = float((net.load["p_mw"] * net.load["scaling"])[demand].sum() * 1000.0)
        total_ka = total_kw / 1000.0 / (SQRT3 * KV)

        def rating(base: float, spare: float, low: float = 1.05) -> float:
            return base * self.pick(low, tight) if base > 1e-6 else spare * self.pick(0.3, 0.9)

        for row, base in zip(net.line.index, flow.line_i_ka[0], strict=True):
            if self.chance(0.6):
                net.line.loc[row, "max_i_ka"] = round(rating(float(base), total_ka, 1.1), 5)
        for row, percent in zip(net.trafo.index, flow.trafo_loading_percent[0], strict=True):
            base = max(float(percent) / 100.0, total_kw / 4000.0)  # of 1 MVA
            net.trafo.loc[row, "sn_mva"] = round(base * self.pick(1.2, 1.2 * tight), 4)
        for k, row in enumerate(net.ups.index):
            p, q = float(flow.ups_p_out_kw[0, k]), float(flow.ups_q_out_kvar[0, k])
            p_rated = round(rating(float(np.hypot(p, q)), total_kw / 2.0), 1) / 1000.0
            s_rated = round(p_rated * float(self.rng.choice([1.0, 1.1])), 4)
            net.ups.loc[row, ["p_rated_mw", "s_rated_mva"]] = [p_rated, s_rated]
            hours = float(self.rng.choice([0.0, 0.1, 2.5], p=[0.4, 0.4, 0.2]))
            net.ups.loc[row, "e_max_mwh"] = round(hours * p_rated, 5)
            net.switch.loc[net.switch["ups"] == row, "in_ka"] = s_rated / (SQRT3 * KV)
            net.switch.loc[net.switch["ups"] == row, "overload_curve"] = net.ups.at[row, "overload_curve"]
        for k, row in enumerate(net.ext_grid.index):
            kind, base = net.ext_grid.at[row, "kind"], float(flow.ext_grid_p_kw[0, k])
            if kind == "genset" or (kind == "utility" and self.chance(0.5)):
                net.ext_grid.loc[row, "max_p_mw"] = round(rating(base, total_kw, 1.08), 1) / 1000.0
        for k, row in enumerate(net.switch.index):
            if np.isnan(net.switch.at[row, "ups"]) and self.chance(0.2):
                net.switch.loc[row, "in_ka"] = round(rating(float(flow.switch_i_ka[0, k]), total_ka, 1.1), 5)


@dataclass(frozen=True)
class Case:
    """One example of the fuzz tests; its repr is what reproduces it."""

    seed: int
    large: bool
    count: int
    failure_seed: int
    load_percent: int

    def build(self) -> tuple[Any, list[str], Any]:
        """Return the network, the outages, and the loads in kW (a Series, or None for the table's)."""
        net = _plant(self.seed, LARGE if self.large else SMALL)
        failed = random_failure(net, np.random.default_rng([self.failure_seed, 3]), self.count)
        if self.load_percent == 100:
            return net, failed, None
        kw = (net.load["p_mw"] * net.load["scaling"] * 1000.0)[net.load["kind"] != "ups_input"]
        return net, failed, kw * (self.load_percent / 100.0)


def cases(plants: int) -> st.SearchStrategy[Case]:
    """``plants`` small and as many large plants, one to three outages of any form, loads at 40 to 110 %."""
    return st.builds(
        Case,
        seed=st.integers(0, plants - 1),
        large=st.sampled_from((False, False, False, True)),
        count=st.sampled_from((1, 1, 1, 2, 3)),
        failure_seed=st.integers(0, 100_000),
        load_percent=st.sampled_from((100, 100, 100, 40, 70, 90, 110)),
    )
