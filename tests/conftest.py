"""What all tests share: soak tests on request only, and third-party warnings that are not ours to mend."""

from __future__ import annotations

import pytest

THIRD_PARTY = (
    "ignore::DeprecationWarning:pandapower",
    "ignore::FutureWarning:pandapower",
    "ignore::DeprecationWarning:pyomo",
)
"""Narrow on purpose: a warning that our own code causes is an error (pyproject.toml)."""


def pytest_configure(config: pytest.Config) -> None:
    for line in THIRD_PARTY:
        config.addinivalue_line("filterwarnings", line)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave soak tests out unless ``-m`` asks for them: `make soak` runs them."""
    if "soak" in str(config.getoption("markexpr")):
        return
    soak = [item for item in items if item.get_closest_marker("soak")]
    if soak:
        config.hook.pytest_deselected(items=soak)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
