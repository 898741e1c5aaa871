"""From a network to a file, whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from pandapower.auxiliary import pandapowerNet

from pdnopt.errors import InputError, Issue
from pdnopt.plant.files.encoder import encode
from pdnopt.plant.files.refusal import refusal

__all__ = ["network_to_text", "write_network"]


def write_network(net: Any, path: str | os.PathLike[str]) -> None:
    """Write a network as JSON that `read_network` and ``pandapower.from_json`` read.

    The file appears whole or not at all (it is written beside its place and then moved there).

    Parameters
    ----------
    net : pandapowerNet
    path : str or PathLike
        Ends in ``.json``; its directory exists.

    Raises
    ------
    InputError
        Wrong suffix, no such directory, or objects in the network that JSON cannot hold (controllers,
        functions, ...), all named.
    """
    path = Path(path)
    name = str(path)
    if path.suffix.lower() != ".json":
        raise refusal("Suffix", "file", name, path.suffix, "a .json file", "Write for example 'plant.json'.")
    text = network_to_text(net, indent=2)
    scratch = ""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False
        ) as stream:
            scratch = stream.name
            stream.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(scratch, 0o666 & ~mask)
        os.replace(scratch, path)
    except OSError as reason:
        if scratch:
            Path(scratch).unlink(missing_ok=True)
        text = reason.strerror or str(reason)
        raise refusal(
            "File", "file", name, text, "a place that can be written", "Check path and permissions."
        ) from None


def network_to_text(net: Any, indent: int | None = None) -> str:
    """Return a network as the JSON text that `write_network` writes; raises what that raises for the network."""
    if not isinstance(net, pandapowerNet):
        todo = "Build one with pdnopt.plant.create_empty_plant."
        raise refusal("NotANetwork", "net", "", type(net).__name__, "a pandapowerNet", todo)
    issues: list[Issue] = []
    document = encode(net, "net", issues)
    if issues:
        raise InputError(issues)
    return json.dumps(document, indent=indent, allow_nan=False)
