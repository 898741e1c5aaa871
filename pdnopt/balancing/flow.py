"""Three-phase power flow by its fixed point, and what is linear at a point.

With D the rows that say between which phases a power hangs (phase to neutral, or two phases), the currents that enter the
network at voltages v are ``i = D' conj(s / (D v))`` and the flow is the fixed point of

    v = inv(Y_LL) (i(v) - Y_LS v_S)                                                            (1)

(Bernstein, Wang, Dall'Anese, Le Boudec, Zhao 2018, "Load flow in multiphase distribution networks: existence, uniqueness,
non-singularity and linear models", eqs. 7-8). Its linear model holds ``D v`` at the point: v = M s + a (eqs. 11-12 there),
exact at the point, and asked for again at every new point until both agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from pdnopt.balancing.data import S_BASE_KW
from pdnopt.balancing.network import PhaseNetwork
from pdnopt.errors import PowerFlowError
from pdnopt.units import KW_PER_MW

__all__ = ["Flow", "Injections", "PhaseFlow", "read_injections", "read_owned_injections"]

PHASES = ("a", "b", "c")
TOLERANCE_PU = 1e-10
MOST_ITERATIONS = 200
UPS_ROUNDS = 12
UPS_TOLERANCE_KW = 1e-6


@dataclass(frozen=True)
class Injections:
    """Everything that draws or gives power at a fixed value, K elements (consumption positive, pu).

    Attributes
    ----------
    plus, minus : int, shape (K,)
        Rows of the network between which it hangs; minus = -1: neutral.
    s_pu : complex, shape (K,)
        At 1 pu; ``z``, ``i`` are the parts of P and of Q that go with the voltage squared and with the voltage.
    """

    plus: np.ndarray
    minus: np.ndarray
    s_pu: np.ndarray
    z: np.ndarray
    i: np.ndarray


@dataclass(frozen=True)
class Flow:
    """A solved flow: voltages (pu, 3N) and what the inputs of the UPSs draw (kW)."""

    v: np.ndarray
    ups_in_kw: np.ndarray


def read_injections(net: Any, network: PhaseNetwork, inverters: np.ndarray) -> Injections:
    """Read loads, generators and batteries at live buses; without the inverters that are decided and UPS inputs."""
    return read_owned_injections(net, network, inverters)[0]


def read_owned_injections(
    net: Any, network: PhaseNetwork, inverters: np.ndarray
) -> tuple[Injections, dict[str, np.ndarray]]:
    """Return the injections of `read_injections`, and by table which row each is of, -1: of another table, (K,)."""
    at = pd.Index(net.bus.index)
    plus, minus, power = [], [], []
    z: list[np.ndarray] = []
    i: list[np.ndarray] = []
    companion = np.zeros(len(net.load), dtype=bool)
    companion[network.ups.load] = True
    owners: list[tuple[str, np.ndarray]] = []
    for table, sign in (
        ("load", 1.0), ("sgen", -1.0), ("storage", 1.0), ("asymmetric_load", 1.0), ("asymmetric_sgen", -1.0),
    ):  # fmt: skip
        frame = net[table]
        node = network.node[at.get_indexer(frame["bus"].to_numpy(int))]
        use = frame["in_service"].to_numpy(bool) & (node >= 0)
        use &= ~companion if table == "load" else True
        use &= ~frame.index.isin(inverters) if table == "asymmetric_sgen" else True
        if not use.any():
            continue
        scale = sign * frame["scaling"].to_numpy(float)[use] * KW_PER_MW / S_BASE_KW
        part = frame[use]
        if table.startswith("asymmetric"):
            s = np.column_stack(
                [part[f"p_{k}_mw"].to_numpy(float) + 1j * part[f"q_{k}_mvar"].to_numpy(float) for k in PHASES]
            )
        else:
            s = np.repeat((part["p_mw"] + 1j * part["q_mvar"]).to_numpy(complex)[:, None] / 3.0, 3, axis=1)
        s = s * scale[:, None]
        rows = 3 * node[use][:, None] + np.arange(3)
        delta = (part["type"] == "delta").to_numpy(bool) if "type" in part else np.zeros(len(part), bool)
        plus.append(rows.ravel())
        minus.append(np.where(delta[:, None], np.roll(rows, -1, axis=1), -1).ravel())
        power.append(s.ravel())
        owners.append((table, np.repeat(part.index.to_numpy(int), 3)))
        for kind, out in (("z", z), ("i", i)):
            share = np.zeros((len(part), 3), dtype=complex)
            for axis, unit in (("p", 1.0), ("q", 1j)):
                column = f"const_{kind}_{axis}_percent"
                if table == "load" and column in part:
                    share += unit * part[column].fillna(0.0).to_numpy(float)[:, None] / 100.0
            out.append(share.ravel())
    if not plus:
        none = np.zeros(0, dtype=int)
        return Injections(none, none, none + 0j, none + 0j, none + 0j), {}
    p, q, s, zz, ii = (np.concatenate(part) for part in (plus, minus, power, z, i))
    some = s != 0
    own = {
        table: np.concatenate([row if name == table else np.full(len(row), -1) for name, row in owners])[some]
        for table, _ in owners
    }
    return Injections(p[some], q[some], s[some], zz[some], ii[some]), own


class PhaseFlow:
    """The flow of one network, its matrix factorised once."""

    def __init__(self, network: PhaseNetwork) -> None:
        self.network = network
        self.free = np.flatnonzero(~network.slack)
        fixed = np.flatnonzero(network.slack)
        y = network.y.tocsr()
        self.no_load = np.asarray(-(y[self.free][:, fixed] @ network.v_slack[fixed]))
        self._lu = splu(csc_array(y[self.free][:, self.free])) if len(self.free) else None
        self._at_ups = [
            3 * network.node[bus] + np.arange(3) if network.node[bus] >= 0 else np.zeros(0, dtype=int)
            for bus in network.ups.in_bus
        ]

    def solve(
        self, told: Injections, rows: np.ndarray, s_kva: np.ndarray, start: np.ndarray | None = None
    ) -> Flow:
        """Return the flow with ``told`` and with inverters that give ``s_kva`` (kVA) at ``rows``.

        Raises
        ------
        PowerFlowError
            The fixed point is not reached.
        """
        network, ups = self.network, self.network.ups
        v = self._flat() if start is None else start
        p_in = np.zeros(ups.n)
        for _ in range(UPS_ROUNDS):
            extra = np.zeros(3 * network.n, dtype=complex)
            np.add.at(extra, rows, s_kva / S_BASE_KW)
            for u, at in enumerate(self._at_ups):
                extra[at] -= p_in[u] * (1.0 + 1j * ups.tan_phi[u]) / 3.0 / S_BASE_KW
            v = self._iterate(told, extra, v)
            new = self._ups_in_kw(v, told, extra)
            if np.abs(new - p_in).max(initial=0.0) <= UPS_TOLERANCE_KW:
                return Flow(v, p_in)
            p_in = new
        raise PowerFlowError("UPSs that feed each other do not settle: look for a ring of UPSs.")

    def _iterate(self, told: Injections, extra: np.ndarray, v: np.ndarray) -> np.ndarray:
        if self._lu is None:
            return v
        for _ in range(MOST_ITERATIONS):
            current = np.conj(extra / v) - self.drawn(told, v)
            new = v.copy()
            new[self.free] = self._lu.solve(current[self.free] + self.no_load)
            change = np.abs(new - v).max()
            if not np.isfinite(change):
                break
            v = new
            if change <= TOLERANCE_PU:
                return v
        raise PowerFlowError(
            "the three-phase power flow did not converge: check loads per phase, units, impedances."
        )

    def drawn(self, told: Injections, v: np.ndarray) -> np.ndarray:
        """Return the currents (pu, 3N) that ``told`` draws at voltages ``v``."""
        two = told.minus >= 0
        across = v[told.plus] - np.where(two, v[told.minus], 0.0)
        part = np.abs(across) / np.where(two, np.sqrt(3.0), 1.0)

        def power(s: np.ndarray, z: np.ndarray, i: np.ndarray) -> np.ndarray:
            return np.asarray(s * (1.0 - z - i + i * part + z * part**2))

        s = power(told.s_pu.real, told.z.real, told.i.real) + 1j * power(
            told.s_pu.imag, told.z.imag, told.i.imag
        )
        current = np.conj(s / across)
        out = np.zeros(3 * self.network.n, dtype=complex)
        np.add.at(out, told.plus, current)
        np.subtract.at(out, told.minus[two], current[two])
        return out

    def source_kva(self, v: np.ndarray, told: Injections, extra: np.ndarray) -> np.ndarray:
        """Return what comes out of the sources by row, kVA, complex (3N,); 0 where no source is."""
        inflow = self.network.y @ v + self.drawn(told, v) - np.conj(extra / v)
        return np.asarray(np.where(self.network.slack, v * np.conj(inflow), 0.0) * S_BASE_KW)

    def source_current(self, told: Injections, rows: np.ndarray, s_kva: np.ndarray, flow: Flow) -> np.ndarray:
        """Return the currents out of the sources by row, pu, (3N,), of a solved flow; 0 where no source is."""
        ups = self.network.ups
        extra = np.zeros(3 * self.network.n, dtype=complex)
        np.add.at(extra, rows, s_kva / S_BASE_KW)
        for u, at in enumerate(self._at_ups):
            extra[at] -= flow.ups_in_kw[u] * (1.0 + 1j * ups.tan_phi[u]) / 3.0 / S_BASE_KW
        return np.asarray(np.conj(self.source_kva(flow.v, told, extra) / S_BASE_KW / flow.v))

    def _ups_in_kw(self, v: np.ndarray, told: Injections, extra: np.ndarray) -> np.ndarray:
        network, ups = self.network, self.network.ups
        out = self.source_kva(v, told, extra).real
        delivered = np.zeros(ups.n)
        for u in range(ups.n):
            k = network.node[network.model.source_bus[ups.source[u]]]
            if k >= 0 and network.model.source_on[ups.source[u]]:
                delivered[u] = out[3 * k : 3 * k + 3].sum()
        fed = np.array([len(at) > 0 for at in self._at_ups], dtype=bool)
        return np.where((ups.mode == "online") & fed, ups.input_kw(delivered), 0.0)

    def _flat(self) -> np.ndarray:
        """Return the voltages without any load: also right behind transformers that turn the phases."""
        v = self.network.v_slack.copy()
        if self._lu is not None:
            v[self.free] = self._lu.solve(self.no_load)
        return v
