"""Balance: which P and Q should every micro-inverter give on each phase, so that no phase carries more than the others?

Sets
----
V nodes by phase that no source holds (n), I inverters (i) with phases K = a, b, c (k), F feeders (f), B buses (b),
D directions of a polygon (d): 8 of phase currents, 16 of others.

Data (a *point*: the flow at the present set-points; see `pdnopt.balancing.flow`)
----
Y admittance (pu), g_ik = 1 / conj(v_ik), I_f currents and V2_b / V1_b at the point, ratings, limits, losses l_i.
Powers are in pu of 100 kW a phase, voltages in pu of phase to neutral, loadings as parts of the rating.

Variables
---------
p_ik, q_ik        set-point, delivery positive
s_ik              apparent power
b_i               what the battery on the DC link delivers (0 without one)
dj_ik             deviation of the inverters' currents from the point, complex; those of voltages dv_n and of currents di_f
                  are written in it, by inv(Y) E and B inv(Y) E - G (`pdnopt.balancing.reach`)
y_fk, y_f_n       current of a phase, of the neutral
x_n, x_fk         how far beyond a limit

Minimise, one after another
---------------------------
violations  sum of x                                                                        (T1)
vuf         largest |V2| / |V1| of all buses                                                (T2)
spread      largest (highest - lowest phase) / rating of all feeders                        (T3)
spread_sum  sum of the same                                                                 (T4)
neutral     sum of neutral currents / rating                                                (T5)
losses      sum of 2 r_f |I_f| y_f at the point, and of l_i s_i                             (T6)
effort      sum of s_ik and |b_i|                                                           (T7)

subject to
----------
dv = inv(Y) E dj,  dj = g (p - jq) - j at the point                                         (1)
di = B dv - G dj                                                                            (2)
y_fk >= Re(e^-jd (I + di) / e^j arg I)           for all d                                  (3)
y_f_n >= Re(e^-jd sum_k (I + di) / e^j arg sum_k I)  for all d                              (4)
u >= Re(e^-jd (V2 + dV2) / (|V1| e^j arg V2))    for all b, d                               (5)
y_k - a_j <= rating_f spread_f,  a = Re((I + di) / e^j arg I)                               (6)
s_ik >= Re(e^-jd (p + jq)),  s_ik <= cos(pi / 16) s_max                                     (7)
sum_k (p_ik + l_i Re(conj(direction of s_ik at the point) s_ik)) = b_i                      (8)
low <= p, q, b <= high                           (ratings, ramps; failed: 0; stale: as is)  (9)
v_min - x <= |v| + Re(conj(v) dv) / |v| <= v_max + x                                        (10)
y_fk <= rating_f + x_fk rating_f                                                            (11)

Where nothing is left of (T1) to (T5), boxes say so with far fewer rows (`Nothing`):
|a_k - a_j| <= slack rating_f,  |di of neutral and of V2, real and imaginary| <= slack      (12)

Assumptions: the fixed-point linearisation is exact at its point only, so it is asked for again there until the programme
and the flow agree. Polygons: (3), (4), (5) are turned so that they are exact at the point; far from it (4) and (5)
understate by at most 1 - cos(pi / 16) = 1.9 %, (3), which has 8 sides, by 7.6 %; (7) leaves at most 1.9 % of an
inverter's rating unused, and is never beyond it. The lesser current in (6), and (10), are tangents:
below the true one. (T6) leaves the neutral's own resistance out.

Source: Bernstein, Wang, Dall'Anese, Le Boudec, Zhao 2018, IEEE Trans. Power Systems 33(6), "Load flow in multiphase
distribution networks", eqs. 11-12, for (1); the lexicographic order is the project's own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.sparse import csr_array, kron

from formulations.blocks.harmonics import HARMONICS
from pdnopt.balancing.data import N_DIRECTIONS, SLACK, Nothing, Point, Structure
from pdnopt.balancing.reach import Reach, without_rounding

__all__ = ["BALANCE", "Balance", "BalanceModel"]

FEW = 8
"""Directions of a phase current's polygon, which is turned to its point and hardly moves from there."""


@dataclass(frozen=True)
class BalanceModel:
    """The cvxpy problem, its parameters by the names of `Point`, and its variables by theirs.

    ``defined`` are variables that equations give, each by those before it: the problem's first equations, in this order.
    ``nothing`` says when nothing is left of the leading terms.
    """

    problem: Any
    parameters: dict[str, Any]
    variables: dict[str, Any]
    terms: tuple[str, ...]
    defined: tuple[str, ...]
    nothing: Nothing | None = None


class Balance:
    """Set-points of micro-inverters against unbalance."""

    name = "balance"
    kind = "set-points"
    terms = ("violations", "vuf", "spread", "spread_sum", "neutral", "losses", "effort")
    harmonics = HARMONICS

    def build(self, structure: Structure) -> BalanceModel:
        """Return the programme of one network; its numbers are parameters (DPP)."""
        import cvxpy as cp

        sizes = _sizes(structure)
        par = {f.name: cp.Parameter(sizes[f.name], name=f.name) for f in fields(Point)}
        var = self.variables(structure)
        reach = structure.reach
        rows = [
            *self.constraint_injections(par, var),
            *self.constraint_currents(reach, par, var),
            *self.constraint_neutral(structure, reach, par, var),
            *self.constraint_unbalance(par, var),
            *self.constraint_spread(structure, var),
            *self.constraint_path(reach, var),
            *self.constraint_inverters(structure, par, var),
            *self.constraint_limits(structure, reach, par, var),
            *self.objectives(structure, par, var),
            *(var[name] >= 0 for name in SIZES),
            *(var[f"t_{name}"] >= 0 for name in self.terms),
        ]
        problem = cp.Problem(cp.Minimize(sum(var[f"t_{name}"] for name in self.terms)), rows)
        return BalanceModel(problem, par, var, self.terms, DEFINED, _nothing(structure))

    def variables(self, s: Structure) -> dict[str, Any]:
        """Return all variables, by the names of the docstring."""
        import cvxpy as cp

        v, f, i = s.y.shape[0], len(s.limit), len(s.loss)
        counted, buses = int(s.counts.sum()), s.two.shape[0]
        shapes = {
            "p": 3 * i, "q": 3 * i, "s": 3 * i, "b": i, "b_abs": i, "dj_re": 3 * i, "dj_im": 3 * i,
            "a": 3 * f, "a_cross": 3 * f, "y": 3 * f,
            "n_re": counted, "n_im": counted, "y_n": counted, "w_re": buses, "w_im": buses, "v2_re": buses, "v2_im": buses,
            "spread": counted, "apart": 3 * counted,
            "x_v": v, "x_f": 3 * f,
        }  # fmt: skip
        out: dict[str, Any] = {name: cp.Variable(size, name=name) for name, size in shapes.items()}
        return out | {f"t_{name}": cp.Variable(name=f"t_{name}") for name in self.terms}

    def constraint_injections(self, par: dict[str, Any], var: dict[str, Any]) -> list[Any]:
        """(1)."""
        import cvxpy as cp

        p, q = var["p"], var["q"]
        return [
            var["dj_re"] == cp.multiply(par["g_re"], p) + cp.multiply(par["g_im"], q) - par["j_re"],
            var["dj_im"] == cp.multiply(par["g_im"], p) - cp.multiply(par["g_re"], q) - par["j_im"],
        ]

    def constraint_currents(self, reach: Reach, par: dict[str, Any], var: dict[str, Any]) -> list[Any]:
        """(2), (3)."""
        import cvxpy as cp

        re, im = _applied(reach.current, var)
        rows = [
            var["a"] == cp.multiply(par["turn_re"], re) + cp.multiply(par["turn_im"], im) + par["amps"],
            var["a_cross"] == cp.multiply(par["turn_re"], im) - cp.multiply(par["turn_im"], re),
        ]
        return rows + _polygon(var["y"], var["a"], var["a_cross"], FEW)

    def constraint_neutral(
        self, s: Structure, reach: Reach, par: dict[str, Any], var: dict[str, Any]
    ) -> list[Any]:
        """(4)."""
        import cvxpy as cp

        re, im = _applied(csr_array(_sum_of_phases(s) @ reach.current), var)
        turn_re, turn_im = par["neutral_turn_re"], par["neutral_turn_im"]
        return [
            var["n_re"] == cp.multiply(turn_re, re) + cp.multiply(turn_im, im) + par["neutral"],
            var["n_im"] == cp.multiply(turn_re, im) - cp.multiply(turn_im, re),
            *_polygon(var["y_n"], var["n_re"], var["n_im"], N_DIRECTIONS),
        ]

    def constraint_unbalance(self, par: dict[str, Any], var: dict[str, Any]) -> list[Any]:
        """(5); the largest is the term itself."""
        import cvxpy as cp

        along, across = var["v2_re"], var["v2_im"]
        return [
            var["w_re"]
            == cp.multiply(par["two_turn_re"], along) + cp.multiply(par["two_turn_im"], across) + par["two"],
            var["w_im"] == cp.multiply(par["two_turn_re"], across) - cp.multiply(par["two_turn_im"], along),
            *_polygon(var["t_vuf"], var["w_re"], var["w_im"], N_DIRECTIONS),
        ]

    def constraint_path(self, reach: Reach, var: dict[str, Any]) -> list[Any]:
        """(1) for V2: that of the bus before, and what the way between them adds."""
        re, im = _applied(reach.beyond, var)
        return [
            var["v2_re"] == reach.before @ var["v2_re"] + re,
            var["v2_im"] == reach.before @ var["v2_im"] + im,
        ]

    def constraint_spread(self, s: Structure, var: dict[str, Any]) -> list[Any]:
        """(6), of every two phases both ways; and the differences of (12)."""
        counted = np.flatnonzero(s.counts)
        feeder = np.repeat(np.arange(len(counted)), 3)
        row, k = np.arange(3 * len(counted)), np.tile(np.arange(3), len(counted))
        part = 1.0 / s.scale[counted][feeder]

        def phases(turn: int) -> csr_array:
            """Return the matrix of phase k + turn of every feeder, as part of its rating."""
            column = 3 * counted[feeder] + (k + turn) % 3
            return csr_array((part, (row, column)), shape=(len(row), 3 * len(s.limit)))

        each = csr_array((np.ones(len(row)), (row, feeder)), shape=(len(row), len(counted)))
        own = phases(0)
        return [
            var["apart"] == (own - phases(1)) @ var["a"],
            *(own @ var["y"] - phases(turn) @ var["a"] <= each @ var["spread"] for turn in (1, 2)),
            var["spread"] <= var["t_spread"],
        ]

    def constraint_inverters(self, s: Structure, par: dict[str, Any], var: dict[str, Any]) -> list[Any]:
        """(7), (8), (9)."""
        import cvxpy as cp

        add = csr_array(kron(np.eye(len(s.loss)), np.ones((1, 3))))
        p, q = var["p"], var["q"]
        lost = cp.multiply(par["loss_p"], p) + cp.multiply(par["loss_q"], q)
        if s.sized_link:  # zones: solved once at a point, so that a tangent might give power away
            lost = cp.multiply(np.repeat(s.loss, 3), var["s"])
        return [
            *_polygon(var["s"], p, q, N_DIRECTIONS),
            var["s"] <= par["s_high"],
            add @ (p + lost) == var["b"],
            p >= par["p_low"], p <= par["p_high"], q >= par["q_low"], q <= par["q_high"],
            var["b"] >= par["b_low"], var["b"] <= par["b_high"],
            var["b_abs"] >= var["b"], var["b_abs"] >= -var["b"],
        ]  # fmt: skip

    def constraint_limits(
        self, s: Structure, reach: Reach, par: dict[str, Any], var: dict[str, Any]
    ) -> list[Any]:
        """(10), (11)."""
        import cvxpy as cp

        re, im = _applied(reach.voltage, var)
        size = cp.multiply(par["volt_re"], re) + cp.multiply(par["volt_im"], im) + par["volts"]
        rows: list[Any] = []
        low, high = np.flatnonzero(np.isfinite(s.v_min)), np.flatnonzero(np.isfinite(s.v_max))
        if len(low):
            rows.append(size[low] + var["x_v"][low] >= s.v_min[low])
        if len(high):
            rows.append(size[high] - var["x_v"][high] <= s.v_max[high])
        limit = np.repeat(s.limit, 3)
        rated = np.flatnonzero(np.isfinite(limit))
        if len(rated):
            rows.append(var["y"][rated] <= limit[rated] + cp.multiply(limit[rated], var["x_f"][rated]))
        return rows

    def objectives(self, s: Structure, par: dict[str, Any], var: dict[str, Any]) -> list[Any]:
        """(T1), (T4) to (T7); (T2) and (T3) are in (5) and (6)."""
        import cvxpy as cp

        counted = s.counts
        lost = cp.sum(cp.multiply(par["weight"], var["y"])) + np.repeat(s.loss, 3) @ var["s"]
        return [
            var["t_violations"] == cp.sum(var["x_v"]) + cp.sum(var["x_f"]),
            var["t_spread_sum"] == cp.sum(var["spread"]),
            var["t_neutral"] == (1.0 / s.scale[counted]) @ var["y_n"],
            var["t_losses"] == lost,
            var["t_effort"] == cp.sum(var["s"]) + cp.sum(var["b_abs"]),
        ]


BALANCE = Balance()
SIZES = ("s", "b_abs", "y", "y_n", "spread", "x_v", "x_f")
"""What is never below 0; said, so that the programme is bounded without most of its rows too."""
DEFINED = ("dj_re", "dj_im", "a", "a_cross", "n_re", "n_im", "w_re", "w_im", "apart")


def _applied(matrix: csr_array, var: dict[str, Any]) -> tuple[Any, Any]:
    """Return the real and imaginary part of a matrix times dj."""
    re, im = (without_rounding(csr_array(part)) for part in (matrix.real, matrix.imag))
    x, y = var["dj_re"], var["dj_im"]
    return re @ x - im @ y, im @ x + re @ y


def _nothing(s: Structure) -> Nothing:
    """Return the boxes inside (T2) to (T5) at their slack: by bus, by feeder."""
    counted, buses = int(s.counts.sum()), s.two.shape[0]
    vuf, neutral = SLACK["vuf"] / np.sqrt(2.0), SLACK["neutral"] * s.scale[s.counts] / np.sqrt(2.0)
    spread = min(SLACK["spread"], SLACK["spread_sum"])
    boxes = {
        "w_re": np.full(buses, vuf), "w_im": np.full(buses, vuf), "n_re": neutral, "n_im": neutral,
        "apart": np.full(3 * counted, spread),
    }  # fmt: skip

    def measure(values: dict[str, np.ndarray]) -> dict[str, float]:
        apart = np.abs(values["apart"]).reshape(-1, 3).max(axis=1)
        return {
            "vuf": float(np.hypot(values["w_re"], values["w_im"]).max(initial=0.0)),
            "spread": float(apart.max(initial=0.0)),
            "spread_sum": float(apart.sum()),
            "neutral": float((np.hypot(values["n_re"], values["n_im"]) / s.scale[s.counts]).sum()),
        }

    return Nothing(Balance.terms[:5], boxes, ("t_vuf", "spread", "y_n"), measure)


def _polygon(size: Any, re: Any, im: Any, n: int) -> list[Any]:
    """Return size >= Re(e^-jd (re + j im)) for n directions."""
    angles = 2.0 * np.pi * np.arange(n) / n
    return [size >= float(np.cos(d)) * re + float(np.sin(d)) * im for d in angles]


def _sum_of_phases(s: Structure) -> csr_array:
    """Return the matrix that adds the phases of every counted feeder."""
    whole = csr_array(kron(np.eye(len(s.limit)), np.ones((1, 3))))
    return csr_array(whole[np.flatnonzero(s.counts)])


def _sizes(s: Structure) -> dict[str, int]:
    """Return the length of every vector of a Point."""
    v, f, i = s.y.shape[0], len(s.limit), len(s.loss)
    counted, buses = int(s.counts.sum()), s.two.shape[0]
    by_prefix = {
        "g": 3 * i, "j": 3 * i, "turn": 3 * f, "amps": 3 * f, "weight": 3 * f, "neutral": counted, "two": buses,
        "volt": v, "volts": v, "loss": 3 * i, "p": 3 * i, "q": 3 * i, "s": 3 * i, "b": i,
    }  # fmt: skip
    return {field.name: by_prefix[field.name.split("_")[0]] for field in fields(Point)}
