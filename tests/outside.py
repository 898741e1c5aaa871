"""Where the real systems and series of others are, if they are anywhere."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["outside"]


def outside(part: str = "") -> Path:
    """Return a folder of PDNOPT_TEST_DATA, or of ../shared/data beside the checkout; it may not be there."""
    given = os.environ.get("PDNOPT_TEST_DATA")
    root = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    return root / part
