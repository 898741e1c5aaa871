"""``Checker``: reads a network once, judges plans on it. ``check``: the same for one plan."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from pdnopt.acflow import FlowEngine
from pdnopt.checker import budgets, ratings
from pdnopt.checker.automatic import Devices
from pdnopt.checker.commands import Commands
from pdnopt.checker.curves import Curves
from pdnopt.checker.demand_view import TABLES, DemandView
from pdnopt.checker.findings import CheckReport, Findings, StateSummary
from pdnopt.checker.flows import PhaseShape, States, flow_of
from pdnopt.checker.load_commands import LOAD_TABLES, all_finite, is_number, plainly_numbered
from pdnopt.checker.outage import Outage, read_outage
from pdnopt.checker.plant_view import PlantView
from pdnopt.checker.replay import Replay, Segment
from pdnopt.checker.setpoints import check_setpoints, is_setpoint
from pdnopt.checker.situation import Situation, base_situation, supply
from pdnopt.checker.timing import check_timing
from pdnopt.checker.tolerances import POWER_KW, TIME_S
from pdnopt.checker.topology import Topology
from pdnopt.errors import InputError, Issue

if TYPE_CHECKING:
    from pdnopt.plan import Plan

__all__ = ["Checker", "check"]

HOPELESS = ("NonFinite", "InvalidName", "InvalidId", "AmbiguousName", "NotHeld")
"""Findings after which a plan cannot be replayed."""


def check(
    net: Any,
    plan: Plan,
    failed: Sequence[str] | None = None,
    *,
    intermediate: bool = True,
    engine: Any = None,
) -> list[Issue]:
    """Return everything that is wrong with a plan; an empty list means it is verified.

    Parameters
    ----------
    net : pandapowerNet
        The plant before the failure (PLANT.md). Never changed.
    plan : Plan
    failed : sequence of str, optional
        The outages; default: those that the plan answers.
    intermediate : bool
        Judge every state on the way, not only the end state.
    engine : FlowEngine, optional
        Of this network, to save building one.
    """
    return Checker(net, engine=engine).check(plan, failed, intermediate=intermediate)


class Checker:
    """The independent checker of one network.

    Parameters
    ----------
    net : pandapowerNet
        Read once; later changes of it are not seen.
    engine : FlowEngine, optional
        Of this network.
    """

    def __init__(self, net: Any, engine: Any = None) -> None:
        self.view = PlantView(net)
        self.demand = DemandView(self.view)
        self.curves = Curves(net)
        self.shape = PhaseShape(net)
        self._rows = {table: frozenset(int(row) for row in net[table].index) for table in TABLES}
        self._issues: list[Issue] = []
        self._engine = engine
        if engine is None:
            try:
                self._engine = FlowEngine(net)
            except InputError as error:
                self._issues = error.issues

    def check(
        self, plan: Plan, failed: Sequence[str] | None = None, *, intermediate: bool = True
    ) -> list[Issue]:
        """Return everything that is wrong with a plan; an empty list means it is verified."""
        return self.report(plan, failed, intermediate=intermediate).issues

    def report(
        self, plan: Plan, failed: Sequence[str] | None = None, *, intermediate: bool = True
    ) -> CheckReport:
        """Check a plan and return the findings with what was computed on the way."""
        findings = Findings()
        names = plan.failed if failed is None else failed
        if any(is_setpoint(item) for item in plan.actions):
            return check_setpoints(self.view.net, plan, names)
        if failed is not None and set(failed) != set(plan.failed):
            todo = "Check it against the failure it answers."
            findings.add("PlanNetMismatch", "plan.failed", "", list(plan.failed), f"{list(failed)}", todo)
        self._plain_data(plan, findings)
        out = read_outage(self.view, names)
        findings.issues += [*self._issues, *out.issues]
        if any(issue.kind in HOPELESS for issue in findings.issues):
            return CheckReport(findings.issues)
        demand = self.demand.with_loads(plan.loads_kw) if plan.loads_kw else self.demand
        commands = Commands(self.view, demand, out, findings)
        actions = [item for item in plan.actions if commands.well_formed(item)]
        check_timing(self.view, commands, findings, actions, plan.latency_s)
        base = base_situation(self.view, demand.d_kw, demand.node)
        Devices(self.view, Outage.none(self.view)).hold_islands(base)
        devices = Devices(self.view, out)
        struck = devices.strike(base)
        self._automatic(plan, base, struck, devices, commands, findings)
        segments = Replay(self.view, devices, commands, findings).run(struck, actions)
        for name in set(devices.hunting):
            findings.add(
                "Hunting",
                "plan",
                name,
                "moves without end",
                "devices that come to rest",
                "Fix a device's position.",
            )
        paths = [seg.path for seg in segments]
        paths[-1] = "plan.end"
        wanted = [intermediate or k == len(segments) - 1 for k in range(len(segments))]
        base_supply = supply(self.view, Outage.none(self.view), base)
        made = [w and (seg.step > 0 or seg is segments[-1]) for w, seg in zip(wanted, segments, strict=True)]
        Topology(self.view, out, base, base_supply, findings).check(segments, paths, made)
        states = flow_of(self.view, demand, out, segments, self._engine_for(out), self.shape)
        for k in np.flatnonzero(~states.flow.converged):
            todo = "The state cannot be held: take load off, or feed it another way."
            findings.add("Diverged", paths[k], "", "no AC power flow", "a state with a solution", todo)
        groups = ratings.rated(self.view, demand, out, self.curves, self.shape, segments, states)
        used: dict[str, float] = {}
        for group in groups:
            timeless = group.curve == ""
            stress = np.where(timeless, group.ratio / group.limit, 0.0)
            ratings.check_steady(
                findings,
                "Overload",
                group.names,
                stress,
                segments,
                paths,
                wanted,
                "its limit",
                "Take load off it.",
            )
            if not timeless.all():
                used |= budgets.check_budgets(
                    self.curves, group, findings, segments, paths, plan.horizon_s, plan.latency_s
                )
        ratings.check_voltages(self.view, findings, segments, states, paths, wanted)
        ratings.check_cords(demand, findings, plan.horizon_s, segments, states, paths, wanted)
        ratings.check_power_limits(self.view, findings, segments, states, paths, wanted)
        budgets.check_energy(self.view, out, findings, segments, states, paths, plan.horizon_s)
        budgets.check_fuel(self.view, findings, segments, states, paths, plan.horizon_s)
        _served(demand, findings, actions, commands, segments, states)
        return self._summary(demand, findings, segments, paths, states, groups, used)

    # --- parts of a check ---------------------------------------------------------------------------------

    def _engine_for(self, out: Outage) -> Any:
        """Return the flow engine; elements that it can only be told of through the network need one of their
        own.
        """
        if not out.taken_out:
            return self._engine
        net = deepcopy(self.view.net)
        for table, row in out.taken_out:
            net[table].loc[row, "in_service"] = False
        return FlowEngine(net)

    def _plain_data(self, plan: Plan, findings: Findings) -> None:
        """Every number of the plan must be finite, every load that it replaces must exist."""
        todo = "Solve again."
        for name in ("horizon_s", "latency_s"):
            value = getattr(plan, name)
            if not is_number(value) or not isfinite(value) or value < 0:
                findings.add("NonFinite", f"plan.{name}", "", value, "a finite time, 0 s or more", todo)
        for item in (*plan.automatic, *plan.actions):
            if plainly_numbered(item):
                continue
            path = f"plan.step[{item.step}]"
            if not is_number(item.t_s) or not isfinite(item.t_s) or item.t_s < 0:
                findings.add("NonFinite", path, item.device, item.t_s, "a finite time, 0 s or more", todo)
            for value in (item.before, item.after):
                if is_number(value) and not isfinite(value):
                    findings.add("NonFinite", path, item.device, value, "a finite number", todo)
        for table, rows in plan.loads_kw.items():
            index = self._rows.get(table, frozenset())
            if rows.keys() <= index and all_finite(rows.values()):
                continue
            for row, kw in rows.items():
                name = f"{table}:{row}"
                if row not in index:
                    findings.add("PlanNetMismatch", "plan.loads_kw", name, row, "a row of this network", todo)
                if not is_number(kw) or not isfinite(kw):
                    findings.add("NonFinite", "plan.loads_kw", name, kw, "a finite number of kW", todo)

    def _automatic(
        self,
        plan: Plan,
        base: Situation,
        struck: Situation,
        devices: Devices,
        commands: Commands,
        findings: Findings,
    ) -> None:
        """Compare what the plan says the devices did with what they do."""
        view, out = self.view, devices.out
        mine = Replay(view, devices, commands, Findings()).run(struck, [])[-1].situation
        apply = Replay(view, devices, commands, Findings()).apply
        theirs = base.copy()
        for item in plan.automatic:
            if item.step != 0:
                findings.add("StepOrder", "plan.automatic", item.device, item.step, "step 0", "Solve again.")
            if commands.position(item.device) is None:
                todo = "Solve again for this network."
                findings.add(
                    "UnknownDevice",
                    "plan.automatic",
                    item.device,
                    item.device,
                    "a device of this network",
                    todo,
                )
            else:
                apply(theirs, item, float(item.t_s))
        theirs.closed[out.sw_forced >= 0] = out.sw_forced[out.sw_forced >= 0] == 1
        found: list[tuple[str, Any, Any]] = []
        plain = (view.sw_transfer < 0) & (view.sw_ups < 0)
        for k in np.flatnonzero(plain & (theirs.closed != mine.closed)):
            found.append((view.names["switch"][k], bool(theirs.closed[k]), bool(mine.closed[k])))
        for n in range(view.n_tr):
            pair = [view.transfer_position(n, s.closed) for s in (theirs, mine)]
            if pair[0] != pair[1]:
                said, does = (view.names["switch"][p] if p >= 0 else None for p in pair)
                found.append((view.names["transfer"][n], said, does))
        for k in np.flatnonzero((theirs.mode != mine.mode) & ~out.ups_dead):
            found.append((view.names["ups"][k], theirs.mode[k], mine.mode[k]))
        for k in np.flatnonzero((theirs.st_forming != mine.st_forming) & ~out.st_dead):
            found.append((view.names["storage"][k], bool(theirs.st_forming[k]), bool(mine.st_forming[k])))
        for k in np.flatnonzero((theirs.src_on != mine.src_on) & ~out.src_dead & ~view.src_companion):
            found.append((view.names["ext_grid"][k], bool(theirs.src_on[k]), bool(mine.src_on[k])))
        for name, said, does in found:
            todo = "Solve again: the plan starts from a state that the plant will not be in."
            findings.add(
                "AutomaticMismatch", "plan.automatic", name, said, f"{does!r}, where it ends by itself", todo
            )

    def _summary(
        self,
        demand: DemandView,
        findings: Findings,
        segments: list[Segment],
        paths: list[str],
        states: States,
        groups: list[ratings.Rated],
        used: dict[str, float],
    ) -> CheckReport:
        names = [name for group in groups for name in group.names]
        loading = (
            np.concatenate([100 * group.ratio / group.limit for group in groups], axis=1)
            if names
            else np.zeros((len(segments), 0))
        )
        worst = loading.argmax(axis=1) if names else np.zeros(len(segments), dtype=int)
        summaries = tuple(
            StateSummary(
                path=paths[k],
                t_s=seg.t_s,
                until_s=seg.until_s,
                served_kw=float(states.served_kw[k].sum()),
                losses_kw=float(states.flow.losses_kw[k]),
                worst_component=names[worst[k]] if names else "",
                worst_loading_percent=float(loading[k, worst[k]]) if names else 0.0,
                transient=seg.transient,
            )
            for k, seg in enumerate(segments)
        )
        lost = np.maximum(demand.d_kw - states.served_kw[-1], 0.0)
        by_priority = {int(p): float(lost[demand.priority == p].sum()) for p in np.unique(demand.priority)}
        interrupted = _interrupted(demand, segments, states)
        end = summaries[-1]
        return CheckReport(
            issues=findings.issues,
            losses_kw=end.losses_kw,
            worst_component=end.worst_component,
            worst_loading_percent=end.worst_loading_percent,
            unserved_kw=float(lost.sum()),
            unserved_by_priority=by_priority,
            interrupted_kw=float(demand.d_kw[interrupted].sum()),
            interrupted=tuple(demand.name[k] for k in np.flatnonzero(interrupted)),
            budgets=used,
            states=summaries,
        )


def _interrupted(demand: DemandView, segments: list[Segment], states: States) -> np.ndarray:
    """Return the units that were shed, or without voltage for longer than their hold-up (rule 3)."""
    spell_s = np.zeros(demand.n)
    hit = np.zeros(demand.n, dtype=bool)
    for k, seg in enumerate(segments):
        spell_s = np.where(states.fed[k], 0.0, spell_s + (seg.until_s - seg.t_s))
        hit |= spell_s > demand.holdup_s + TIME_S
        hit |= seg.situation.may_kw <= POWER_KW
    return hit & (demand.d_kw > 0)


def _served(
    demand: DemandView,
    findings: Findings,
    actions: Sequence[Any],
    commands: Commands,
    segments: list[Segment],
    states: States,
) -> None:
    """Every load that the plan calls served must be fed in the end state.

    A unit is called served if its last command gives it power, or if the failure left it fed and no command
    sheds it.
    """
    told: dict[int, Any] = {}
    for item in actions:
        if item.device.partition(":")[0] in LOAD_TABLES:
            k = commands.position(item.device)
            if k is not None:
                told[k] = item
    post = max((k for k, seg in enumerate(segments) if seg.step == 0), default=0)
    may = segments[-1].situation.may_kw
    for unit in np.flatnonzero(~states.fed[-1] & (may > POWER_KW)):
        if int(unit) in told or states.fed[post, unit]:
            value = f"{may[unit]:g} kW called served, no living cord"
            kept = "served only with a living cord" if demand.sheddable[unit] else "fed: it may not be shed"
            findings.add("Unfed", "plan.end", demand.name[unit], value, kept, "Feed it, or shed it first.")
