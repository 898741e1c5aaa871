"""The linear model against OpenDSS: IEEE 13 and 123 with fixed taps, and small cases of PowerModelsDistribution."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.balance.opendss import CIRCUITS, errors_percent
from tests.outside import outside


@pytest.fixture(scope="module")
def folder() -> Path:
    path = outside("three_phase")
    if not path.is_dir():
        pytest.skip(f"no test data at {path}: set PDNOPT_TEST_DATA")
    return path


@pytest.mark.parametrize("name", CIRCUITS)
def test_voltages_within_half_a_percent(name: str, folder: Path) -> None:
    """Delta loads, single- and two-phase laterals, 3x3 impedances of lines that are not transposed."""
    found = errors_percent(name, folder)
    assert found["agreed"] < 0.001
    assert found["from 80 %"] < 0.5
    assert found["from none"] > found["from 80 %"]
