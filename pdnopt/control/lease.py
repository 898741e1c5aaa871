"""Who leads: one row in a file that two controllers share, and a token that rises with every change of leader.

No clocks are compared. The leader renews; a standby takes over when it has seen no renewal for ``term_s`` by its own
monotonic clock. A leader believes itself leader for half a term after its last renewal, no longer: one that was stopped
past its lease finds that out before it acts - and if it does not, its token is old and every device refuses it
(`pdnopt.gateway`).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pdnopt.errors import PdnoptError
from pdnopt.protocols.clocks import Clock

__all__ = ["Lease", "LeaseError"]

BUSY_S = 1.0


class LeaseError(PdnoptError, RuntimeError):
    """The lease's file cannot be read or written: nobody may take this controller for the leader."""


class Lease:
    """One controller's view of the lease.

    Parameters
    ----------
    path : Path
        On a disk that all controllers share; made where it does not exist.
    holder : str
        This controller's name, unlike all others'.
    clock : Clock
    term_s : float
        Without a renewal for so long a standby takes over.

    Raises
    ------
    LeaseError
        The file cannot be used.
    """

    def __init__(self, path: str | Path, holder: str, clock: Clock, term_s: float = 10.0) -> None:
        self.path, self.holder, self.clock, self.term_s = Path(path), holder, clock, term_s
        self.token = 0
        self._renewed_s = float("-inf")
        self._seen: tuple[str, int, int] | None = None
        self._seen_s = clock.monotonic_s()
        try:
            self._db = sqlite3.connect(
                self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS lease (one INTEGER PRIMARY KEY CHECK (one = 1), holder TEXT NOT NULL,"
                " token INTEGER NOT NULL, renewals INTEGER NOT NULL) STRICT"
            )
        except sqlite3.Error as error:
            raise LeaseError(
                f"lease {path}: {error}. Give a path on a disk that every controller can write."
            ) from None

    @property
    def leads(self) -> bool:
        """Whether this controller may act now."""
        return self.clock.monotonic_s() - self._renewed_s < self.term_s / 2

    def renew(self) -> bool:
        """Renew, or take over where nobody renews; return whether this controller leads. To be called every ``term_s / 4``.

        Raises
        ------
        LeaseError
        """
        now_s = self.clock.monotonic_s()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            row = self._db.execute("SELECT holder, token, renewals FROM lease").fetchone()
            holder, token, renewals = row or ("", 0, 0)
            mine = holder == self.holder and token == self.token and token > 0
            if (holder, token, renewals) != self._seen:
                self._seen, self._seen_s = (holder, token, renewals), now_s
            # names are unique: at the beginning of a life whoever had this one is its life before
            former_self = holder == self.holder and self.token == 0
            if mine or former_self or not holder or now_s - self._seen_s >= self.term_s:
                token = token if mine else token + 1
                self._db.execute(
                    "INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?)", (self.holder, token, renewals + 1)
                )
                self._db.execute("COMMIT")
                self.token, self._renewed_s = token, now_s
                self._seen, self._seen_s = (self.holder, token, renewals + 1), now_s
                return True
            self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise LeaseError(
                f"lease {self.path}: {error}. This controller stands by until it can be written."
            ) from None
        self._renewed_s = float("-inf")
        return False

    def give_up(self) -> None:
        """Let a standby take over at once."""
        if self.token and self._renewed_s > float("-inf"):
            try:
                self._db.execute(
                    "UPDATE lease SET holder = '' WHERE holder = ? AND token = ?", (self.holder, self.token)
                )
            except sqlite3.Error as error:
                raise LeaseError(f"lease {self.path}: {error}") from None
        self._renewed_s = float("-inf")

    def close(self) -> None:
        """Close the file; the lease runs out."""
        self._db.close()
