"""Where the real series of other projects are, if they are anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.outside import outside


def risk_data() -> Path | None:
    """Return the folder ``risk`` of PDNOPT_TEST_DATA, or of ../shared/data beside the checkout; None where absent."""
    folder = outside("risk")
    return folder if folder.is_dir() else None


def need(name: str) -> Path:
    """Return one file; skip the test where it is absent."""
    folder = risk_data()
    if folder is None or not (folder / name).exists():
        pytest.skip(f"no outside data ({name}): set PDNOPT_TEST_DATA")
    return folder / name
