"""Six runs of the campaign (tests/benchmarks/campaign.py), short: nothing trips under pdnopt where a safe plan existed."""

from __future__ import annotations

import pytest

from tests.benchmarks import campaign

RUN_S = 90.0
"""Longer than the budget of a UPS at up to 150 %: what is not relieved trips."""


@pytest.mark.parametrize("case", ["hall_4n3", "ring_bus", "micro_ats_row"])
def test_nothing_trips_where_a_safe_plan_existed(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "RUN_S", RUN_S)
    name = {"hall_4n3": "ups:UPS-C", "ring_bus": "line:cable 5", "micro_ats_row": "line:cable A"}[case]
    known = [item for names in campaign._components(case).values() for item in names]
    assert name in known or case == "micro_ats_row"
    failed = (name if name in known else known[0],)
    job = campaign.Job(1, case, 0.95 if case != "micro_ats_row" else 0.70, failed)
    rows = {row["way"]: row for row in campaign.play(job, ("nobody", "pdnopt"))}
    assert rows["pdnopt"]["safe"]
    assert rows["pdnopt"]["trips"] == []
    critical = [rows[way]["unserved_kwh"].get("1", 0.0) for way in ("pdnopt", "nobody")]
    assert critical[0] <= critical[1] + 1e-6
