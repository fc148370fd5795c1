"""Deadlines: a contender that hangs (the deadlock of an engine, a service that says nothing) ends, and is named.

Each benchmark has ``--deadline SECONDS``: how long one piece of work of one contender may take. A contender in a
process of its own is killed and left out (:class:`Hung`); in this process, the benchmark ends with the stack of each
thread (:func:`limit`). Both work whatever the process waits for, also inside a library that holds Python's lock.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any


class Hung(Exception):
    """A contender that did not answer in time, and was ended."""


def add_deadline(options: argparse.ArgumentParser, seconds: float) -> None:
    """The option ``--deadline``."""
    options.add_argument(
        "--deadline",
        type=float,
        default=seconds,
        metavar="SECONDS",
        help="after which a contender that has not finished a piece of work is ended (default: %(default)g)",
    )


def limit(seconds: float) -> None:
    """End this process with its threads' stacks on standard error in ``seconds``, unless it is limited anew before."""
    faulthandler.dump_traceback_later(seconds, exit=True)


def no_limit() -> None:
    """Take the limit of this process back."""
    faulthandler.cancel_dump_traceback_later()


def answer(pipe: Connection, process: BaseProcess, seconds: float) -> Any:
    """What a contender's process sends next.

    Raises:
        Hung: nothing within ``seconds``; the process is killed.
        EOFError: the process has ended.
    """
    if not pipe.poll(seconds):
        process.kill()
        process.join()
        raise Hung(f"no answer within {seconds:g} s: ended")
    return pipe.recv()


def run(command: Sequence[Any], seconds: float, **options: Any) -> subprocess.CompletedProcess[Any]:
    """As :func:`subprocess.run`, but what the command started ends with it, so that nothing is left to wait for.

    Raises:
        Hung: it did not end within ``seconds``.
        subprocess.CalledProcessError: with ``check``, it failed.
    """
    check = options.pop("check", False)
    with subprocess.Popen(command, start_new_session=True, **options) as process:
        try:
            out, error = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            raise Hung(f"not done within {seconds:g} s: ended") from None
        except BaseException:  # such as Ctrl-C, which a session of its own does not get
            _end(process)
            raise
    if check and process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, out, error)
    return subprocess.CompletedProcess(command, process.returncode, out, error)


@contextmanager
def killed_after(process: subprocess.Popen[Any], seconds: float) -> Iterator[None]:
    """Kill a process that is waited for unless this is over within ``seconds``: its pipes then end."""
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def stop(process: subprocess.Popen[Any], seconds: float) -> None:
    """Ask a process to end; kill it if it has not within ``seconds``."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end(process: subprocess.Popen[Any]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
