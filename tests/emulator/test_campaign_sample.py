"""A sample of the campaign (tests/benchmarks/campaign.py), short: nothing trips under pdnopt where a safe plan existed."""

from __future__ import annotations

import pytest

from tests.benchmarks import campaign

RUN_S = 75.0
"""Longer than a UPS holds up to 150 %: what nobody relieves trips."""


@pytest.mark.parametrize(
    ("case", "level", "failed"),
    [
        ("hall_4n3", 0.95, ("ups:UPS-C",)),
        ("ring_bus", 0.92, ("line:cable 5",)),
        ("ring_bus", 0.88, ("ups:P2",)),
        ("micro_ats_row", 0.70, ("ups:UPS-B",)),
        ("micro_ats_row", 0.68, ("ups:UPS-A",)),
        ("hall_4n3", 0.93, ("bus:UPS out A",)),
    ],
)
def test_nothing_trips_where_a_safe_plan_existed(
    case: str, level: float, failed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "RUN_S", RUN_S)
    rows = {
        row["way"]: row for row in campaign.play(campaign.Job(1, case, level, failed), ("nobody", "pdnopt"))
    }
    nobody, ours = rows["nobody"], rows["pdnopt"]
    assert ours["safe"]
    assert ours["trips"] == []
    assert ours["unserved_kwh"]["1"] <= nobody["unserved_kwh"]["1"] + 1e-6


def test_the_same_seed_draws_the_same_runs_of_every_kind() -> None:
    jobs = [campaign.job_of(seed) for seed in range(60)]
    assert jobs == [campaign.job_of(seed) for seed in range(60)]
    assert {job.case for job in jobs} == set(campaign.CASES)
    assert all(0.85 <= job.level <= 0.95 for job in jobs)
    assert {len(job.failed) for job in jobs} == {1, 2}
    assert len({name.partition(":")[0] for job in jobs for name in job.failed}) >= 5
