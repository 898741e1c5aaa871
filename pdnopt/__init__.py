"""pdnopt decides how power flows through a data centre, and proves that the decision is safe.

>>> import pdnopt
>>> net = pdnopt.load_case("hall_4n3")
>>> result = pdnopt.solve(net, "reroute", failed=["ups:UPS-A"], time_limit_s=1.0)
>>> print(result)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdnopt.acflow import powerflow
    from pdnopt.checker import check
    from pdnopt.errors import InputError, Issue, PdnoptError, PlanError, PowerFlowError, SolveError
    from pdnopt.library import load_case
    from pdnopt.placement import Placement, place
    from pdnopt.plan import Plan
    from pdnopt.plant.actions import Action
    from pdnopt.result import Result
    from pdnopt.session import Session, solve
    from pdnopt.sweeps import sweep
    from pdnopt.validation import validate

__version__ = "0.1.0"

_HOME = {
    "Action": "pdnopt.plant.actions",
    "InputError": "pdnopt.errors",
    "Issue": "pdnopt.errors",
    "PdnoptError": "pdnopt.errors",
    "Plan": "pdnopt.plan",
    "Placement": "pdnopt.placement",
    "PlanError": "pdnopt.errors",
    "PowerFlowError": "pdnopt.errors",
    "Result": "pdnopt.result",
    "Session": "pdnopt.session",
    "SolveError": "pdnopt.errors",
    "check": "pdnopt.checker",
    "load_case": "pdnopt.library",
    "place": "pdnopt.placement",
    "powerflow": "pdnopt.acflow",
    "solve": "pdnopt.session",
    "sweep": "pdnopt.sweeps",
    "validate": "pdnopt.validation",
}

__all__ = [
    "Action",
    "InputError",
    "Issue",
    "PdnoptError",
    "Placement",
    "Plan",
    "PlanError",
    "PowerFlowError",
    "Result",
    "Session",
    "SolveError",
    "check",
    "load_case",
    "place",
    "powerflow",
    "solve",
    "sweep",
    "validate",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562), so that ``import pdnopt`` stays fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'pdnopt' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
