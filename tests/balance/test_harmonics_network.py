"""The network at harmonic orders: hand sums on two buses, OpenDSS's harmonics mode, triplens and vector groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from scipy.sparse import csc_array
from scipy.sparse.linalg import spsolve

from pdnopt.acflow import powerflow
from pdnopt.balancing.data import S_BASE_KW
from pdnopt.balancing.harmonics.impedances import read_orders, read_points
from pdnopt.balancing.network import read_phase_network
from pdnopt.checker.harmonic_network import HarmonicNetwork
from pdnopt.plant import create_empty_plant, create_micro_inverter
from pdnopt.session import solve

KV = 0.4
LINE = {"r": 0.3, "x": 0.08, "r0": 1.2, "x0": 0.32}


def line(net: Any, a: int, b: int, name: str) -> None:
    k = pp.create_line_from_parameters(net, a, b, 0.1, LINE["r"], LINE["x"], 0.0, 0.16, name=name)
    for column, value in (("r0_ohm_per_km", 1.2), ("x0_ohm_per_km", 0.32), ("c0_nf_per_km", 0.0)):
        net.line.loc[k, column] = value


def two_buses() -> Any:
    """A source of 10 MVA (r/x 0.1, z0 = z1), 100 m of cable, one circuit on phase a and one on b."""
    net = create_empty_plant("two buses")
    board, pdu = pp.create_bus(net, KV, name="board"), pp.create_bus(net, KV, name="PDU")
    pp.create_ext_grid(net, board, s_sc_max_mva=10.0, rx_max=0.1, r0x0_max=0.1, x0x_max=1.0, name="mains")
    line(net, board, pdu, "cable")
    pp.create_asymmetric_load(net, pdu, p_a_mw=0.005, name="A")
    pp.create_asymmetric_load(net, pdu, p_b_mw=0.005, name="B")
    create_micro_inverter(net, pdu, "MIM", 0.003)
    return net


def spectra(*rows: tuple[str, int, str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["circuit", "order", "phase", "i_a", "angle_degree"])


def percents(result: Any, place: str) -> dict[tuple[int, str], float]:
    own = result.spectrum[result.spectrum["place"] == place]
    return dict(zip(zip(own["order"], own["phase"], strict=True), own["before_percent"], strict=True))


def by_hand(order: int) -> tuple[complex, complex]:
    """Self and mutual impedance from the PDU to earth: (2 z1 + z0) / 3 and (z0 - z1) / 3, ohm."""
    source = KV**2 / 10.0 / np.hypot(1.0, 0.1) * complex(0.1, order)
    z1 = source + 0.1 * complex(LINE["r"], order * LINE["x"])
    z0 = source + 0.1 * complex(LINE["r0"], order * LINE["x0"])
    return (2 * z1 + z0) / 3, (z0 - z1) / 3


def test_one_current_makes_the_voltage_that_a_hand_sum_makes() -> None:
    net = two_buses()
    result = solve(net, "balance", spectra=spectra(("asymmetric_load:A", 5, "a", 10.0, 20.0)))
    after = powerflow(result.plan.apply(net), three_phase=True)
    own, mutual = by_hand(5)
    one = {k: after.res_bus_3ph.at[1, f"vm_{k}_pu"] * KV * 1e3 / np.sqrt(3) for k in "abc"}
    found = percents(result, "bus:PDU")
    assert found[5, "a"] == pytest.approx(100 * 10 * abs(own) / one["a"], rel=1e-5)
    assert found[5, "b"] == pytest.approx(100 * 10 * abs(mutual) / one["b"], rel=1e-5)
    assert percents(result, "line:cable")[5, "b"] == pytest.approx(0.0, abs=1e-6)


def test_angles_are_counted_from_the_voltage_of_the_own_phase() -> None:
    """The same spectrum on a and b: a third harmonic is in phase (3 times 120 degrees), a fifth 240 degrees apart."""
    rows = [
        (f"asymmetric_load:{name}", h, p, 10.0, 0.0) for name, p in (("A", "a"), ("B", "b")) for h in (3, 5)
    ]
    net = two_buses()
    result = solve(net, "balance", spectra=spectra(*rows))
    after = powerflow(result.plan.apply(net), three_phase=True).res_bus_3ph.loc[1]
    found = percents(result, "bus:PDU")
    for h in (3, 5):
        turn = np.exp(1j * h * np.radians(after["va_b_degree"] - after["va_a_degree"]))
        own, mutual = by_hand(h)
        volts = 10 * abs(own + mutual * turn)
        assert found[h, "a"] == pytest.approx(
            100 * volts / (after["vm_a_pu"] * KV * 1e3 / np.sqrt(3)), rel=1e-5
        )


def test_percent_is_of_the_fundamental_current() -> None:
    net = two_buses()
    frame = spectra(("asymmetric_load:A", 5, "a", np.nan, 0.0)).assign(percent=40.0)
    after = powerflow(solve(net, "balance").plan.apply(net), three_phase=True).res_bus_3ph.loc[1]
    amps = 0.4 * 5e3 / (after["vm_a_pu"] * KV * 1e3 / np.sqrt(3))
    told = solve(net, "balance", spectra=spectra(("asymmetric_load:A", 5, "a", amps, 0.0)))
    found = solve(net, "balance", spectra=frame)
    assert percents(found, "bus:PDU")[5, "a"] == pytest.approx(percents(told, "bus:PDU")[5, "a"], rel=1e-5)


def feeder(group: str = "Dyn", shift: float = 30.0) -> Any:
    """20 kV, a transformer of 160 kVA, a board and two PDUs on cables."""
    net = create_empty_plant("feeder")
    mv, board = pp.create_bus(net, 20.0, name="MV"), pp.create_bus(net, KV, name="board")
    pp.create_ext_grid(net, mv, s_sc_max_mva=100.0, rx_max=0.1, r0x0_max=0.3, x0x_max=1.5, name="utility")
    pp.create_transformer_from_parameters(
        net, mv, board, 0.16, 20.0, KV, 1.1, 6.0, 0.0, 0.0, shift, name="TX", vector_group=group,
        vk0_percent=6.0, vkr0_percent=1.1, mag0_percent=1e9, mag0_rx=0.0, si0_hv_partial=0.5,
    )  # fmt: skip
    for k in (1, 2):
        line(net, board, pp.create_bus(net, KV, name=f"PDU-{k}"), f"cable {k}")
    return net


CURRENTS = np.array([[3 + 1j, -2j, 5.0], [4.0, 1 - 1j, 2 + 2j]])
"""A, drawn by the phases of the two PDUs."""


def ours(net: Any, order: int) -> np.ndarray:
    """Return the voltages of all buses, V, (4, 3)."""
    network = read_phase_network(net)
    at = read_orders(net, network, np.array([order]))
    base = S_BASE_KW / (network.vn_kv / np.sqrt(3))
    inject = np.zeros((network.n, 3), dtype=complex)
    inject[network.node[2]], inject[network.node[3]] = -CURRENTS / base[-1]
    v = spsolve(csc_array(at.y[0]), inject.ravel()).reshape(-1, 3)
    return np.asarray(v * network.vn_kv[:, None] * 1e3 / np.sqrt(3))[network.node]


def opendss(order: int) -> np.ndarray:
    """Return the same from OpenDSS in harmonics mode."""
    dss = pytest.importorskip("opendssdirect")
    x1 = 20.0**2 / 100.0 / np.hypot(1.0, 0.1)
    commands = [
        "clear",
        "set defaultbasefreq=50",
        f"new circuit.feeder bus1=mv basekv=20 pu=1 r1={0.1 * x1} x1={x1} r0={0.3 * 1.5 * x1} x0={1.5 * x1}",
        "new transformer.tx phases=3 windings=2 buses=(mv board) conns=(delta wye) kvs=(20 0.4) kvas=(160 160) "
        f"xhl={np.sqrt(6.0**2 - 1.1**2)} %rs=(0.55 0.55) %imag=0 %noloadloss=0 ppm_antifloat=0",
    ]
    for k in (1, 2):
        commands.append(
            f"new line.cable{k} bus1=board bus2=pdu{k} r1=0.03 x1=0.008 r0=0.12 x0=0.032 c1=0 c0=0 length=1 rg=0 xg=0"
        )
        for j in range(3):
            current = -CURRENTS[k - 1, j]
            commands += [
                f"new spectrum.s{k}{j} numharm=2 harmonic=(1 {order}) %mag=(0 100) "
                f"angle=(0 {np.degrees(np.angle(current))})",
                f"new isource.i{k}{j} bus1=pdu{k}.{j + 1} phases=1 amps={abs(current)} angle=0 spectrum=s{k}{j}",
            ]
    for command in (
        *commands, "set voltagebases=[20 0.4]", "calcvoltagebases", "solve mode=snap",
        f"set harmonics=({order})", "solve mode=harmonics",
    ):  # fmt: skip
        dss.Text.Command(command)
    out = np.zeros((4, 3), dtype=complex)
    for n, bus in enumerate(("mv", "board", "pdu1", "pdu2")):
        dss.Circuit.SetActiveBus(bus)
        pairs = np.asarray(dss.Bus.Voltages())
        out[n] = pairs[0::2] + 1j * pairs[1::2]
    return out


@pytest.mark.parametrize("order", [3, 5, 7, 9, 13])
def test_against_opendss_with_a_dyn_transformer(order: int) -> None:
    """Every bus and phase, complex; the zero sequence of a triplen must not come through the delta."""
    theirs, found = opendss(order), ours(feeder(), order)
    assert np.abs(theirs).max() > 1.0
    assert found == pytest.approx(theirs, abs=2e-4 * np.abs(theirs).max())
    assert found[0].sum() == pytest.approx(0.0, abs=1e-9)
    assert abs(found[1].sum()) > 0.1


@pytest.mark.parametrize(
    ("group", "shift"),
    [("Dyn", 30.0), ("Dyn", 150.0), ("Dyn", 330.0), ("YNyn", 0.0)],
)
def test_the_checker_finds_the_same_voltages_by_windings(group: str, shift: float) -> None:
    net = feeder(group, shift)
    pp.create_asymmetric_load(net, 2, p_a_mw=1e-6)
    other = HarmonicNetwork(powerflow(net, three_phase=True))
    for order in (3, 7):
        amps = np.zeros((other.n, 3), dtype=complex)
        amps[other.node[2]], amps[other.node[3]] = -CURRENTS
        volts = other.volts(order, amps)[[other.node[b] for b in range(4)]]
        assert volts == pytest.approx(ours(net, order), abs=1e-6 * np.abs(volts).max())


def test_short_circuit_currents_are_those_of_pandapower() -> None:
    """IEC 60909 has a voltage factor and corrects transformers: here neither (c = 1), so by hand at the board."""
    net = feeder()
    network = read_phase_network(net)
    points = read_points(net, network)
    z = KV**2 / 100.0 / np.hypot(1.0, 0.1) * complex(0.1, 1.0)
    z += KV**2 / 0.16 / 100.0 * complex(1.1, np.sqrt(6.0**2 - 1.1**2))
    at = points.name.index("trafo:TX")
    assert points.isc_pu[at] * points.base_ka[at] == pytest.approx(KV / np.sqrt(3) / abs(z), rel=1e-9)
