"""From a file to a network: what is opened, and what pandapower brings up to date."""

from __future__ import annotations

import os
import stat
import warnings
from pathlib import Path
from typing import Any

import pandapower as pp
from pandapower.convert_format import convert_format

from pdnopt.errors import InputError
from pdnopt.plant.files.decoder import Decoder, parse
from pdnopt.plant.files.refusal import refusal
from pdnopt.plant.tables import ensure_tables

__all__ = ["MAX_BYTES", "network_from_text", "read_network"]

MAX_BYTES = 512 * 1024 * 1024
"""Largest file that is read: 512 MB, some millions of circuits."""

_PICKLE_SUFFIXES = (".p", ".pkl", ".pickle")


def read_network(path: str | os.PathLike[str]) -> Any:
    """Read a network from a JSON file. Nothing that the file names is imported or called.

    Parameters
    ----------
    path : str or PathLike
        A ``.json`` file by `write_network` or ``pandapower.to_json``; older pandapower formats are converted.

    Returns
    -------
    pandapowerNet
        With pdnopt's tables (empty ones where the file has none). Call ``pdnopt.validate`` on it next.

    Raises
    ------
    InputError
        No such file, not JSON, not a network, too large, too deep, or objects that are not allowed: all
        findings of the file at once, each with its place in the JSON.
    """
    path = Path(path)
    return network_from_text(_read_text(path), str(path))


def network_from_text(text: str, name: str = "text") -> Any:
    """Return the network of a JSON text, as `read_network` does of a file; ``name`` is what errors call it."""
    decoder = Decoder(name)
    net = decoder.network(parse(text, "$", name))
    if decoder.issues or net is None:
        raise InputError(decoder.issues)
    _convert(net, name)
    ensure_tables(net)
    return net


def _read_text(path: Path) -> str:
    name = str(path)
    if path.suffix.lower() in _PICKLE_SUFFIXES:
        raise refusal(
            "PickleRefused",
            "file",
            name,
            path.suffix,
            "a .json file",
            "A pickle can run any code when opened. Save the network with pandapower.to_json.",
        )
    if path.suffix.lower() != ".json":
        todo = "Save the network with pandapower.to_json, or pdnopt.plant.files.write_network."
        raise refusal("Suffix", "file", name, path.suffix, "a .json file", todo)
    try:
        mode = path.stat()
        if not stat.S_ISREG(mode.st_mode):
            what = "a directory" if stat.S_ISDIR(mode.st_mode) else "no regular file"
            raise refusal(
                "File", "file", name, what, "a regular .json file", "Give the path of the file itself."
            )
        if mode.st_size > MAX_BYTES:
            raise _too_large(name, mode.st_size)
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise refusal("File", "file", name, "no such file", "an existing file", "Check the path.") from None
    except InputError:
        raise
    except (OSError, ValueError) as reason:
        text = getattr(reason, "strerror", None) or str(reason)
        raise refusal("File", "file", name, text, "a readable file", "Check path and permissions.") from None
    if len(raw) > MAX_BYTES:
        raise _too_large(name, len(raw))
    if raw[:1] == b"\x80":
        raise refusal(
            "PickleRefused", "file", name, "a pickle", "JSON text", "Save it with pandapower.to_json."
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        raise refusal("NotJson", "file", name, str(reason), "UTF-8 text", "Save it again as UTF-8.") from None


def _too_large(name: str, size: int) -> InputError:
    todo = "Drop the res_* tables before saving, or split the network."
    return refusal("TooLarge", "file", name, f"{size} bytes", f"at most {MAX_BYTES} bytes", todo)


def _convert(net: Any, name: str) -> None:
    """Bring an older pandapower format up to date; pandapower refuses a newer one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            convert_format(net)
    except Exception as reason:
        todo = "Open and save it with the pandapower it was made with, or update pandapower."
        value = f"{type(reason).__name__}: {reason}"
        raise refusal(
            "Format", "$._object.format_version", name, value, f"pandapower up to {pp.__version__}", todo
        ) from None
