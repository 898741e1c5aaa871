"""The tables of a journal, and their version.

Rows are only ever added; the two exceptions are an alarm that ends or is acknowledged, and ``meta``.

=============  ===============================================================================
``meta``       one row a fact of the whole journal: schema version, network, who wrote it
``scan``       readings of one moment: all of them (``whole`` 1), or those that changed since
``event``      what was decided and why: modes, leadership, what was held, maintenance
``forecast``   loads that were expected
``plan``       every plan that was considered, with the finger of the state that it is for
``command``    before it is sent
``stage``      what came back for a selection or an operation
``outcome``    how a command ended: read back, refused, not taken, unknown
``alarm``      raised, ended, acknowledged
=============  ===============================================================================
"""

from __future__ import annotations

__all__ = ["CREATE", "TABLES", "VERSION"]

VERSION = 1

CREATE = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    "CREATE TABLE scan (id INTEGER PRIMARY KEY, t_s REAL NOT NULL, whole INTEGER NOT NULL, body BLOB NOT NULL) STRICT",
    "CREATE TABLE event (id INTEGER PRIMARY KEY, t_s REAL NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL) STRICT",
    "CREATE TABLE forecast (id INTEGER PRIMARY KEY, t_s REAL NOT NULL, body BLOB NOT NULL) STRICT",
    "CREATE TABLE plan (id INTEGER PRIMARY KEY, t_s REAL NOT NULL, hash TEXT NOT NULL, problem TEXT NOT NULL,"
    " trigger TEXT NOT NULL, status TEXT NOT NULL, fingerprint TEXT NOT NULL, body TEXT NOT NULL) STRICT",
    "CREATE TABLE command (id TEXT PRIMARY KEY, t_s REAL NOT NULL, device TEXT NOT NULL, sequence INTEGER NOT NULL,"
    " plan_hash TEXT NOT NULL, fencing INTEGER NOT NULL, body TEXT NOT NULL) STRICT",
    "CREATE TABLE stage (id INTEGER PRIMARY KEY, command TEXT NOT NULL REFERENCES command, t_s REAL NOT NULL,"
    " stage TEXT NOT NULL, accepted INTEGER NOT NULL, refusal TEXT NOT NULL, detail TEXT NOT NULL) STRICT",
    "CREATE TABLE outcome (command TEXT PRIMARY KEY REFERENCES command, t_s REAL NOT NULL, outcome TEXT NOT NULL,"
    " observed TEXT NOT NULL, detail TEXT NOT NULL) STRICT",
    "CREATE TABLE alarm (id INTEGER PRIMARY KEY, key TEXT NOT NULL, t_s REAL NOT NULL, device TEXT NOT NULL,"
    " kind TEXT NOT NULL, severity TEXT NOT NULL, text TEXT NOT NULL, recommended TEXT NOT NULL,"
    " ended_s REAL, acknowledged_s REAL, acknowledged_by TEXT NOT NULL DEFAULT '') STRICT",
    "CREATE INDEX scan_time ON scan (t_s)",
    "CREATE INDEX stage_command ON stage (command)",
    "CREATE INDEX command_device ON command (device, sequence)",
    "CREATE INDEX alarm_key ON alarm (key)",
)

TABLES = ("meta", "scan", "event", "forecast", "plan", "command", "stage", "outcome", "alarm")
