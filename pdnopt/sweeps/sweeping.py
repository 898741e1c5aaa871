"""The sweep itself: which contingencies, who solves them, what follows without solving, and the table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import fields, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from pdnopt import __version__
from pdnopt.errors import InputError, Issue
from pdnopt.plant.demand import Demand, read_demand
from pdnopt.plant.fingerprint import fingerprint
from pdnopt.plant.grid import read_grid
from pdnopt.problem import find_formulation
from pdnopt.session import Options
from pdnopt.sweeps.components import contingencies
from pdnopt.sweeps.contest import Contest, Ledger, Meter, Progress
from pdnopt.sweeps.crews import assemble
from pdnopt.sweeps.job import SERIES, Job
from pdnopt.sweeps.load_cases import LoadCases, read_load_cases
from pdnopt.sweeps.outages import Outages
from pdnopt.sweeps.pairs import Parts
from pdnopt.sweeps.pruning import Pruner
from pdnopt.sweeps.rows import COLUMNS, CRASHED, PLAN_COLUMNS
from pdnopt.sweeps.store import Store
from pdnopt.validation import validate

__all__ = ["sweep"]

PROVED_FOR = "reroute"
"""The problem that what `pairs` says of two failures is proved for."""

SINGLES = "_singles"
"""Folder beside the rows of pairs."""


def sweep(
    net: Any,
    k: int = 1,
    components: Sequence[str] | str | None = None,
    problem: str = "reroute",
    progress: Progress | None = None,
    *,
    loads: pd.DataFrame | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    resume: str | Path | None = None,
    plans: bool = False,
    **keywords: Any,
) -> pd.DataFrame:
    """Solve every contingency of ``k`` components and return one row each.

    Parameters
    ----------
    net : pandapowerNet
        Never changed.
    k : int
        Components that fail together, 1 or 2.
    components : sequence of str, "all" or None
        Names of components or of tables ("ups") that may fail; "all": every one; None: all but final rack circuits
        (a bus that feeds one unit only, and what leads to it).
    problem : str
        A registered formulation.
    progress : callable, optional
        Called with (rows done, rows in all, contingency done last) at the beginning and whenever a row is there. While
        pairs are pruned the single failures that are solved for it count as rows.
    loads : DataFrame, optional
        One row a contingency *and load case*: indexed like net.load (rows left out keep the table's value), values in
        kW, one column a case: quantiles, samples, or a MultiIndex (step, scenario).
    workers : int, optional
        Processes on this machine. 1: none but this one. None: this one at first, and as many as there are processors
        from when the work left is seen to be worth their start.
    cluster : str, optional
        Address of a Dask scheduler, ``tcp://host:port``, in place of processes on this machine (extra ``cluster``). Dask
        trusts its peers: use a cluster of your own.
    resume : str or Path, optional
        A folder, for instance ``out/sweep.parquet``, that keeps the rows as they come, as Parquet files
        (``pandas.read_parquet`` of the folder reads them; extra ``parquet``). A second call with the same network and
        keywords solves only what is missing there; with another network or keywords it is refused. What a killed sweep
        loses is what was done in the last 5 s.
    plans : bool
        Add the columns ``plan`` (what `Plan.from_json` reads) and ``result`` (JSON of `Result.to_dict` without plan and
        timings). Every contingency is then solved; nothing is shared or pruned.
    **keywords
        Of :class:`pdnopt.session.Options`, ``failed`` left out; ``explain`` is False unless given.

    Returns
    -------
    DataFrame
        In order of contingencies, then load cases, whoever solved them. First the columns ``COLUMNS``.
        ``status``: of the result; "crashed" where every worker process that was given the contingency died.
        ``margin_kw``: what the most loaded component could still carry at the end (kVA where it is rated in kVA,
        negative beyond its limit); ``deadline_s``: when the first overload, battery or fuel that the failure started
        would be gone if nobody acted (inf: none); ``plan_s``: when the plan's last action is done (0: none is needed);
        ``total_s``: time of its solve (of its check where it is shared, 0 where it is pruned).
        Then ``unserved_p2_kw`` and so on for the other priorities; with ``loads`` the column ``load_case``, or one column
        a level of the MultiIndex (its name, or "step", "scenario"); and

        - ``answer``: "solved"; "shared": this contingency leaves the plant in the very state of ``same_as`` (a bus, and a
          line in the same protective zone), so that its plan answers this one too, as the checker confirmed by name;
          "pruned": the answer follows from those of the two failures alone, without solving (`pdnopt.sweeps.pairs` says
          when, and what is proved); "crashed".
        - ``same_as``: the contingency whose plan it shares.

        ``frame.attrs``: ``pruned``, ``shared``, ``crashed``, ``resumed``: numbers of rows; ``singles``: single failures
        solved besides, to prune pairs with; ``load_case``: the columns that say which load case a row is of.

    Raises
    ------
    InputError
        For bad networks, names and keywords, all at once; a cluster that does not answer; a folder of another sweep.
    PdnoptError
        Workers that cannot be started, a cluster that breaks down.
    """
    job = _job(problem, plans, keywords, k)
    if job.keywords["validate"]:
        errors = [issue for issue in validate(net) if issue.severity == "error"]
        if errors:
            raise InputError(errors)
    names = contingencies(net, components)
    grid = read_grid(net)
    demand = read_demand(net, grid)
    cases = _load_cases(demand, loads, job)
    job = replace(job, loads=cases.loads)
    contest = Contest(list(combinations(names, k)), cases)
    outages = Outages(net, grid, demand)
    priorities = sorted({int(p) for p in demand.priority})
    with ExitStack() as stack:

        def store_at(folder: str) -> Store | None:
            if resume is None:
                return None
            return stack.enter_context(Store(Path(resume) / folder, _signature(net, k, names, job)))

        ledger = Ledger(contest, store_at(""))
        meter = Meter(progress, contest, ledger.resumed)
        crew = stack.enter_context(closing(assemble(net, job, workers, cluster, priorities)))
        singles = 0
        if k == 2 and _prunable(job):
            pruner = Pruner(contest, Parts(net, grid, outages), job.keywords["latency_s"])
            if pruner.pays and pruner.missing(ledger):
                aid = Ledger(pruner.singles, store_at(SINGLES))
                todo = aid.missing(pruner.singles.tasks(outages, share=True))
                singles = sum(len(task.numbers) for task in todo)
                meter.expect(singles)
                for row in crew.run(todo):
                    aid.add(row, meter)
                for row in pruner.rows(ledger, aid):
                    ledger.add(row, meter)
        pruned = {number for number, row in ledger.rows.items() if row["answer"] == "pruned"}
        for row in crew.run(ledger.missing(contest.tasks(outages, not plans, pruned))):
            ledger.add(row, meter)
    return _frame(ledger, priorities, plans, singles)


def _job(problem: str, plans: bool, keywords: dict[str, Any], k: int) -> Job:
    """Return what is asked, each keyword of `Options` with its value. Raises InputError for bad ones, all at once."""
    issues = []
    if k not in (1, 2):
        issues.append(
            Issue("Range", "sweep(k=...)", "", k, "1 or 2", "Choose how many components fail together.")
        )
    if "failed" in keywords:
        todo = "Name what may fail in components."
        issues.append(
            Issue("UnknownField", "sweep(failed=...)", "", "failed", "not a keyword of sweep", todo)
        )
    options = None
    try:
        find_formulation(problem)
        options = Options().but({"explain": False, **keywords})
    except InputError as error:
        issues += error.issues
    if issues or options is None:
        raise InputError(issues)
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    return Job(problem, {name: value for name, value in values.items() if name != "failed"}, plans=plans)


def _load_cases(demand: Demand, loads: Any, job: Job) -> LoadCases:
    if loads is not None and job.keywords["p_load_kw"] is not None:
        todo = "Leave one of them out: every load case says what the loads are."
        raise InputError(Issue("Conflict", "sweep(p_load_kw=...)", "", "a Series", "None with loads", todo))
    return read_load_cases(demand, loads)


def _prunable(job: Job) -> bool:
    """Whether `pairs` is proved for what is asked, and no plan of its own is wanted for every pair."""
    own = job.keywords["minimize"] is not None or job.keywords["extend"] is not None
    return job.problem == PROVED_FOR and not own and not job.plans


def _signature(net: Any, k: int, names: Sequence[str], job: Job) -> dict[str, str]:
    """Return what the rows of a sweep depend on, by what it is called. Raises InputError where that cannot be said."""
    keywords = dict(job.keywords)
    if keywords.pop("extend") is not None:
        todo = "Leave one of them out."
        raise InputError(
            Issue("Conflict", "sweep(resume=...)", "", "extend=...", "keywords that can be compared", todo)
        )
    series = [keywords.pop(name) for name in SERIES]
    told = [None if one is None else [list(map(str, one.index)), list(map(float, one))] for one in series]
    cases = [[list(map(str, one.index)), list(map(float, one))] for one in job.loads]
    return {
        "pdnopt's version": __version__,
        "the network": fingerprint(net),
        "the contingencies": _digest([k, list(names)]),
        "the loads": _digest([told, cases]),
        "the keywords": json.dumps([job.problem, job.plans, keywords], default=str),
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _frame(ledger: Ledger, priorities: Sequence[int], plans: bool, singles: int) -> pd.DataFrame:
    """Return the table, in the order of the contest."""
    columns = [
        *COLUMNS,
        *(f"unserved_p{p}_kw" for p in priorities if p != 1),
        *ledger.contest.cases.columns,
        "answer",
        "same_as",
        *(PLAN_COLUMNS if plans else ()),
    ]
    frame = pd.DataFrame([ledger.rows[number] for number in sorted(ledger.rows)], columns=columns)
    counts = {name: int((frame["answer"] == name).sum()) for name in ("pruned", "shared", CRASHED)}
    frame.attrs.update(
        counts, resumed=ledger.resumed, singles=singles, load_case=ledger.contest.cases.columns
    )
    return frame
