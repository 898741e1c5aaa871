"""``Journal``: one SQLite connection, write-ahead log, synchronous FULL. What a method has written when it returns is safe.

The first error of the disk ends it: every later call raises the same JournalError at once, and nothing is tried again.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pdnopt.journal.disk import Disk, JournalError, SystemDisk
from pdnopt.journal.schema import CREATE, VERSION
from pdnopt.protocols.commands import Command, Reply
from pdnopt.protocols.readings import Reading

__all__ = ["Journal", "OpenCommand", "reading_row"]

WHOLE_EVERY = 120
"""Every so many scans all readings are written, so that a moment is found again without reading all before it."""


@dataclass(frozen=True)
class OpenCommand:
    """A command of which the journal does not know how it ended; ``stages`` are the stages that were answered."""

    command: Command
    stages: tuple[str, ...]


class Journal:
    """Append to, and go on with, a journal.

    Parameters
    ----------
    path : Path
        Made where it does not exist; its folder must exist.
    disk : Disk, optional

    Raises
    ------
    JournalError
        It cannot be opened, is damaged, or is of another version. It is then left as it is.
    """

    def __init__(self, path: str | Path, disk: Disk | None = None) -> None:
        self.path = Path(path)
        self.failure: str = ""
        self._seen: dict[tuple[str, str, str], tuple[Any, str]] = {}
        self._scans = 0
        self._changes = 0
        with self._fatal("opening"):
            self._db = (disk or SystemDisk()).connect(self.path)
            self._open()

    def _open(self) -> None:
        db = self._db
        db.execute("PRAGMA journal_mode=WAL").fetchone()
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA foreign_keys=ON")
        found = [row[0] for row in db.execute("PRAGMA quick_check(1)")]
        if found != ["ok"]:
            raise sqlite3.DatabaseError(f"it is damaged: {found[0]}")
        if not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            db.execute("BEGIN IMMEDIATE")
            for statement in CREATE:
                db.execute(statement)
            db.execute("INSERT INTO meta VALUES ('schema', ?)", (str(VERSION),))
            db.execute("COMMIT")
        version = self.meta("schema")
        if version != str(VERSION):
            raise sqlite3.DatabaseError(f"it has schema {version}, this pdnopt writes {VERSION}")

    @contextmanager
    def _fatal(self, what: str) -> Iterator[None]:
        """Turn an error of the disk into JournalError, and remember it for every later call."""
        if self.failure:
            raise JournalError(self.failure)
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self.failure = (
                f"journal {self.path}: {what} failed: {error}. No commands are sent. Make room or replace the disk, keep"
                " this file for analysis, and start again with a sound journal."
            )
            raise JournalError(self.failure) from error

    @contextmanager
    def _transaction(self, what: str) -> Iterator[sqlite3.Connection]:
        with self._fatal(what):
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
            self._changes += 1

    def close(self) -> None:
        """Close the file; a journal that failed is closed as far as it can be."""
        try:
            self._db.close()
        except sqlite3.Error as error:
            self.failure = self.failure or str(error)

    # --- facts of the whole journal

    def meta(self, name: str) -> str | None:
        """Return a fact, None where it is not known."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        """Write a fact."""
        with self._transaction("writing a fact") as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    # --- what was seen, expected, decided

    def scan(self, t_s: float, readings: Iterable[Reading]) -> int:
        """Write the readings of one moment - those that say something new - and return how many these are.

        A scan in which nothing is new writes nothing. Stamps alone are not news.
        """
        whole = self._scans % WHOLE_EVERY == 0
        rows = []
        for item in readings:
            key, told = (item.device, item.quantity, item.path), (item.value, str(item.quality))
            if whole or self._seen.get(key) != told:
                self._seen[key] = told
                rows.append(reading_row(item))
        self._scans += 1
        if rows or whole:
            body = zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 1)
            with self._transaction("writing readings") as db:
                db.execute("INSERT INTO scan (t_s, whole, body) VALUES (?, ?, ?)", (t_s, int(whole), body))
        return len(rows)

    def event(self, t_s: float, kind: str, **body: Any) -> None:
        """Write what was decided, and why."""
        with self._transaction("writing an event") as db:
            db.execute("INSERT INTO event (t_s, kind, body) VALUES (?, ?, ?)", (t_s, kind, json.dumps(body)))

    def forecast(self, t_s: float, body: Mapping[str, Any]) -> None:
        """Write a forecast: plain JSON."""
        packed = zlib.compress(json.dumps(body, separators=(",", ":")).encode(), 1)
        with self._transaction("writing a forecast") as db:
            db.execute("INSERT INTO forecast (t_s, body) VALUES (?, ?)", (t_s, packed))

    def plan(
        self, t_s: float, plan_hash: str, problem: str, trigger: str, status: str, fingerprint: str, body: str
    ) -> None:
        """Write a plan (``Plan.to_json``), for which state it is, and what came of it ("verified", "refused", ...)."""
        row = (t_s, plan_hash, problem, trigger, status, fingerprint, body)
        with self._transaction("writing a plan") as db:
            db.execute(
                "INSERT INTO plan (t_s, hash, problem, trigger, status, fingerprint, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    # --- commands

    def record(self, command: Command) -> None:
        """Write a command that is about to be sent. Only when this has returned may it be selected."""
        row = (
            command.id,
            command.issued_s,
            command.device,
            command.sequence,
            command.plan_hash,
            command.fencing,
        )
        body = json.dumps(asdict(command))
        with self._transaction("writing a command") as db:
            db.execute("INSERT INTO command VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, body))

    def answered(self, command_id: str, t_s: float, stage: str, reply: Reply) -> None:
        """Write what came back for a ``stage`` ("select", "operate") of a command."""
        refusal = "" if reply.refusal is None else str(reply.refusal)
        with self._transaction("writing an answer") as db:
            db.execute(
                "INSERT INTO stage (command, t_s, stage, accepted, refusal, detail) VALUES (?, ?, ?, ?, ?, ?)",
                (command_id, t_s, stage, int(reply.accepted), refusal, reply.detail),
            )

    def ended(
        self, command_id: str, t_s: float, outcome: str, observed: Any = None, detail: str = ""
    ) -> None:
        """Write how a command ended: "done", "refused", "not taken", "unknown", "dropped". The first word stands."""
        with self._transaction("writing an outcome") as db:
            db.execute(
                "INSERT OR IGNORE INTO outcome VALUES (?, ?, ?, ?, ?)",
                (command_id, t_s, outcome, json.dumps(observed), detail),
            )

    def open_commands(self) -> list[OpenCommand]:
        """Return the commands without an outcome, in the order in which they were written."""
        found = self._db.execute(
            "SELECT id, body FROM command WHERE id NOT IN (SELECT command FROM outcome) ORDER BY rowid"
        ).fetchall()
        stages = self._db.execute("SELECT command, stage FROM stage ORDER BY id").fetchall()
        return [
            OpenCommand(Command(**json.loads(body)), tuple(stage for who, stage in stages if who == name))
            for name, body in found
        ]

    def last_sequence(self, device: str) -> int:
        """Return the highest sequence number that was written for a device; 0 for none."""
        row = self._db.execute("SELECT max(sequence) FROM command WHERE device = ?", (device,)).fetchone()
        return int(row[0] or 0)

    # --- alarms

    def alarm_raised(
        self, key: str, t_s: float, device: str, kind: str, severity: str, text: str, recommended: str
    ) -> int:
        """Write a new alarm and return its number."""
        with self._transaction("writing an alarm") as db:
            done = db.execute(
                "INSERT INTO alarm (key, t_s, device, kind, severity, text, recommended) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key, t_s, device, kind, severity, text, recommended),
            )
        assert done.lastrowid is not None
        return int(done.lastrowid)

    def alarm_ended(self, number: int, t_s: float) -> None:
        """Write that an alarm is over."""
        with self._transaction("writing an alarm") as db:
            db.execute("UPDATE alarm SET ended_s = ? WHERE id = ? AND ended_s IS NULL", (t_s, number))

    def alarm_acknowledged(self, number: int, t_s: float, who: str) -> bool:
        """Write who has seen an alarm; return whether there was one that nobody had seen."""
        with self._transaction("writing an alarm") as db:
            done = db.execute(
                "UPDATE alarm SET acknowledged_s = ?, acknowledged_by = ? WHERE id = ? AND acknowledged_s IS NULL",
                (t_s, who, number),
            )
        return done.rowcount == 1

    def alarms(self, *, only_open: bool = False) -> list[dict[str, Any]]:
        """Return alarms, the newest last."""
        where = " WHERE ended_s IS NULL" if only_open else ""
        with self._fatal("reading alarms"):
            cursor = self._db.execute(f"SELECT * FROM alarm{where} ORDER BY id")
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]


def reading_row(item: Reading) -> list[Any]:
    """Return a reading as a row of plain JSON."""
    return [
        item.device,
        item.quantity,
        item.value,
        str(item.quality),
        item.stamp_s,
        item.received_s,
        item.path,
        item.detail,
    ]
