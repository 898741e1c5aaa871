"""The Modbus holding registers of a device: how its quantities become 16-bit words, and back (docs/REGISTERS.md).

Words are big-endian, of 32-bit numbers the high word comes first. The first two words spell "PDNO": a device or a client
with swapped words, or another device, is found out by them before any value is believed. 0x7FFF and 0x8000 (0x7FFFFFFF
and 0x80000000 in 32 bits) say "not available". One device is one unit, shown in one block; a command is one write.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pdnopt.protocols.commands import Refusal, Reply
from pdnopt.protocols.readings import Quality

__all__ = [
    "COMMAND_ADDRESS",
    "COMMAND_WORDS",
    "READ_WORDS",
    "RESULT_ADDRESS",
    "Header",
    "Value",
    "command_words",
    "decode_block",
    "decode_command",
    "decode_header",
    "encode_block",
    "layout",
    "reply_of",
    "result_code",
]

MAGIC = (0x5044, 0x4E4F)
VERSION = 1
READ_WORDS = 48
VALUES_ADDRESS = 16
RESULT_ADDRESS = 12
COMMAND_ADDRESS = 64
COMMAND_WORDS = 13
NOT_AVAILABLE_16 = (0x7FFF, 0x8000)
NOT_AVAILABLE_32 = (0x7FFFFFFF, 0x80000000)
NO_LIMIT = 0xFFFFFFFF  # -1: without limit
PHASES = 3

KINDS = {
    "switch": 1,
    "transfer": 2,
    "ups": 3,
    "ext_grid": 4,
    "rack": 5,
    "load": 6,
    "asymmetric_load": 7,
    "storage": 8,
    "asymmetric_sgen": 9,
    "bus": 10,
    "line": 11,
    "trafo": 12,
}
MODES = ("off", "online", "battery", "eco", "bypass")
ACTIONS = (
    "",
    "open",
    "close",
    "transfer",
    "prefer",
    "mode",
    "start",
    "stop",
    "cap",
    "shed",
    "restore",
    "power",
    "form",
    "setpoint",
    "revert",
)
RESULTS: tuple[Refusal | None, ...] = (
    None,  # 0: nothing has been asked, or it is busy
    None,  # 1: accepted
    Refusal.NOT_AVAILABLE,
    Refusal.NOT_IN_SYNC,
    Refusal.INTERLOCK,
    Refusal.LOCAL,
    Refusal.PRECONDITION,
    Refusal.MALFORMED,
)
ACCEPTED = 1


@dataclass(frozen=True)
class _Cell:
    """Where a quantity stands and what it is: "flag", "position", "mode", "i16", "i32", "limit", "setpoint", or "i16x3" and
    "i32x3" of the three phases."""

    quantity: str
    kind: str
    unit: float = 1.0
    address: int = 0

    @property
    def words(self) -> int:
        of_kind = {"i32": 2, "limit": 2, "setpoint": 4 * PHASES, "i16x3": PHASES, "i32x3": 2 * PHASES}
        return of_kind.get(self.kind, 1)


KW, PERCENT, PART, SECONDS = 0.01, 0.01, 0.0001, 0.1

_CELLS: dict[str, tuple[_Cell, ...]] = {
    "switch": (_Cell("closed", "flag"), _Cell("p_kw", "i32", KW), _Cell("overload_used", "i16", PART)),
    "transfer": (
        _Cell("position", "position"),
        _Cell("preferred", "position"),
        _Cell("moving", "flag"),
        _Cell("dwell_left_s", "i32", SECONDS),
    ),
    "ups": (
        _Cell("mode", "mode"),
        _Cell("p_kw", "i32", KW),
        _Cell("q_kvar", "i32", KW),
        _Cell("p_in_kw", "i32", KW),
        _Cell("soc_percent", "i16", PERCENT),
        _Cell("temperature_c", "i16", 0.1),
        _Cell("on_battery", "flag"),
        _Cell("overload_used", "i16", PART),
        _Cell("rectifier_ok", "flag"),
        _Cell("inverter_ok", "flag"),
        _Cell("modules_part", "i16", PART),
        _Cell("bypass_ok", "flag"),
    ),
    "ext_grid": (_Cell("running", "flag"), _Cell("p_kw", "i32", KW)),
    "rack": (
        _Cell("p_kw", "i32", KW),
        _Cell("fed", "flag"),
        _Cell("limit_kw", "limit", KW),
        _Cell("up", "flag"),
    ),
    "load": (
        _Cell("p_kw", "i32", KW),
        _Cell("fed", "flag"),
        _Cell("q_kvar", "i32", KW),
        _Cell("limit_kw", "limit", KW),
        _Cell("up", "flag"),
    ),
    "storage": (
        _Cell("p_kw", "i32", KW),
        _Cell("setpoint_kw", "i32", KW),
        _Cell("forming", "flag"),
        _Cell("soc_percent", "i16", PERCENT),
    ),
    "asymmetric_sgen": (
        _Cell("setpoint", "setpoint", KW),
        _Cell("vm_pu", "i16x3", PART),  # to neutral, where it is connected
        _Cell("circuit_p_kw", "i32x3", KW),  # what its circuit takes from the network
        _Cell("circuit_q_kvar", "i32x3", KW),
    ),
    "bus": (_Cell("vm_pu", "i16", PART), _Cell("fed", "flag")),
    "line": (_Cell("loading_percent", "i16", 0.1), _Cell("overload_used", "i16", PART)),
    "trafo": (_Cell("loading_percent", "i16", 0.1), _Cell("overload_used", "i16", PART)),
}
_CELLS["asymmetric_load"] = _CELLS["load"]


def layout(table: str) -> tuple[_Cell, ...]:
    """Return the quantities of a kind of device with their addresses, in order. Raises KeyError for an unknown kind."""
    address, found = VALUES_ADDRESS, []
    for cell in _CELLS[table]:
        found.append(_Cell(cell.quantity, cell.kind, cell.unit, address))
        address += cell.words
    return tuple(found)


@dataclass(frozen=True)
class Value:
    """A quantity as it was decoded; ``detail``: "DecodeError", "NotAvailable" or ""."""

    quantity: str
    value: Any
    quality: Quality = Quality.GOOD
    detail: str = ""


@dataclass(frozen=True)
class Header:
    """What every device says first: whether it can be used, whether a person has it, UTC in s, how often it was told to
    move, and what came of the last time."""

    available: bool
    local: bool
    stamp_s: float
    actuations: int
    result: int = 0


def encode_block(
    table: str, header: Header, values: Mapping[str, Any], positions: Sequence[str] = ()
) -> list[int]:
    """Return the words that a device shows. What is None or missing in ``values`` is "not available".

    A transfer device's None is "open", a load's limit None is "without limit"; leave them out where they cannot be told.
    """
    words = [0] * READ_WORDS
    words[0:4] = [*MAGIC, VERSION, KINDS[table]]
    words[4:6] = [int(header.available), int(header.local)]
    stamp_ms = round(header.stamp_s * 1000)
    words[6:10] = [(stamp_ms >> shift) & 0xFFFF for shift in (48, 32, 16, 0)]
    words[10:12] = _split(header.actuations)
    words[RESULT_ADDRESS] = header.result
    for cell in layout(table):
        words[cell.address : cell.address + cell.words] = _encoded(cell, values, positions)
    return words


def decode_header(words: Sequence[int]) -> Header | str:
    """Return a device's header, or why it is none."""
    if len(words) < VALUES_ADDRESS:
        return f"DecodeError: short frame, {len(words)} of {READ_WORDS} words"
    if tuple(words[:2]) != MAGIC:
        swapped = tuple(words[:2]) == MAGIC[::-1]
        return f"DecodeError: {'swapped words' if swapped else 'not a register map of pdnopt'}"
    if words[2] != VERSION:
        return f"DecodeError: register map {words[2]}, this pdnopt reads {VERSION}"
    if words[4] not in (0, 1) or words[5] not in (0, 1):
        return "DecodeError: a flag that is neither 0 nor 1"
    stamp_ms = words[6] << 48 | words[7] << 32 | words[8] << 16 | words[9]
    return Header(bool(words[4]), bool(words[5]), stamp_ms / 1000, _join(words[10:12]), words[RESULT_ADDRESS])


def decode_block(
    table: str, words: Sequence[int], positions: Sequence[str] = ()
) -> tuple[Header | None, list[Value]]:
    """Return the header and every quantity of a block of `READ_WORDS` words.

    Words that make no sense give values of quality BAD with "DecodeError"; never a wrong value, never an exception.
    """
    header = decode_header(words)
    wrong = header if isinstance(header, str) else ""
    if not wrong and len(words) < READ_WORDS:
        wrong = f"DecodeError: short frame, {len(words)} of {READ_WORDS} words"
    if not wrong and words[3] != KINDS[table]:
        wrong = f"DecodeError: a device of kind {words[3]}, expected {KINDS[table]} ({table})"
    if wrong:
        names = ["available", *(cell.quantity for cell in layout(table))]
        return None, [Value(name, None, Quality.BAD, wrong) for name in names]
    assert isinstance(header, Header)
    values = [Value("available", header.available and not header.local)]
    values += [
        _decoded(cell, words[cell.address : cell.address + cell.words], positions) for cell in layout(table)
    ]
    return header, values


def command_words(action: str, value: Any, positions: Sequence[str] = ()) -> list[int]:
    """Return the words of a command.

    Raises
    ------
    ValueError
        Registers cannot say it: an unknown action or position, a number beyond 32 bits.
    """
    if action not in ACTIONS or not action:
        raise ValueError(f"{action!r} is no action that registers know")
    words = [ACTIONS.index(action)]
    if action in ("transfer", "prefer"):
        words.append(_position(value, positions))
    elif action == "mode":
        words.append(MODES.index(value))
    elif action in ("open", "close", "start", "stop", "form"):
        words.append(int(bool(value)))
    elif action in ("cap", "shed", "restore", "power"):
        words += _number_words(value)
    elif action == "setpoint":
        for number in (*value["p_kw"], *value["q_kvar"]):
            words += _number_words(number)
    return words + [0] * (COMMAND_WORDS - len(words))


def decode_command(words: Sequence[int], positions: Sequence[str] = ()) -> tuple[str, Any]:
    """Return action and value of a command's words, for the device's side.

    Raises
    ------
    ValueError
        They say nothing that a device can do.
    """
    if len(words) != COMMAND_WORDS or not 0 < words[0] < len(ACTIONS):
        raise ValueError("not a command")
    action = ACTIONS[words[0]]
    if action in ("transfer", "prefer"):
        if words[1] > len(positions):
            raise ValueError(f"position {words[1]} of {len(positions)}")
        return action, None if words[1] == 0 else positions[words[1] - 1]
    if action == "mode":
        if words[1] >= len(MODES):
            raise ValueError(f"mode {words[1]}")
        return action, MODES[words[1]]
    if action in ("open", "close", "start", "stop", "form"):
        if words[1] > 1:
            raise ValueError(f"{words[1]} is neither 0 nor 1")
        return action, bool(words[1])
    if action == "setpoint":
        numbers = [_signed(_join(words[1 + 2 * k : 3 + 2 * k]), 32) * KW for k in range(2 * PHASES)]
        return action, {"p_kw": numbers[:PHASES], "q_kvar": numbers[PHASES:]}
    if action == "revert":
        return action, None
    return action, _signed(_join(words[1:3]), 32) * KW


def result_code(reply: Reply) -> int:
    """Return what a device writes at `RESULT_ADDRESS` after a command."""
    if reply.accepted:
        return ACCEPTED
    return (
        RESULTS.index(reply.refusal) if reply.refusal in RESULTS[2:] else RESULTS.index(Refusal.NOT_AVAILABLE)
    )


def reply_of(code: int) -> Reply:
    """Return what a result code says."""
    if code == ACCEPTED:
        return Reply(True)
    if 2 <= code < len(RESULTS):
        return Reply(False, RESULTS[code], "refused by the device")
    return Reply(False, Refusal.UNREACHABLE, f"the device does not say what came of it (result {code})")


def _encoded(cell: _Cell, values: Mapping[str, Any], positions: Sequence[str]) -> list[int]:
    absent = cell.quantity not in values
    value = values.get(cell.quantity)
    if cell.kind.endswith("x3"):
        single = _Cell(cell.quantity, cell.kind.removesuffix("x3"), cell.unit)
        each = [None] * PHASES if value is None else value
        return [word for one in each for word in _encoded(single, {cell.quantity: one}, positions)]
    if cell.kind == "position":
        return [NOT_AVAILABLE_16[0] if absent else _position(value, positions)]
    if cell.kind == "limit" and not absent and value is None:
        return _split(NO_LIMIT)
    if cell.kind == "setpoint":
        if value is None:
            return _split(NOT_AVAILABLE_32[1]) * (2 * PHASES)
        return [word for number in (*value["p_kw"], *value["q_kvar"]) for word in _number_words(number)]
    if cell.kind in ("i32", "limit"):
        return _split(NOT_AVAILABLE_32[1]) if _untold(value) else _number_words(value, cell.unit)
    if value is None:
        return [NOT_AVAILABLE_16[1]]
    if cell.kind == "flag":
        return [int(bool(value))]
    if cell.kind == "mode":
        return [MODES.index(value)]
    if _untold(value):
        return [NOT_AVAILABLE_16[1]]
    return [min(max(round(value / cell.unit), -0x7FFF), 0x7FFE) & 0xFFFF]


def _decoded(cell: _Cell, words: Sequence[int], positions: Sequence[str]) -> Value:
    name = cell.quantity
    if cell.kind.endswith("x3"):
        single, size = _Cell(name, cell.kind.removesuffix("x3"), cell.unit), len(words) // PHASES
        each = [_decoded(single, words[size * k : size * (k + 1)], positions) for k in range(PHASES)]
        wrong = next((item for item in each if item.quality != Quality.GOOD), None)
        return wrong or Value(name, [item.value for item in each])
    if cell.kind == "setpoint":
        numbers = [_join(words[2 * k : 2 * k + 2]) for k in range(2 * PHASES)]
        if any(number in NOT_AVAILABLE_32 for number in numbers):
            return Value(name, None, Quality.MISSING, "NotAvailable")
        told = [round(_signed(number, 32) * cell.unit, 6) for number in numbers]
        return Value(name, {"p_kw": told[:PHASES], "q_kvar": told[PHASES:]})
    raw = _join(words)
    if raw in (NOT_AVAILABLE_16 if cell.words == 1 else NOT_AVAILABLE_32):
        return Value(name, None, Quality.MISSING, "NotAvailable")
    if cell.kind == "limit" and raw == NO_LIMIT:
        return Value(name, None)
    if cell.kind in ("i16", "i32", "limit"):
        return Value(name, round(_signed(raw, 16 * cell.words) * cell.unit, 6))
    if cell.kind == "position" and raw <= len(positions):
        return Value(name, None if raw == 0 else positions[raw - 1])
    if cell.kind == "mode" and raw < len(MODES):
        return Value(name, MODES[raw])
    if cell.kind == "flag" and raw <= 1:
        return Value(name, bool(raw))
    return Value(name, None, Quality.BAD, f"DecodeError: {raw} is no {cell.kind}")


def _position(value: Any, positions: Sequence[str]) -> int:
    if value is None:
        return 0
    if value not in positions:
        raise ValueError(f"{value!r} is none of the positions {', '.join(positions)}")
    return list(positions).index(value) + 1


def _number_words(value: Any, unit: float = KW) -> list[int]:
    steps = round(float(value) / unit)
    if abs(steps) >= NOT_AVAILABLE_32[0]:
        raise ValueError(f"{value} is beyond what 32 bits of {unit:g} can say")
    return _split(steps & 0xFFFFFFFF)


def _untold(value: Any) -> bool:
    return value is None or not math.isfinite(value)


def _split(number: int) -> list[int]:
    return [number >> 16 & 0xFFFF, number & 0xFFFF]


def _join(words: Sequence[int]) -> int:
    number = 0
    for word in words:
        number = number << 16 | word
    return number


def _signed(number: int, bits: int) -> int:
    return number - (1 << bits) if number >> (bits - 1) else number
