"""The three levels as a control loop uses them: each by itself, on what is measured.

>>> levels = Levels(net, zones=20)
>>> state = levels.state(s_kva)                       # or what sensors say
>>> exchange = levels.overall(state)                  # minutes: what zones may exchange
>>> s_kva = levels.zonal(state, exchange)             # seconds: set-points of some zones, within that
>>> rules = levels.rules(levels.state(s_kva))         # with them: what inverters do until they hear more
>>> s_kva = levels.local(rules, state)                # a fraction of a second, inside the inverter

A level that is lost is not asked: zones go on with the last limits, inverters with the last operating point.
Limits are given so that shared feeders keep their ratings whatever zones do inside of them; an inverter without
an operating point evens its own circuit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pdnopt.balancing.data import S_BASE_KW
from pdnopt.balancing.flow import Injections
from pdnopt.balancing.inverters import read_bounds
from pdnopt.balancing.levels.exchange import Exchange
from pdnopt.balancing.levels.gains import STIFFNESS, row_gains
from pdnopt.balancing.levels.local import Measured, RuleSettings, local_setpoint
from pdnopt.balancing.levels.measures import measure
from pdnopt.balancing.levels.runner import ZonedRunner
from pdnopt.balancing.levels.tree import read_tree
from pdnopt.balancing.levels.zones import MOST_INVERTERS, Zone, ZoneSpec
from pdnopt.balancing.points import Sight, point_of
from pdnopt.errors import InputError, Issue
from pdnopt.problem import find_formulation

__all__ = ["Levels", "State"]


@dataclass(frozen=True)
class State:
    """What is measured at one moment: the flow, set-points in force (complex kVA, (3I,)), inverters that are dead."""

    sight: Sight
    s_kva: np.ndarray
    failed: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Options:
    horizon_s: float
    zones: Any
    workers: int
    p_load_kw: Any = None
    p_asymmetric_kw: Any = None
    spectra: Any = None
    loads: Any = None
    minimize: Any = None
    max_moves: Any = None
    max_ramp_kva: float | None = None
    failed: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()


class Levels:
    """Global, zonal and local level of one plant.

    Parameters
    ----------
    net : pandapowerNet
        Never changed.
    zones : int, sequence of str, or mapping
        See `find_zones`.
    workers : int
        Processes that solve zones; 1: this one.
    horizon_s : float
        Batteries hold so long.

    Raises
    ------
    InputError
        Bad network or zones, all faults at once.
    """

    def __init__(
        self, net: Any, zones: ZoneSpec = MOST_INVERTERS, workers: int = 1, horizon_s: float = 3600.0
    ) -> None:
        self._runner = ZonedRunner(net, find_formulation("balance"), _Options(horizon_s, zones, workers))
        self.inverters, self.area = self._runner.inverters, self._runner.area
        self._meters = self._metered()

    @property
    def zones(self) -> tuple[Zone, ...]:
        """The zones."""
        return self._runner.zones

    def state(
        self,
        s_kva: np.ndarray | None = None,
        p_asymmetric_kw: Any = None,
        p_load_kw: Any = None,
        failed: Sequence[str] = (),
    ) -> State:
        """Return what would be measured with these set-points and loads, by AC power flow by phase.

        Parameters
        ----------
        s_kva : complex, shape (3I,), optional
            By default those of the network's table.
        p_asymmetric_kw, p_load_kw : Series, optional
            As of `solve`.
        failed : sequence of str
            Inverters that give nothing.

        Raises
        ------
        PowerFlowError
            The flow does not converge.
        """
        runner = self._runner
        told: Injections = runner._loads(_Options(0.0, None, 1, p_load_kw, p_asymmetric_kw))
        s = runner.inverters.now_kva if s_kva is None else np.asarray(s_kva, dtype=complex)
        if s.shape != runner.inverters.now_kva.shape:
            allowed = f"{len(runner.inverters.now_kva)} entries: three for each inverter"
            raise InputError(
                Issue("Shape", "state(s_kva=...)", "", s.shape, allowed, "Give one of each phase.")
            )
        bounds = read_bounds(runner.base, runner.inverters, failed, (), None)
        s = np.where(np.repeat(bounds.failed, 3), 0.0, s)
        return State(runner._sight(told, s), s, tuple(failed))

    def overall(self, state: State) -> Exchange:
        """Ask the global level: what zones may exchange from now on."""
        levels, point = self._runner.levels, self._point(state)
        caps = levels.caps(point)
        return levels.overall(point, caps)[0]

    def zonal(
        self, state: State, exchange: Exchange | None = None, zones: Sequence[str] | None = None
    ) -> np.ndarray:
        """Ask the zonal level: new set-points, complex kVA (3I,); those of other zones stay.

        Parameters
        ----------
        exchange : Exchange, optional
            The last that the global level gave; without one a zone evens itself out as if it were alone.
        zones : sequence of str, optional
            Names; all without it.
        """
        runner = self._runner
        levels, point = runner.levels, self._point(state)
        which = self._which(zones)
        if exchange is None:
            exchange = levels.alone()
        bounds = read_bounds(runner.base, runner.inverters, state.failed, (), None)
        s = state.s_kva.copy()
        for z, answer in levels.zonal(point, exchange, which).items():
            if answer.solved:
                rows = (3 * self.zones[z].inverters[:, None] + np.arange(3)).ravel()
                s[rows] = answer.s_pu * S_BASE_KW
        told = np.repeat(bounds.told, 3)
        return np.where(told, runner.even(s, bounds), np.where(np.repeat(bounds.failed, 3), 0.0, s))

    def rules(
        self, state: State, stiffness: float = STIFFNESS, smoothing: float = 0.5, dead_band_pu: float = 0.002
    ) -> dict[str, RuleSettings]:
        """Return the settings of every inverter's rule with this state as its operating point.

        Parameters
        ----------
        stiffness : float
            Of the droops, above 0 and below 1 (`gains`).
        smoothing : float
            Part of the way that is gone in a step, above 0, at most 1.
        dead_band_pu : float
            Voltages within it are left alone.

        Raises
        ------
        InputError
            Values out of range, all at once.
        """
        _refuse(stiffness, smoothing, dead_band_pu)
        inverters = self.inverters
        k_p, k_q = row_gains(self.area, inverters, state.sight, stiffness)
        out = {}
        for k, name in enumerate(inverters.name):
            measured = self.measured(state, k)
            drawn = measured.circuit_kva + measured.s_kva
            out[name] = RuleSettings(
                s_max_kva=float(inverters.s_max_kva[k]),
                loss=float(inverters.loss[k]),
                b_low_kw=float(inverters.b_low_kw[k]),
                b_high_kw=float(inverters.b_high_kw[k]),
                s_kva=tuple(complex(x) for x in measured.s_kva),
                v_pu=tuple(float(x) for x in measured.v_pu),
                circuit_kva=tuple(complex(x) for x in np.nan_to_num(drawn)),
                share=float(self._meters[k][2]),
                p_gain_kw=float(k_p[k]),
                q_gain_kvar=float(k_q[k]),
                dead_band_pu=dead_band_pu,
                smoothing=smoothing,
            )
        return out

    def alone(self, **keywords: float) -> dict[str, RuleSettings]:
        """Return the settings of inverters that no level ever spoke to: they even their own circuits around 1 pu."""
        state = self.state(np.zeros_like(self.inverters.now_kva))
        nothing = (0j, 0j, 0j)
        return {
            name: replace(rule, s_kva=nothing, v_pu=(1.0, 1.0, 1.0), circuit_kva=nothing)
            for name, rule in self.rules(state, **keywords).items()
        }

    def measured(self, state: State, k: int) -> Measured:
        """Return what inverter number ``k`` measures in a state."""
        rows = self.inverters.rows[3 * k : 3 * k + 3]
        v = state.sight.v[rows]
        feeder, sign, _ = self._meters[k]
        circuit = np.full(3, np.nan + 0j)
        if feeder >= 0:
            current = state.sight.current[3 * feeder : 3 * feeder + 3]
            circuit = sign * v * np.conj(current) * S_BASE_KW
        return Measured(np.abs(v), circuit, state.s_kva[3 * k : 3 * k + 3])

    def local(self, rules: Mapping[str, RuleSettings], state: State) -> np.ndarray:
        """Return what every inverter does by its own rule next; who has failed gives nothing."""
        s = np.concatenate(
            [
                local_setpoint(rules[name], self.measured(state, k))
                for k, name in enumerate(self.inverters.name)
            ]
        )
        dead = np.isin(self.inverters.name, [str(name) for name in state.failed])
        return np.where(np.repeat(dead, 3), 0.0, s)

    def terms(self, state: State) -> dict[str, float]:
        """Return all terms of `formulations.balance` in a state, as the flow has them."""
        return measure(self.area, self.inverters, state.sight, state.s_kva)

    def close(self) -> None:
        """End the workers."""
        self._runner.levels.crew.close()

    def _point(self, state: State) -> Any:
        runner = self._runner
        bounds = read_bounds(runner.base, runner.inverters, state.failed, (), None)
        return point_of(self.area, self.inverters, bounds, state.sight, state.s_kva)

    def _which(self, zones: Sequence[str] | None) -> list[int]:
        names = [zone.name for zone in self.zones]
        if zones is None:
            return list(range(len(names)))
        wrong = [name for name in zones if name not in names]
        if wrong:
            allowed = f"a zone: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
            raise InputError(
                [Issue("InvalidName", "zones", n, n, allowed, "Correct the name.") for n in wrong]
            )
        return [names.index(name) for name in zones]

    def _metered(self) -> list[tuple[int, float, float]]:
        """Return of each inverter the feeder right in front of it (-1: none), its sign, and its share."""
        runner, s = self._runner, self.area.structure
        tree = read_tree(runner.network, self.area, self.inverters)
        front = {int(tree.below[f]): f for f in np.flatnonzero(tree.entry) if s.counts[f]}
        nodes = self.inverters.rows[::3] // 3
        count = np.bincount(nodes, minlength=len(tree.behind))
        out = []
        for k, node in enumerate(nodes):
            f = front.get(int(node), -1)
            if f < 0:
                out.append((-1, 1.0, 1.0))
                continue
            # what of its own current does not come through the feeder
            own = complex(np.asarray(s.reach.current[[3 * f]].toarray())[0, 3 * k]).real
            out.append((int(self.area.feeders[f]), float(-np.sign(own)), 1.0 / float(count[node])))
        return out


def _refuse(stiffness: float, smoothing: float, dead_band_pu: float) -> None:
    issues = []
    for name, value, good, allowed in (
        ("stiffness", stiffness, 0 < stiffness < 1, "above 0, below 1"),
        ("smoothing", smoothing, 0 < smoothing <= 1, "above 0, at most 1"),
        ("dead_band_pu", dead_band_pu, 0 <= dead_band_pu < 0.1, "0 or more, below 0.1 pu"),
    ):
        if not good:
            todo = "Leave it out for a value that settles on every network."
            issues.append(Issue("Range", f"rules({name}=...)", "", value, allowed, todo))
    if issues:
        raise InputError(issues)
