"""``Desk``: answers questions about one plant with sessions that are compiled once; in this process, whichever it is."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pdnopt.control.picture import Numbers, with_numbers, with_shares
from pdnopt.errors import PdnoptError
from pdnopt.plan import Plan
from pdnopt.result import Result
from pdnopt.session import Session

__all__ = ["Answer", "Ask", "Desk"]


@dataclass(frozen=True)
class Ask:
    """A question, as plain JSON values.

    Attributes
    ----------
    problem : str
    numbers : dict
        `pdnopt.control.picture.Numbers` of the moment.
    failed : tuple of str
    time_limit_s : float
        After this the best plan so far is the answer.
    risk, loads : dict or None
        Index, columns and values of the frame that ``solve`` takes.
    keywords : dict
        More of `pdnopt.session.Options`.
    """

    problem: str
    numbers: Numbers
    failed: tuple[str, ...] = ()
    time_limit_s: float = 1.0
    risk: Mapping[str, Any] | None = None
    loads: Mapping[str, Any] | None = None
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it as one line."""
        return json.dumps(vars(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Ask:
        """Read what `to_json` wrote."""
        data = json.loads(text)
        return Ask(**{**data, "failed": tuple(data["failed"])})


@dataclass(frozen=True)
class Answer:
    """What came of a question.

    ``status`` is one of `Result`'s, or "late" (killed at the deadline), "died", "error". ``plan`` is None where there is
    none that was verified where it was made; whoever wants to carry it out checks it again.
    """

    status: str
    plan: Plan | None = None
    unserved_kw: float = float("nan")
    unserved_by_priority: Mapping[int, float] = field(default_factory=dict)
    unservable: tuple[str, ...] = ()
    took_s: float = 0.0
    why: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there is a plan."""
        return self.plan is not None

    def to_json(self) -> str:
        """Return it as one line."""
        data = {**vars(self), "plan": None if self.plan is None else self.plan.to_json()}
        return json.dumps(data, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Answer:
        """Read what `to_json` wrote."""
        data = json.loads(text)
        plan = None if data["plan"] is None else Plan.from_json(data["plan"])
        served = {int(k): v for k, v in data["unserved_by_priority"].items()}
        return Answer(
            **{
                **data,
                "plan": plan,
                "unserved_by_priority": served,
                "unservable": tuple(data["unservable"]),
            }
        )


class Desk:
    """Sessions of one plant.

    Parameters
    ----------
    net : pandapowerNet
        As given, validated; `Ask.numbers` change it.
    """

    def __init__(self, net: Any) -> None:
        self.net = with_shares(net)
        self._sessions: dict[str, Session] = {}

    def answer(self, ask: Ask) -> Answer:
        """Solve. What goes wrong is told in the answer."""
        began = time.perf_counter()
        try:
            return _told(self._solve(ask), time.perf_counter() - began)
        except PdnoptError as error:
            return Answer("error", took_s=time.perf_counter() - began, why=str(error))

    def _solve(self, ask: Ask) -> Result:
        net = with_numbers(self.net, ask.numbers)
        session = self._sessions.get(ask.problem)
        if session is None:
            session = Session(net, ask.problem, validate=False, **_plain(ask.problem))
            self._sessions[ask.problem] = session
        else:
            session.update(net)
        keywords = dict(ask.keywords)
        if ask.problem == "reroute":
            keywords["failed"] = ask.failed
        for name in ("risk", "loads"):
            table = getattr(ask, name)
            if table is not None:
                keywords[name] = frame_of(table)
        return session.solve(time_limit_s=ask.time_limit_s, **keywords)


def frame_of(table: Mapping[str, Any]) -> Any:
    """Return the frame that was told as index, columns and values."""
    import pandas as pd

    columns = [tuple(c) if isinstance(c, list) else c for c in table["columns"]]
    names = pd.MultiIndex.from_tuples(columns) if columns and isinstance(columns[0], tuple) else columns
    return pd.DataFrame(table["values"], index=table["index"], columns=names)


def _plain(problem: str) -> dict[str, Any]:
    return {"explain": False} if problem == "reroute" else {}


def _told(result: Result, took_s: float) -> Answer:
    summary = {
        "objective": dict(result.objective),
        "gap": dict(result.gap),
        "interrupted_kw": result.interrupted_kw,
        "first_plan_s": result.timings.get("first_plan_s"),
        "notes": list(result.notes),
        "bill": dict(result.bill),
    }
    return Answer(
        result.status,
        result.plan if result.ok else None,
        result.unserved_kw,
        dict(result.unserved_by_priority),
        result.unservable,
        took_s,
        "; ".join(str(issue) for issue in result.issues[:3]),
        summary,
    )
