"""A Ray cluster: finding it in seconds, or saying in a sentence why it cannot be used."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch

from resight.errors import RecipeError, first_line

ANSWER = 5.0  # seconds in which the head of a cluster must answer
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # HTTP/2, which Ray speaks
_SETTINGS = 4  # the fourth byte of the answer


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The package ``ray``, connected to a cluster for the time being.

    Afterwards the environment, Ray's loggers and its settings are as they were. Meanwhile ``sys.stdout`` is
    ``sys.stderr``, since Ray prints there that workers died.

    Args:
        address: ``HOST:PORT`` of the cluster's head, or ``auto`` for ``$RAY_ADDRESS``, else the cluster that this
            machine is part of.

    Raises:
        RecipeError: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise RecipeError("--ray needs Ray, which is not installed: pip install 'resight[ray]'.") from None
    where = os.environ.get("RAY_ADDRESS") or address if address == "auto" else address
    if where != "auto":
        _knock(where)
    with redirect_stdout(sys.stderr), _as_before(ray.data.DataContext.get_current()):
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it warns of what Ray Data does well
        try:
            ray.init(where, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError:
            raise RecipeError(
                f"There is no Ray cluster at {where!r}: start one with ray start, or give another."
            ) from None
        except Exception as error:  # as many as there are ways for two machines not to agree
            raise RecipeError(f"The Ray cluster {where!r} cannot be used: {first_line(error)}.") from None
        try:
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = context.print_on_execution_start = False
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def _as_before(context: Any) -> Iterator[None]:
    """Put back what Ray and this file change of the environment, of Ray's loggers, and of Ray Data's settings."""
    environment, settings = dict(os.environ), (context.enable_progress_bars, context.print_on_execution_start)
    names = ("ray", "ray.data", *(name for name in logging.root.manager.loggerDict if name.startswith("ray.")))
    loggers = [(one, one.level, one.propagate, list(one.handlers)) for one in map(logging.getLogger, names)]
    try:
        yield
    finally:
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        for logger, level, propagate, handlers in loggers:
            logger.setLevel(level)
            logger.propagate, logger.handlers[:] = propagate, handlers
        context.enable_progress_bars, context.print_on_execution_start = settings


def _knock(address: str) -> None:
    """Refuse an address where no cluster answers; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not (port.isdecimal() and int(port) < 2**16):
        raise RecipeError(f"{address!r} is no address of a Ray cluster: give HOST:PORT of its head, or auto.")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWER) as line:
            line.sendall(_HELLO)
            answer = line.recv(9)
    except OSError as error:
        raise RecipeError(
            f"No Ray cluster answers at {address} ({error}): check the address, which ray start --head prints."
        ) from None
    if answer[3:4] != bytes([_SETTINGS]):
        raise RecipeError(f"{address} is not the head of a Ray cluster: give the address that ray start --head prints.")


def share_of(nodes: list[dict[str, Any]], device: torch.device) -> dict[str, float]:
    """What a worker takes of its node: a GPU, or as many cores as torch has threads here, where nodes have as many.

    The number of threads has a say in the last bits of a sum.

    Args:
        nodes: as ``ray.nodes()`` tells of them.
        device: what this machine computes on; so do the workers.

    Raises:
        RecipeError: no node has it.
    """
    there = [node["Resources"] for node in nodes if node["Alive"]]
    if device.type == "cuda":
        if not any(node.get("GPU", 0) >= 1 for node in there):
            raise RecipeError("This machine computes on a GPU and no node of the Ray cluster has one: start one there.")
        return {"num_gpus": 1, "num_cpus": 1}
    cores = [int(node["CPU"]) for node in there if node.get("CPU", 0) >= 1]
    if not cores:
        raise RecipeError("No node of the Ray cluster has a core to compute on: start one without --num-cpus=0.")
    return {"num_cpus": min(torch.get_num_threads(), *cores)}
