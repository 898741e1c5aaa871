"""Carries a verified plan out, step by step, and stops at the first thing that is not as expected."""

from pdnopt.executor.executing import Executor
from pdnopt.executor.execution import Execution, State
from pdnopt.executor.modes import Mode, Modes
from pdnopt.executor.paths import Paths
from pdnopt.executor.procedure import Procedure, Step, procedure_of
from pdnopt.executor.recovery import recoveries
from pdnopt.executor.sheet import confirm_on_terminal, sheet

__all__ = [
    "Execution",
    "Executor",
    "Mode",
    "Modes",
    "Paths",
    "Procedure",
    "State",
    "Step",
    "confirm_on_terminal",
    "procedure_of",
    "recoveries",
    "sheet",
]
