"""What all these files share: how they are opened, names, sections, security, hosts and ports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdnopt.errors import InputError, Issue
from pdnopt.protocols.certificates import Identity
from pdnopt.protocols.documents import Document, read_document
from pdnopt.protocols.fields import Field, check_fields, number, text, whole
from pdnopt.protocols.registers import KINDS

__all__ = [
    "BROKER",
    "FORMAT",
    "GUARD",
    "LIST",
    "MAPPING",
    "OPTIONAL",
    "PORT",
    "TOPIC",
    "check_name",
    "check_positions",
    "check_sections",
    "device_field",
    "in_folder",
    "open_map",
    "read_controller_key",
    "read_identity",
]

FORMAT = 1
PORT = whole(1, 65535)
MAPPING = Field("a mapping", lambda value: isinstance(value, dict))
OPTIONAL = Field("a mapping", MAPPING.test, required=False)
LIST = Field("a list", lambda value: isinstance(value, list))
TOPIC = Field(
    "text of at most 100 characters without +, # and /",
    lambda value: isinstance(value, str) and 0 < len(value) <= 100 and not set(value) & set("+#/"),
)
BROKER = {"host": text(), "port": PORT, "prefix": text(False), "publish_s": number(0.05, 60.0, False)}
GUARD = {
    "select_s": number(0.5, 60.0, False),
    "skew_s": number(0.0, 60.0, False),
    "validity_s": number(1.0, 3600.0, False),
    "watchdog_s": number(0.1, 3600.0, False),
}

SECRETS = {"ca": text(), "certificate": text(), "key": text()}


def device_field(name: str) -> bool:
    """Say whether a name can be a device's: "table:name" with a table that registers know."""
    table, colon, rest = name.partition(":")
    return bool(colon and rest) and table in KINDS and len(name) <= 200 and name.isprintable()


def check_name(document: Document, name: str, place: str) -> list[Issue]:
    """Return what is wrong with a device's name."""
    if device_field(name):
        return []
    allowed, todo = "table:name, for instance transfer:T1", "Write it as `pdnopt validate` writes it."
    return [Issue("InvalidId", document.where(place), name, name, allowed, todo)]


def open_map(path: Path, fields: Mapping[str, Field]) -> tuple[Document, dict[str, Any], list[Issue]]:
    """Return a file, its mapping and what is wrong at its top. Raises InputError where it is no mapping at all."""
    document = read_document(path)
    issues = check_fields(document.data, fields, "", "", document.where)
    if not isinstance(document.data, dict):
        raise InputError(issues)
    return document, document.data, issues


def check_sections(document: Document, sections: Mapping[str, Mapping[str, Field]]) -> list[Issue]:
    """Return what is wrong inside the sections that are there; whether they must be is said at the top."""
    issues = []
    for name, fields in sections.items():
        if isinstance(document.data.get(name), dict):
            issues += check_fields(document.data[name], fields, name, "", document.where)
    return issues


def in_folder(document: Document, name: str) -> Path:
    """Return the path of a file that is named relative to the document's folder."""
    return document.path.parent / Path(name).expanduser()


def read_identity(
    document: Document, data: Any, place: str, more: Mapping[str, Field], issues: list[Issue]
) -> tuple[Identity, dict[str, Path]] | None:
    """Return the files of ``security`` and those of ``more`` that it names; None where something is wrong.

    Secrets are in files of their own, which must exist; in the map they would be read by everybody who reads the map.
    """
    faults = check_fields(data, {**SECRETS, **more}, place, "", document.where)
    if not faults:
        for name, value in data.items():
            if not in_folder(document, value).is_file():
                at, todo = (
                    document.where(f"{place}.{name}"),
                    "Make it with `pdnopt devices keys FOLDER`, or correct it.",
                )
                faults.append(Issue("File", at, "", value, "a file that exists", todo))
    issues += faults
    if faults:
        return None
    files = {name: in_folder(document, value) for name, value in data.items()}
    identity = Identity(files["ca"], files["certificate"], files["key"])
    return identity, {name: files[name] for name in more if name in files}


def read_controller_key(document: Document, issues: list[Issue]) -> tuple[Identity, Path] | None:
    """Return who the reader of ``security`` is, and the file of the controller's key; None where something is wrong."""
    if not isinstance(document.data.get("security"), dict):
        return None
    found = read_identity(document, document.data["security"], "security", {"controller_key": text()}, issues)
    return None if found is None else (found[0], found[1]["controller_key"])


def check_positions(
    document: Document, data: Any, place: str, device: str, issues: list[Issue]
) -> tuple[str, ...]:
    """Return the switches of a transfer device in the order of its registers."""
    table = device.partition(":")[0]
    good = isinstance(data, list) and all(isinstance(item, str) and item for item in data)
    if good and len(set(data)) == len(data) and bool(data) == (table == "transfer"):
        return tuple(data)
    allowed = (
        'its switches, each once, in the order of its registers, as ["switch:T1", "switch:T2"]'
        if table == "transfer"
        else "none: only transfer devices have positions"
    )
    issues.append(Issue("Positions", document.where(place), device, str(data), allowed, "Correct the list."))
    return ()
