"""Data path of the three-phase references."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.outside import outside


@pytest.fixture(scope="session")
def three_phase_data() -> Path:
    path = outside("three_phase")
    if not path.is_dir():
        pytest.skip(f"no test data at {path}: set PDNOPT_TEST_DATA")
    return path
