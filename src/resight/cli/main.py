"""The command line: it parses, calls and prints. Errors are one sentence and exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

import typer
from typer.main import get_command

from resight import __version__
from resight.cli.console import run_app

app = typer.Typer(
    name="resight",
    help=(
        "Re-identification of people and vehicles: have we seen this one before?\n\n"
        "Start with `resight demo`, or `resight quickstart PICTURES` with your own. "
        "For your own data: `resight data check PATH`, then `resight train RECIPE`, "
        "`resight evaluate MODEL DATA` and `resight report RUN`. To store and search images: `resight gallery --help`."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


for _command in (
    "start.demo",
    "start.doctor",
    "start.quickstart",
    "data",
    "models",
    "train",
    "adapt",
    "evaluate",
    "embed",
    "engines",
    "export",
    "attributes",
    "course",
    "group",
    "calibrate",
    "compare",
    "report",
    "gallery",
    "gallery.search",
    "watch",
    "gallery.serve",
):
    import_module(f"resight.cli.{_command}").add(app)


def main() -> None:
    """Run the command line."""
    run_app(lambda: _command_line()())  # made inside, where Ctrl-C is one sentence


@cache
def _command_line() -> Callable[[], object]:
    """The tree of commands, whose construction takes a tenth of a second or two: once in a process."""
    return get_command(app)
