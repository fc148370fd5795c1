"""Taking turns: contenders in processes of their own, all alive, of which only one works at a time."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from deadline import Hung, answer

LEAD = 6  # untimed steps that begin a turn: more than a loop prepares ahead of time (torchreid 4 batches, resight 3)
SETTLE = 1.0  # seconds between turns, in which the one that stops fills its queue


class Turns:
    """A contender's side of the pipe: it calls ``done`` after every step, which waits when the turn is over."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.wait()

    def wait(self) -> None:
        self.steps, self.count = self.pipe.recv(), 0

    def done(self) -> None:
        self.count += 1
        if self.count == LEAD:
            self.began = time.perf_counter()
        elif self.count == LEAD + self.steps:
            self.pipe.send(time.perf_counter() - self.began)
            self.wait()


def _contend(work: Callable[..., None], arguments: tuple[Any, ...], pipe: Connection) -> None:
    with suppress(EOFError):  # the other side hung up
        work(Turns(pipe), *arguments)


def take_turns(
    contenders: dict[str, tuple[Any, ...]], work: Callable[..., None], rounds: int, steps: int, seconds: float
) -> dict[str, list[float]]:
    """Seconds that ``steps`` steps took each contender in each round, after a round to warm up.

    Args:
        contenders: by name, what ``work(turns, *arguments)`` is called with in the contender's process.
        work: does steps for ever, with ``turns.done()`` after each; a function of a module, for it is spawned.
        rounds, steps: how many turns, and steps in each.
        seconds: for one turn; a contender that takes longer is ended, and left out of the result.
    """
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    processes: dict[str, BaseProcess] = {}
    took: dict[str, list[float]] = {name: [] for name in contenders}
    try:
        for name, arguments in contenders.items():
            pipes[name], theirs = context.Pipe()
            processes[name] = context.Process(target=_contend, args=(work, arguments, theirs))
            processes[name].start()
            theirs.close()
        for index in range(rounds + 1):
            order: Sequence[str] = list(pipes) if index % 2 else list(reversed(pipes))
            for name in order:
                try:
                    pipes[name].send(steps)
                    spent = answer(pipes[name], processes[name], seconds)
                except Hung as hung:
                    print(f"{name}: {hung} and left out", file=sys.stderr, flush=True)
                    del pipes[name], took[name]
                    continue
                except (EOFError, OSError):
                    sys.exit(f"{name!r} stopped in the middle of its turn: see its own error above.")
                if index:
                    took[name].append(spent)
                print(f"round {index} of {rounds}  {name}: {spent / steps:.3f} s a step", file=sys.stderr, flush=True)
                time.sleep(SETTLE)
    finally:
        for pipe in pipes.values():
            pipe.close()
        for started in processes.values():
            started.join(10)
            started.kill()
    return took
