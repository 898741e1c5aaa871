"""The journal against SQLite itself: what it says is written is on the disk, and the first error ends it."""

import sqlite3
from pathlib import Path

import pytest

from pdnopt.errors import InputError
from pdnopt.journal import Journal, JournalError, SystemDisk, read_past
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.readings import Quality, Reading


def command(number: int = 1, device: str = "switch:QA") -> Command:
    return Command(f"c{number}", device, "open", False, True, number, 100.0, 110.0, "ab" * 32, 3, "hall")


def reading(value: object, t_s: float = 1.0, device: str = "switch:QA", quantity: str = "closed") -> Reading:
    return Reading(device, quantity, value, Quality.GOOD, t_s, t_s)


class SmallDisk(SystemDisk):
    """A disk with room for so many pages: SQLite itself says that it is full."""

    def __init__(self, pages: int) -> None:
        self.pages = pages

    def connect(self, path: Path) -> sqlite3.Connection:
        db = super().connect(path)
        db.execute(f"PRAGMA max_page_count = {self.pages}")
        return db


class Unsynced(sqlite3.Connection):
    """A connection of which every commit fails from now on, as SQLite tells a failed fsync, and that counts them."""

    commits = 0
    sick = False

    def execute(self, sql: str, *args: object) -> sqlite3.Cursor:  # type: ignore[override]
        if sql == "COMMIT" and self.sick:
            self.commits += 1
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *args)  # type: ignore[arg-type]


class SickDisk:
    def __init__(self) -> None:
        self.db: Unsynced | None = None

    def connect(self, path: Path) -> sqlite3.Connection:
        self.db = sqlite3.connect(path, isolation_level=None, factory=Unsynced)
        return self.db


def test_a_command_is_on_the_disk_before_record_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.record(command())
    other = sqlite3.connect(tmp_path / "j.db")
    assert other.execute("SELECT id, device, sequence FROM command").fetchall() == [("c1", "switch:QA", 1)]
    other.close()
    journal.close()


def test_a_restart_finds_what_is_open(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    for number in (1, 2, 3):
        journal.record(command(number))
    journal.answered("c1", 100.5, "select", Reply(True, ticket=7))
    journal.answered("c1", 100.6, "operate", Reply(False, Refusal.UNREACHABLE))
    journal.ended("c2", 101.0, "refused")
    journal.close()
    again = Journal(tmp_path / "j.db")
    opened = again.open_commands()
    assert [(item.command, item.stages) for item in opened] == [
        (command(1), ("select", "operate")),
        (command(3), ()),
    ]
    assert again.last_sequence("switch:QA") == 3
    assert again.last_sequence("switch:QB") == 0
    again.close()


def test_the_first_word_on_how_a_command_ended_stands(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.record(command())
    journal.ended("c1", 101.0, "done", observed=False)
    journal.ended("c1", 102.0, "unknown")
    journal.close()
    past = read_past(tmp_path / "j.db")
    assert past.table("outcome")["outcome"].tolist() == ["done"]
    past.close()


def test_the_readings_of_a_moment_come_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    assert journal.scan(10.0, [reading(True), reading(4.0, quantity="i_a")]) == 2
    assert journal.scan(15.0, [reading(True, 15.0), reading(4.5, quantity="i_a")]) == 1
    assert journal.scan(20.0, [reading(True, 20.0), reading(4.5, quantity="i_a")]) == 0
    assert journal.scan(25.0, [reading(False, 25.0), reading(4.5, quantity="i_a")]) == 1
    journal.close()
    past = read_past(tmp_path / "j.db")
    seen = {t: {r.quantity: r.value for r in past.readings_at(t)} for t in (9.0, 10.0, 19.0, 30.0)}
    assert seen == {
        9.0: {},
        10.0: {"closed": True, "i_a": 4.0},
        19.0: {"closed": True, "i_a": 4.5},
        30.0: {"closed": False, "i_a": 4.5},
    }
    past.close()


def test_a_full_disk_ends_it_and_nothing_is_tried_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db", SmallDisk(40))
    fill = (journal.record(command(number)) for number in range(10_000))
    with pytest.raises(JournalError, match="full"):
        list(fill)
    other = sqlite3.connect(tmp_path / "j.db")
    written = other.execute("SELECT count(*) FROM command").fetchone()
    with pytest.raises(JournalError, match="full"):
        journal.event(1.0, "small")
    assert other.execute("SELECT count(*) FROM command").fetchone() == written
    assert 0 < written[0] < 10_000
    other.close()
    journal.close()


def test_a_failed_fsync_is_never_tried_again(tmp_path: Path) -> None:
    disk = SickDisk()
    journal = Journal(tmp_path / "j.db", disk)
    assert disk.db is not None
    disk.db.sick = True
    with pytest.raises(JournalError, match="I/O"):
        journal.record(command())
    disk.db.sick = False
    with pytest.raises(JournalError, match="I/O"):
        journal.record(command(2))
    assert disk.db.commits == 1
    journal.close()


def test_a_damaged_journal_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path)
    for number in range(200):
        journal.record(command(number))
    journal.close()
    damaged = bytearray(path.read_bytes())
    damaged[8192:20000] = b"\xa5" * (20000 - 8192)
    path.write_bytes(damaged)
    with pytest.raises(JournalError, match="journal"):
        Journal(path)
    assert path.read_bytes()[8192:20000] == bytes(damaged[8192:20000])


def test_something_else_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, but long enough to be looked at as one\n" * 10)
    with pytest.raises(JournalError):
        Journal(tmp_path / "text")
    for name in ("text", "missing"):
        with pytest.raises(InputError, match="journal"):
            read_past(tmp_path / name)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.set_meta("schema", "99")
    journal.close()
    with pytest.raises(JournalError, match="schema 99"):
        Journal(tmp_path / "j.db")
    with pytest.raises(InputError, match="schema 99"):
        read_past(tmp_path / "j.db")


def test_alarms_are_acknowledged_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    number = journal.alarm_raised("ups:A/off", 5.0, "ups:A", "off", "critical", "UPS off", "look at it")
    assert journal.alarm_acknowledged(number, 6.0, "ann")
    assert not journal.alarm_acknowledged(number, 7.0, "bob")
    journal.alarm_ended(number, 8.0)
    [row] = journal.alarms()
    assert (row["acknowledged_by"], row["acknowledged_s"], row["ended_s"]) == ("ann", 6.0, 8.0)
    assert journal.alarms(only_open=True) == []
    journal.close()


def test_export_is_what_the_tables_hold(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    journal = Journal(tmp_path / "j.db")
    journal.record(command())
    journal.scan(10.0, [reading(True)])
    journal.event(11.0, "mode", area="hall", mode="automatic")
    journal.forecast(12.0, {"load:1": [1.0, 2.0]})
    journal.close()
    past = read_past(tmp_path / "j.db")
    written = past.export(tmp_path / "out")
    assert {path.name for path in written} >= {"command.parquet", "scan.parquet", "alarm.parquet"}
    assert pd.read_parquet(tmp_path / "out" / "command.parquet")["id"].tolist() == ["c1"]
    assert pd.read_parquet(tmp_path / "out" / "forecast.parquet")["body"].tolist() == ['{"load:1":[1.0,2.0]}']
    assert list(past.events()) == [(11.0, "mode", {"area": "hall", "mode": "automatic"})]
    past.close()
