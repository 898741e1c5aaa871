"""Three-phase power flow: what each engine models, and the run on pandapower.

======================  ============================================  =====================================
thing                   engine="pandapower" (runpp_3ph)               engine="pgm" (power-grid-model)
======================  ============================================  =====================================
lines                   sequence impedances (transposed)              the same
transformers            Dyn, YNyn, Yzn; vk0, mag0, si0 of the table   zero sequence = positive sequence;
                                                                      no zero-sequence magnetising path
sources                 impedance from ``s_sc_max_mva`` in negative   ideal in all sequences
                        and zero sequence, ideal in positive
loads                   wye and delta, constant power only            wye; constant power, Z and I
storage                 runpp_3ph ignores it: mirrored here           symmetric load
trafo3w, impedance      not held                                      not held
======================  ============================================  =====================================

What is missing in the tables is filled so that both engines see the same thing (on the copy only):
``vk0_percent = vk_percent``, ``vkr0_percent = vkr_percent``, ``mag0_percent = 1e9`` (of vk0; a Dyn has no
such path in reality: its delta short-circuits it), ``mag0_rx = 0``, ``si0_hv_partial = 0.5``; sources
``s_sc_max_mva = 1e9``, ``rx_max = r0x0_max = 0.1``, ``x0x_max = 1``. Zero-sequence data of
lines is never made up.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse.linalg import MatrixRankWarning

from pdnopt.acflow.companions import INVERTING, PASSING, Companions, read_companions, set_companions
from pdnopt.acflow.tables import write_ups
from pdnopt.errors import InputError, Issue, PowerFlowError
from pdnopt.plant.graph import connected_parts
from pdnopt.plant.names import component_name
from pdnopt.units import KW_PER_MW

__all__ = [
    "balance_sources",
    "missing_zero_sequence",
    "phase_loading_percent",
    "prepare",
    "run_pandapower",
    "run_pgm",
]

PHASES = ("a", "b", "c")
TRAFO_DEFAULTS = {"mag0_percent": 1e9, "mag0_rx": 0.0, "si0_hv_partial": 0.5}
SOURCE_DEFAULTS = {"s_sc_max_mva": 1e9, "rx_max": 0.1, "r0x0_max": 0.1, "x0x_max": 1.0}
UPS_TOLERANCE = 1e-6
MAX_ITERATION = 300
"""runpp_3ph iterates negative and zero sequence linearly: its default of 30 is too few if unbalanced."""


def run_pgm(net: Any) -> None:
    """Run power-grid-model's asymmetric flow in place; see the module's table."""
    from pdnopt.acflow.phase_model import run

    run(net)


def prepare(net: Any) -> None:
    """Fill, in place, the zero-sequence data that has a neutral value; see the module's docstring.

    Raises
    ------
    InputError
        Lines in service without ``r0_ohm_per_km``, ``x0_ohm_per_km``, ``c0_nf_per_km``: every one named.
    """
    issues = missing_zero_sequence(net)
    if issues:
        raise InputError(issues)
    trafo = net.trafo
    for name, default in (
        ("vk0_percent", trafo["vk_percent"]),
        ("vkr0_percent", trafo["vkr_percent"]),
        *TRAFO_DEFAULTS.items(),
    ):
        _fill(trafo, name, default)
    for name, value in SOURCE_DEFAULTS.items():
        _fill(net.ext_grid, name, value)
    for table in ("load", "asymmetric_load", "sgen", "asymmetric_sgen"):
        frame = net[table]
        # runpp_3ph drops every row whose type is not one of these words
        kind = (
            frame["type"].astype(object)
            if "type" in frame
            else pd.Series("wye", index=frame.index, dtype=object)
        )
        frame["type"] = kind.where(kind.isin(["wye", "delta"]), "wye")


def missing_zero_sequence(net: Any) -> list[Issue]:
    """Return the lines in service whose zero-sequence data is missing: every one named, and every column."""
    issues = []
    live = net.line["in_service"].to_numpy(bool)
    for name in ("r0_ohm_per_km", "x0_ohm_per_km", "c0_nf_per_km"):
        gone = (net.line[name].isna().to_numpy() if name in net.line else np.ones(len(net.line), bool)) & live
        issues += [
            Issue(
                "MissingZeroSequence",
                f"net.line.{name}",
                component_name(net, "line", int(i)),
                None,
                "ohm/km or nF/km of the zero sequence (a 4-core LV cable: r0 and x0 about 4 times r and x)",
                "Fill the column from the cable's data sheet.",
            )
            for i in net.line.index[gone]
        ]
    return issues


def _fill(frame: pd.DataFrame, name: str, default: Any) -> None:
    if name not in frame:
        frame[name] = default
    else:
        frame[name] = frame[name].astype(float).fillna(default)


def run_pandapower(net: Any) -> None:
    """Run ``runpp_3ph`` in place, storage mirrored, until the UPSs settle; write ``res_ups`` too.

    Raises
    ------
    PowerFlowError
        No convergence.
    InputError
        Zero-sequence data of lines is missing, or a transformer's vector group has no three-phase model.
    """
    import pandapower as pp

    _check_vector_groups(net)
    prepare(net)
    ups = read_companions(net)
    p_in = np.zeros(ups.n)
    mirror = _mirror_storage(net)
    try:
        for _ in range(ups.n + 3):
            set_companions(net, ups, p_in)
            try:
                # pandapower divides 0 by 0 for the unbalance of dead buses
                with warnings.catch_warnings(), np.errstate(invalid="ignore"):
                    warnings.simplefilter("ignore", MatrixRankWarning)
                    pp.runpp_3ph(net, numba=False, max_iteration=MAX_ITERATION)
            except pp.LoadflowNotConverged as error:
                raise PowerFlowError(
                    "runpp_3ph did not converge: check loads per phase, units, impedances."
                ) from error
            fed = net.res_bus_3ph["vm_a_pu"].reindex(net.ext_grid["bus"][net.ext_grid["in_service"]])
            if fed.isna().any():
                raise PowerFlowError(
                    "runpp_3ph returned no numbers: an impedance is too small for it "
                    "(a transformer below about 0.05 %)."
                )
            balance_sources(net)
            p, _ = _source_phases(net, ups)
            live = ~np.isnan(net.res_bus_3ph["vm_a_pu"].to_numpy(float)[ups.in_bus])
            new = np.where((ups.mode == "online") & live, ups.input_kw(p.sum(axis=1)), 0.0)
            settled = bool((np.abs(new - p_in) <= UPS_TOLERANCE * ups.p_rated_kw).all())
            p_in = new
            if settled:
                break
        else:
            raise PowerFlowError("UPSs that feed each other do not settle: look for a ring of UPSs.")
    finally:
        _drop_mirror(net, mirror)
    write_ups_3ph(net, ups, *_source_phases(net, ups), p_in)


def balance_sources(net: Any) -> None:
    """Write ``res_ext_grid_3ph`` in place from the nodal balance at each source.

    runpp_3ph leaves 0 for sources whose island is not the first one's. Sources on one bus (or joined by
    switches without impedance) share equally.
    """
    at = pd.Index(net.bus.index)
    drawn = np.zeros((len(at), 3), dtype=complex)
    volt = np.column_stack(
        [
            net.res_bus_3ph[f"vm_{k}_pu"].to_numpy(float)
            * np.exp(1j * np.radians(net.res_bus_3ph[f"va_{k}_degree"].to_numpy(float)))
            for k in PHASES
        ]
    )
    live = ~np.isnan(volt[:, 0])
    for table, sign in (("load", 1.0), ("sgen", -1.0), ("asymmetric_load", 1.0), ("asymmetric_sgen", -1.0)):
        frame = net[table]
        if not len(frame):
            continue
        scale = (frame["scaling"] * frame["in_service"].astype(bool)).to_numpy(float) * sign
        if table.startswith("asymmetric"):
            names = [(f"p_{k}_mw", f"q_{k}_mvar") for k in PHASES]
            power = np.column_stack(
                [frame[p].to_numpy(float) + 1j * frame[q].to_numpy(float) for p, q in names]
            )
        else:
            power = np.repeat(
                (frame["p_mw"].to_numpy(float) + 1j * frame["q_mvar"].to_numpy(float))[:, None] / 3, 3, 1
            )
        bus = at.get_indexer(frame["bus"].to_numpy(int))
        power = power * scale[:, None]
        delta = (frame["type"] == "delta").to_numpy(bool)
        v = volt[bus]
        between = np.conj(power / (v - np.roll(v, -1, axis=1)))  # currents ab, bc, ca
        power = np.where(delta[:, None], v * np.conj(between - np.roll(between, 1, axis=1)), power)
        np.add.at(drawn, bus, np.where(live[bus][:, None], power, 0.0))
    for table, et, sides in (("line", "l", ("from", "to")), ("trafo", "t", ("hv", "lv"))):
        res = net[f"res_{table}_3ph"]
        opened = net.switch[(net.switch["et"] == et) & ~net.switch["closed"].astype(bool)]
        for side in sides if len(net[table]) else ():
            bus = net[table][f"{side}_bus"].to_numpy(int)
            cut = pd.MultiIndex.from_arrays([bus, net[table].index]).isin(
                list(zip(opened["bus"], opened["element"], strict=True))
            )
            names = [(f"p_{k}_{side}_mw", f"q_{k}_{side}_mvar") for k in PHASES]
            power = np.column_stack([res[p].to_numpy(float) + 1j * res[q].to_numpy(float) for p, q in names])
            np.add.at(drawn, at.get_indexer(bus), np.where(cut[:, None], 0.0, np.nan_to_num(power)))
    ideal = (net.switch["et"] == "b") & net.switch["closed"].astype(bool)
    if "z_ohm" in net.switch:
        ideal &= ~(net.switch["z_ohm"].fillna(0.0) > 0)
    both = net.switch[ideal]
    cluster = connected_parts(
        len(at), at.get_indexer(both["bus"].to_numpy(int)), at.get_indexer(both["element"].to_numpy(int))
    )
    total = np.zeros_like(drawn)
    np.add.at(total, cluster, drawn)
    bus = at.get_indexer(net.ext_grid["bus"].to_numpy(int))
    on = net.ext_grid["in_service"].to_numpy(bool) & live[bus]
    share = np.bincount(cluster[bus], weights=on, minlength=len(at))[cluster[bus]]
    power = np.where(on[:, None], total[cluster[bus]] / np.maximum(share, 1)[:, None], 0.0)
    net.res_ext_grid_3ph = pd.DataFrame(
        {
            f"{c}_{k}_{u}": part[:, j]
            for c, u, part in (("p", "mw", power.real), ("q", "mvar", power.imag))
            for j, k in enumerate(PHASES)
        },
        index=net.ext_grid.index,
    )


def _check_vector_groups(net: Any) -> None:
    group = (
        net.trafo["vector_group"] if "vector_group" in net.trafo else pd.Series(None, index=net.trafo.index)
    )
    bad = [
        k for k, g in enumerate(group) if str(g).lower() not in ("ynyn", "dyn", "yzn", "yy", "yd", "dy", "dd")
    ]
    if bad:
        raise InputError(
            [
                Issue(
                    "NotHeld",
                    "net.trafo.vector_group",
                    component_name(net, "trafo", int(net.trafo.index[k])),
                    group.iloc[k],
                    "Dyn, YNyn, Yzn (or Yy, Yd, Dy, Dd)",
                    "Name the transformer's vector group.",
                )
                for k in bad
            ]
        )


def _mirror_storage(net: Any) -> pd.Index:
    """Add each storage as a load, which runpp_3ph does see; return the index of these loads."""
    use, load = net.storage, net.load
    first = int(load.index.max()) + 1 if len(load) else 0
    index = pd.RangeIndex(first, first + len(use))
    if not len(use):
        return index
    extra = pd.DataFrame(
        {name: use[name].to_numpy() for name in ("bus", "p_mw", "q_mvar", "scaling", "in_service")},
        index=index,
    ).assign(type="wye")
    # pandapower's create_loads would stumble over our boolean columns
    net.load = pd.concat([load.astype(object), extra.astype(object)]) if len(load) else extra.astype(object)
    for name, kind in {**load.dtypes, "in_service": bool, "bus": int}.items():
        if name in extra or not (kind == bool or np.issubdtype(kind, np.integer)):  # noqa: E721 - numpy dtypes
            net.load[name] = net.load[name].astype(kind)
    return index


def _drop_mirror(net: Any, mirror: pd.Index) -> None:
    """Take the mirrored loads away, and give their results to the storages."""
    if not len(mirror):
        return
    net.load = net.load.drop(mirror)
    res = net.res_load_3ph
    if len(res) and mirror.isin(res.index).all():
        net.res_storage_3ph = res.loc[mirror].set_axis(net.storage.index)
        net.res_load_3ph = res.drop(mirror)


def _source_phases(net: Any, ups: Companions) -> tuple[np.ndarray, np.ndarray]:
    """Return P in kW and Q in kvar by phase of each UPS's inverter, shape (U, 3)."""
    res = net.res_ext_grid_3ph
    on = np.isin(ups.mode, INVERTING)[:, None]
    p = res[[f"p_{k}_mw" for k in PHASES]].to_numpy(float)[ups.source] * KW_PER_MW
    q = res[[f"q_{k}_mvar" for k in PHASES]].to_numpy(float)[ups.source] * KW_PER_MW
    return np.where(on, p, 0.0), np.where(on, q, 0.0)


def phase_loading_percent(ups: Companions, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
    """Return the worst of P/p_rated, S/s_rated and the worst phase over s_rated/3, percent, shape (U,)."""
    whole = ups.loading_percent(p_kw.sum(axis=1), q_kvar.sum(axis=1))
    phase = np.hypot(p_kw, q_kvar).max(axis=1, initial=0.0) / (ups.s_rated_kva / 3)
    return np.asarray(np.maximum(whole, 100.0 * phase))


def write_ups_3ph(
    net: Any, ups: Companions, p_kw: np.ndarray, q_kvar: np.ndarray, p_in_kw: np.ndarray
) -> None:
    """Write ``res_ups`` from phases, shape (U, 3). NaN for a UPS on bypass: switches have no result."""
    if "ups" not in net:
        return
    passing = np.isin(ups.mode, PASSING)
    p, q = p_kw.sum(axis=1), q_kvar.sum(axis=1)
    loading = phase_loading_percent(ups, p_kw, q_kvar)
    for out in (p, q, loading):
        out[passing] = np.nan
    write_ups(net, p, q, np.where(passing, np.nan, p_in_kw), loading)
