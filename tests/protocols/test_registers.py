"""Items 28 and 29: swapped words, short frames and sentinels; and numbers written out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdnopt.protocols.commands import Refusal, Reply
from pdnopt.protocols.readings import Quality
from pdnopt.protocols.registers import (
    ACTIONS,
    COMMAND_WORDS,
    KINDS,
    READ_WORDS,
    Header,
    command_words,
    decode_block,
    decode_command,
    encode_block,
    layout,
    reply_of,
    result_code,
)

HEADER = Header(True, False, 1_790_000_000.125, 70_000, 1)
POSITIONS = ("switch:T1", "switch:T2")
UPS = {"mode": "battery", "p_kw": 1234.56, "q_kvar": -0.5, "soc_percent": 87.5, "temperature_c": 31.4}


def test_a_block_by_hand() -> None:
    words = encode_block("ups", HEADER, UPS)
    assert words[:6] == [0x5044, 0x4E4F, 1, 3, 1, 0]
    assert words[6] << 48 | words[7] << 32 | words[8] << 16 | words[9] == 1_790_000_000_125
    assert words[10:12] == [1, 70_000 - 65_536]
    assert words[16] == 2  # battery
    assert words[17:19] == [1, 123456 - 65536]  # 1234.56 kW in steps of 0.01
    assert words[19:21] == [0xFFFF, 0xFFCE]  # -50
    assert words[21:23] == [0x8000, 0]  # p_in_kw was not given
    assert words[23] == 8750
    assert words[24] == 314


def test_decoding() -> None:
    header, values = decode_block("ups", encode_block("ups", HEADER, UPS))
    assert header == HEADER
    found = {item.quantity: item for item in values}
    assert {name: found[name].value for name in UPS} == UPS
    assert found["available"].value is True
    assert (found["p_in_kw"].quality, found["p_in_kw"].detail) == (Quality.MISSING, "NotAvailable")


def test_positions() -> None:
    shown = {"position": None, "preferred": "switch:T2", "moving": True}
    words = encode_block("transfer", HEADER, shown, POSITIONS)
    values = {item.quantity: item for item in decode_block("transfer", words, POSITIONS)[1]}
    assert (values["position"].value, values["position"].quality) == (None, Quality.GOOD)
    assert values["preferred"].value == "switch:T2"
    words[16] = 3  # there is no third
    values = {item.quantity: item for item in decode_block("transfer", words, POSITIONS)[1]}
    assert values["position"].quality is Quality.BAD
    assert "DecodeError" in values["position"].detail


@pytest.mark.parametrize("sentinel", [0x7FFF, 0x8000])
@pytest.mark.parametrize("table", sorted(KINDS))
def test_sentinels(table: str, sentinel: int) -> None:
    words = encode_block(table, HEADER, {}, POSITIONS)
    for cell in layout(table):
        for k in range(0, cell.words, 2 if cell.words > 1 else 1):
            full = [sentinel] if cell.words == 1 else [sentinel, 0xFFFF if sentinel == 0x7FFF else 0]
            words[cell.address + k : cell.address + k + len(full)] = full
    values = decode_block(table, words, POSITIONS)[1]
    assert {(item.value, item.quality, item.detail) for item in values[1:]} == {
        (None, Quality.MISSING, "NotAvailable")
    }


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda words: words[1::-1] + words[2:], "swapped words"),
        (lambda words: words[:47], "short frame"),
        (lambda words: words[:3], "short frame"),
        (lambda words: [], "short frame"),
        (lambda words: [0] * READ_WORDS, "not a register map"),
        (lambda words: [*words[:2], 2, *words[3:]], "register map 2"),
        (lambda words: [*words[:3], 1, *words[4:]], "a device of kind 1"),
        (lambda words: [*words[:4], 7, *words[5:]], "neither 0 nor 1"),
    ],
)
def test_what_makes_no_sense_is_bad_and_has_no_value(spoil: Any, why: str) -> None:
    header, values = decode_block("ups", spoil(encode_block("ups", HEADER, UPS)))
    assert header is None
    assert {(item.value, item.quality) for item in values} == {(None, Quality.BAD)}
    assert all(item.detail.startswith("DecodeError") and why in item.detail for item in values)


@given(st.sampled_from(sorted(KINDS)), st.lists(st.integers(0, 0xFFFF), max_size=READ_WORDS + 5))
def test_any_words_decode_without_exception(table: str, words: list[int]) -> None:
    for block in (words, [*encode_block(table, HEADER, {}, POSITIONS)[:16], *words]):
        for item in decode_block(table, block, POSITIONS)[1]:
            assert (item.value is None) or item.quality is Quality.GOOD


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("open", False),
        ("transfer", "switch:T2"),
        ("transfer", None),
        ("mode", "eco"),
        ("start", True),
        ("cap", 5.87),
        ("restore", 0.0),
        ("power", -120.25),
        ("setpoint", {"p_kw": [1.0, -2.5, 3.0], "q_kvar": [0.0, 0.25, -0.01]}),
        ("revert", None),
    ],
)
def test_commands_come_back(action: str, value: Any) -> None:
    words = command_words(action, value, POSITIONS)
    assert len(words) == COMMAND_WORDS
    assert all(0 <= word <= 0xFFFF for word in words)
    found_action, found = decode_command(words, POSITIONS)
    assert found_action == action
    assert found == (pytest.approx(value) if isinstance(value, float) else found)
    if not isinstance(value, float | dict):
        assert found == value
    if isinstance(value, dict):
        assert {key: pytest.approx(numbers) for key, numbers in value.items()} == found


@pytest.mark.parametrize(
    ("action", "value"), [("fly", 1), ("", 1), ("transfer", "switch:T9"), ("mode", "turbo"), ("cap", 1e9)]
)
def test_what_registers_cannot_say(action: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        command_words(action, value, POSITIONS)


@given(st.lists(st.integers(0, 0xFFFF), min_size=COMMAND_WORDS, max_size=COMMAND_WORDS))
def test_any_command_words_are_a_command_or_a_valueerror(words: list[int]) -> None:
    try:
        action, value = decode_command(words, POSITIONS)
    except ValueError:
        return
    assert decode_command(command_words(action, value, POSITIONS), POSITIONS) == (action, value)


def test_results() -> None:
    for refusal in (Refusal.NOT_IN_SYNC, Refusal.INTERLOCK, Refusal.LOCAL, Refusal.NOT_AVAILABLE):
        assert reply_of(result_code(Reply(False, refusal))).refusal is refusal
    assert reply_of(result_code(Reply(True))).accepted
    assert reply_of(0).refusal is Refusal.UNREACHABLE
    assert reply_of(99).refusal is Refusal.UNREACHABLE


def test_the_page_says_the_same() -> None:
    """docs/REGISTERS.md is what somebody else programs a device by."""
    page = (Path(__file__).parents[2] / "docs" / "REGISTERS.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")
    ]
    told = {(row[0], int(row[1]), int(row[2]), row[3]) for row in rows if len(row) == 5 and row[1].isdigit()}
    assert told == {
        (f"{code} {table}", cell.address, cell.words, cell.quantity)
        for table, code in KINDS.items()
        for cell in layout(table)
    }
    codes = {(row[0], row[1]) for row in rows if len(row) == 3 and row[0].isdigit() and row[1].isalpha()}
    assert codes == {(str(k), action) for k, action in enumerate(ACTIONS) if action}


def test_three_phases_by_hand() -> None:
    """Three words from 28 for voltages, two words a phase from 31 for the circuit; a phase that is not told spoils all."""
    shown = {"vm_pu": [0.98, 1.0, 1.0215], "circuit_p_kw": [5.0, -0.01, 700.0]}
    words = encode_block("asymmetric_sgen", HEADER, shown)
    assert words[28:31] == [9800, 10000, 10215]
    assert words[31:37] == [0, 500, 0xFFFF, 0xFFFF, 1, 70_000 - 65_536]
    values = {item.quantity: item for item in decode_block("asymmetric_sgen", words)[1]}
    assert values["vm_pu"].value == [0.98, 1.0, 1.0215]
    assert values["circuit_p_kw"].value == [5.0, -0.01, 700.0]
    assert values["circuit_q_kvar"].quality is Quality.MISSING
    words[29] = 0x8000
    values = {item.quantity: item for item in decode_block("asymmetric_sgen", words)[1]}
    assert (values["vm_pu"].value, values["vm_pu"].detail) == (None, "NotAvailable")
