"""YAML files that people write: read safely, with the line of everything, so that a finding says where to look.

Only plain YAML: no tags, no anchors or aliases (a few lines of these unfold to gigabytes), no key twice, not too large or
deep.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pdnopt.errors import InputError, Issue
from pdnopt.protocols.extras import need

__all__ = ["Document", "read_document"]

MAX_BYTES = 8 << 20
MAX_DEPTH = 12
SHOWN = 20  # faults of the YAML itself


@dataclass(frozen=True)
class Document:
    """A file's content.

    Attributes
    ----------
    path : Path
    data : Any
        Dicts with text keys, lists, text, numbers, booleans, None.
    lines : dict
        "a.b[2].c" -> line, from 1.
    """

    path: Path
    data: Any
    lines: dict[str, int] = field(default_factory=dict)

    def where(self, place: str) -> str:
        """Return a place as it is told: file, line, place. What is not there is at the line of what it would stand in."""
        line, found = 0, place
        while found and not line:
            line = self.lines.get(found, 0)
            cut = max(found.rfind("."), found.rfind("["))
            found = found[:cut] if cut > 0 else ""
        return f"{self.path.name}:{line or 1} {place}"


def read_document(path: Path) -> Document:
    """Return a YAML file's content.

    Raises
    ------
    InputError
        No such file, too large, too deep, no YAML, tags, aliases, keys that are no text or stand twice.
    """
    yaml = need("yaml")
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        todo = "Name a file that can be read."
        raise InputError(Issue("File", str(path), "", error.strerror, "a YAML file", todo)) from None
    if len(raw) > MAX_BYTES:
        todo = "Split the plant, or remove what is not needed."
        raise InputError(Issue("TooLarge", str(path), "", f"> {MAX_BYTES} bytes", f"{MAX_BYTES} bytes", todo))
    try:
        _check_events(yaml, raw, path)
        loader = _loader(yaml)(raw)
        try:
            node = loader.get_single_node()
            if node is None:
                raise InputError(Issue("Empty", str(path), "", "", "a document", "Write something into it."))
            reader = _Reader(yaml, loader, path)
            data = reader.value(node, "")
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path.name}:{mark.line + 1}" if mark is not None else path.name
        value = str(getattr(error, "problem", None) or error).splitlines()[0][:100]
        raise InputError(
            Issue("Format", place, "", value, "one YAML document", "Correct the line.")
        ) from None
    if reader.issues:
        raise InputError(reader.issues[:SHOWN])
    return Document(path, data, reader.lines)


def _check_events(yaml: Any, raw: bytes, path: Path) -> None:
    """Look at the stream before anything is built of it: depth, anchors, tags."""
    depth = 0
    for event in yaml.parse(raw, Loader=_loader(yaml)):
        place = f"{path.name}:{event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            name = getattr(event, "anchor", "")
            todo = "Write the value out."
            raise InputError(Issue("Alias", place, "", name, "no anchors and no aliases", todo))
        if getattr(event, "tag", None):
            raise InputError(Issue("Tag", place, "", event.tag, "no tags", "Remove the tag."))
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                todo = "Write it flatter."
                raise InputError(
                    Issue("TooDeep", place, "", f"> {MAX_DEPTH} levels", f"{MAX_DEPTH} levels", todo)
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _loader(yaml: Any) -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML was built with it


class _Reader:
    """Makes values of nodes, and notes lines."""

    def __init__(self, yaml: Any, loader: Any, path: Path) -> None:
        self._yaml, self._loader, self._path = yaml, loader, path
        self.lines: dict[str, int] = {}
        self.issues: list[Issue] = []

    def value(self, node: Any, place: str) -> Any:
        self.lines[place] = node.start_mark.line + 1
        if isinstance(node, self._yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, self._yaml.SequenceNode):
            return [self.value(item, f"{place}[{k}]") for k, item in enumerate(node.value)]
        try:
            found = self._loader.construct_object(node)
        except (ValueError, OverflowError, self._yaml.YAMLError):
            found = node.value  # a date that is none, for instance: what it is checked for will say so
        if found is None or isinstance(found, bool | int | float | str):
            return found
        return node.value  # dates stay text

    def _mapping(self, node: Any, place: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            at = f"{self._path.name}:{key_node.start_mark.line + 1} {place}".strip()
            if not isinstance(key, str) or key in found:
                shown = key if isinstance(key, str) else "a list or a mapping"
                self.issues.append(
                    Issue(
                        "NotUnique", at, str(shown), shown, "every key once, as text", "Rename or remove one."
                    )
                )
                continue
            inner = f"{place}.{key}" if place else key
            found[key] = self.value(value_node, inner)
            self.lines[inner] = key_node.start_mark.line + 1
        return found
