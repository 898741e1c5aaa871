"""Where the real series of other projects are, if they are anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def risk_data() -> Path | None:
    """Return the folder ``risk`` of PDNOPT_TEST_DATA, or of ../shared/data beside the checkout; None where absent."""
    given = os.environ.get("PDNOPT_TEST_DATA")
    root = Path(given) if given else Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = root / "risk"
    return folder if folder.is_dir() else None


def need(name: str) -> Path:
    """Return one file; skip the test where it is absent."""
    folder = risk_data()
    if folder is None or not (folder / name).exists():
        pytest.skip(f"no outside data ({name}): set PDNOPT_TEST_DATA")
    return folder / name
