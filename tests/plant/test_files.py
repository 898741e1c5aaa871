"""Reading never imports what a file names; writing and reading again changes nothing."""

from __future__ import annotations

import functools
import json
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pandas as pd
import pytest

from cases.two_feed import two_feed
from pdnopt.errors import InputError
from pdnopt.plant import create_storage
from pdnopt.plant.files import read_network, reading, write_network


def tables(net):
    return {k: v for k, v in net.items() if isinstance(v, pd.DataFrame) and not k.startswith("_")}


def assert_same(net, again):
    assert set(tables(net)) == set(tables(again))
    for name, frame in tables(net).items():
        pd.testing.assert_frame_equal(frame, again[name], check_exact=True, obj=name)


@pytest.fixture
def plant():
    net = two_feed()
    net.ups["efficiency"] = pd.Series([0.96, [[0.2, 0.93], [1.0, 0.965]]], index=net.ups.index, dtype=object)
    net.load.loc[0, "p_mw"] = 0.1 + 0.2  # 17 digits
    net.load.loc[1, "breaker_a"] = np.nan
    net.overload_curve.loc[0, "max_s"] = np.inf
    net.ext_grid.loc[0, "min_p_mw"] = -np.inf
    net.bus["note"] = pd.Series([np.nan, None, ("a", 1), {"k": [1]}, True, 3, 1.5, "x", [2.5]], dtype=object)
    create_storage(net, 3, "DES", 0.02, 0.01, grid_forming=True)
    return net


def test_round_trip_is_exact(plant, tmp_path):
    path = tmp_path / "plant.json"
    write_network(plant, path)
    again = read_network(path)
    assert_same(plant, again)
    assert again.name == plant.name
    assert again.f_hz == plant.f_hz
    assert again.std_types == plant.std_types
    assert list(tmp_path.iterdir()) == [path]


def test_round_trip_of_the_case_as_built(tmp_path):
    net = two_feed()
    write_network(net, tmp_path / "n.json")
    assert_same(net, read_network(tmp_path / "n.json"))


def test_pandapower_reads_what_we_write(plant, tmp_path):
    path = tmp_path / "plant.json"
    write_network(plant, path)
    again = pp.from_json(str(path))
    for name, frame in tables(plant).items():
        left, right = (
            frame.drop(columns="note", errors="ignore"),
            again[name].drop(columns="note", errors="ignore"),
        )
        if name == "ups":
            assert [str(v) for v in left["efficiency"]] == [str(v) for v in right["efficiency"]]
            left, right = left.drop(columns="efficiency"), right.drop(columns="efficiency")
        pd.testing.assert_frame_equal(left, right, obj=name)


def test_we_read_what_pandapower_writes(tmp_path):
    net = two_feed()
    path = tmp_path / "n.json"
    pp.to_json(net, str(path))
    again = read_network(path)
    for name, frame in tables(net).items():
        expected = frame.copy()
        for column in expected.columns[[t.kind == "f" for t in expected.dtypes]]:
            expected[column] = expected[column].where(np.isfinite(expected[column]))
        # pandapower writes 15 decimals and no infinities; NaN in an object column comes back as None
        for column in expected.columns[[t.kind == "O" for t in expected.dtypes]]:
            expected[column] = expected[column].astype(object).where(expected[column].notna(), None)
        pd.testing.assert_frame_equal(expected, again[name], obj=name)


def test_an_older_network_of_pandapower(tmp_path):
    folder = Path(pn.__file__).parent
    net = read_network(folder / "mv_oberrhein.json")
    assert len(net.bus) == 179 or len(net.bus) > 100
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = pp.from_json(str(folder / "mv_oberrhein.json"))
    pd.testing.assert_frame_equal(net.line, expected.line)
    pd.testing.assert_frame_equal(net.load, expected.load)
    pd.testing.assert_frame_equal(net.switch, expected.switch)
    assert {"ups", "transfer", "interlock", "overload_curve"} <= set(net.keys())


def test_results_survive(tmp_path):
    net = pn.example_simple()
    pp.runpp(net)
    write_network(net, tmp_path / "n.json")
    again = read_network(tmp_path / "n.json")
    pd.testing.assert_frame_equal(net.res_bus, again.res_bus, check_exact=True)


# --- refusals


def kinds(path):
    with pytest.raises(InputError) as caught:
        read_network(path)
    for issue in caught.value.issues:
        assert issue.path
        assert issue.allowed
        assert issue.todo
    assert caught.value.__cause__ is None
    return [issue.kind for issue in caught.value.issues]


@functools.cache
def small_text():
    """A network of three tables: enough to spoil, and quick to read."""
    document = json.loads(pp.to_json(two_feed()))
    body = document["_object"]
    keep = ("bus", "load", "switch", "std_types", "f_hz", "sn_mva", "version", "format_version")
    document["_object"] = {k: body[k] for k in keep}
    return json.dumps(document)


def net_document():
    return json.loads(small_text())


def dump(tmp_path, document):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document))
    return path


EVIL = {"_module": "pdnopt_evil_marker", "_class": "Boom", "_object": "x"}


@pytest.fixture
def evil_module(tmp_path, monkeypatch):
    """A module that would tell if it were imported."""
    (tmp_path / "pdnopt_evil_marker.py").write_text("class Boom:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    assert "pdnopt_evil_marker" not in sys.modules


@pytest.mark.usefixtures("evil_module")
@pytest.mark.parametrize(
    "where", ["top", "entry", "nested", "std_types", "private", "cell", "cell_list", "array"]
)
def test_nothing_named_is_imported(tmp_path, where):
    document = net_document()
    body = document["_object"]
    if where == "top":
        document = EVIL
    elif where == "entry":
        body["extra"] = EVIL
    elif where == "nested":
        body["extra"] = {"a": [{"b": EVIL}]}
    elif where == "std_types":
        body["std_types"]["line"]["x"] = {"r": EVIL}
    elif where == "private":
        body["_hidden"] = EVIL
    elif where == "array":
        body["extra"] = {"_module": "numpy", "_class": "array", "_object": [EVIL]}
    else:
        table = json.loads(body["load"]["_object"])
        table["data"][2][table["columns"].index("cools")] = EVIL if where == "cell" else [[EVIL]]
        body["load"]["_object"] = json.dumps(table)
    assert kinds(dump(tmp_path, document)) == ["NotAllowed"]


@pytest.mark.parametrize(
    ("module", "class_"),
    [
        ("os", "function"),
        ("builtins", "exec"),
        ("builtins", "eval"),
        ("functools", "partial"),
        ("pandapower.control.controller.const_control", "ConstControl"),
        ("pandapower.file_io", "function"),
        ("networkx", "MultiGraph"),
        ("shapely", "Point"),
        ("geopandas.geodataframe", "GeoDataFrame"),
        ("numpy", "load"),
        ("pandas", "read_pickle"),
        ("pandapower.auxiliary", "DataFrame"),
        (["os"], "x"),
        (None, "DataFrame"),
    ],
)
def test_only_the_list_is_built(tmp_path, module, class_):
    document = net_document()
    document["_object"]["extra"] = {"_module": module, "_class": class_, "_object": "ls"}
    document["_object"]["more"] = [{"_class": class_}]
    path = dump(tmp_path, document)
    assert kinds(path) == ["NotAllowed", "NotAllowed"]
    with pytest.raises(InputError) as caught:
        read_network(path)
    assert caught.value.issues[0].path == "$._object.extra"
    assert caught.value.issues[1].path == "$._object.more[0]"


def test_a_table_is_never_a_path(tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text('{"columns":["a"],"index":[0],"data":[[1]]}')
    document = net_document()
    document["_object"]["load"]["_object"] = str(secret)
    assert kinds(dump(tmp_path, document)) == ["NotJson"]


def test_files_that_are_none(tmp_path):
    assert kinds(tmp_path / "missing.json") == ["File"]
    folder = tmp_path / "folder.json"
    folder.mkdir()
    assert kinds(folder) == ["File"]
    assert kinds(tmp_path) == ["Suffix"]
    (tmp_path / "net.xlsx").write_bytes(b"PK")
    assert kinds(tmp_path / "net.xlsx") == ["Suffix"]
    (tmp_path / "net.p").write_bytes(pickle.dumps({}))
    assert kinds(tmp_path / "net.p") == ["PickleRefused"]
    (tmp_path / "renamed.json").write_bytes(pickle.dumps({}))
    assert kinds(tmp_path / "renamed.json") == ["PickleRefused"]
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    assert kinds(tmp_path / "bytes.json") == ["NotJson"]
    (tmp_path / "text.json").write_text("hello")
    assert kinds(tmp_path / "text.json") == ["NotJson"]
    (tmp_path / "empty.json").write_text("")
    assert kinds(tmp_path / "empty.json") == ["NotJson"]


@pytest.mark.parametrize(
    "document", [[], {}, 5, None, "x", {"bus": {}}, {"_module": "pandas", "_class": "Series"}]
)
def test_json_that_is_no_network(tmp_path, document):
    assert kinds(dump(tmp_path, document))[0] in ("NotANetwork", "Format")


def test_oversize_and_deep(tmp_path, monkeypatch):
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000 + "]" * 100_000)
    assert kinds(deep) == ["TooDeep"]
    document = net_document()
    document["_object"]["extra"] = json.loads("[" * 200 + "]" * 200)
    assert kinds(dump(tmp_path, document)) == ["TooDeep"]
    monkeypatch.setattr(reading, "MAX_BYTES", 100)
    assert kinds(dump(tmp_path, net_document())) == ["TooLarge"]


def test_spoilt_tables(tmp_path):
    def spoil(change):
        document = net_document()
        change(document["_object"])
        return kinds(dump(tmp_path, document))

    assert spoil(lambda b: b.update(bus=5)) == ["Format"]
    assert spoil(lambda b: b.update(std_types=[])) == ["Format"]
    assert spoil(lambda b: b.update(f_hz="fifty")) == ["Format"]
    assert spoil(lambda b: b.update(format_version="99.0", version="99.0")) == ["Format"]
    assert spoil(lambda b: b.pop("bus")) == ["NotANetwork"]
    assert spoil(lambda b: b["load"].update(_object='{"columns":["a"],"index":[0],"data":[]}')) == ["Format"]
    assert spoil(lambda b: b["load"].update(_object="[1, 2]")) == ["Format"]
    assert spoil(lambda b: b["load"].update(_object='{"columns":["a","a"],"index":[],"data":[]}')) == [
        "NotUnique"
    ]
    assert spoil(lambda b: b["load"]["dtype"].update(p_mw="os.system")) == ["NotAllowed"]


def test_a_cell_that_does_not_fit_stays_as_found(tmp_path):
    document = net_document()
    table = json.loads(document["_object"]["switch"]["_object"])
    table["data"][0][table["columns"].index("closed")] = "maybe"
    document["_object"]["switch"]["_object"] = json.dumps(table)
    net = read_network(dump(tmp_path, document))
    assert net.switch.at[0, "closed"] == "maybe"  # for validate to tell


def test_writing_refuses(tmp_path):
    net = two_feed()
    net["hook"] = print
    net.load["cools"] = net.load["cools"].astype(object)
    net.load.at[0, "cools"] = lambda: None
    with pytest.raises(InputError) as caught:
        write_network(net, tmp_path / "n.json")
    assert [i.kind for i in caught.value.issues] == ["NotAllowed", "NotAllowed"]
    assert sorted(i.path for i in caught.value.issues) == ["net.hook", "net.load.cools[0]"]
    for bad in (tmp_path / "n.p", tmp_path / "no" / "such" / "n.json"):
        with pytest.raises(InputError):
            write_network(two_feed(), bad)
    with pytest.raises(InputError):
        write_network({"bus": 1}, tmp_path / "n.json")
    assert list(tmp_path.iterdir()) == []
