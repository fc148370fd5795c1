"""What all commands share: results go to standard output, everything else to standard error."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from resight.errors import ResightError
from resight.paths import no_way

# Names are printed as they are: "set[red]" is no markup, and "cam:door:1" holds no emoji.
_PLAIN: dict[str, Any] = {"soft_wrap": True, "highlight": False, "markup": False, "emoji": False}
out = Console(**_PLAIN)
err = Console(stderr=True, **_PLAIN)

# What writing to standard output fails with; files are written by resight.files, which raises ResightError.
_OUTPUT_FAILS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
_NO_WAY = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ESTALE}  # what a path fails with
_STOPPED = 130  # the exit code after Ctrl-C

Json = typer.Option("--json", help="Print the result as JSON on standard output.")


def print_json(result: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(result, indent=2, default=str))


def complain(message: str) -> None:
    """One sentence on standard error."""
    err.print("Error:", style="bold red", end=" ")
    err.print(message)


class _Print(logging.Handler):
    """Prints what a part of resight says of its work, on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        err.print(record.getMessage())


def run_app(app: Callable[[], object]) -> None:
    """Run a command line and exit; an error that resight raises is printed as one sentence, with exit code 2.

    So is standard output that cannot be written, and Ctrl-C, with exit code 130. Where the program that reads it has
    ended, as in ``resight ... | head``, the exit is silent, with code 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names that are not UTF-8 are printed as well
    said = logging.getLogger("resight.embedding")
    if not said.handlers:
        said.addHandler(_Print())
        said.setLevel(logging.INFO)
        said.propagate = False
    try:
        try:
            app()
        except SystemExit as end:
            if sys.stdout is not None:  # it may be closed
                sys.stdout.flush()
            if end.code == _STOPPED:  # how Typer ends after Ctrl-C, without a word
                raise KeyboardInterrupt from None
            raise
    except ResightError as error:
        complain(str(error))
        sys.exit(2)
    except OSError as error:
        if error.errno in _NO_WAY and error.filename is not None:
            complain(no_way(error.filename, error))
            sys.exit(2)
        if error.errno not in _OUTPUT_FAILS or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the rest must not fail again at the exit
        if error.errno == errno.EPIPE:
            sys.exit(1)
        complain(f"The output cannot be written ({error.strerror}): free some space or write it to another place.")
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("stopped; what was finished is kept.")
        sys.exit(_STOPPED)


@contextmanager
def bar(what: str, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, as a function of (done, total); silent where there is no terminal."""
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=err, disable=quiet or not err.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def update(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield update
