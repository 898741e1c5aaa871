"""Means of what was measured: by hand sums; gaps where a mean would be of another time; a disk that fails."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pdnopt.node.measurements import Measurements

STEP_S = 100


def rows(path: Path) -> list[tuple[int, str, float]]:
    file = sqlite3.connect(path)
    found = file.execute("SELECT begin_s, circuit, kw FROM means ORDER BY begin_s, circuit").fetchall()
    file.close()
    return found


@pytest.fixture
def kept(tmp_path: Path) -> Measurements:
    return Measurements(tmp_path / "m.db", STEP_S, keep_s=1000.0)


def feed(
    kept: Measurements, begin_s: int, end_s: int, kw: float, every_s: int = 10, offset_s: float = 0.0
) -> None:
    for now_s in range(begin_s, end_s, every_s):
        kept.add(now_s + offset_s, float(now_s), {"load:A": kw})


def test_mean_by_hand(kept: Measurements) -> None:
    """From 0 to 30 s 2 kW, then 6 kW to the end of the step: the first look stands for no time, so 3 x 2 and 6 x 6."""
    feed(kept, 0, 40, 2.0)
    feed(kept, 40, 110, 6.0)
    kept.close()
    assert rows(kept.path) == [(0, "load:A", pytest.approx((3 * 2.0 + 6 * 6.0) / 9))]


def test_half_an_interval_is_a_gap(kept: Measurements) -> None:
    feed(kept, 60, 210, 5.0)  # the first interval was seen for 30 s of 100
    kept.close()
    assert [row[0] for row in rows(kept.path)] == [100]


def test_meter_that_is_silent_for_most_of_it_is_a_gap(kept: Measurements) -> None:
    for now_s in range(0, 110, 10):
        kept.add(float(now_s), float(now_s), {"load:A": 1.0} | ({"load:B": 1.0} if now_s < 40 else {}))
    kept.close()
    assert [row[1] for row in rows(kept.path)] == ["load:A"]


def test_pause_is_not_filled_with_its_last_sample(kept: Measurements) -> None:
    """A process that was stopped for 80 s knows nothing of them: at most a quarter of a step is counted."""
    kept.add(0.0, 0.0, {"load:A": 1.0})
    kept.add(10.0, 10.0, {"load:A": 1.0})
    kept.add(90.0, 90.0, {"load:A": 9.0})
    kept.add(101.0, 101.0, {"load:A": 9.0})
    kept.close()
    assert rows(kept.path) == []  # 10 + 25 s of 100


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0, 30.0])
def test_clock_jump_makes_a_gap(kept: Measurements, jump_s: float) -> None:
    feed(kept, 10_000, 10_060, 1.0)
    feed(kept, 10_060, 10_210, 1.0, offset_s=jump_s)
    kept.close()
    assert kept.jumps == 1
    begins = {row[0] for row in rows(kept.path)}
    assert 10_000 not in begins
    assert all(abs(begin - jump_s - 10_100) <= STEP_S for begin in begins)


def test_old_means_are_removed(kept: Measurements) -> None:
    feed(kept, 0, 2000, 1.0)
    kept.close()
    assert min(row[0] for row in rows(kept.path)) == 1800 - 1000


def test_disk_full_costs_nothing_that_fits_later(kept: Measurements) -> None:
    feed(kept, 0, 210, 1.0)
    assert kept._file is not None
    kept._file.execute(f"PRAGMA max_page_count={kept._file.execute('PRAGMA page_count').fetchone()[0]}")
    for k in range(400):  # SQLite itself says "database or disk is full"
        kept._waiting.append((k * 7, f"load:{'x' * 200}{k}", 1.0))
    feed(kept, 210, 310, 1.0)
    assert "full" in kept.trouble
    feed(kept, 310, 410, 1.0)  # there is room again
    assert kept.trouble == ""
    kept.close()
    assert [row[0] for row in rows(kept.path) if row[1] == "load:A"] == [0, 100, 200, 300]


def test_damaged_file_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    path.write_bytes(b"this is no database" * 100)
    kept = Measurements(path, STEP_S, 1000.0)
    feed(kept, 0, 110, 1.0)
    kept.close()
    assert len(rows(path)) == 1
    assert (tmp_path / "m.db.damaged").exists()


def test_survives_a_restart(tmp_path: Path) -> None:
    for begin_s in (0, 300):
        kept = Measurements(tmp_path / "m.db", STEP_S, 1000.0)
        feed(kept, begin_s, begin_s + 210, 1.0)
        kept.close()
    assert [row[0] for row in rows(tmp_path / "m.db")] == [0, 100, 300, 400]
