"""Solve: from a failure to a verified, ordered plan.

``solve(net, "reroute", failed=[...])`` does it once; a ``Session`` compiles the network once and then only
changes numbers. Either way: response of the plant's own devices -> lexicographic MILP -> AC power flow, with
limits tightened where it disagrees -> order -> independent checker. A plan that the checker refuses is never
returned as optimal or feasible.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from math import inf
from typing import Any

from pdnopt.errors import InputError, Issue
from pdnopt.problem import find_formulation
from pdnopt.result import Result
from pdnopt.units import DEFAULT_HORIZON_S, DEFAULT_LATENCY_S

DEFAULT_TIME_LIMIT_S = 10.0

__all__ = ["Options", "Session", "solve"]


@dataclass(frozen=True)
class Options:
    """Keywords of `solve` and of `Session`.

    Attributes
    ----------
    failed : sequence of str
        The whole set of outages (PLANT.md).
    p_load_kw, p_asymmetric_kw : Series, optional
        Demands in kW indexed like net.load / net.asymmetric_load; missing rows keep the table's value.
    time_limit_s : float
        Wall time of the call without imports; None: no limit. What is not proved by then has status "feasible"
        and its gap.
    horizon_s : float
        The end state holds so long, batteries and fuel included.
    latency_s : float
        Detection, solve and communication before the first device moves.
    minimize : sequence of str
        Lexicographic order of the terms.
    gap : float
        A term counts as proved within this part of its scale (for ``unserved``: of the load at least as critical; in a
        small plant of the priority's own).
    explain : bool
        Find the reason of every kW that is not served (more solves, after the plan is verified).
    extend : callable, optional
        ``extend(model, data)`` adds constraints to the Pyomo model before it is compiled.
    validate : bool
        Validate the network first.
    loads : DataFrame, optional
        Of a problem of kind "allocation": load vectors in kW, index as net.load, columns (step, scenario) or plain.
        The allocation holds for each of them. Of a balance: the same, index as net.asymmetric_load or names of loads;
        set-points by step, the first of which are the plan, hold for every scenario or quantile of their step.
    step_s : float, optional
        Length of a step of ``loads``; they must then cover ``horizon_s``. Of a shift and a balance: 300 unless told.
    components : sequence of str, optional
        What may fail, one at a time, as for `sweep`; default: all but final circuits.
    doubles : sequence of (str, str)
        Pairs that may fail together.
    evacuate : sequence of str
        Components that shall carry as little as possible from now on.
    risk : DataFrame, optional
        Probability of failing: index component names, columns steps. Of a shift, names joined by " + " fail together.
    max_moves : int, optional
        At most so many devices move in this call; of a shift in every step, by area. Of a balance: racks with
        ``phase_options`` that change their phase (0 unless told).
    horizon : int, optional
        Of a shift: steps that are looked ahead (12), of ``step_s`` (300 s) each. Of a balance: steps of ``loads`` (all).
    max_shift_kw : float, optional
        Of a shift: at most so much load moves in a step, by area.
    areas : dict, optional
        Of a shift: device name -> area, for limits by step.
    prices : Prices or dict, optional
        Of a shift: what things cost (`pdnopt.shifting.Prices`).
    guard, guard_level : float, optional
        Of a shift: weight of the conditional value at risk of what a failure costs (0.1), and its level (0.9).
    max_at_risk_kw : float, optional
        Of a shift: the most load of the most critical priority that any failure in ``risk`` may leave dark.
    stale : sequence of str
        Of a balance: inverters that do not answer; they keep the set-points they have.
    max_ramp_kva : float, optional
        Of a balance: P and Q of a phase of an inverter change by at most so much (kW, kvar) in this call.
    zones : int, sequence of str, or dict, optional
        Of a balance: solve by zones of at most so many inverters (True: 20), or by those that begin with the
        feeders named, under a global level (`pdnopt.balancing.levels`). For hundreds of inverters and more.
    workers : int, optional
        Of a balance by zones: processes that solve them.
    spectra : DataFrame, optional
        Of a balance: measured harmonic currents, one row a circuit, order and phase (`pdnopt.balancing.harmonics.spectra`);
        inverters with active filters then compensate them within what their set-points leave.
    corrective : bool
        Count on a reroute after each failure: what an overload's budget carries until it has relieved it, is allowed;
        the contingencies that need it are then rerouted and checked.
    peaks : int, optional
        ``loads`` then has two columns, what each row draws usually and at its peak, and the allocation holds for every case
        in which at most so many racks are at their peak at once.
    """

    failed: Sequence[str] = ()
    p_load_kw: Any = None
    p_asymmetric_kw: Any = None
    time_limit_s: float = DEFAULT_TIME_LIMIT_S
    horizon_s: float = DEFAULT_HORIZON_S
    latency_s: float = DEFAULT_LATENCY_S
    minimize: Sequence[str] | None = None
    gap: float = 9.9e-4
    explain: bool = True
    extend: Callable[[Any, Any], None] | None = None
    validate: bool = True
    loads: Any = None
    step_s: float | None = None
    components: Sequence[str] | str | None = None
    doubles: Sequence[tuple[str, str]] = ()
    evacuate: Sequence[str] = ()
    risk: Any = None
    max_moves: int | None = None
    corrective: bool = False
    peaks: int | None = None
    horizon: int | None = None
    max_shift_kw: float | None = None
    areas: Any = None
    prices: Any = None
    guard: float | None = None
    guard_level: float | None = None
    max_at_risk_kw: float | None = None
    stale: Sequence[str] = ()
    max_ramp_kva: float | None = None
    zones: Any = None
    workers: int | None = None
    spectra: Any = None

    def but(self, changes: dict[str, Any]) -> Options:
        """Return the options with some replaced. Raises InputError for unknown names and values out of range."""
        known = {field.name for field in fields(self)}
        issues = [
            Issue(
                "UnknownField",
                f"solve({name}=...)",
                "",
                name,
                f"one of {', '.join(sorted(known))}",
                "Correct the keyword.",
            )
            for name in changes
            if name not in known
        ]
        options = replace(self, **{name: value for name, value in changes.items() if name in known})
        if isinstance(options.failed, str):
            options = replace(options, failed=(options.failed,))
        if isinstance(options.evacuate, str):
            options = replace(options, evacuate=(options.evacuate,))
        if isinstance(options.stale, str):
            options = replace(options, stale=(options.stale,))
        issues += options._range_issues()
        if issues:
            raise InputError(issues)
        return options

    def _range_issues(self) -> list[Issue]:
        issues = []
        ramp = self.max_ramp_kva
        if ramp is not None and not (isinstance(ramp, int | float) and 0 <= ramp < inf):
            allowed, todo = "a finite number from 0 kVA", "Correct the value, or leave it out."
            issues.append(Issue("Range", "solve(max_ramp_kva=...)", "", ramp, allowed, todo))
        for name, low, high, unit in (
            ("time_limit_s", 0.0, inf, "s"),
            ("horizon_s", 1.0, 31_536_000.0, "s"),
            ("latency_s", 0.0, 3600.0, "s"),
            ("gap", 0.0, 1.0, ""),
        ):
            value = getattr(self, name)
            if value is None and name == "time_limit_s":
                object.__setattr__(self, "time_limit_s", inf)
                continue
            number = isinstance(value, int | float) and value == value
            if not number or not low <= value <= high:
                allowed = f"a number from {low:g} to {high:g} {unit}".rstrip()
                issues.append(Issue("Range", f"solve({name}=...)", "", value, allowed, "Correct the value."))
        value = self.peaks
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            allowed, todo = "a whole number from 0", "Correct the value, or leave it out."
            issues.append(Issue("Range", "solve(peaks=...)", "", value, allowed, todo))
        return issues


class Session:
    """One network and one problem, compiled once.

    Parameters
    ----------
    net : pandapowerNet
        Never changed. Later changes to it are not seen.
    problem : str
        A registered formulation.
    **keywords
        Any of :class:`Options`; `solve` overrides them for one call.

    Raises
    ------
    InputError
        Every error of the network and of the keywords at once.
    """

    def __init__(self, net: Any, problem: str = "reroute", **keywords: Any) -> None:
        started = time.perf_counter()
        self.options = Options().but(keywords)
        formulation = find_formulation(problem)
        _refuse_foreign(formulation, keywords)
        self._formulation = formulation
        self._valid(net)
        self._runner = _runner(formulation, net, self.options)
        self.build_s = time.perf_counter() - started

    def _valid(self, net: Any) -> None:
        if not self.options.validate:
            return
        from pdnopt.validation import validate

        errors = [issue for issue in validate(net) if issue.severity == "error"]
        if errors:
            raise InputError([*errors, *_beside(self._formulation, net, self.options, errors)])

    def update(self, net: Any) -> None:
        """Go on with the plant as it is now: ``net`` is the same network with other numbers in its tables.

        Switch positions, loads, states of charge, UPS modes, temperatures, overload budgets used, fuel and dwell times are
        taken over as numbers, and the compiled model stays. Where anything else differs (a rating, a component), and for
        "reserve", everything is read and compiled anew, which takes as long as a new session.

        Raises
        ------
        InputError
            Every error of the network; the session then stays as it was.
        """
        self._valid(net)
        self._runner = self._runner.updated(net, self.options)

    def solve(self, **keywords: Any) -> Result:
        """Solve with the session's keywords, those given here overriding them for this call."""
        started = time.perf_counter()
        _refuse_foreign(self._formulation, keywords)
        options = self.options.but(keywords)
        result: Result = self._runner.solve(options, started, build_s=0.0)
        return result


PLANNED = ("loads", "step_s", "components", "risk", "max_moves")
"""Keywords of every problem that is solved before a failure."""
ALLOCATION_ONLY = ("doubles", "evacuate", "corrective", "peaks")
SHIFT_ONLY = ("horizon", "max_shift_kw", "areas", "prices", "guard", "guard_level", "max_at_risk_kw")
BALANCE_ONLY = ("stale", "max_ramp_kva", "spectra", "zones", "workers")
SWITCHING_ONLY = ("failed", "extend")
FOREIGN = {
    "switching": (*PLANNED, *ALLOCATION_ONLY, *SHIFT_ONLY, *BALANCE_ONLY),
    "allocation": (*SWITCHING_ONLY, *SHIFT_ONLY, *BALANCE_ONLY),
    "multi-period": (*SWITCHING_ONLY, *ALLOCATION_ONLY, *BALANCE_ONLY),
    "set-points": (
        "components",
        "risk",
        *ALLOCATION_ONLY,
        *(k for k in SHIFT_ONLY if k != "horizon"),
        "extend",
    ),
}
"""Keywords that a kind of problem does not know."""


def _refuse_foreign(formulation: Any, keywords: dict[str, Any]) -> None:
    """Raise InputError for keywords that a problem of this kind does not know: none is ignored silently."""
    foreign = FOREIGN.get(formulation.kind, ())
    issues = [
        Issue(
            "UnknownField",
            f"solve({name}=...)",
            "",
            name,
            f"no such keyword for {formulation.name}",
            "Leave it out, or choose the problem that it belongs to.",
        )
        for name in foreign
        if name in keywords and not _is_nothing(keywords[name])
    ]
    if issues:
        raise InputError(issues)


def _beside(formulation: Any, net: Any, options: Options, errors: list[Issue]) -> list[Issue]:
    """Return what else the problem will not take, so that everything is told at once."""
    if formulation.kind != "set-points":
        return []
    from pdnopt.balancing.checks import check_inputs

    try:
        issues = check_inputs(net, formulation.terms, options)
    except Exception:  # tables that are broken as `errors` say cannot be asked for more
        return []
    known = {(issue.path, issue.id) for issue in errors}
    return [issue for issue in issues if (issue.path, issue.id) not in known]


def _is_nothing(value: Any) -> bool:
    """Whether a keyword says nothing: None, False, or an empty list."""
    return value is None or value is False or (isinstance(value, list | tuple) and not value)


def _runner(formulation: Any, net: Any, options: Options) -> Any:
    """Return what carries a formulation of this kind from numbers to a verified plan."""
    if formulation.kind == "switching":
        from pdnopt.switching import SwitchingRunner

        return SwitchingRunner(net, formulation, options)
    if formulation.kind == "allocation":
        from pdnopt.allocation import AllocationRunner

        return AllocationRunner(net, formulation, options)
    if formulation.kind == "multi-period":
        from pdnopt.shifting import ShiftRunner

        return ShiftRunner(net, formulation, options)
    if formulation.kind == "set-points":
        if options.zones is not None and options.zones is not False:
            from pdnopt.balancing.levels import ZonedRunner

            return ZonedRunner(net, formulation, options)
        from pdnopt.balancing import BalanceRunner

        return BalanceRunner(net, formulation, options)
    raise InputError(
        Issue(
            "Enum",
            "problem",
            formulation.name,
            formulation.kind,
            "kind 'switching', 'allocation', 'multi-period' or 'set-points'",
            "Update pdnopt or the plug-in.",
        )
    )


def solve(net: Any, problem: str = "reroute", **keywords: Any) -> Result:
    """Solve one problem on one network.

    Parameters
    ----------
    net : pandapowerNet
        Never changed.
    problem : str
        "reroute", or any registered formulation.
    **keywords
        See :class:`Options`.

    Returns
    -------
    Result

    Raises
    ------
    InputError
        Bad network or keywords, all faults at once.
    """
    started = time.perf_counter()
    session = Session(net, problem, **keywords)
    result: Result = session._runner.solve(session.options, started, build_s=session.build_s)
    return result
