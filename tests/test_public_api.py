"""The public names are a contract, and importing them is lazy."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

import pdnopt

NAMES = [
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


def test_public_names_are_pinned() -> None:
    assert pdnopt.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_imports_and_has_a_docstring(name: str) -> None:
    value = getattr(pdnopt, name)
    assert value.__doc__
    assert name in dir(pdnopt)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pdnopt.nonsense


def test_no_module_shares_its_name_with_a_public_callable() -> None:
    from importlib.util import find_spec

    taken = [name for name in NAMES if find_spec(f"pdnopt.{name}") is not None]
    assert taken == []


@pytest.mark.parametrize("statement", ["import pdnopt", "import pdnopt.cli"])
def test_import_is_lazy(statement: str) -> None:
    """Nothing heavy comes with it. The time is printed; tests/benchmarks/startup.py judges it."""
    heavy = ("pandapower", "pyomo", "highspy", "numpy", "pandas", "cvxpy", "rich", "jinja2")
    code = f"import sys; {statement}; print([name for name in {heavy!r} if name in sys.modules])"
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    print(f"{statement}: {1000 * (time.perf_counter() - begun):.0f} ms, interpreter included")
    assert done.stdout.strip() == "[]"
