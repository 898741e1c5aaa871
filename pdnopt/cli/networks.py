"""``pdnopt cases`` and ``pdnopt validate``: which networks there are, and whether one is sound."""

from __future__ import annotations

import typer

from pdnopt.cli.guard import EXIT_BAD_INPUT, AsJson, Debug, Network, guarded, print_json, working
from pdnopt.errors import InputError, Issue

__all__ = ["CASES_HELP", "VALIDATE_HELP", "cases", "validate"]

CASES_HELP = """List the built-in networks.

\b
Examples:
  pdnopt cases
  pdnopt cases --json
"""

VALIDATE_HELP = """Print every fault of a network, one a line.

\b
Examples:
  pdnopt validate hall_4n3
  pdnopt validate my_plant.json --json

\b
Exit codes: 0 no errors (there may be warnings), 2 errors, 3 internal error.
"""


@guarded
def cases(as_json: AsJson = False, debug: Debug = False) -> None:
    """List the built-in networks."""
    from cases import CASES

    about = {name: info.line for name, info in CASES.items()}
    if as_json:
        print_json([{"name": name, "about": text} for name, text in about.items()])
        return
    width = max(len(name) for name in about)
    for name, text in about.items():
        typer.echo(f"{name:{width}}  {text}".rstrip())


@guarded
def validate(network: Network, as_json: AsJson = False, debug: Debug = False) -> None:
    """Print every fault of a network."""
    with working("reading the network"):
        issues = _issues(network)
    errors = sum(issue.severity == "error" for issue in issues)
    warnings = len(issues) - errors
    if as_json:
        found = [issue.to_dict() for issue in issues]
        print_json({"network": network, "errors": errors, "warnings": warnings, "issues": found})
    else:
        for issue in issues:
            typer.echo(str(issue))
        typer.echo(f"{network}: {_count(errors, 'error')}, {_count(warnings, 'warning')}")
    if errors:
        raise typer.Exit(EXIT_BAD_INPUT)


def _issues(network: str) -> list[Issue]:
    """Return the findings; a file that cannot be read is one of them."""
    import pdnopt

    try:
        return list(pdnopt.validate(pdnopt.load_case(network)))
    except InputError as error:
        return error.issues


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
