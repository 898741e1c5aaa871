"""The programme of a shift solved and read: the outlook, what it is compared with, and how good it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pdnopt.checker import CheckReport
from pdnopt.result import Status
from pdnopt.shifting.commands import SETPOINT_KW
from pdnopt.shifting.data import Columns, ShiftData
from pdnopt.shifting.matrix import Matrix
from pdnopt.shifting.outlook import Outlook, read_outlook
from pdnopt.shifting.search import Solved, WarmLp, least, solve_matrix, with_limit

__all__ = ["Answer", "find_answer", "status_of"]


@dataclass(frozen=True)
class Answer:
    """What a programme gave. ``idle``: the outlook if nothing is done; None where that keeps no limits."""

    data: ShiftData
    matrix: Matrix
    columns: Columns
    constant: float
    solved: Solved
    outlook: Outlook | None
    idle: Outlook | None


def find_answer(
    formulation: Any, data: ShiftData, gap: float, explain: bool, deadline_s: float, warm: WarmLp
) -> Answer:
    """Solve the programme, then the peak with positions held, then what doing nothing would cost."""
    matrix, columns, constant = formulation.build(data)
    solved = solve_matrix(matrix, gap, constant, deadline_s, warm)
    if solved.x is None:
        return Answer(data, matrix, columns, constant, solved, None, None)
    x = solved.x
    if data.peak:
        x = _least_peak(matrix, columns, x, deadline_s)
    outlook = read_outlook(data, columns, matrix.cost, x, constant)
    idle = None
    if explain:
        fixed, at = _idle(data, columns)
        rest = least(matrix, fixed, at, deadline_s)
        idle = None if rest.x is None else read_outlook(data, columns, matrix.cost, rest.x, constant)
    return Answer(data, matrix, columns, constant, replace(solved, x=x), outlook, idle)


def _least_peak(matrix: Matrix, columns: Columns, x: np.ndarray, deadline_s: float) -> np.ndarray:
    """Return the point of least grid peak whose cost but for cycling is no higher; positions stay."""
    safety = matrix.cost.copy()
    safety[columns.charge] = safety[columns.discharge] = 0.0
    most = float(safety @ x)
    aim = 1e-3 * (matrix.cost - safety)
    aim[columns.peak] = 1.0
    whole = np.flatnonzero(matrix.integer)
    limited = replace(with_limit(matrix, safety, most + 1e-6 * max(abs(most), 1.0)), cost=aim)
    found = least(limited, whole, x[whole], deadline_s)
    return x if found.x is None else found.x


def _idle(data: ShiftData, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and values of doing nothing: devices stay, batteries rest."""
    stays = np.zeros(columns.x.shape)
    stays[np.arange(len(stays)), :, data.devices.held] = 1.0
    fixed = (columns.x, columns.charge, columns.discharge)
    at = (stays, np.zeros(columns.charge.shape), np.zeros(columns.discharge.shape))
    return np.concatenate([part.ravel() for part in fixed]), np.concatenate([part.ravel() for part in at])


def status_of(answer: Answer, whole: bool, report: CheckReport) -> Status:
    """Return the status of an answer whose first step was ordered (``whole``) and checked."""
    assert answer.outlook is not None
    if answer.outlook.beyond_kw[0] > SETPOINT_KW:
        return "infeasible"
    if any(issue.severity == "error" for issue in report.issues) or not whole:
        return "failed"
    if answer.solved.status != "optimal" or answer.outlook.beyond_kw.max() > SETPOINT_KW:
        return "feasible"
    return "optimal"
