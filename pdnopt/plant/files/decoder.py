"""Parsed JSON as tables and values: the only objects that are built are those of :data:`ALLOWED`."""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from pdnopt.errors import InputError, Issue
from pdnopt.plant.files.labels import column_labels, int_or_text, row_labels
from pdnopt.plant.files.refusal import refusal

__all__ = ["ALLOWED", "MAX_DEPTH", "Decoder", "parse"]

MAX_DEPTH = 32
"""Deepest nesting of objects and lists, JSON texts inside JSON included; pandapower's own files use 8."""

_SAFE_DTYPE = re.compile(
    r"^(bool|boolean|object|str|string|category|[uU]?[iI]nt(8|16|32|64)|[fF]loat(32|64)"
    r"|complex128|datetime64\[ns(, [A-Za-z0-9_+:/-]+)?\]|timedelta64\[ns\])$"
)
_NUMPY_SCALARS = tuple(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))
_NUMPY_FLOATS = ("float16", "float32", "float64")
_RESAVE = "Open it where you trust it, remove the object, and save it again with pandapower.to_json."


def parse(text: str, place: str, name: str) -> Any:
    """Parse plain JSON; every way in which that fails is an InputError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise _too_deep(place, name) from None
    except ValueError as reason:
        raise refusal(
            "NotJson", place, name, str(reason), "JSON", "Save it with pandapower.to_json."
        ) from None


def _too_deep(place: str, name: str) -> InputError:
    allowed = f"at most {MAX_DEPTH} levels"
    return refusal("TooDeep", place, name, f"more than {MAX_DEPTH} levels", allowed, "No network is so deep.")


class Decoder:
    """Turns parsed JSON into tables, collecting what is not allowed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.issues: list[Issue] = []

    def add(self, kind: str, place: str, value: Any, allowed: str, todo: str) -> None:
        self.issues.append(Issue(kind, place, self.name, value, allowed, todo))

    # --- the network

    def network(self, document: Any) -> Any | None:
        """Build the network of a whole document, or collect why it is none."""
        todo = "Save the network with pandapower.to_json, or pdnopt.plant.files.write_network."
        if not isinstance(document, dict):
            self.add("NotANetwork", "$", type(document).__name__, "a pandapowerNet object", todo)
            return None
        if "_module" not in document and "_class" not in document:
            self.add(
                "NotANetwork", "$", "an object without _module and _class", "a pandapowerNet object", todo
            )
            self.screen(document, "$", 1)
            return None
        value = self.decode(document, "$", 1)
        if not isinstance(value, pandapowerNet):
            if not self.issues:
                self.add("NotANetwork", "$", type(value).__name__, "a pandapowerNet object", todo)
            return None
        return value

    def net(self, body: Any, keys: dict[str, Any], place: str, depth: int) -> Any:
        """Build a pandapowerNet. Underscored entries are pandapower's scratch and are made anew."""
        if isinstance(body, str):  # pandapower 1: the network as a text
            inner = self.text(body, place)
            if isinstance(inner, dict) and {"_module", "_class"} <= inner.keys():
                return self.decode(inner, place, depth + 1)
            body = inner
        net = copy.deepcopy(_empty_network())
        if not isinstance(body, dict):
            self.add("NotANetwork", place, type(body).__name__, "an object of tables", "Save it again.")
            return net
        if "bus" not in body:
            self.add("NotANetwork", place, sorted(body)[:5], "a table 'bus'", "Save a pandapower network.")
        for key, value in body.items():
            here = f"{place}.{key}"
            if key.startswith("_"):
                self.screen(value, here, depth + 1)
                continue
            known = net.get(key)
            item = self.decode(value, here, depth + 1)
            if isinstance(known, pd.DataFrame) and not isinstance(item, pd.DataFrame):
                if not any(issue.path.startswith(here) for issue in self.issues):
                    self.add(
                        "Format", here, type(item).__name__, "a table", "Save it with pandapower.to_json."
                    )
                continue
            if isinstance(known, dict) and not isinstance(item, dict):
                self.add("Format", here, type(item).__name__, "an object", "Leave the entry out.")
                continue
            net[key] = item
        for key in ("f_hz", "sn_mva"):
            if isinstance(net[key], bool) or not isinstance(net[key], int | float):
                self.add("Format", f"{place}.{key}", net[key], "a number", "Write for example 50.0 or 1.0.")
        return net

    # --- anything

    def decode(self, value: Any, place: str, depth: int) -> Any:
        """Return the Python value of a JSON value, building allowed objects only."""
        if depth > MAX_DEPTH:
            raise _too_deep(place, self.name)
        if isinstance(value, list):
            return [
                self.decode(v, f"{place}[{i}]", depth + 1) if isinstance(v, dict | list) else v
                for i, v in enumerate(value)
            ]
        if not isinstance(value, dict):
            return value
        if "_module" in value or "_class" in value:
            return self.object(value, place, depth)
        return {k: self.decode(v, f"{place}.{k}", depth + 1) for k, v in value.items()}

    def object(self, value: dict[str, Any], place: str, depth: int) -> Any:
        """Build one marked object, if it is on the list; otherwise collect it and look inside for more."""
        module, class_ = value.get("_module"), value.get("_class")
        build = ALLOWED.get((module, class_)) if isinstance(module, str) and isinstance(class_, str) else None
        if build is None:
            allowed = "one of " + ", ".join(sorted({f"{m}.{c}" for m, c in ALLOWED}))
            todo = "Nothing that a file names is imported. " + _RESAVE
            self.add("NotAllowed", place, f"{module}.{class_}", allowed, todo)
            self.screen({k: v for k, v in value.items() if k not in ("_module", "_class")}, place, depth)
            return None
        if "_object" not in value:
            self.add("Format", place, sorted(value), "an entry '_object'", "Save it with pandapower.to_json.")
            return None
        keys = {k: v for k, v in value.items() if k not in ("_module", "_class", "_object")}
        try:
            return build(self, value["_object"], keys, f"{place}._object", depth)
        except InputError:
            raise
        except (
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
            OverflowError,
            MemoryError,
        ) as reason:
            text = f"{type(reason).__name__}: {reason}"
            self.add("Format", place, text[:200], f"a {class_}", "Save it with pandapower.to_json.")
            return None

    def screen(self, value: Any, place: str, depth: int) -> None:
        """Collect forbidden objects inside something that is not kept."""
        self.decode(value, place, depth + 1)

    def text(self, body: str, place: str) -> Any:
        """Parse JSON inside a JSON text."""
        return parse(body, place, self.name)

    # --- tables

    def frame(self, body: Any, keys: dict[str, Any], place: str, depth: int) -> pd.DataFrame:
        """Build a DataFrame: oriented "split" (pandapower 2 and 3) or "columns" (older, MultiIndex)."""
        table = self.text(body, place) if isinstance(body, str) else body
        if keys.get("orient", "columns") == "split":
            labels, index, rows = table["columns"], table["index"], table["data"]
            if any(len(row) != len(labels) for row in rows) or len(rows) != len(index):
                raise ValueError("rows, index and columns differ in length")
            columns = list(zip(*rows, strict=True)) if rows else [()] * len(labels)
        else:
            labels = list(table)
            index = list(table[labels[0]]) if labels else []
            columns = [tuple(table[c][i] for i in index) for c in labels]
            index = [int_or_text(i) for i in index]
        if len({str(c) for c in labels}) != len(labels):
            self.add("NotUnique", place, list(map(str, labels)), "distinct column names", "Rename a column.")
            return pd.DataFrame()
        multi = bool(keys.get("is_multiindex"))
        rows_index = row_labels(index, keys, multi)
        dtypes = keys.get("dtype") or {}
        if not isinstance(dtypes, dict):
            raise ValueError("dtype is no object")
        data = {
            k: self.column(
                str(label), column, dtypes.get(str(label)), rows_index, f"{place}.data[*][{k}]", depth
            )
            for k, (label, column) in enumerate(zip(labels, columns, strict=True))
        }
        frame = pd.DataFrame(data, index=rows_index)
        frame.columns = column_labels(labels, keys)
        return frame

    def column(
        self, label: str, cells: tuple[Any, ...], dtype: Any, index: pd.Index, place: str, depth: int
    ) -> pd.Series:
        """Build one column with its dtype. A cell that does not fit the dtype leaves the column as found."""
        if dtype is not None and not (isinstance(dtype, str) and _SAFE_DTYPE.match(dtype)):
            self.add(
                "NotAllowed",
                f"{place} ({label})",
                dtype,
                "a number, boolean, text or time dtype",
                "Save it again.",
            )
            dtype = None
        found: list[Any] = [
            self.decode(v, f"{place}[{i}]", depth + 2) if isinstance(v, dict | list) else v
            for i, v in enumerate(cells)
        ]
        as_found = pd.Series(_object_array(found), index=index, dtype=object)
        if dtype in ("object", "str"):
            return as_found
        if dtype is None:
            numeric = all(v is None or type(v) in (int, float) for v in found) and None in found
            return as_found.astype("float64") if numeric else as_found.infer_objects()
        if dtype == "bool" or dtype.startswith(("int", "uint")):
            kinds = {type(v) for v in found}
            if not kinds <= ({bool, int} if dtype == "bool" else {int, bool, float}):
                return as_found
            if dtype == "bool" and not set(found) <= {0, 1}:
                return as_found
        try:
            numbers = as_found.astype("float64") if dtype.startswith(("int", "uint")) else None
            if numbers is not None and (not np.isfinite(numbers).all() or (numbers % 1 != 0).any()):
                return numbers
            return as_found.astype(dtype)
        except (ValueError, TypeError, OverflowError):
            return as_found

    def series(self, body: Any, keys: dict[str, Any], place: str, depth: int) -> pd.Series:
        """Build a Series, oriented "split" or "index"."""
        table = self.text(body, place) if isinstance(body, str) else body
        if keys.get("orient", "index") == "split":
            index, cells, name = table["index"], table["data"], table.get("name")
        else:
            index, cells, name = [int_or_text(i) for i in table], list(table.values()), None
        if len(index) != len(cells):
            raise ValueError("index and data differ in length")
        rows_index = row_labels(index, keys, bool(keys.get("is_multiindex")))
        out = self.column(str(name), tuple(cells), keys.get("dtype"), rows_index, f"{place}.data", depth)
        out.name = name
        return out

    # --- single values

    def array(self, body: Any, keys: dict[str, Any], place: str, depth: int) -> np.ndarray:
        """Build an array; its dtype is the one written with it, if it is a plain one."""
        cells = self.decode(body, place, depth + 1)
        dtype = keys.get("dtype")
        safe = isinstance(dtype, str) and _SAFE_DTYPE.match(dtype) and dtype not in ("string", "category")
        return np.array(cells, dtype=dtype if safe else None)

    def sequence(self, body: Any, place: str, depth: int) -> list[Any]:
        """Decode a list."""
        if not isinstance(body, list):
            raise ValueError("no list")
        return [self.decode(v, f"{place}[{i}]", depth + 1) for i, v in enumerate(body)]


@functools.cache
def _empty_network() -> Any:
    """pandapower's empty network, built once: copying it takes a tenth of the time. Never handed out itself."""
    return pp.create_empty_network()


def _object_array(cells: list[Any]) -> np.ndarray:
    """An array of objects, one a cell, lists included."""
    out = np.empty(len(cells), dtype=object)
    out[:] = cells if not any(isinstance(v, list | tuple | np.ndarray) for v in cells) else None
    if len(cells) and any(isinstance(v, list | tuple | np.ndarray) for v in cells):
        for i, v in enumerate(cells):
            out[i] = v
    return out


_Build = Callable[[Decoder, Any, dict[str, Any], str, int], Any]


def _plain(convert: Callable[[Any], Any]) -> _Build:
    """A builder for a value without parts."""
    return lambda decoder, body, keys, place, depth: convert(body)


def _of_sequence(convert: Callable[[list[Any]], Any]) -> _Build:
    """A builder for a collection."""
    return lambda decoder, body, keys, place, depth: convert(decoder.sequence(body, place, depth))


def _truth(body: Any) -> bool:
    if body in (True, "true", "True"):
        return True
    if body in (False, "false", "False"):
        return False
    raise ValueError(f"{body!r} is neither true nor false")


ALLOWED: dict[tuple[str, str], _Build] = {
    ("pandapower.auxiliary", "pandapowerNet"): Decoder.net,
    ("pandas.core.frame", "DataFrame"): Decoder.frame,
    ("pandas", "DataFrame"): Decoder.frame,
    ("pandas.core.series", "Series"): Decoder.series,
    ("pandas", "Series"): Decoder.series,
    ("pandas", "Index"): _of_sequence(pd.Index),
    ("pandas", "RangeIndex"): _of_sequence(pd.Index),
    ("numpy", "array"): Decoder.array,
    ("numpy", "bool"): _plain(_truth),
    ("numpy", "bool_"): _plain(_truth),
    **{("numpy", name): _plain(int) for name in _NUMPY_SCALARS},
    **{("numpy", name): _plain(float) for name in _NUMPY_FLOATS},
    ("builtins", "complex"): _plain(complex),
    ("builtins", "tuple"): _of_sequence(tuple),
    ("builtins", "set"): _of_sequence(set),
    ("builtins", "frozenset"): _of_sequence(frozenset),
}
"""What a file may name, and the function that builds it. Nothing is looked up anywhere else."""
