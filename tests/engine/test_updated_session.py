"""An updated session is a fresh build: matrix, bounds, costs, constants and answers, over random updates.

*Fresh* means: the changed network is read anew, a new Pyomo model is built from it and compiled anew. Two things are shown:

* what earlier updates wrote leaves no trace: the model that went through other updates before holds the same arrays as the
  fresh one, row by row and column by column (ordered by name, not by place);
* what an update writes is what the algebra says: where the Pyomo model itself states the numbers (demands, floors, ratings
  of the plant as given), the fresh arrays are compared before anything was written to them.

The changes: what failed, the positions of switches, loads, overload budgets used, temperatures, states of charge, dwell
times, horizon, how much of the batteries may be used, devices held, limits tightened after an AC power flow.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import pdnopt
from cases import build
from formulations.reroute import REROUTE, TERMS, RerouteData
from pdnopt.engine.compiled import CompiledModel, compile_model
from pdnopt.plant.budgets import read_curves
from pdnopt.plant.demand import Demand, read_demand, with_load_kw
from pdnopt.plant.failures import parse_failed
from pdnopt.plant.grid import Grid, read_grid
from pdnopt.plant.names import component_names
from pdnopt.problem import Updater
from pdnopt.response import Response, respond
from tests.plants import LARGE, SMALL, random_failure, random_plant

CASES = ("two_feed", "hall_2n", "micro_ats_row", "mim_pod", "ring_bus", "node_mesh")


class Compiled:
    """A model compiled from a network, and its updater."""

    def __init__(self, net: Any, like: Compiled | None = None, fine: bool = False) -> None:
        self.net, self.grid = net, read_grid(net)
        self.demand, self.curves = read_demand(net, self.grid), read_curves(net)
        data: RerouteData = REROUTE.data(self.grid, self.demand, TERMS, fine, voltages=True)
        if like is not None:  # "larger than any flow" may be any number large enough: that of the first build
            assert like.data.flow.m_kw >= 1.5 * float(self.demand.d_kw.sum())
            data = replace(
                data, flow=replace(data.flow, m_kw=like.data.flow.m_kw, largest_kw=like.data.flow.largest_kw)
            )
        self.data = data
        self.model: CompiledModel = compile_model(REROUTE.build(data))
        self.updater: Updater = REROUTE.updater(self.model, data)

    def serves(self, demand: Demand, response: Response) -> bool:
        """Return whether the model's classes hold for these loads and power supplies."""
        return REROUTE.fits(self.data.sets, demand, response.state.psu_dead)

    def write(self, grid: Grid, demand: Demand, net: Any, change: Change) -> None:
        """Write the numbers of a change, read from the network that has it."""
        response = respond(grid, demand, parse_failed(net, change.failed))
        assert self.serves(demand, response)
        limits = REROUTE.limits(response.grid, self.curves, change.horizon_s, change.spent)
        if change.tighter < 1.0:
            limits = replace(
                limits,
                ups_kva=limits.ups_kva * change.tighter,
                branch_kva=limits.branch_kva * change.tighter,
                switch_kva=limits.switch_kva * change.tighter,
                source_kw=limits.source_kw * change.tighter,
            )
        numbers = REROUTE.numbers(
            self.data.sets,
            demand,
            response,
            limits,
            change.horizon_s,
            change.firm,
            change.held,
            change.battery_use,
        )
        self.updater.write(numbers)


class Change:
    """A random change of a network and of what is asked of it."""

    def __init__(self, net: Any, rng: np.random.Generator) -> None:
        self.failed = random_failure(net, rng, int(rng.integers(0, 3)))
        self.horizon_s = float(rng.choice([600.0, 3600.0, 14_400.0]))
        self.firm, self.battery_use = bool(rng.random() < 0.8), float(rng.choice([1.0, 0.98, 0.8]))
        self.tighter = float(rng.choice([1.0, 1.0, 0.97]))
        devices = [name for table in ("switch", "transfer", "ups") for name in component_names(net, table)]
        self.held = frozenset(rng.choice(devices, size=int(rng.integers(0, 3)), replace=False).tolist())
        self.spent = {name: float(rng.random()) for name in component_names(net, "ups")[:1]}
        self.factor = rng.uniform(0.8, 1.05, len(net.load))
        if "rack" in net.load:  # the cords of a rack rise and fall together
            units = np.unique(net.load["rack"].astype(str), return_inverse=True)[1]
            alone = (net.load["rack"].astype(str) == "").to_numpy()
            self.factor = np.where(alone, self.factor, rng.uniform(0.8, 1.05, units.max() + 1)[units])
        self.net = self._changed(net, rng)

    def _changed(self, net: Any, rng: np.random.Generator) -> Any:
        out = deepcopy(net)
        mine = (out.load["kind"] != "ups_input").to_numpy()
        for column in ("p_mw", "q_mvar"):
            out.load.loc[mine, column] = out.load.loc[mine, column] * self.factor[mine]
        plain = out.switch.index[out.switch["closed"] & out.switch["ups"].isna()]
        opened = rng.choice(plain, size=min(2, len(plain)), replace=False)
        out.switch.loc[opened, "closed"] = False
        for k, transfer in enumerate(out.transfer.index if "transfer" in out else ()):
            positions = out.switch.index[out.switch["transfer"] == transfer]
            if rng.random() < 0.3:
                out.switch.loc[positions, "closed"] = False
                out.switch.loc[rng.choice(positions), "closed"] = True
            if k % 3 == 0:
                out.transfer.loc[transfer, "dwell_left_s"] = float(rng.choice([0.0, 30.0]))
        for table in ("ups", "line", "trafo", "switch"):
            if "overload_used" in out[table]:
                out[table]["overload_used"] = rng.choice([0.0, 0.3, 0.9], len(out[table]))
        out.ups["soc_percent"] = rng.uniform(10.0, 100.0, len(out.ups))
        out.ups["temperature_c"] = rng.choice([20.0, 35.0, 45.0], len(out.ups))
        if len(out.storage):
            out.storage["soc_percent"] = rng.uniform(10.0, 100.0, len(out.storage))
        return out

    def loads_kw(self, net: Any) -> Any:
        """Return the changed loads as `solve(p_load_kw=...)` takes them."""
        mine = net.load["kind"] != "ups_input"
        return (net.load["p_mw"] * net.load["scaling"] * 1000.0 * self.factor)[mine]


def without_effect(model: CompiledModel) -> tuple[np.ndarray, np.ndarray]:
    """Return which columns and rows say nothing: cord limits that do not bind, caps of units at their floor.

    A model has rows only for the cord limits that may bind at the loads that it was built for. ``on + m_feed <= 2`` says
    nothing, nor does ``0 on + 0 m_feed - cap <= 0``.

    A model built for such loads has no such column. Here it is 0 by its row ``cap_floor`` (cap <= 0 on), and what a row
    ``cord_limit`` then says, the row ``feed_unfit`` of the same unit and feed must say too.
    """
    column_of = {name: k for k, name in enumerate(model.col_names)}
    row_of = {name: k for k, name in enumerate(model.row_names)}
    by_column = model.matrix.tocsc()
    columns, rows = np.zeros(model.n_columns, dtype=bool), np.zeros(len(model.row_names), dtype=bool)
    for name, row in row_of.items():
        if name.startswith("feed_unfit(") and model.row_high[row] == 2.0:
            rows[row] = True
        if name.startswith("cord_limit(") and abs(model.row_high[row]) <= 1e-9:
            rows[row] = True
    for name in (name for name in column_of if name.startswith("cap_kw(")):
        unit = name.removeprefix("cap_kw")
        row = row_of["cap_floor" + unit]
        if abs(model.matrix[[row], :][:, [column_of["on_unit" + unit]]].sum()) > 1e-9:
            continue
        assert model.row_high[row] == 0.0
        columns[column_of[name]] = rows[row] = True
        at = column_of[name]
        for other in by_column.indices[by_column.indptr[at] : by_column.indptr[at + 1]]:
            kind, _, key = model.row_names[other].partition("(")
            if kind == "cord_limit" and not rows[other]:
                rows[other] = True
                unfit = model.row_high[row_of["feed_unfit(" + key]]
                assert unfit == 1.0 or model.row_high[other] <= 1e-9
    return columns, rows


def canonical(model: CompiledModel) -> dict[str, Any]:
    """Return a model's arrays ordered by the names of rows and columns; entries that are zero are no entries."""
    columns, rows = np.argsort(model.col_names), np.argsort(model.row_names)
    idle_columns, idle_rows = without_effect(model)
    columns, rows = columns[~idle_columns[columns]], rows[~idle_rows[rows]]
    matrix = model.matrix[rows, :][:, columns].copy()
    matrix.eliminate_zeros()
    matrix.sort_indices()
    arrays: dict[str, Any] = {
        "columns": np.array(model.col_names)[columns],
        "rows": np.array(model.row_names)[rows],
        "indptr": matrix.indptr,
        "indices": matrix.indices,
        "matrix": matrix.data,
        "integer": model.integer[columns],
    }
    for name in ("col_low", "col_high"):
        arrays[name] = getattr(model, name)[columns]
    for name in ("row_low", "row_high"):
        arrays[name] = getattr(model, name)[rows]
    for term, cost in model.cost.items():
        arrays[f"cost {term}"] = cost[columns]
        arrays[f"offset {term}"] = np.array([model.offset[term]])
    return arrays


def assert_same(one: CompiledModel, other: CompiledModel) -> None:
    """Fail with the first array, row and column in which two models differ."""
    mine, theirs = canonical(one), canonical(other)
    assert list(mine) == list(theirs)
    for name, array in mine.items():
        assert array.shape == theirs[name].shape, name
        if array.dtype.kind in "fc":
            np.testing.assert_allclose(array, theirs[name], rtol=1e-9, atol=1e-9, err_msg=name)
        else:
            np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def check_updates(net: Any, seed: int, updates: int) -> None:
    """Put the models of one session through random updates; after each the one in use must be the fresh one.

    As in a session, the model with a class for each unit answers where the units of a class no longer share alike.
    """
    rng = np.random.default_rng(seed)
    coarse, fine = Compiled(net), Compiled(net, fine=True)
    for _ in range(updates):
        change = Change(net, rng)
        demand, grid = with_load_kw(coarse.demand, change.loads_kw(net)), read_grid(change.net)
        response = respond(grid, demand, parse_failed(change.net, change.failed))
        used = coarse if coarse.serves(demand, response) else fine
        fresh = Compiled(change.net, like=used, fine=used is fine)
        used.write(grid, demand, change.net, change)
        fresh.write(fresh.grid, fresh.demand, change.net, change)
        assert_same(used.model, fresh.model)


@pytest.mark.parametrize("case", CASES)
def test_an_updated_model_is_a_fresh_one_on_the_cases(case: str) -> None:
    check_updates(build(case), seed=len(case), updates=3)


@pytest.mark.parametrize("seed", range(12))
def test_an_updated_model_is_a_fresh_one_on_random_plants(seed: int) -> None:
    check_updates(random_plant(seed, LARGE if seed % 2 else SMALL)[0], seed, updates=4)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(12, 212))
def test_an_updated_model_is_a_fresh_one_on_many_random_plants(seed: int) -> None:
    check_updates(random_plant(seed, LARGE if seed % 2 else SMALL)[0], seed, updates=6)


@pytest.mark.parametrize("case", ["two_feed", "hall_2n"])
def test_the_comparison_sees_a_single_number_that_differs(case: str) -> None:
    net = build(case)
    one, other = Compiled(net), Compiled(net)
    rng = np.random.default_rng(0)
    assert_same(one.model, other.model)
    for array in (other.model.matrix.data, other.model.row_high, other.model.col_high):
        at = int(rng.choice(np.flatnonzero(np.isfinite(array) & (array != 0.0))))
        kept = array[at]
        array[at] = kept * (1.0 + 1e-6)
        with pytest.raises(AssertionError):
            assert_same(one.model, other.model)
        array[at] = kept


STATED_ROWS = ("class_power", "mode_feed", "cap_floor", "gone_shed", "gone_dark")
"""Rows whose numbers the algebra states in full: demands and floors."""

RATED_ROWS = ("source_high", "branch_rating", "switch_rating", "ups_rating", "ups_active")
"""Rows with the ratings, which the algebra states for a plant without overload curves."""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("curves", [True, False])
def test_what_an_update_writes_is_what_the_algebra_states(case: str, curves: bool) -> None:
    net = build(case)
    if not curves:
        net.overload_curve = net.overload_curve.iloc[:0]
        for table in ("ups", "line", "trafo", "switch"):
            net[table]["overload_curve"] = ""
    used, rng = Compiled(net), np.random.default_rng(1)
    change = Change(net, rng)
    change.failed = ["ups:" + str(net.ups["name"].iloc[0])] if len(net.ups) else []
    used.write(read_grid(change.net), with_load_kw(used.demand, change.loads_kw(net)), change.net, change)
    change.failed, change.spent, change.held = [], {}, frozenset()
    change.tighter, change.firm, change.horizon_s, change.battery_use = 1.0, True, 3600.0, 1.0
    used.write(used.grid, used.demand, net, change)
    stated = Compiled(net).model
    written = used.model
    for name in STATED_ROWS + (() if curves else RATED_ROWS):
        rows = [k for k, row in enumerate(stated.row_names) if row.split("(")[0] == name]
        assert rows or name not in ("class_power", "mode_feed", "gone_shed")
        if not rows:
            continue
        difference = abs(stated.matrix[rows, :] - written.matrix[rows, :])
        assert difference.max() <= 1e-6, name
        if name not in ("gone_shed", "gone_dark"):  # dark in the network as given: nothing to lose
            np.testing.assert_allclose(stated.row_high[rows], written.row_high[rows], err_msg=name)
    for term in (term for term in stated.cost if term.startswith("unserved_p")):
        np.testing.assert_allclose(stated.cost[term], written.cost[term], atol=1e-9)
        assert stated.offset[term] == pytest.approx(written.offset[term])


@pytest.mark.parametrize(
    ("case", "failures"),
    [
        ("two_feed", ["ups:UPS-A", "bus:out B", "ups:UPS-B@module", "bus:main A"]),
        ("hall_2n", ["ups:UPS-A", "bus:main B", "ext_grid:Utility-1"]),
        ("mim_pod", ["ups:UPS-A", "trafo:TX-A"]),
    ],
)
def test_a_session_answers_as_a_fresh_solve(case: str, failures: list[str]) -> None:
    net, rng = build(case), np.random.default_rng(7)
    session = pdnopt.Session(net, explain=False, time_limit_s=None)
    for failed in failures:
        change = Change(net, rng)
        loads = change.loads_kw(net)
        updated = session.solve(failed=[failed], p_load_kw=loads)
        fresh = pdnopt.solve(net, failed=[failed], p_load_kw=loads, explain=False, time_limit_s=None)
        assert updated.status == fresh.status
        assert updated.objective == pytest.approx(fresh.objective, rel=1e-9, abs=1e-9)
        assert updated.bound == pytest.approx(fresh.bound, rel=1e-9, abs=1e-9)
        assert updated.plan.actions == fresh.plan.actions
