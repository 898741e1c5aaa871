"""The switching sheet: what a person reads, step by step, before a command goes out in an area whose mode is Manual."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from typing import Any, TextIO

from pdnopt.executor.procedure import Procedure, Step

__all__ = ["confirm_on_terminal", "sheet", "step_lines"]

YES = ("y", "yes")


def sheet(procedure: Procedure) -> str:
    """Return all steps of a procedure, to print and to tick off."""
    head = f"switching sheet, plan {procedure.plan_hash[:12]}, {len(procedure.steps)} steps"
    lines = [head, *(line for step in procedure.steps for line in step_lines(step))]
    back = [
        f"  if step {number} fails, back: {_words(a)}"
        for number, way in procedure.recovery.items()
        for a in way
    ]
    return "\n".join([*lines, *back])


def step_lines(step: Step) -> list[str]:
    """Return one step, an action a line: device, what it is to do, from what to what, why."""
    lines = [f"step {step.number}, not before {step.send_s:.1f} s, done by {step.done_s:.1f} s"]
    for item in step.actions:
        why = f"   ({item.reason})" if item.reason else ""
        lines.append(f"  [ ] {_words(item)}, now {_value(item.before)}{why}")
    return lines


def confirm_on_terminal(
    step: Step, ask: Callable[[str], str] = input, out: TextIO | None = None
) -> str | None:
    """Show a step and ask whether it may go out; return who has said yes, None for no.

    Without a terminal, or at the end of the input, the answer is no.
    """
    out = out or sys.stdout
    print("\n".join(step_lines(step)), file=out, flush=True)
    try:
        answer = ask("send this step? [y/N] ")
    except (EOFError, OSError):
        return None
    return getpass.getuser() if answer.strip().lower() in YES else None


def _words(item: Any) -> str:
    return f"{item.device}: {item.action} to {_value(item.after)}"


def _value(value: Any) -> str:
    if value is None:
        return "open"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
