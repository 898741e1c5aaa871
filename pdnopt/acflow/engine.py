"""The fast AC power flow: a batch of cases on one network, on power-grid-model.

A call builds status and power arrays for all cases at once, runs the batch, and runs it again until what
each UPS draws agrees with what it delivers - twice without chains, once more for each UPS behind a UPS,
because an inverter's output does not depend on its input.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pdnopt.acflow.cases import FlowCases, FlowResult
from pdnopt.acflow.companions import INVERTING, PASSING
from pdnopt.acflow.model import Model, read_model
from pdnopt.acflow.sharing import share_among_sources
from pdnopt.acflow.unbalance import phase_factor
from pdnopt.errors import InputError, Issue
from pdnopt.plant.memory import Memory

__all__ = ["FlowEngine", "Solution"]

W_PER_KW = 1e3
KEPT_READINGS = 16
UPS_TOLERANCE = 1e-6
"""Input and output of a UPS agree to this part of its rating; Newton leaves about 1e-7 of it."""
ERROR_TOLERANCE_PU = 1e-8
"""1e-10 diverges with links (FIELD_NOTES); Newton's last step leaves far less than the tolerance."""
RETRY_TOLERANCE_PU = 1e-6
"""For cases that stop short of it at the rounding of very small impedances (links, stiff sources)."""


@dataclass(frozen=True)
class Solution:
    """power-grid-model's answers for n cases, W, var, A, pu; switched-off parts are 0.

    ``node``: u_pu, u_angle, energized (n, n_node); ``branch``: p, q, i at from and to (n, B);
    ``link``: p_from, q_from, i_from (n, links); ``source``: p, q (n, n_ext_grid); ``ok``: (n,);
    ``p_in_kw``: (n, U); ``mode``: (n, U); ``closed``: (n, n_switch); ``ends``: (n, B, 2), closed ends;
    ``phase_factor``: (n, U).
    """

    node: dict[str, np.ndarray]
    branch: dict[str, np.ndarray]
    link: dict[str, np.ndarray]
    source: dict[str, np.ndarray]
    ok: np.ndarray
    p_in_kw: np.ndarray
    mode: np.ndarray
    closed: np.ndarray
    ends: np.ndarray
    phase_factor: np.ndarray


NODE = ("u_pu", "u_angle", "energized")
BRANCH = ("p_from", "q_from", "i_from", "p_to", "q_to", "i_to")
LINK = ("p_from", "q_from", "i_from")
SOURCE = ("p", "q")
GIVEN = {"node", "source"}
"""Tables that say what inverters give, and to what."""


class FlowEngine:
    """AC power flow of many cases on one network.

    ``memory`` is for what callers read of the same network once.

    Parameters
    ----------
    net : pandapowerNet
        Read once; later changes of it are not seen.
    threading : int
        power-grid-model's: -1 sequential, 0 all hardware threads, else that many.

    Raises
    ------
    InputError
        Kind "NotHeld", one issue an element that power-grid-model cannot hold exactly: voltage-controlled
        generators, xwards, DC lines, FACTS, unsymmetrical impedances. ``powerflow(engine="pandapower")`` can.
    """

    def __init__(self, net: Any, threading: int = -1) -> None:
        from power_grid_model import PowerGridModel

        self.model: Model = read_model(net)
        self.threading = threading
        self.memory = Memory(KEPT_READINGS)
        self._grid = PowerGridModel(self.model.tables)
        self._wanted = {"node", "generic_branch", "link", "source"} & set(self.model.tables)
        sums = self.model.loads
        parts = {"load_p": sums.of_load_p, "load_q": sums.of_load_q}
        parts |= {"asym": sums.of_asym, "storage": sums.of_storage}
        self._to = {name: part.T.tocsr() for name, part in parts.items()}
        self._parts = self._power_parts(FlowCases())

    def run(self, cases: FlowCases | None = None, guess_kw: np.ndarray | None = None) -> FlowResult:
        """Solve all cases. A case that does not converge is NaN with ``converged`` False; the rest stand.

        Parameters
        ----------
        cases : FlowCases, optional
            Default: the network as it is.
        guess_kw : float, shape (n_ups,), optional
            What the UPSs may draw (`FlowResult.ups_p_in_kw` of a case like these): where it is right, one round does.

        Raises
        ------
        InputError
            Shapes that do not fit the network, powers that are not finite, unknown UPS modes.
        """
        return self.read(self.solve(cases or FlowCases(), guess_kw))

    def solve(self, cases: FlowCases, guess_kw: np.ndarray | None = None) -> Solution:
        """Solve all cases and return power-grid-model's own numbers."""
        m = self.model
        n = cases.n_cases(m.widths)
        mode = _rows(cases.ups_mode, m.ups.mode, n)
        closed = self._closed(cases, mode, n)
        update = self._statuses(cases, mode, closed, n)
        p_w, q_var = self._powers(cases, n)
        online = mode == "online"
        if cases.dead_bus is not None and m.ups.n:
            online = online & ~cases.dead_bus[:, m.ups.in_bus]
        out, ok, p_in = self._agree(update, p_w, q_var, online, n, guess_kw)
        ends = update.get(
            "generic_branch", {"from_status": np.zeros((n, 0), bool), "to_status": np.zeros((n, 0), bool)}
        )
        solution = Solution(
            node=out["node"],
            branch=out["generic_branch"],
            link=out["link"],
            source=out["source"],
            ok=ok,
            p_in_kw=p_in,
            mode=mode,
            closed=closed,
            ends=np.stack([ends["from_status"], ends["to_status"]], axis=2),
            phase_factor=np.ones((n, m.ups.n)),
        )
        if m.ups.n and len(m.asym_p_kw):
            load = self._load_update(p_w, q_var, p_in, n)
            solution = replace(solution, phase_factor=self._phase_factor(cases, solution, load))
        if m.shares_bus:
            share_among_sources(m, solution, update["link"]["from_status"], update["source"]["status"])
        return solution

    def _agree(
        self,
        update: dict[str, dict[str, np.ndarray]],
        p_w: np.ndarray,
        q_var: np.ndarray,
        online: np.ndarray,
        n: int,
        guess_kw: np.ndarray | None,
    ) -> tuple[dict[str, dict[str, np.ndarray]], np.ndarray, np.ndarray]:
        """Run the cases until input and output of every UPS agree: columns by table, what converged, inputs in kW.

        Without a guess, the first round only finds what inverters that are online give; later ones run the cases that
        still move, so that a case has the answer that it has alone.
        """
        ups = self.model.ups
        data = self._tables(update, n)
        p_in, ok = np.zeros((n, ups.n)), np.zeros(n, dtype=bool)
        out: dict[str, dict[str, np.ndarray]] = {}
        first = bool(online.any()) and guess_kw is None
        if guess_kw is not None:
            p_in = np.where(online & np.isfinite(guess_kw), guess_kw, 0.0)
        rows = np.arange(n)
        for _ in range(ups.n + 3):
            if len(self.model.loads.bus):
                for column, value in self._load_update(p_w, q_var, p_in, n).items():
                    data["sym_load"][column] = value
            part = data if len(rows) == n else {name: table[rows] for name, table in data.items()}
            found, good = self._batch(part, len(rows), GIVEN & self._wanted if first else self._wanted)
            if ups.n:
                live = found["node"]["energized"][:, ups.in_bus] != 0
                p_out = np.where(good[:, None], found["source"]["p"][:, ups.source], 0.0) / W_PER_KW
                new = np.where(online[rows] & live, ups.input_kw(p_out), 0.0)
                moved = (np.abs(new - p_in[rows]) > UPS_TOLERANCE * ups.p_rated_kw).any(axis=1)
            else:
                new, moved = p_in[rows], np.zeros(len(rows), dtype=bool)
            if first:
                first, p_in = False, new
                continue
            out = found if len(rows) == n else _put(out, rows, found)
            ok[rows] = good
            p_in[rows[moved]] = new[moved]
            rows = rows[moved]
            if not len(rows):
                break
        ok[rows] = False  # where they never agree
        return out, ok, p_in

    def _phase_factor(self, cases: FlowCases, s: Solution, load: dict[str, np.ndarray]) -> np.ndarray:
        m = self.model
        asymmetric = []
        for given, own in ((cases.asymmetric_p_kw, m.asym_p_kw), (cases.asymmetric_q_kvar, m.asym_q_kvar)):
            asymmetric.append(own[None] if given is None else np.asarray(given, dtype=float))
        total = (load["p_specified"] + 1j * load["q_specified"]) / W_PER_KW
        live = s.node["energized"] != 0
        return phase_factor(m, live, s.closed, s.ends != 0, total, asymmetric[0] + 1j * asymmetric[1])

    def read(self, s: Solution) -> FlowResult:
        """Turn power-grid-model's numbers into a FlowResult."""
        m, b = self.model, s.branch
        bad = ~s.ok[:, None]

        def only(values: np.ndarray) -> np.ndarray:
            return np.where(bad, np.nan, values)

        live = s.node["energized"][:, : m.n_bus] != 0
        vm = only(np.where(live, s.node["u_pu"][:, : m.n_bus], np.nan))
        i_from, i_to = b["i_from"] / 1e3, b["i_to"] / 1e3
        line_i = np.maximum(i_from[:, m.line_rows], i_to[:, m.line_rows])
        with np.errstate(divide="ignore", invalid="ignore"):
            line_loading = 100 * line_i / m.line_limit_ka
        t = m.trafo_rows
        trafo = 100 * np.maximum(i_from[:, t] / m.trafo_limit_ka[:, 0], i_to[:, t] / m.trafo_limit_ka[:, 1])
        trafo3w = self._trafo3w_loading(i_from, i_to)
        switch_i, switch_p, switch_q = self._switches(s)
        source_p, source_q = s.source["p"] / W_PER_KW, s.source["q"] / W_PER_KW
        ups_p, ups_q, ups_in = self._upss(s, source_p, source_q, switch_p, switch_q)
        loss = (b["p_from"] + b["p_to"]).sum(axis=1) / W_PER_KW
        conversion = np.where(
            (s.mode == "online") & (s.p_in_kw > 0), s.p_in_kw - m.ups.p_charge_kw - ups_p, 0.0
        )
        return FlowResult(
            vm_pu=vm,
            line_i_ka=only(line_i),
            line_loading_percent=only(line_loading),
            trafo_loading_percent=only(trafo),
            trafo3w_loading_percent=only(trafo3w),
            switch_i_ka=only(switch_i),
            switch_p_kw=only(switch_p),
            switch_q_kvar=only(switch_q),
            ext_grid_p_kw=only(source_p),
            ext_grid_q_kvar=only(source_q),
            ups_p_out_kw=only(ups_p),
            ups_q_out_kvar=only(ups_q),
            ups_p_in_kw=only(ups_in),
            ups_loading_percent=only(m.ups.loading_percent(ups_p, ups_q)),
            ups_phase_factor=only(s.phase_factor),
            losses_kw=np.where(s.ok, loss + conversion.sum(axis=1), np.nan),
            converged=s.ok,
        )

    # --- building one batch -------------------------------------------------------------------------------

    def _closed(self, cases: FlowCases, mode: np.ndarray, n: int) -> np.ndarray:
        m = self.model
        closed = _rows(cases.switch_closed, m.closed, n).astype(bool)
        known = _any_of(mode, (*INVERTING, *PASSING, "off"))
        if not known.all():
            wrong = mode[~known][0]
            allowed = "online, battery, eco, bypass, off"
            raise InputError(Issue("Enum", "FlowCases.ups_mode", "", wrong, allowed, "Correct the mode."))
        has = m.ups.bypass >= 0
        if has.any():
            closed = closed.copy()
            closed[:, m.ups.bypass[has]] = _any_of(mode[:, has], PASSING)
        return closed

    def _statuses(
        self, cases: FlowCases, mode: np.ndarray, closed: np.ndarray, n: int
    ) -> dict[str, dict[str, np.ndarray]]:
        """Return the status columns of branches, links and sources, int8, shape (n, components)."""
        m, br = self.model, self.model.branches
        alive = np.ones((n, br.n_node), dtype=bool)
        alive[:, : m.n_bus] = m.bus_ok
        in_zone = np.zeros_like(alive)
        if cases.dead_bus is not None:
            in_zone[:, : m.n_bus] = cases.dead_bus
        on = np.broadcast_to(br.in_service, (n, len(br.tail))).copy()
        for out, rows in ((cases.line_out, m.line_rows), (cases.trafo_out, m.trafo_rows)):
            if out is not None:
                on[:, rows] &= ~out
        on[:, m.weak_rows] &= closed[:, m.weak]
        opened = np.zeros((2, n, len(br.tail)), dtype=bool)
        for side in (0, 1):
            rows = m.gate_side == side
            case, which = np.nonzero(~closed[:, m.gate[rows]])
            opened[side, case, m.gate_branch[rows][which]] = True
        # what ends behind an open switch at a dead bus may live on from its other end
        on &= ~(in_zone[:, br.tail] & ~opened[0] | in_zone[:, br.head] & ~opened[1])
        ends = [on & alive[:, br.tail], on & alive[:, br.head]]
        # a line that ends in a bus out of service stays charged from its other end (as in pandapower);
        # a transformer or a switch does not
        both = np.ones(len(br.tail), dtype=bool)
        both[m.line_rows] = False
        ends[0][:, both] &= ends[1][:, both]
        ends[1][:, both] &= ends[0][:, both]
        ends[0] &= ~opened[0]
        ends[1] &= ~opened[1]
        alive &= ~in_zone
        update: dict[str, dict[str, np.ndarray]] = {}
        if len(br.tail):
            update["generic_branch"] = {"from_status": ends[0], "to_status": ends[1]}
        link = closed[:, m.link] & alive[:, m.link_tail] & alive[:, m.link_head]
        if len(m.link):
            update["link"] = {"from_status": link, "to_status": link}
        source = _rows(cases.ext_grid_on, m.source_on, n).astype(bool).copy()
        source[:, m.ups.source] = _any_of(mode, INVERTING)
        update["source"] = {"status": source & alive[:, m.source_bus]}
        return update

    def _powers(self, cases: FlowCases, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return P in W and Q in var of the summed loads without UPS inputs, shape (n or 1, L)."""
        sums, own = self.model.loads, self._parts
        new = self._power_parts(cases) if _gives_power(cases) else {}
        p = sums.fixed_p_w + sum(new.get(k, own[k]) for k in ("load_p", "asymmetric_p", "storage_p"))
        q = sums.fixed_q_var + sum(new.get(k, own[k]) for k in ("load_q", "asymmetric_q"))
        if not (np.isfinite(p).all() and np.isfinite(q).all()):
            todo = "Fill or drop the missing values."
            raise InputError(Issue("NonFinite", "FlowCases", "", "nan or inf", "finite powers", todo))
        return p, q

    def _power_parts(self, cases: FlowCases) -> dict[str, np.ndarray]:
        """Return W and var by summed load of the fields that are given, or of the net if none is."""
        m, sums = self.model, self.model.loads
        every = not _gives_power(cases)
        out = {}
        for name, given, own, to in (
            ("load_p", cases.load_p_kw, m.load_p_kw, self._to["load_p"]),
            ("load_q", cases.load_q_kvar, m.load_q_kvar, self._to["load_q"]),
            ("asymmetric_p", cases.asymmetric_p_kw, m.asym_p_kw, self._to["asym"]),
            ("asymmetric_q", cases.asymmetric_q_kvar, m.asym_q_kvar, self._to["asym"]),
            ("storage_p", cases.storage_p_kw, m.storage_p_kw, self._to["storage"]),
        ):
            if given is None and not every:
                continue
            value = own[None] if given is None else np.asarray(given, dtype=float)
            if name.startswith("asymmetric"):
                value = value.sum(axis=2)
            if value.shape[1]:
                out[name] = np.asarray((to @ value.T).T) * W_PER_KW
            else:
                out[name] = np.zeros((len(value), len(sums.bus)))
        return out

    def _load_update(
        self, p_w: np.ndarray, q_var: np.ndarray, p_in_kw: np.ndarray, n: int
    ) -> dict[str, np.ndarray]:
        ups, sums = self.model.ups, self.model.loads
        shape = (n, len(sums.bus))
        p_w, q_var = np.broadcast_to(p_w, shape), np.broadcast_to(q_var, shape)
        if ups.n:
            p_w, q_var = p_w.copy(), q_var.copy()
            for k, at in enumerate(sums.of_ups):  # one by one: two UPSs may share an input bus
                p_w[:, at] += p_in_kw[:, k] * W_PER_KW
                q_var[:, at] += p_in_kw[:, k] * ups.tan_phi[k] * W_PER_KW
        return {"p_specified": p_w, "q_specified": q_var}

    def _tables(self, update: dict[str, dict[str, np.ndarray]], n: int) -> dict[str, np.ndarray]:
        """Return power-grid-model's update tables, powers still to be written. Whole rows: columns cost twice as much."""
        from power_grid_model import initialize_array

        data = {}
        for name in (*update, *(("sym_load",) if len(self.model.loads.bus) else ())):
            data[name] = initialize_array("update", name, (n, len(self.model.tables[name])))
            data[name]["id"] = self.model.tables[name]["id"]
            for column, value in update.get(name, {}).items():
                data[name][column] = value
        return data

    def _batch(
        self, data: dict[str, np.ndarray], n: int, wanted: set[str]
    ) -> tuple[dict[str, dict[str, np.ndarray]], np.ndarray]:
        """Run the batch; return power-grid-model's columns (empty for missing tables) and what converged."""
        raw, ok = self._calculate(data, ERROR_TOLERANCE_PU, n, wanted)
        again = np.flatnonzero(~ok)
        if len(again):
            subset = {name: table[again] for name, table in data.items()}
            second, settled = self._calculate(subset, RETRY_TOLERANCE_PU, len(again), wanted)
            for name, table in second.items():
                raw[name][again] = table
            ok[again] = settled
        out: dict[str, dict[str, np.ndarray]] = {}
        for name, columns in (("node", NODE), ("generic_branch", BRANCH), ("link", LINK), ("source", SOURCE)):
            out[name] = {c: raw[name][c] if name in raw else np.zeros((n, 0)) for c in columns}
            if not ok.all():
                out[name] = {c: np.where(ok[:, None], v, 0) for c, v in out[name].items()}
        ok &= np.isfinite(out["node"]["u_pu"]).all(axis=1)
        return out, ok

    def _calculate(
        self, data: Any, tolerance: float, n: int, wanted: set[str]
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return power-grid-model's tables and which of the n cases converged."""
        grid: Any = self._grid
        raw = grid.calculate_power_flow(
            update_data=data,
            error_tolerance=tolerance,
            threading=self.threading,
            output_component_types=wanted,
            continue_on_batch_error=True,
        )
        ok = np.ones(n, dtype=bool)
        if grid.batch_error is not None:
            ok[grid.batch_error.failed_scenarios] = False
        return {str(getattr(k, "value", k)): v for k, v in raw.items()}, ok

    # --- reading ------------------------------------------------------------------------------------------

    def _trafo3w_loading(self, i_from: np.ndarray, i_to: np.ndarray) -> np.ndarray:
        m = self.model
        rows = m.trafo3w_rows
        n = (rows.stop - rows.start) // 3
        i = np.concatenate([i_from[:, rows][:, :n], i_to[:, rows][:, n:]], axis=1)
        part = 100 * i / m.trafo3w_limit_ka
        return np.asarray(part.reshape(len(i), 3, n).max(axis=1)) if n else np.zeros((len(i), 0))

    def _switches(self, s: Solution) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return current in kA, P in kW and Q in kvar of every switch; a branch's own at its end."""
        m, b = self.model, s.branch
        out = []
        for name in "ipq":
            flow = np.zeros(s.closed.shape)
            flow[:, m.link] = s.link[f"{name}_from"] / 1e3
            flow[:, m.weak] = b[f"{name}_from"][:, m.weak_rows] / 1e3
            for side, end in ((0, "from"), (1, "to")):
                rows = m.gate_side == side
                flow[:, m.gate[rows]] = b[f"{name}_{end}"][:, m.gate_branch[rows]] / 1e3
            out.append(flow * s.closed)
        return out[0], out[1], out[2]

    def _upss(
        self,
        s: Solution,
        source_p: np.ndarray,
        source_q: np.ndarray,
        switch_p: np.ndarray,
        switch_q: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return P and Q at the output and P at the input; on bypass what passes through its switch."""
        ups = self.model.ups
        inverting, passing = _any_of(s.mode, INVERTING), _any_of(s.mode, PASSING)
        p = np.where(inverting, source_p[:, ups.source], 0.0)
        q = np.where(inverting, source_q[:, ups.source], 0.0)
        if ups.n and passing.any():
            has = ups.bypass >= 0
            through_p = np.where(has, switch_p[:, ups.bypass] * ups.bypass_sign, 0.0)
            through_q = np.where(has, switch_q[:, ups.bypass] * ups.bypass_sign, 0.0)
            p, q = np.where(passing, through_p, p), np.where(passing, through_q, q)
        return p, q, np.where(passing, p, s.p_in_kw)


def _put(
    out: dict[str, dict[str, np.ndarray]], rows: np.ndarray, found: dict[str, dict[str, np.ndarray]]
) -> dict[str, dict[str, np.ndarray]]:
    """Write the columns of some cases into those of all, in place."""
    for name, columns in found.items():
        for column, value in columns.items():
            out[name][column][rows] = value
    return out


def _any_of(mode: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Return which modes are among the names: numpy's isin sorts texts, which takes ten times as long."""
    return np.asarray(np.logical_or.reduce([mode == name for name in names]), dtype=bool)


def _rows(value: np.ndarray | None, default: np.ndarray, n: int) -> np.ndarray:
    """Return a case array, or the net's value in every case (read-only)."""
    return np.broadcast_to(default, (n, len(default))) if value is None else np.asarray(value)


def _gives_power(cases: FlowCases) -> bool:
    names = ("load_p_kw", "load_q_kvar", "asymmetric_p_kw", "asymmetric_q_kvar", "storage_p_kw")
    return any(getattr(cases, name) is not None for name in names)
