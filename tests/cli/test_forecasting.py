"""``pdnopt forecast backtest`` and ``predict``, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pdnopt.cli import app
from pdnopt.forecast.naive import SeasonalNaive
from tests.forecast import series
from tests.forecast.made import hourly, profile

RUNNER = CliRunner()


def run(*arguments: object) -> Any:
    return RUNNER.invoke(app, ["forecast", *map(str, arguments)])


@pytest.fixture
def loads(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    values = profile(24 * 40)[:, None] + rng.standard_normal((24 * 40, 2))
    hourly(values, ["r1", "r2"]).to_csv(tmp_path / "loads.csv")
    return tmp_path / "loads.csv"


def test_the_published_protocol_in_one_command() -> None:
    folder = series.folder()
    done = run(
        "backtest",
        folder / "ETTh1.csv",
        folder / "ETTh2.csv",
        "--timezone",
        "UTC",
        "--allow-negative",
        "--json",
    )
    assert done.exit_code == 0, done.output
    naive, last = json.loads(done.stdout)["tests"]
    assert (naive["mase"], naive["sql"]) == pytest.approx((1.3227158902, 1.2068899293), rel=1e-8)
    assert last["mase"] == pytest.approx(1.7184141817, rel=1e-8)
    assert naive["circuits"][0]["circuit"] == "ETTh1:MUFL"
    assert naive["circuits"][0]["sql"] == max(each["sql"] for each in naive["circuits"])


def test_the_other_task_and_a_long_table() -> None:
    folder = series.folder()
    done = run(
        *("backtest", folder / "gefcom2014_E_hourly.parquet", "--column", "load_mw", "--unit", "MW"),
        *("--since", "2013-01-01", "--timezone", "UTC", "--model", "seasonal_naive", "--json"),
    )
    assert json.loads(done.stdout)["tests"][0]["mase"] == pytest.approx(1.1988543805, rel=1e-8)
    done = run(
        *(
            "backtest",
            folder / "gpu_servers_hourly.parquet",
            "--long",
            "name,timestamp,powerave",
            "--unit",
            "W",
        ),
        *("--timezone", "UTC", "--horizon", 24, "--windows", 60, "--model", "last_value"),
    )
    assert done.exit_code == 0, done.output
    assert "3 circuits, 60 windows of 24 steps" in done.stdout
    assert "cbsugpu06" in done.stdout


def test_a_table_and_a_picture(loads: Path, tmp_path: Path) -> None:
    picture = tmp_path / "sub" / "picture.png"
    done = run("backtest", loads, "--horizon", 24, "--windows", 5, "--plot", picture)
    assert done.exit_code == 0, done.output
    assert "worst circuits of seasonal_naive" in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_forecast_is_that_of_the_model(loads: Path, tmp_path: Path) -> None:
    out = tmp_path / "forecast.csv"
    done = run("predict", loads, "--model", "seasonal_naive", "--horizon", 6, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    history = pd.read_csv(loads, index_col=0, parse_dates=True)
    expected = SeasonalNaive().fit(history).predict(6)
    assert told["warnings"] == []
    assert told["forecast_kw"]["circuits"]["r2"]["0.9"] == pytest.approx(expected["r2", 0.9].tolist())
    assert told["forecast_kw"]["time"][0] == "2024-02-10T00:00:00+00:00"
    written = pd.read_csv(out, header=[0, 1], index_col=0)
    assert written.to_numpy() == pytest.approx(expected.to_numpy())


def test_a_saved_forecaster_takes_in_newer_rows_and_draws_scenarios(loads: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(loads, index_col=0)
    frame.iloc[:-48].to_csv(tmp_path / "older.csv")
    assert run("predict", tmp_path / "older.csv", "--save", tmp_path / "saved").exit_code == 0
    done = run("predict", loads, "--from", tmp_path / "saved", "--horizon", 3, "--scenarios", 4, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["forecast_kw"]
    assert told["time"][0] == "2024-02-10T00:00:00+00:00"
    assert list(told["circuits"]["r1"]) == ["0", "1", "2", "3"]


def test_what_is_taken_out_is_told(tmp_path: Path) -> None:
    values = profile(960) + np.random.default_rng(3).standard_normal(960)
    values[100:130] = values[100]
    hourly(values, ["r1"]).to_csv(tmp_path / "stuck.csv")
    done = run("predict", tmp_path / "stuck.csv", "--clean", "--horizon", 2)
    assert done.exit_code == 0
    assert "taken out: r1" in done.stderr
    assert "the meter stands still" in done.stderr
    assert "r1, kW" in done.stdout


def test_a_model_that_cannot_be_trained_is_stood_in_for(tmp_path: Path) -> None:
    hourly(profile(8), ["r1"]).to_csv(tmp_path / "short.csv")
    done = run("predict", tmp_path / "short.csv", "--horizon", 2)
    assert done.exit_code == 0
    assert "warning: calibrated_seasonal_naive is not used: its training failed" in done.stderr
    assert "the last value stands in" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("backtest", "nowhere.csv"), "File"),
        (("backtest", "{loads}", "--model", "oracle"), "Enum"),
        (("backtest", "{loads}", "--horizon", 0), "HorizonError"),
        (("backtest", "{loads}", "--windows", 500), "HorizonError"),
        (("backtest", "{loads}", "--column", "r9"), "Missing"),
        (("backtest", "{loads}", "--unit", "hp"), "Enum"),
        (("backtest", "{loads}", "--long", "name"), "Format"),
        (("backtest", "{naive}"), "TimezoneRequired"),
        (("predict", "{loads}", "--quantile", 1.5), "Range"),
        (("predict", "{loads}", "--model", "seasonal_naive", "--scenarios", 5), "Conflict"),
        (("predict", "{loads}", "--from", "nowhere"), "File"),
        (("predict", "{negative}"), "NegativeLoad"),
        (("predict", "{sentinel}"), "NotAvailable"),
        (("predict", "{twice}"), "TimeOrder"),
        (("predict", "{loads}", "--covariates", "{naive}"), "TimezoneRequired"),
    ],
)
def test_bad_input_ends_with_2_and_a_named_error(
    arguments: tuple[object, ...], kind: str, loads: Path, tmp_path: Path
) -> None:
    good = pd.read_csv(loads, index_col=0)
    files = {"loads": loads}
    changed = {
        "naive": good.set_axis(good.index.str.removesuffix("+00:00")),
        "negative": good.assign(r1=good["r1"] * -1),
        "sentinel": good.assign(r1=32767),
        "twice": pd.concat([good.iloc[:10], good.iloc[9:]]),
    }
    for name, frame in changed.items():
        files[name] = tmp_path / f"{name}.csv"
        frame.to_csv(files[name])
    done = run(*(str(each).format(**files) for each in arguments), "--json")
    assert done.exit_code == 2, done.output
    assert kind in [issue["kind"] for issue in json.loads(done.stdout)["issues"]]
    assert "Traceback" not in done.output
