"""What every command shares: exit codes, errors as lines instead of tracebacks, JSON, a spinner."""

from __future__ import annotations

import functools
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, ParamSpec

import typer

from pdnopt.errors import InputError, Issue, PdnoptError

__all__ = [
    "EXIT_BAD_INPUT",
    "EXIT_INTERNAL",
    "EXIT_NOT_USABLE",
    "AsJson",
    "Debug",
    "Failed",
    "LoadLevel",
    "Network",
    "TimeLimit",
    "guarded",
    "print_json",
    "working",
]

EXIT_NOT_USABLE = 1
EXIT_BAD_INPUT = 2
EXIT_INTERNAL = 3

P = ParamSpec("P")

Network = Annotated[
    str, typer.Argument(help="A case's name (see `pdnopt cases`) or the path of a JSON file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines, and nothing else, on stdout.")]
Failed = Annotated[
    list[str] | None,
    typer.Option("--failed", "-f", metavar="TABLE:NAME", help="What failed; once for each outage."),
]
LoadLevel = Annotated[
    float | None,
    typer.Option(
        metavar="PART", help="Scale all load to this part of the installed UPS kW, for instance 0.9."
    ),
]
TimeLimit = Annotated[float | None, typer.Option(metavar="S", help="Wall time in s after which to stop.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an internal error.")]


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Make a command end with an exit code and lines that say what to do, never with a traceback.

    The command has the parameters ``as_json`` and ``debug``.
    """

    @functools.wraps(command)
    def safe(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json, debug = bool(kwargs["as_json"]), bool(kwargs["debug"])
        if not debug:
            _quiet_libraries()
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except InputError as error:
            _tell("bad_input", error.issues, as_json)
            raise typer.Exit(EXIT_BAD_INPUT) from None
        except PdnoptError as error:
            _tell_text("not_usable", str(error), as_json)
            raise typer.Exit(EXIT_NOT_USABLE) from None
        except Exception as error:
            if debug:
                raise
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            text = (
                f"internal error: {what} - please report it, with the output of the same command and --debug"
            )
            _tell_text("internal_error", text, as_json)
            raise typer.Exit(EXIT_INTERNAL) from None

    return safe


def print_json(value: Any) -> None:
    """Print a value as JSON; NaN and infinities, which JSON does not have, become null."""
    typer.echo(json.dumps(_plain(value), indent=2, allow_nan=False))


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show a spinner on stderr while the body runs, where somebody is looking."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


def writable(path: Any, write: Callable[[], Any]) -> Any:
    """Return ``write()``. Raises InputError where the file cannot be written."""
    try:
        return write()
    except OSError as error:
        todo = "Choose a path that you may write to."
        raise InputError(
            Issue("File", "output", "", str(path), f"a writable path ({error.strerror})", todo)
        ) from None


def _tell(status: str, issues: Sequence[Issue], as_json: bool) -> None:
    for issue in issues:
        typer.echo(str(issue), err=True)
    if as_json:
        print_json({"status": status, "issues": [issue.to_dict() for issue in issues]})


def _tell_text(status: str, text: str, as_json: bool) -> None:
    typer.echo(text, err=True)
    if as_json:
        print_json({"status": status, "message": text, "issues": []})


def _plain(value: Any) -> Any:
    """Return a value made of what JSON has."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return _plain(value.item()) if hasattr(value, "item") else str(value)


def _quiet_libraries() -> None:
    """Keep third-party warnings and notices off the screen that a person acts on."""
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.getLogger("pandapower").setLevel(logging.ERROR)


def in_range(**values: float | None) -> None:
    """Raise InputError for options that must be positive and are not; None is left out."""
    issues = [
        Issue("Range", f"--{name.replace('_', '-')}", "", value, "a number above 0", "Correct the value.")
        for name, value in values.items()
        if value is not None and not 0 < value < float("inf")
    ]
    if issues:
        raise InputError(issues)
