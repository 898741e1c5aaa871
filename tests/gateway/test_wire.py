"""Item 30 of the bad inputs: unknown fields, oversized and deep JSON are refused with 422 and 413, all faults at once."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdnopt.errors import InputError
from pdnopt.gateway.desk import Desk
from pdnopt.protocols.commands import Command, Refusal, Reply
from pdnopt.protocols.messages import Heartbeat
from pdnopt.protocols.readings import Quality, Reading
from pdnopt.protocols.wire import (
    MAX_BYTES,
    parse,
    parse_readings,
    parse_reply,
    parse_request,
    readings_bytes,
    reply_bytes,
    request_bytes,
)

COMMAND = Command("c1", "switch:Q1", "open", False, True, 1, 1000.0, 1030.0, "hash", 1, "hall")


def test_round_trips() -> None:
    request = parse_request(request_bytes("operate", command=COMMAND, ticket=2**53, signature=b"\x00\xff"))
    assert (request.command, request.ticket, request.signature) == (COMMAND, 2**53, b"\x00\xff")
    beat = Heartbeat(3, 2, 1000.5)
    assert parse_request(request_bytes("heartbeat", beat=beat)).beat == beat
    reply = Reply(False, Refusal.NOT_IN_SYNC, "31 degrees", 0)
    assert parse_reply(reply_bytes(reply)) == reply
    reading = Reading("ups:U", "p_kw", 3.5, Quality.GOOD, 10.0, 11.0, "a", "")
    assert parse_readings(readings_bytes([reading]), 11.0, "a") == [reading]


def changed(**change: object) -> bytes:
    return json.dumps(
        {"ask": "select", "command": {**asdict(COMMAND), **change}, "signature": "AAAA"}
    ).encode()


@pytest.mark.parametrize(
    ("raw", "kinds"),
    [
        (b"", {"Malformed"}),
        (b"\xff\xfe", {"Malformed"}),
        (b"[]", {"Type"}),
        (b"{}", {"Missing"}),
        (b'{"ask": "shutdown"}', {"Enum"}),
        (b'{"ask": "read"}', {"Missing"}),
        (b'{"ask": "read", "ask": "select"}', {"Malformed"}),
        (b'{"ask": "read", "devices": [1]}', {"Type"}),
        (b'{"ask": "read", "devices": [], "also": 1}', {"UnknownField"}),
        (changed(sequence=True), {"Range"}),
        (changed(sequence=1.5), {"Range"}),
        (changed(sequence=2**60), {"Range"}),
        (changed(issued_s=float("nan")), {"Malformed"}),
        (changed(device="switch:Q1\n"), {"Type"}),
        (changed(colour="red", id=7), {"UnknownField", "Type"}),
        (changed(issued_s="now", expires_s=None, fencing=-1), {"Range"}),
        (b'{"ask": "read", "devices": [' + b"1e999" + b"]}", {"Malformed"}),
        (b'{"ask": "read", "devices": ' + b"[" * 5000 + b"]" * 5000 + b"}", {"TooDeep"}),
        (b'{"ask": "read", "devices": ["' + b"x" * MAX_BYTES + b'"]}', {"TooLarge"}),
        (b'{"ask": "read", "devices": [' + b"9" * 5000 + b"]}", {"Malformed"}),
    ],
)
def test_refused(raw: bytes, kinds: set[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse_request(raw)
    assert {issue.kind for issue in caught.value.issues} == kinds
    answer = json.loads(Desk({}, lambda devices: []).answer(raw))
    assert answer["error"]["status"] == (413 if kinds & {"TooDeep", "TooLarge"} else 422)
    assert all(issue["todo"] for issue in answer["error"]["issues"])


def test_all_faults_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parse_request(changed(colour="red", id=7, issued_s="now", fencing=-1))
    assert len(caught.value.issues) == 4


def test_brackets_in_text_are_no_depth() -> None:
    deep = "[" * 100 + '\\"' + "{" * 100
    assert parse(json.dumps({"a": deep}).encode()) == {"a": deep}


@given(st.binary(max_size=300))
def test_garbage_never_raises(raw: bytes) -> None:
    assert b'"error"' in Desk({}, lambda devices: []).answer(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(st.sampled_from(["select", "operate", "cancel", "heartbeat", "read"]), JSON, JSON)
def test_well_formed_nonsense_never_raises(ask: str, inner: object, other: object) -> None:
    """Right names with anything in them."""
    fields = dict.fromkeys(asdict(COMMAND), inner)
    data = {
        "ask": ask,
        "command": fields,
        "beat": inner,
        "devices": other,
        "ticket": other,
        "signature": inner,
    }
    assert b'"accepted":true' not in Desk({}, lambda devices: []).answer(json.dumps(data).encode())
