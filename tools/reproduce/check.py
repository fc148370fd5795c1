"""Run the commands of an entry and compare their numbers with the documentation's."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

from resight.errors import RecipeError, ResightError
from tools.reproduce.registry import DATA, Entry, Number, entry

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Comparison:
    """One number, measured again.

    Attributes:
        what: its place in the command's JSON.
        expected: the documented value.
        found: the new values, one for each seed.
        allowed: largest accepted difference between ``expected`` and the mean of ``found``.
    """

    what: str
    expected: float
    found: tuple[float, ...]
    allowed: float

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return mean(self.found)

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None for a single one."""
        return stdev(self.found) if len(self.found) > 1 else None

    @property
    def holds(self) -> bool:
        """Whether the mean is close enough to the documented value."""
        return abs(self.mean - self.expected) <= self.allowed


@dataclass(frozen=True)
class Outcome:
    """The result for an entry; it holds if each of its numbers does."""

    name: str
    trained: bool
    numbers: tuple[Comparison, ...]
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether every number holds."""
        return all(one.holds for one in self.numbers)

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        rows = [
            asdict(one) | {"mean": one.mean, "standard_deviation": one.spread, "holds": one.holds}
            for one in self.numbers
        ]
        return asdict(self) | {"numbers": rows, "holds": self.holds}


def reproduce(
    name: str,
    *,
    train: bool = False,
    seeds: int = 1,
    data: Mapping[str, str] | None = None,
    output: str | Path = "reproduced",
    announce: Announce = lambda _: None,
) -> Outcome:
    """Measure the numbers of an entry again.

    Args:
        name: an entry of :func:`tools.reproduce.registry.entries`.
        train: train again and measure the new weights, after training missing runs that it starts from; otherwise the
            existing run is measured.
        seeds: number of trainings, with the seeds 1, 2, ...; the first is the recipe's own.
        data: locations of data that is not at its default location, by name.
        output: the folder for new runs; an interrupted training in it continues.
        announce: called with each command before it runs.

    Raises:
        RecipeError: unknown entry or data, missing data or run, or nothing to train.
        ResightError: a command fails, or does not print the number.
    """
    wanted, began = entry(name), time.perf_counter()
    places = _places(name, wanted, data or {})
    if seeds < 1 or (seeds > 1 and not train):
        raise RecipeError(f"--seeds {seeds} is a number of trainings: give 1 or more, together with --train.")
    if train and not wanted.train:
        raise RecipeError(f"{name} has nothing to train: leave out --train.")
    if train:
        _train_predecessors(wanted, data or {}, announce)
    found: dict[str, list[float]] = {number.what: [] for number in wanted.numbers}
    for seed in range(1, seeds + 1):
        run = str(Path(output, f"{name}-seed{seed}")) if train else wanted.run or str(Path(output, name))
        for command in wanted.train if train else ():
            _run(_filled(command, places, run, seed), announce)
        if wanted.run and not train and not Path(run).exists():
            raise RecipeError(f"{run} does not exist, so there is nothing to measure: add --train, or train it first.")
        printed = _run(_filled(wanted.evaluate, places, run, seed), announce)
        for number in wanted.numbers:
            found[number.what].append(_pick(printed, number, wanted.evaluate))
    rows = tuple(
        Comparison(number.what, number.value, tuple(found[number.what]), _allowed(wanted, number, train))
        for number in wanted.numbers
    )
    return Outcome(name, train, rows, time.perf_counter() - began)


def _train_predecessors(wanted: Entry, data: Mapping[str, str], announce: Announce) -> None:
    """Make the missing runs that a training starts from, in their own folders."""
    for name in wanted.after:
        before = entry(name)
        if Path(before.run, "model.safetensors").exists():
            continue
        places = _places(name, before, data)
        _train_predecessors(before, data, announce)
        for command in before.train:
            _run(_filled(command, places, before.run, 1), announce)


def _allowed(wanted: Entry, number: Number, trained: bool) -> float:
    return wanted.spread if trained else wanted.within if number.within is None else number.within


def _places(name: str, wanted: Entry, given: Mapping[str, str]) -> dict[str, str]:
    for key in given:
        if key not in DATA:
            raise RecipeError(f"--data {key}=... is not known: it is one of {', '.join(DATA)}.")
    places = DATA | dict(given)
    for key in wanted.needs:
        if not Path(places[key]).exists():
            raise RecipeError(f"{name} needs {key}, but {places[key]} does not exist: pass --data {key}=PATH.")
    return places


def _filled(command: str, places: Mapping[str, str], run: str, seed: int) -> list[str]:
    """The words of a command, each filled in separately, so that a path may contain spaces or YAML syntax."""
    filled = {**places, "run": run, "seed": str(seed)}
    before, words = "", []
    for word in shlex.split(command):
        key, equals, value = word.format(**filled).partition("=")
        path = before == "--set" and any(f"{{{name}}}" in word for name in filled if name != "seed")
        words.append(key + equals + (_text(value) if path else value))
        before = word
    return [sys.executable, *(("-m", "resight", *words[1:]) if words[0] == "resight" else words[1:])]


def _text(value: str) -> str:
    """A value for ``--set`` that YAML reads as this text."""
    try:
        return value if yaml.safe_load(value) == value else json.dumps(value)
    except yaml.YAMLError:
        return json.dumps(value)


def _run(command: list[str], announce: Announce) -> str:
    shown = shlex.join(["resight", *command[3:]] if command[1] == "-m" else ["python", *command[1:]])
    announce(shown)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    if done.returncode:
        raise ResightError(f"{shown} ended with exit code {done.returncode}: see above.")
    return done.stdout


def _pick(printed: str, number: Number, command: str) -> float:
    """The number at its place in a JSON text."""
    try:
        at: Any = json.loads(printed)
        for step in number.what.split("."):
            at = at[int(step)] if isinstance(at, list) else at[step]
        return float(at)
    except (ValueError, KeyError, IndexError, TypeError):
        raise ResightError(f"{command} printed no {number.what}: correct numbers.yaml.") from None
