"""The folder of a run: its recipe, data, versions and results."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from resight.embedding.versions import versions
from resight.errors import TrainingError
from resight.files import write_text
from resight.locks import held
from resight.secrets import without_secrets
from resight.training.recipe import Recipe


class Run:
    """Paths of a run folder and the few things written there besides the model."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.recipe = self.folder / "recipe.yaml"
        self.environment = self.folder / "environment.json"
        self.checkpoint = self.folder / "checkpoint.pt"
        self.metrics = self.folder / "metrics.json"
        self.model = self.folder / "model.safetensors"

    @contextmanager
    def begun(self, recipe: Recipe, data: Any, *, resume: bool, main: bool) -> Iterator[None]:
        """The folder is this run's, and no other program's meanwhile; nothing happens but in the main process.

        Raises:
            TrainingError: as :meth:`refuse_taken`, or another program trains there.
        """
        if not main:
            yield
            return
        self.refuse_taken(resume=resume)
        with self._alone():
            write_text(self.recipe, recipe.yaml())
            write_text(self.environment, json.dumps(environment() | {"data": data}, indent=2) + "\n")
            self.model.unlink(missing_ok=True)  # a run is continued for more epochs, from its checkpoint
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other program does this, where the file system knows locks.

        The lock is on a file of its own, since a gallery that is kept in the folder locks the folder itself.
        """
        file = self.folder / ".lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        except OSError:  # what is written there first reports it
            yield
            return
        with held(handle) as mine:
            with suppress(OSError):
                if mine is False or (mine and not (file.exists() and os.path.samestat(os.fstat(handle), file.stat()))):
                    raise TrainingError(
                        f"Another program trains in {self.folder} now: wait until it is done, or use another --output."
                    )
            try:
                yield
            finally:
                with suppress(OSError):
                    file.unlink(missing_ok=True)

    def refuse_taken(self, *, resume: bool) -> None:
        """Refuse a folder with a run; one that failed before its first epoch ended leaves nothing to protect.

        Raises:
            TrainingError: it holds a run already and ``resume`` is off, or one that cannot be continued.
        """
        if self.checkpoint.exists() and not resume:
            raise TrainingError(
                f"{self.folder} already holds a run: pass --resume to continue it, or another --output."
            )
        if self.model.exists() and not self.checkpoint.exists():
            raise TrainingError(f"{self.folder} holds the model of a run without its checkpoint: use another --output.")

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write the history and the results so far."""
        write_text(self.metrics, json.dumps(metrics, indent=2) + "\n")

    def results(self) -> dict[str, Any] | None:
        """What the run has come to so far, None where that is not to be read; the value of :func:`resight.train`."""
        try:
            metrics: dict[str, Any] = json.loads(self.metrics.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return metrics

    def history(self) -> list[dict[str, Any]]:
        """One entry per epoch so far; empty where the run has not begun."""
        entries: list[dict[str, Any]] = (self.results() or {}).get("history", [])
        return entries


def environment() -> dict[str, Any]:
    """Versions and machine, which may explain later why numbers differ."""
    packages = versions()
    return {
        "python": packages.pop("python"),
        "system": platform.platform(),
        "packages": packages,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": [without_secrets(word) for word in sys.argv],
    }
