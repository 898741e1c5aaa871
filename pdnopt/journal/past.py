"""``Past``: a journal that is only read - what was known at a moment, and everything as tables."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdnopt.errors import InputError, Issue
from pdnopt.journal.schema import TABLES, VERSION
from pdnopt.protocols.readings import Quality, Reading

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Past", "read_past"]

PACKED = ("scan", "forecast")


@dataclass(frozen=True)
class Past:
    """What a journal holds. Reading it disturbs no controller that writes it."""

    path: Path
    connection: sqlite3.Connection

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def meta(self, name: str) -> str | None:
        """Return a fact of the whole journal."""
        row = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def span_s(self) -> tuple[float, float]:
        """Return the times of the first and of the last scan, UTC; (nan, nan) without one."""
        first, last = self.connection.execute("SELECT min(t_s), max(t_s) FROM scan").fetchone()
        return (float("nan"), float("nan")) if first is None else (float(first), float(last))

    def readings_at(self, t_s: float) -> list[Reading]:
        """Return the latest reading of everything at a moment."""
        row = self.connection.execute(
            "SELECT max(id) FROM scan WHERE whole = 1 AND t_s <= ?", (t_s,)
        ).fetchone()
        if row[0] is None:
            return []
        found: dict[tuple[str, str, str], Reading] = {}
        for (body,) in self.connection.execute(
            "SELECT body FROM scan WHERE id >= ? AND t_s <= ? ORDER BY id", (row[0], t_s)
        ):
            for item in map(_reading, json.loads(zlib.decompress(body))):
                found[item.device, item.quantity, item.path] = item
        return list(found.values())

    def scans(self) -> Iterator[tuple[float, list[Reading]]]:
        """Yield time and what was new of every scan, the oldest first."""
        for t_s, body in self.connection.execute("SELECT t_s, body FROM scan ORDER BY id"):
            yield float(t_s), [_reading(row) for row in json.loads(zlib.decompress(body))]

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of `journal.schema`, packed columns as JSON text."""
        import pandas as pd

        cursor = self.connection.execute(f"SELECT * FROM {_known(name)}")
        names = [column[0] for column in cursor.description]
        frame = pd.DataFrame(cursor.fetchall(), columns=names)
        if name in PACKED:
            frame["body"] = [zlib.decompress(body).decode() for body in frame["body"]]
        return frame

    def export(self, folder: Path) -> list[Path]:
        """Write every table as a Parquet file and return their paths. Needs the extra "parquet"."""
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            todo = "pip install 'pdnopt[parquet]'"
            raise InputError(Issue("Missing", "export", "", "pyarrow", "the extra 'parquet'", todo)) from None
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for name in TABLES:
            path = folder / f"{name}.parquet"
            self.table(name).to_parquet(path, index=False)
            written.append(path)
        return written

    def events(self) -> Iterator[tuple[float, str, dict[str, Any]]]:
        """Yield time, kind and body of every event, the oldest first."""
        for t_s, kind, body in self.connection.execute("SELECT t_s, kind, body FROM event ORDER BY id"):
            yield float(t_s), str(kind), json.loads(body)


def _reading(row: list[Any]) -> Reading:
    """Return what `journal.book.reading_row` wrote."""
    device, quantity, value, quality, stamp_s, received_s, path, detail = row
    return Reading(device, quantity, value, Quality(quality), stamp_s, received_s, path, detail)


def _known(name: str) -> str:
    if name not in TABLES:
        raise InputError(
            Issue("InvalidName", "table", "", name, f"one of {', '.join(TABLES)}", "Correct the name.")
        )
    return name


def read_past(path: str | Path) -> Past:
    """Open a journal to read it.

    Raises
    ------
    InputError
        There is none, or it is not one that this pdnopt reads.
    """
    path = Path(path)
    wrong = ""
    if not path.is_file():
        wrong = "no such file"
    else:
        try:
            db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            past = Past(path, db)
            if past.meta("schema") == str(VERSION):
                return past
            wrong = f"schema {past.meta('schema')}"
            db.close()
        except sqlite3.Error as error:
            wrong = str(error)
    todo = "Give the journal that `pdnopt run` has written."
    raise InputError(
        Issue("File", "journal", str(path), wrong, f"a journal of schema {VERSION}", todo)
    ) from None
