"""Which network a result belongs to: SHA-256 over its tables."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["fingerprint"]


def fingerprint(net: Any) -> str:
    """Return the SHA-256 of a network's input tables, as 64 hex digits.

    A missing number and an infinite one are the same: no limit (a JSON file has no infinities).
    Results (``res_*``) and private tables do not count, nor do empty tables and columns, the order of
    columns, or integers that became floats on the way through a file. The order of rows does: the index is
    part of it.
    """
    digest = hashlib.sha256()
    digest.update(f"{float(net.sn_mva)!r} {float(net.f_hz)!r}".encode())
    for table in sorted(key for key in net if isinstance(net[key], pd.DataFrame)):
        frame = net[table]
        if table.startswith(("_", "res_")) or not len(frame):
            continue
        digest.update(f"\n{table}".encode())
        digest.update(_bytes(frame.index.to_series()))
        for column in sorted(frame.columns, key=str):
            values = _bytes(frame[column])
            if values:
                digest.update(f"\n{column}:".encode())
                digest.update(values)
    return digest.hexdigest()


def _bytes(series: Any) -> bytes:
    """Return a column as bytes that do not depend on its dtype; none for a column that says nothing.

    Each value is written out once, however often it stands in the column: its distinct texts in order, then
    for every row which of them it has, -1 for none.
    """
    if pd.api.types.is_bool_dtype(series) or pd.api.types.is_numeric_dtype(series):
        values = series.to_numpy(dtype=float, na_value=np.nan)
        missing = ~np.isfinite(values)
    else:
        values = series.to_numpy(dtype=object)
        endless = [isinstance(value, float) and np.isinf(value) for value in values]
        missing = np.asarray(pd.isna(values)) | np.array(endless, dtype=bool)
    if missing.all():
        return b""
    kept = values[~missing]
    try:
        code, levels = pd.factorize(kept)
    except TypeError:  # lists: of curves and interlocks
        code, levels = np.arange(len(kept)), kept
    written = [json.dumps(_plain(value)) for value in levels]
    texts = sorted(set(written))
    place = {text: k for k, text in enumerate(texts)}
    codes = np.full(len(series), -1, dtype="<i4")
    codes[~missing] = np.array([place[text] for text in written])[code]
    return json.dumps(texts).encode() + codes.tobytes()


def _plain(value: Any) -> Any:
    """Return a cell as text or a list of texts; numbers with the 15 decimals that a file keeps."""
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return f"{float(value) + 0.0:.15f}"
    if isinstance(value, list | tuple | set | np.ndarray):
        return [_plain(item) for item in value]
    return str(value)
