"""Data path of the three-phase references."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def data_dir() -> Path:
    """Return PDNOPT_TEST_DATA, or ../shared/data beside the checkout."""
    given = os.environ.get("PDNOPT_TEST_DATA")
    return Path(given) if given else Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def three_phase_data() -> Path:
    path = data_dir() / "three_phase"
    if not path.is_dir():
        pytest.skip(f"no test data at {path}: set PDNOPT_TEST_DATA")
    return path
