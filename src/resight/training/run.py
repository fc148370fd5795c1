"""The folder of a run: its recipe, data, versions and results."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from resight.embedding.versions import versions
from resight.errors import TrainingError
from resight.files import write_text
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

    def begin(self, recipe: Recipe, data: Any, *, resume: bool) -> None:
        """Claim the folder for this run; raises as :meth:`refuse_taken`."""
        self.refuse_taken(resume=resume)
        write_text(self.recipe, recipe.yaml())
        write_text(self.environment, json.dumps(environment() | {"data": data}, indent=2) + "\n")
        self.model.unlink(missing_ok=True)  # a run is continued for more epochs, from its checkpoint

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
