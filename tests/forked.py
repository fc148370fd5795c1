"""Processes that begin with torch and all of training imported: forked from one that has imported them once."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from torch.distributed.launcher import api  # noqa: F401  # is imported by a launcher
from torch.optim import SGD
from torch.utils import tensorboard  # noqa: F401  # is imported by the first run

import resight.training.loop  # noqa: F401
import tiny

SGD([tiny.model().network.end[2].weight], 0.1)  # type: ignore[index]  # torch imports its compiler with the first


def start(
    output: Path, function: Callable[..., object], *arguments: object, **environment: object
) -> ForkServerProcess:
    """Call a function of a module at the top of the tests in a new process.

    Its standard output is in the file ``output`` with the ending ``.out``, its errors in that with ``.err``.
    """
    process = _server().Process(target=_called, args=(output, function, arguments, environment))
    process.start()
    return process


def under_torchrun(folder: Path, function: Callable[..., object], *arguments: object) -> tuple[list[int], str]:
    """Call a function in two processes as under torchrun, but without the launcher: exit codes, and both's errors."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    files = [folder / f"rank{rank}" for rank in range(2)]
    both = [start(file, function, *arguments, **world, RANK=rank, LOCAL_RANK=rank) for rank, file in enumerate(files)]
    return [ended(one) for one in both], "".join(file.with_suffix(".err").read_text() for file in files)


def ended(process: ForkServerProcess) -> int:
    """The exit code of a process once it has ended."""
    process.join(300)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{process} did not end.")
    return process.exitcode


@cache
def _server() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()
    return context


def _called(
    output: Path, function: Callable[..., object], arguments: tuple[object, ...], environment: dict[str, Any]
) -> None:
    os.environ.update({name: str(value) for name, value in environment.items()})
    for number, ending in ((1, ".out"), (2, ".err")):
        with output.with_suffix(ending).open("wb") as file:
            os.dup2(file.fileno(), number)
    function(*arguments)
