"""Progress of training: a live bar on a terminal, one line per epoch otherwise."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Live:
    """Progress on standard error; silent where ``show`` is off."""

    def __init__(self, epochs: int, done: int, *, show: bool) -> None:
        self.console = Console(stderr=True, quiet=not show, markup=False, emoji=False)  # names are as they are
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[speed]}"),
            TextColumn("{task.fields[losses]}", markup=False),
            TimeRemainingColumn(),
            console=self.console,
            disable=not (show and self.console.is_terminal),
        )
        self.epochs, self.epoch = epochs, done
        self.task = self.bar.add_task("training", total=float(epochs), completed=done, speed="", losses="")
        self.began, self.images = time.perf_counter(), 0

    def __enter__(self) -> Live:
        self.bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.__exit__(kind, error, trace)

    def epoch_begins(self, epoch: int) -> None:
        """``epoch`` counts from 0."""
        self.epoch, self.began, self.images = epoch, time.perf_counter(), 0

    def step(self, images: int, share: float, losses: dict[str, float]) -> None:
        """One step of ``images`` is done, ``share`` of the epoch in all."""
        self.images += images
        speed = self.images / (time.perf_counter() - self.began)
        self.bar.update(
            self.task,
            completed=self.epoch + share,
            description=f"epoch {self.epoch + 1}/{self.epochs}",
            speed=f"{speed:,.0f} images/s",
            losses="  ".join(f"{name} {value:.3f}" for name, value in losses.items()),
        )

    def epoch_ends(self, entry: dict[str, Any]) -> None:
        """Print the results of an epoch as one line."""
        parts = [
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in entry.items()
        ]
        self.note("  ".join(parts))

    def preparing(self, what: str, done: int, total: int) -> None:
        """Show how many images are prepared, before the first epoch."""
        self.bar.update(self.task, description=f"{what} {done:,}/{total:,}")

    def note(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, highlight=False, soft_wrap=True)
