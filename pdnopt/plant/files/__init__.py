"""Networks as files: what ``pandapower.to_json`` writes, read without importing what the file names.

``pandapower.from_json`` imports whatever ``_module`` a file names and calls what it finds there, inside
cells and nested JSON strings too; a DataFrame whose text is an absolute path is even opened. So the file
never reaches pandapower's decoder: it is parsed as plain JSON, and only the objects of `decoder.ALLOWED` are
built, by the functions named here. Everything else - controllers, functions, partials, enumerations, graphs,
shapes - is refused by name, all of it at once.

A written file opens with plain ``pandapower.from_json`` too. Unlike ``pandapower.to_json`` it keeps
infinities (as the text "Infinity", which both readers turn back into the number), every digit, and NaN in
object columns.
"""

from pdnopt.plant.files.decoder import MAX_DEPTH
from pdnopt.plant.files.reading import MAX_BYTES, network_from_text, read_network
from pdnopt.plant.files.writing import network_to_text, write_network

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "network_from_text",
    "network_to_text",
    "read_network",
    "write_network",
]
