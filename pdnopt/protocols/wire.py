"""The JSON that goes over networks: strict, small, flat. Whatever else comes in is refused with all that is wrong with it.

Requests (``ask``), one JSON object each::

    {"ask": "read", "devices": ["transfer:T", ...]}
    {"ask": "select", "command": {...}, "signature": "base64"}
    {"ask": "operate", "command": {...}, "ticket": 123, "signature": "base64"}
    {"ask": "cancel", "command": {...}, "ticket": 123, "signature": "base64"}
    {"ask": "heartbeat", "beat": {"sequence": 7, "fencing": 2, "issued_s": 1.8e9}, "signature": "base64"}

Answers::

    {"reply": {"accepted": false, "refusal": "expired", "detail": "...", "ticket": 0}}
    {"readings": [{"device": ..., "quantity": ..., "value": ..., "quality": ..., "stamp_s": ..., "detail": ...}, ...]}
    {"error": {"status": 422, "issues": [{...}, ...]}}        413 where it is too large or too deep
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from pdnopt.errors import InputError, Issue
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.fields import Field, check_fields, number, text, whole
from pdnopt.protocols.messages import Heartbeat
from pdnopt.protocols.readings import Quality, Reading

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "Request",
    "error_bytes",
    "parse",
    "parse_readings",
    "parse_reply",
    "parse_request",
    "read_bytes",
    "readings_bytes",
    "reply_bytes",
    "request_bytes",
]

MAX_BYTES = 65536
MAX_DEPTH = 12
MAX_DEVICES = 1000
BIG = 2**53

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)

_COMMAND = {
    "id": text(),
    "device": text(),
    "action": text(longest=40),
    "value": Field("plain JSON"),
    "expects": Field("plain JSON"),
    "sequence": whole(1, BIG),
    "issued_s": number(),
    "expires_s": number(),
    "plan_hash": text(),
    "fencing": whole(0, BIG),
    "area": Field(
        "text of at most 200 characters", lambda value: isinstance(value, str) and len(value) <= 200
    ),
}
_BEAT = {"sequence": whole(1, BIG), "fencing": whole(0, BIG), "issued_s": number()}
_SIGNATURE = Field("base64", lambda value: isinstance(value, str) and _decoded(value) is not None, False)
_MAPPING = Field("a mapping", lambda value: isinstance(value, dict))
_DEVICES = Field(
    f"a list of at most {MAX_DEVICES} devices",
    lambda value: (
        isinstance(value, list)
        and len(value) <= MAX_DEVICES
        and all(isinstance(item, str) and len(item) <= 200 for item in value)
    ),
)
_ASKS = {
    "read": {"ask": text(), "devices": _DEVICES},
    "select": {"ask": text(), "command": _MAPPING, "signature": _SIGNATURE},
    "operate": {"ask": text(), "command": _MAPPING, "ticket": whole(0, BIG + 1), "signature": _SIGNATURE},
    "cancel": {"ask": text(), "command": _MAPPING, "ticket": whole(0, BIG + 1), "signature": _SIGNATURE},
    "heartbeat": {"ask": text(), "beat": _MAPPING, "signature": _SIGNATURE},
}
_REPLY = {
    "accepted": Field("true or false", lambda value: isinstance(value, bool)),
    "refusal": Field("null or a refusal", lambda value: value is None or value in set(Refusal)),
    "detail": Field("text", lambda value: isinstance(value, str)),
    "ticket": whole(0, BIG + 1),
}
_READING = {
    "device": text(),
    "quantity": text(longest=60),
    "value": Field("plain JSON"),
    "quality": text(one_of=tuple(Quality)),
    "stamp_s": number(),
    "detail": Field("text", lambda value: isinstance(value, str), False),
}


@dataclass(frozen=True)
class Request:
    """What was asked. Of the fields only those that go with ``ask`` are filled."""

    ask: str
    command: Command | None = None
    ticket: int = 0
    beat: Heartbeat | None = None
    devices: tuple[str, ...] = ()
    signature: bytes = b""


def parse(raw: bytes, max_bytes: int = MAX_BYTES) -> Any:
    """Return the value of strict JSON.

    Raises
    ------
    InputError
        Too large, too deep (kinds TooLarge, TooDeep), no JSON, NaN or infinity, a name twice.
    """
    if len(raw) > max_bytes:
        raise _wrong("TooLarge", f"{len(raw)} bytes", f"at most {max_bytes} bytes", "Send less at a time.")
    depth = deepest = 0
    for match in _BRACKETS.finditer(raw):
        mark = match.group()
        if mark in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in b"]}":
            depth -= 1
    if deepest > MAX_DEPTH:
        raise _wrong("TooDeep", f"{deepest} levels", f"at most {MAX_DEPTH} levels", "Send a flat message.")
    try:
        return json.loads(
            raw.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique
        )
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise _wrong("Malformed", str(error)[:80], "one JSON object", "Send JSON.") from None


def parse_request(raw: bytes) -> Request:
    """Return a request.

    Raises
    ------
    InputError
        With everything that is wrong with it.
    """
    data = parse(raw)
    ask = data.get("ask") if isinstance(data, dict) else None
    if not isinstance(ask, str) or ask not in _ASKS:
        raise InputError(check_fields(data, {"ask": text(one_of=tuple(_ASKS))}, "request"))
    issues = check_fields(data, _ASKS[ask], "request")
    if "command" in _ASKS[ask] and "command" in data:
        issues += check_fields(data["command"], _COMMAND, "request.command")
    if "beat" in _ASKS[ask] and "beat" in data:
        issues += check_fields(data["beat"], _BEAT, "request.beat")
    if issues:
        raise InputError(issues)
    return Request(
        ask,
        Command(**data["command"]) if "command" in data else None,
        data.get("ticket", 0),
        Heartbeat(**data["beat"]) if "beat" in data else None,
        tuple(data.get("devices", ())),
        _decoded(data.get("signature", "")) or b"",
    )


def request_bytes(
    ask: str,
    *,
    command: Command | None = None,
    ticket: int | None = None,
    beat: Heartbeat | None = None,
    signature: bytes = b"",
) -> bytes:
    """Return a signed request as JSON; `read_bytes` asks for readings."""
    data: dict[str, Any] = {"ask": ask, "signature": base64.b64encode(signature).decode()}
    if command is not None:
        data["command"] = asdict(command)
    if ticket is not None:
        data["ticket"] = ticket
    if beat is not None:
        data["beat"] = asdict(beat)
    return _bytes(data)


def read_bytes(devices: Iterable[str]) -> bytes:
    """Return a request for readings."""
    return _bytes({"ask": "read", "devices": list(devices)})


def reply_bytes(reply: Reply) -> bytes:
    """Return an answer to a command as JSON."""
    return _bytes({"reply": asdict(reply)})


def readings_bytes(readings: Iterable[Reading]) -> bytes:
    """Return readings as JSON; when they were received and by which path is the receiver's to say."""
    items = [
        {
            "device": item.device,
            "quantity": item.quantity,
            "value": item.value,
            "quality": item.quality,
            "stamp_s": item.stamp_s,
            "detail": item.detail,
        }
        for item in readings
    ]
    return _bytes({"readings": items})


def error_bytes(error: InputError) -> bytes:
    """Return what was wrong with a request as JSON, with the status that HTTP would give it."""
    too_much = any(issue.kind in ("TooLarge", "TooDeep") for issue in error.issues)
    issues = [issue.to_dict() for issue in error.issues[:20]]
    return _bytes({"error": {"status": 413 if too_much else 422, "issues": issues}})


def parse_reply(raw: bytes) -> Reply:
    """Return an answer to a command; an error of the other side is a reply that refuses. Raises InputError."""
    data = parse(raw)
    if isinstance(data, dict) and "error" in data:
        return Reply(False, Refusal.MALFORMED, str(data["error"])[:500])
    issues = check_fields(data, {"reply": _MAPPING}, "answer")
    issues = issues or check_fields(data["reply"], _REPLY, "answer.reply")
    if issues:
        raise InputError(issues)
    found = data["reply"]
    refusal = None if found["refusal"] is None else Refusal(found["refusal"])
    return Reply(found["accepted"], refusal, found["detail"], found["ticket"])


def parse_readings(raw: bytes, received_s: float, path: str, max_bytes: int = MAX_BYTES) -> list[Reading]:
    """Return the readings of an answer. Raises InputError."""
    data = parse(raw, max_bytes)
    allowed = Field("a list", lambda value: isinstance(value, list))
    issues = check_fields(data, {"readings": allowed}, "answer")
    for k, item in enumerate(data["readings"] if not issues else ()):
        issues += check_fields(item, _READING, f"answer.readings[{k}]")
    if issues:
        raise InputError(issues)
    return [
        Reading(
            item["device"],
            item["quantity"],
            item["value"],
            Quality(item["quality"]),
            float(item["stamp_s"]),
            received_s,
            path,
            item.get("detail", ""),
        )
        for item in data["readings"]
    ]


def _bytes(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _decoded(value: str) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is no finite number")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _wrong(kind: str, value: str, allowed: str, todo: str) -> InputError:
    return InputError(Issue(kind, "message", "", value, allowed, todo))
