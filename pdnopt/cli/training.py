"""``pdnopt forecast train | promote | rollback | list | federate``: models that are trained, kept and deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pdnopt.cli.guard import AsJson, Debug, guarded, print_json, working, writable
from pdnopt.errors import InputError, Issue

if TYPE_CHECKING:
    from pdnopt.forecast.federated.coordinator import Round

__all__ = ["add_commands", "federate", "promote", "rollback", "train", "versions"]

TRAIN_HELP = """Train a model, judge it against the deployed one, and deploy the better.

\b
Examples:
  pdnopt forecast train loads.csv --registry models
  pdnopt forecast train loads.parquet --registry models --horizon 168 --covariates weather.csv
  pdnopt forecast train loads.csv --registry models --model lightgbm --margin 0.02 --json
  pdnopt forecast train loads.csv --registry models --set steps=2000 --set hidden=64
  pdnopt forecast predict newer.csv --from models

\b
DATA has the time in the first column (ISO 8601) and a column for each circuit; empty is a gap. The last WINDOWS
windows of HORIZON steps are held out; candidate and deployed model forecast the same ones. The candidate is kept as a
version either way, and deployed only where its scaled quantile loss (SQL) is lower.

\b
Exit codes: 0 done, whichever is deployed now; 2 bad input; 3 internal error.
"""

PROMOTE_HELP = """Deploy a version by hand.

\b
Examples:
  pdnopt forecast promote 0003 --registry models
  pdnopt forecast promote 0003 --registry models --force

\b
A version that was judged no better than what is deployed is refused without --force.
"""

ROLLBACK_HELP = """Deploy again what was deployed before.

\b
Examples:
  pdnopt forecast rollback --registry models
"""

LIST_HELP = """List the versions of a registry.

\b
Examples:
  pdnopt forecast list --registry models
  pdnopt forecast list --registry models --json
"""

FEDERATE_HELP = """Train one LSTM on the files of many nodes, each read by a process of its own that shares weights only.

\b
Examples:
  pdnopt forecast federate node_a.csv node_b.csv node_c.csv --out agreed
  pdnopt forecast federate nodes/*.csv --out agreed --rounds 30 --deadline-s 60 --fewest 5
  pdnopt forecast federate nodes/*.csv --out agreed --clip 1.0 --noise 0.1

\b
A node's name is that of its file. OUT gets a folder for each node with the agreed model, ready to forecast its
circuits. Nodes that are late or gone are left out of a round; an update that is not finite or of another shape is
refused.

\b
Exit codes: 0 done, 1 too few nodes answered, 2 bad input, 3 internal error.
"""

DEFAULT_REGISTRY = Path("models")

Data = Annotated[list[Path], typer.Argument(help="CSV or Parquet files of measurements.")]
Where = Annotated[Path, typer.Option("--registry", metavar="DIR", help="The folder of versions.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of the model; once for each."),
]
Timezone = Annotated[
    str | None,
    typer.Option(
        metavar="ZONE", help="Of times without a UTC offset, and of the calendar: Europe/Berlin, UTC."
    ),
]
Columns = Annotated[
    list[str] | None, typer.Option("--column", metavar="NAME", help="Only this column; once for each.")
]
Unit = Annotated[str, typer.Option(metavar="UNIT", help="Of the values: W, kW or MW.")]
Horizon = Annotated[int, typer.Option(metavar="STEPS", help="Steps that are forecast.")]
Windows = Annotated[int, typer.Option(metavar="N", help="Windows that are held out.")]
Negative = Annotated[bool, typer.Option("--allow-negative", help="Power may be negative.")]


@guarded
def train(
    data: Data,
    registry: Where = DEFAULT_REGISTRY,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="lstm, lightgbm, combination, last_value or seasonal_naive.",
        ),
    ] = "lstm",
    horizon: Horizon = 24,
    windows: Windows = 14,
    covariates: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is known ahead: temperature, jobs.")
    ] = None,
    margin: Annotated[
        float, typer.Option(metavar="PART", help="By which part the SQL must be lower to be deployed.")
    ] = 0.0,
    settings: Settings = None,
    timezone: Timezone = None,
    columns: Columns = None,
    unit: Unit = "kW",
    allow_negative: Negative = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train, judge, promote or keep."""
    from pdnopt.forecast.files import read_frame
    from pdnopt.forecast.registry import Registry
    from pdnopt.forecast.series import Source, read_series
    from pdnopt.forecast.training import Recipe, retrain

    history, _ = read_series(data, Source(timezone, tuple(columns or ()), unit))
    known = None if covariates is None else read_frame(covariates, timezone)
    recipe = Recipe(model, _settings(settings), allow_negative)
    with working(f"training {model}"):
        verdict = retrain(
            Registry(registry),
            history,
            known,
            recipe=recipe,
            horizon=horizon,
            windows=windows,
            margin=margin,
        )
    if as_json:
        print_json(verdict.to_dict())
        return
    for warning in verdict.warnings:
        typer.echo(f"warning: {warning}", err=True)
    done = "deployed" if verdict.promoted else "kept, not deployed"
    typer.echo(f"version {verdict.version} of {registry}: {done}; {verdict.reason}")


@guarded
def promote(
    version: Annotated[str, typer.Argument(help="The version, for instance 0003.")],
    registry: Where = DEFAULT_REGISTRY,
    force: Annotated[
        bool, typer.Option("--force", help="Also one that was judged no better than the deployed one.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Deploy a version by hand."""
    from pdnopt.forecast.registry import Registry
    from pdnopt.forecast.training import promote_by_hand

    promote_by_hand(Registry(registry), version, force)
    _deployed(version, registry, as_json)


@guarded
def rollback(registry: Where = DEFAULT_REGISTRY, as_json: AsJson = False, debug: Debug = False) -> None:
    """Deploy again what was deployed before."""
    from pdnopt.forecast.registry import Registry

    _deployed(Registry(registry).roll_back(), registry, as_json)


@guarded
def versions(registry: Where = DEFAULT_REGISTRY, as_json: AsJson = False, debug: Debug = False) -> None:
    """List the versions."""
    from pdnopt.forecast.registry import Registry

    kept = Registry(registry)
    deployed = kept.current()
    manifests = [kept.manifest(name) for name in kept.versions()]
    if as_json:
        history = [entry.to_dict() for entry in kept.history()]
        print_json({"deployed": deployed, "versions": manifests, "history": history})
        return
    if not manifests:
        typer.echo(f"{registry}: no versions yet; train one with pdnopt forecast train")
        return
    typer.echo(f"{'':2}{'version':9}{'created':22}{'model':16}{'SQL':>8}{'against':>9}  of")
    for manifest in manifests:
        scores = manifest.get("scores", {})
        opponent = scores.get("opponent", {})
        mark = "*" if manifest["version"] == deployed else ""
        figures = [_figure(scores.get("candidate", {}).get("sql")), _figure(opponent.get("sql"))]
        typer.echo(
            f"{mark:2}{manifest['version']:9}{manifest['created'][:19]:22}{manifest['model']:16}"
            f"{figures[0]:>8}{figures[1]:>9}  {opponent.get('name', '-')}"
        )
    typer.echo("* deployed" if deployed else "none is deployed")


@guarded
def federate(
    data: Annotated[list[Path], typer.Argument(help="A CSV or Parquet file for each node.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where nodes save the agreed model.")],
    rounds: Annotated[int, typer.Option(metavar="N", help="Rounds.")] = 20,
    local_steps: Annotated[int, typer.Option(metavar="N", help="Training steps of a node in a round.")] = 40,
    deadline_s: Annotated[
        float, typer.Option(metavar="S", help="Until when a round waits for answers, in s.")
    ] = 120.0,
    fewest: Annotated[int, typer.Option(metavar="N", help="Answers that a round needs.")] = 2,
    clip: Annotated[float | None, typer.Option(metavar="LENGTH", help="Longest update of a node.")] = None,
    noise: Annotated[
        float, typer.Option(metavar="Z", help="Noise that a node adds, as a multiple of --clip.")
    ] = 0.0,
    horizon: Horizon = 24,
    windows: Windows = 14,
    settings: Settings = None,
    timezone: Timezone = None,
    allow_negative: Negative = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train one model on many nodes."""
    import tempfile

    from pdnopt.forecast.federated.coordinator import Federation
    from pdnopt.forecast.federated.coordinator import federate as run
    from pdnopt.forecast.federated.processes import processes
    from pdnopt.forecast.lstm.settings import read_settings

    federation = Federation(
        settings=read_settings({"horizon": horizon, **_settings(settings)}),
        rounds=rounds,
        local_steps=local_steps,
        deadline_s=deadline_s,
        fewest=fewest,
        longest=clip,
        noise=noise,
    )
    lacking = [path for path in data if not path.is_file()]
    issues = federation.issues(len(data)) + [
        Issue("File", "data", "", str(path), "a file", "Correct the path.") for path in lacking
    ]
    if issues:
        raise InputError(issues)
    histories = {path.stem: path for path in data}
    if len(histories) < len(data):
        names = sorted(path.stem for path in data)
        raise InputError(Issue("NotUnique", "data", "", names, "one name a node", "Rename a file."))

    writable(out, lambda: out.mkdir(parents=True, exist_ok=True))

    def tell(done: Round) -> None:
        if not as_json:
            typer.echo(_round_line(done, rounds))

    with (
        tempfile.TemporaryDirectory() as spool,
        processes(
            Path(spool),
            histories,
            held_out=windows,
            seed=federation.settings.seed,
            keep=out,
            allow_negative=allow_negative,
            timezone=timezone,
        ) as nodes,
    ):
        try:
            found = run(nodes, federation, tell)
        finally:
            for node, text in nodes.logs().items():
                typer.echo(f"{node}: {text}", err=True)
    mean = {node: sum(sql) / len(sql) if sql else float("nan") for node, sql in found.sql.items()}
    if as_json:
        print_json(
            {
                "sql": mean,
                "rounds": [dict(done.__dict__) for done in found.rounds],
                "epsilon": found.epsilon,
                "out": str(out),
            }
        )
        return
    for node, sql in sorted(mean.items()):
        typer.echo(f"{node}: SQL {sql:.4f} on its own {windows} held-out windows")
    if noise:
        typer.echo(f"noise: epsilon {found.epsilon:.3g} at delta 1e-5 for a node's whole data")


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to ``pdnopt forecast``."""
    app.command("train", help=TRAIN_HELP)(train)
    app.command("promote", help=PROMOTE_HELP)(promote)
    app.command("rollback", help=ROLLBACK_HELP)(rollback)
    app.command("list", help=LIST_HELP)(versions)
    app.command("federate", help=FEDERATE_HELP)(federate)


def _settings(given: list[str] | None) -> dict[str, Any]:
    """Return settings of NAME=VALUE; values are JSON, what is none is text."""
    out: dict[str, Any] = {}
    issues = []
    for text in given or []:
        name, sign, value = text.partition("=")
        if not sign or not name:
            issues.append(Issue("Format", "--set", "", text, "NAME=VALUE", "For instance --set steps=2000."))
            continue
        try:
            out[name] = json.loads(value)
        except ValueError:
            out[name] = value
    if issues:
        raise InputError(issues)
    return out


def _deployed(version: str, registry: Path, as_json: bool) -> None:
    if as_json:
        print_json({"deployed": version})
    else:
        typer.echo(f"version {version} of {registry} is deployed")


def _figure(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "-"


def _round_line(done: Round, rounds: int) -> str:
    text = f"round {done.number + 1} of {rounds}: {len(done.answered)} nodes"
    text += ", void: too few" if done.void else f", loss {done.loss:.4f}"
    if done.missing:
        text += f"; without {', '.join(done.missing)}"
    for node, why in done.refused.items():
        text += f"; refused {node}: {why}"
    return text
