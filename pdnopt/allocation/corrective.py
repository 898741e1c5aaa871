"""Contingencies that need a reroute after the automatic response: solved and checked, one by one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Any

import pandas as pd

from pdnopt.allocation.margins import Audit
from pdnopt.plan import Plan
from pdnopt.problem import find_formulation
from pdnopt.switching import SwitchingRunner

__all__ = ["correct"]

TIME_S = 5.0
"""Time limit of each reroute."""


def correct(
    net: Any, plan: Plan, audit: Audit, loads_kw: Mapping[str, pd.Series], options: Any, deadline_s: float
) -> Audit:
    """Return the audit with what a reroute makes of every contingency that is beyond a limit for the horizon.

    Adds ``corrective`` (status of the reroute, "" where none is needed, "not tried" past the deadline),
    ``corrective_unserved_kw`` and ``relieved_s``, when its last action has taken effect.
    """
    frame = audit.frame.copy()
    beyond = frame["margin_kw"] < 0.0
    status, unserved, relieved = [""] * len(frame), frame["unserved_kw"].tolist(), [0.0] * len(frame)
    if beyond.any():
        after = plan.apply(net)
        runner = SwitchingRunner(after, find_formulation("reroute"), replace(options, minimize=None))
        for row in frame.index[beyond]:
            name = str(frame.at[row, "contingency"])
            if time.perf_counter() > deadline_s or name == "nothing":
                status[row] = "not tried"
                continue
            asked = replace(
                options,
                failed=tuple(name.split(" + ")),
                p_load_kw=loads_kw[str(frame.at[row, "loads"])],
                time_limit_s=TIME_S,
                minimize=None,
                explain=False,
            )
            result = runner.solve(asked, time.perf_counter(), build_s=0.0)
            status[row], unserved[row] = result.status, result.unserved_kw
            relieved[row] = result.plan.duration_s if result.ok else inf
    frame["corrective"], frame["corrective_unserved_kw"], frame["relieved_s"] = status, unserved, relieved
    return Audit(frame, audit.open_margin_kw)
