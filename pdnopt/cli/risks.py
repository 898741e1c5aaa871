"""``--risk transfer:ATS-3=0.02/h``, ``--risk FILE``: what may fail."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from pdnopt.cli.tables import read_risk_table
from pdnopt.errors import InputError, Issue

__all__ = ["read_risks"]

PER_HOUR = "/h"


def read_risks(texts: Sequence[str] | None, horizon: int | None, step_s: float | None) -> Any:
    """Return the risk frame, or None without any.

    ``NAME=0.02/h`` is a rate, ``NAME=0.001`` a probability by step; a text without "=" is the one file of a table.

    Raises
    ------
    InputError
        Every text that cannot be read; a table beside other risks.
    """
    if not texts:
        return None
    import pandas as pd

    files = [text for text in texts if "=" not in text]
    if files and len(texts) == 1:
        return read_risk_table(Path(files[0]))
    if files:
        todo = "Write all risks into the table."
        raise InputError(Issue("Format", "--risk", "", ", ".join(texts), "one table, or names alone", todo))

    from pdnopt.shifting import DEFAULT_HORIZON, DEFAULT_STEP_S, rate_to_probability

    n_steps = DEFAULT_HORIZON if horizon is None else horizon
    length_s = DEFAULT_STEP_S if step_s is None else step_s
    issues, rows = [], {}
    for text in texts:
        name, _, value = text.rpartition("=")
        hourly = value.endswith(PER_HOUR)
        try:
            number = float(value.removesuffix(PER_HOUR))
        except ValueError:
            number = float("nan")
        if not name or not isfinite(number) or number < 0 or (number > 1 and not hourly):
            allowed = "NAME=RATE/h with a rate of 0 or more, or NAME=P with P from 0 to 1"
            issues.append(Issue("Format", "--risk", name, text, allowed, "Write transfer:ATS-3=0.02/h."))
            continue
        if name in rows:
            issues.append(Issue("NotUnique", "--risk", name, text, "one risk a component", "Add them up."))
        rows[name] = [rate_to_probability(number, length_s) if hourly else number] * max(n_steps, 1)
    if issues:
        raise InputError(issues)
    return pd.DataFrame.from_dict(rows, orient="index")
