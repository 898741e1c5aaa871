"""Real series of the outside data, as the wide frames that forecasters take."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.outside import outside

KW_PER_MW = 1000.0


def folder() -> Path:
    """Return the folder of load series; skip the test where it is absent."""
    path = outside("load")
    if not path.is_dir():
        pytest.skip(f"no outside data at {path}: set PDNOPT_TEST_DATA")
    return path


def ett() -> tuple[pd.DataFrame, list[str]]:
    """Return two transformers' loads and oil temperatures side by side, and the variate of each column."""
    parts = {}
    for name in ("ETTh1", "ETTh2"):
        frame = pd.read_csv(folder() / f"{name}.csv", index_col="date", parse_dates=True)
        parts[name] = frame.tz_localize("UTC")
    wide = pd.concat(parts, axis=1)
    groups = [variate for _, variate in wide.columns]
    wide.columns = pd.Index([f"{name}:{variate}" for name, variate in wide.columns])
    return wide, groups


def gfc14(start: str = "2013-01-01") -> pd.DataFrame:
    """Return a utility's load in kW, by default from 2013 on as published; there are loads from 2006 on."""
    return _gfc14(start)[["load_mw"]] * KW_PER_MW


def gfc14_temperature(start: str = "2013-01-01") -> pd.DataFrame:
    """Return the temperature in degrees Fahrenheit, which the published task knows ahead."""
    return _gfc14(start)[["temp_f"]]


def _gfc14(start: str) -> pd.DataFrame:
    frame = pd.read_parquet(folder() / "gefcom2014_E_hourly.parquet").set_index("timestamp")
    return frame.loc[start:].tz_localize("UTC").asfreq("h")


def gpu_servers() -> pd.DataFrame:
    """Return the mean power of a GPU of three servers in kW, gaps NaN."""
    frame = pd.read_parquet(folder() / "gpu_servers_hourly.parquet")
    wide = frame.pivot(index="timestamp", columns="name", values="powerave") / 1000.0
    return wide.tz_localize("UTC").asfreq("h").rename_axis(columns=None)
