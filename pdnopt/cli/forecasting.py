"""``pdnopt forecast backtest | predict``: how a forecaster would have done, and what it says now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pdnopt.cli.guard import AsJson, Debug, guarded, print_json, working, writable
from pdnopt.errors import InputError, Issue

if TYPE_CHECKING:
    from pdnopt.forecast.estimator import Forecaster
    from pdnopt.forecast.history import History
    from pdnopt.forecast.series import Source

__all__ = ["add_commands", "backtest", "predict"]

BACKTEST_HELP = """Say how forecasters would have done: rolling origin, scored on what came.

\b
Examples:
  pdnopt forecast backtest loads.csv --model calibrated_lightgbm --horizon 24 --windows 60
  pdnopt forecast backtest ETTh1.csv ETTh2.csv --timezone UTC --allow-negative
  pdnopt forecast backtest load.parquet --column load_mw --unit MW --since 2013-01-01 --timezone UTC
  pdnopt forecast backtest gpus.parquet --long name,timestamp,powerave --unit W --timezone UTC --horizon 24 --windows 60
  pdnopt forecast backtest loads.csv --model lightgbm --model seasonal_naive --plot out/backtest.png --json

\b
DATA has the time in the first column (ISO 8601) and a column for each circuit; empty is a gap. With several files the
same column of all is one group of the WQL and WAPE. The defaults are the published protocol: 20 windows of 168 steps, one
behind another, the last at the end of the data; each model is trained on what lies before the first window and gets newer
rows without being trained again, unless --refit-every says so.

\b
Models: last_value, seasonal_naive, lightgbm, lstm, combination; calibrated_ before a name calibrates its quantiles.

\b
Exit codes: 0 done, 2 bad input, 3 internal error.
"""

PREDICT_HELP = """Forecast the next steps as quantiles or as joint scenarios.

\b
Examples:
  pdnopt forecast predict loads.csv --horizon 24 --model calibrated_seasonal_naive --out forecast.csv
  pdnopt forecast predict loads.csv --horizon 12 --scenarios 50 --model calibrated_lightgbm --out paths.csv
  pdnopt forecast predict loads.csv --model lightgbm --save models/today
  pdnopt forecast predict newer.csv --from models/today --horizon 24 --json

\b
With --from, a saved forecaster takes in the rows of DATA that are newer than what it has seen, and is not trained again.
A forecaster that fails is stood in for by the last value with wider quantiles, and the warning says so.

\b
Exit codes: 0 done (also with a fallback), 2 bad input, 3 internal error.
"""

DEFAULT_MODELS = ["seasonal_naive", "last_value"]
SHOWN = 8
MODEL_HELP = "See below; once for each."

Data = Annotated[list[Path], typer.Argument(help="CSV or Parquet files of measurements.")]
Timezone = Annotated[
    str | None,
    typer.Option(metavar="ZONE", help="Of time stamps without a UTC offset, Europe/Berlin for instance."),
]
Columns = Annotated[
    list[str] | None, typer.Option("--column", metavar="NAME", help="Only this column; once for each.")
]
Unit = Annotated[str, typer.Option(metavar="UNIT", help="Of the values: W, kW or MW.")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="Leave out what lies before.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Leave out what lies after.")]
Long = Annotated[
    str | None,
    typer.Option(
        metavar="CIRCUIT,TIME,VALUE", help="The file has one row a measurement, with columns of these names."
    ),
]
Negative = Annotated[bool, typer.Option("--allow-negative", help="Power may be negative.")]
Clean = Annotated[
    bool, typer.Option("--clean", help="Take out flat-lined meters and outliers first; each is told.")
]
Covariates = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What is known ahead (temperature, jobs), as a wide table."),
]


@guarded
def backtest(
    data: Data,
    model: Annotated[list[str] | None, typer.Option("--model", metavar="NAME", help=MODEL_HELP)] = None,
    horizon: Annotated[int, typer.Option(metavar="STEPS", help="Steps of a window.")] = 168,
    windows: Annotated[int, typer.Option(metavar="N", help="Windows.")] = 20,
    step: Annotated[
        int | None, typer.Option(metavar="STEPS", help="Steps between windows. [default: the horizon]")
    ] = None,
    season: Annotated[
        int | None, typer.Option(metavar="STEPS", help="Season that scores are scaled by. [default: a day]")
    ] = None,
    refit_every: Annotated[
        int | None, typer.Option(metavar="N", help="Train anew every N windows. [default: never]")
    ] = None,
    covariates: Covariates = None,
    timezone: Timezone = None,
    columns: Columns = None,
    unit: Unit = "kW",
    since: Since = None,
    until: Until = None,
    long: Long = None,
    allow_negative: Negative = False,
    clean: Clean = False,
    worst: Annotated[int, typer.Option(metavar="N", help="Circuits in the list of the worst.")] = 10,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw a picture (extra plot).")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Back-test forecasters on the same windows."""
    from pdnopt.forecast.backtest import Windows, run_backtest
    from pdnopt.forecast.catalogue import maker
    from pdnopt.forecast.tables import backtest_text

    history, groups = _history(
        data, _source(timezone, columns, unit, since, until, long), allow_negative, clean
    )
    known = _covariates(covariates, timezone)
    protocol = Windows(horizon=horizon, windows=windows, step=step, season=season, refit_every=refit_every)
    tests = []
    for name in dict.fromkeys(model or DEFAULT_MODELS):
        make = maker(name, horizon, allow_negative)
        with working(f"back-testing {name}"):
            tests.append(
                run_backtest(
                    make,
                    history.frame(),
                    protocol,
                    covariates=known,
                    groups=groups,
                    allow_negative=allow_negative,
                )
            )
    if as_json:
        print_json({"tests": [each.to_dict() for each in tests]})
    else:
        typer.echo(backtest_text(tests, worst))
    if plot is not None:
        from pdnopt.forecast.plots import plot_backtest

        written = writable(plot, lambda: plot_backtest(tests, plot))
        typer.echo(f"picture: {written}", err=as_json)


@guarded
def predict(
    data: Data,
    horizon: Annotated[int, typer.Option(metavar="STEPS", help="Steps that are forecast.")] = 24,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="As for backtest.")
    ] = "calibrated_seasonal_naive",
    saved: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIR",
            help="Use the forecaster saved here, or deployed in this registry.",
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save the forecaster to this folder.")
    ] = None,
    quantile: Annotated[
        list[float] | None, typer.Option(metavar="Q", help="Once for each. [default: 0.1 to 0.9]")
    ] = None,
    scenarios: Annotated[
        int | None,
        typer.Option(metavar="N", help="Give N joint paths instead of quantiles (a calibrated model)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the scenarios.")] = 0,
    time_limit_s: Annotated[
        float | None, typer.Option(metavar="S", help="Wall time of the forecast, then the last value.")
    ] = None,
    covariates: Covariates = None,
    timezone: Timezone = None,
    columns: Columns = None,
    unit: Unit = "kW",
    since: Since = None,
    until: Until = None,
    long: Long = None,
    allow_negative: Negative = False,
    clean: Clean = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the forecast as CSV here.")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Forecast the next steps."""
    from pdnopt.forecast.estimator import DECILES
    from pdnopt.forecast.fallback import WithFallback

    if saved is not None and save is not None:
        todo = "Fit a model and --save it, or use one with --from."
        raise InputError(Issue("Conflict", "--from, --save", "", str(saved), "one of the two", todo))
    history, _ = _history(data, _source(timezone, columns, unit, since, until, long), allow_negative, clean)
    known = _covariates(covariates, timezone)
    inner = _forecaster(model, saved, horizon, allow_negative)
    forecaster = WithFallback(lambda: inner, time_limit_s, allow_negative)
    with working(f"forecasting with {inner.name}"):
        if saved is None:
            forecaster.fit(history.frame(), _before(known, history))
        else:
            forecaster.take(inner, history.frame(), _before(known, history))
        told = list(forecaster.warnings)
        answer = forecaster.predict(horizon, quantile or DECILES, _ahead(known, history))
        told += [text for text in answer.attrs["warnings"] if text not in told]
        if scenarios is not None:
            answer = _scenarios(inner, answer, scenarios, seed, allow_negative, fell_back=bool(told))
    if save is not None:
        writable(save, lambda: inner.save(save))
    for text in told:
        typer.echo(f"warning: {text}", err=True)
    if out is not None:
        writable(out, lambda: _write(answer, out))
    if as_json:
        print_json({"model": inner.name, "warnings": told, "forecast_kw": _records(answer)})
    elif out is None:
        typer.echo(_on_screen(answer, quantiles=scenarios is None))


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to ``pdnopt forecast``."""
    app.command("backtest", help=BACKTEST_HELP)(backtest)
    app.command("predict", help=PREDICT_HELP)(predict)


def _source(
    timezone: str | None,
    columns: list[str] | None,
    unit: str,
    since: str | None,
    until: str | None,
    long: str | None,
) -> Source:
    from pdnopt.forecast.series import Source

    names = None
    if long is not None:
        parts = [part.strip() for part in long.split(",")]
        if len(parts) != 3 or not all(parts):
            todo = "For instance --long name,timestamp,power."
            raise InputError(Issue("Format", "--long", "", long, "three names with commas between", todo))
        names = (parts[0], parts[1], parts[2])
    return Source(timezone, tuple(columns or ()), unit, since, until, names)


def _history(
    paths: list[Path], source: Source, allow_negative: bool, clean: bool
) -> tuple[History, list[str] | None]:
    """Return the measurements, checked; flat lines and outliers taken out and told if so asked."""
    from pdnopt.forecast.history import read_history
    from pdnopt.forecast.series import read_series

    with working("reading the measurements"):
        frame, groups = read_series(paths, source)
        history = read_history(frame, allow_negative=allow_negative, path="data")
    if clean:
        from pdnopt.forecast.cleaning import clean as clean_readings

        history, findings = clean_readings(history)
        for each in findings:
            typer.echo(f"taken out: {each.circuit}, {each.start} to {each.end}: {each.text}", err=True)
    return history, groups


def _covariates(path: Path | None, timezone: str | None) -> Any:
    from pdnopt.forecast.files import read_frame
    from pdnopt.forecast.history import check_index

    if path is None:
        return None
    known = read_frame(path, timezone)
    issues = check_index(known.index, "covariates", constant=False)
    if issues:
        raise InputError(issues)
    return known


def _before(known: Any, history: History) -> Any:
    return None if known is None else known.loc[known.index <= history.index[-1]]


def _ahead(known: Any, history: History) -> Any:
    return None if known is None else known.loc[known.index > history.index[-1]]


def _forecaster(model: str, saved: Path | None, horizon: int, allow_negative: bool) -> Forecaster:
    from pdnopt.forecast.catalogue import maker
    from pdnopt.forecast.registry import open_forecaster

    return open_forecaster(saved) if saved is not None else maker(model, horizon, allow_negative)()


def _scenarios(
    forecaster: Forecaster, answer: Any, count: int, seed: int, allow_negative: bool, fell_back: bool
) -> Any:
    from pdnopt.forecast.conformal import Calibrated
    from pdnopt.forecast.scenarios import sample_scenarios

    if not isinstance(forecaster, Calibrated):
        todo = "Use --model calibrated_lightgbm, for instance: its past errors say what moves together."
        raise InputError(Issue("Conflict", "--scenarios", "", forecaster.name, "a calibrated model", todo))
    if fell_back:
        todo = "See the warning; ask for quantiles."
        raise InputError(Issue("Conflict", "--scenarios", "", forecaster.name, "a model that works", todo))
    return sample_scenarios(answer, forecaster.template(), count, seed, allow_negative)


def _on_screen(answer: Any, quantiles: bool) -> str:
    """Return a forecast as text, a block a circuit; of many quantiles the lowest, the middle and the highest."""
    circuits = list(dict.fromkeys(answer.columns.get_level_values(0)))
    blocks = []
    for name in circuits[:SHOWN]:
        part = answer[name]
        if quantiles and part.shape[1] > 3:
            part = part.iloc[:, [0, part.shape[1] // 2, -1]]
        blocks.append(f"{name}, kW\n{part.iloc[:, :SHOWN].round(4).to_string()}")
    if len(circuits) > SHOWN:
        blocks.append(f"and {len(circuits) - SHOWN} circuits more: write all with --out or --json")
    return "\n\n".join(blocks)


def _write(frame: Any, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out)


def _records(frame: Any) -> dict[str, Any]:
    """Return a forecast as circuit -> quantile or scenario -> values, with its time stamps."""
    circuits: dict[str, Any] = {}
    for circuit, label in frame.columns:
        circuits.setdefault(str(circuit), {})[f"{label:g}"] = frame[(circuit, label)].tolist()
    return {"time": [each.isoformat() for each in frame.index], "circuits": circuits}
