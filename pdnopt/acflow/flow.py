"""``powerflow`` and ``write_companions``: AC power flow of a network that may hold UPSs."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal

from pdnopt.errors import InputError, Issue, PowerFlowError

__all__ = ["powerflow", "write_companions"]


def powerflow(net: Any, engine: Literal["pgm", "pandapower"] = "pgm", three_phase: bool = False) -> Any:
    """Return a copy of a network with its AC power flow in pandapower's ``res_*`` tables.

    The companions of UPSs are set first (PLANT.md): online - the output is a source and the input draws
    P_out/eta(loading) + charging at ``input_pf``; battery - the output only; bypass, eco - the bypass switch;
    off - nothing. UPSs behind UPSs are iterated until they settle. Plain ``pp.runpp`` on the copy gives the
    same answer. Besides pandapower's tables: ``res_switch`` with the flow of every switch, ideal ones
    included (p_from positive from ``switch.bus`` into ``switch.element``), and ``res_ups`` (p_out_mw,
    q_out_mvar, p_in_mw, loading_percent). A dead bus is NaN.

    Parameters
    ----------
    net : pandapowerNet
        Never modified.
    engine : {"pgm", "pandapower"}
        power-grid-model (fast), or runpp. power-grid-model holds no voltage-controlled generators (gen,
        xward, dcline), FACTS or unsymmetrical impedances.
    three_phase : bool
        Phase by phase, into ``res_*_3ph``. See :mod:`pdnopt.acflow.three_phase` for what each engine models.

    Raises
    ------
    PowerFlowError
        The flow does not converge.
    InputError
        The engine cannot hold some element (kind "NotHeld", each named), or a UPS has no companions.
    """
    if engine not in ("pgm", "pandapower"):
        raise InputError(Issue("Enum", "engine", "", engine, "'pgm' or 'pandapower'", "Choose one."))
    out = deepcopy(net)
    if three_phase:
        from pdnopt.acflow import three_phase as phases

        (phases.run_pgm if engine == "pgm" else phases.run_pandapower)(out)
        return out
    if engine == "pandapower":
        from pdnopt.acflow.reference import run_reference

        run_reference(out)
        return out
    _run_pgm(out)
    return out


def write_companions(net: Any) -> None:
    """Set in place in_service, closed, p_mw and q_mvar of the companions, so that ``pp.runpp(net)`` is right.

    Uses the fast engine, and pandapower for a network that it cannot hold.

    Raises
    ------
    PowerFlowError
        What the UPSs deliver cannot be found: the flow does not converge.
    """
    from pdnopt.acflow.companions import read_companions, set_companions
    from pdnopt.acflow.model import not_held

    ups = read_companions(net)
    if not ups.n:
        return
    if not_held(net):
        from pdnopt.acflow.reference import run_reference

        work = deepcopy(net)
        run_reference(work)
        p_in = work.load["p_mw"].to_numpy(float)[ups.load] * 1e3
    else:
        from pdnopt.acflow.cases import FlowCases
        from pdnopt.acflow.engine import FlowEngine

        solution = FlowEngine(net).solve(FlowCases())
        _must_converge(solution.ok)
        p_in = solution.p_in_kw[0]
    set_companions(net, ups, p_in)


def _run_pgm(net: Any) -> None:
    from pdnopt.acflow.cases import FlowCases
    from pdnopt.acflow.companions import set_companions
    from pdnopt.acflow.engine import FlowEngine
    from pdnopt.acflow.tables import write_results

    engine = FlowEngine(net)
    solution = engine.solve(FlowCases())
    _must_converge(solution.ok)
    set_companions(net, engine.model.ups, solution.p_in_kw[0])
    write_results(net, engine.model, solution, engine.read(solution))


def _must_converge(ok: Any) -> None:
    if not bool(ok[0]):
        raise PowerFlowError(
            "the AC power flow did not converge: check for overload far beyond the ratings, wrong units, "
            "or UPSs that feed each other in a ring."
        )
