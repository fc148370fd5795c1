"""A training run in memory, one epoch at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from numpy.typing import NDArray
from torch import Tensor

from resight.embedding.tracklets import ATTENTIVE
from resight.errors import TrainingError
from resight.images.augmentation import Augmentation
from resight.images.batches import prefetch
from resight.images.cache import Images, Progress
from resight.images.transforms import resize
from resight.models.card import Preprocessing
from resight.training.checkpoint import Checkpoint
from resight.training.devices import mean_over_processes
from resight.training.examples import Examples
from resight.training.losses import Target
from resight.training.objective import objective, pool_output, pool_target
from resight.training.optim import learning_rate
from resight.training.parts import Phase
from resight.training.recipe import Recipe
from resight.training.sampler import epoch_batches, share
from resight.training.state import State, place
from resight.training.teachers import Teachers
from resight.training.views import Seen, Views

Step = Callable[[int, float, dict[str, float]], None]  # images of all processes, share of the epoch, mean losses


class Session:
    """A run's network, optimiser, averages and memories (``state``), and the images that it trains on.

    Args:
        recipe: the run.
        examples: its training images.
        teachers: those of the recipe.
        accelerator: device, precision and processes.
        previous: the checkpoint to continue from; None begins the run.
        start: weights to begin with in place of the recipe's.

    Raises:
        ResightError: what would stop any of the recipe's phases.
    """

    def __init__(
        self,
        recipe: Recipe,
        examples: Examples,
        teachers: Teachers,
        accelerator: Accelerator,
        previous: Checkpoint | None = None,
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.recipe, self.examples, self.teachers, self.accelerator = recipe, examples, teachers, accelerator
        self._previous = previous
        self._tracks = examples.tracks
        for phase in recipe.phases:
            self._batches(examples.labels, phase, 0)
        set_seed(recipe.seed)
        filled = previous is None
        self.state = State.create(recipe, examples, teachers.lengths, accelerator, filled=filled, start=start)
        if previous is not None:
            self.state.restore(previous, accelerator)

    def read(
        self,
        to: Preprocessing,
        folder: Path | None,
        *,
        decoding: Progress | None = None,
        teaching: Progress | None = None,
    ) -> None:
        """Decode the images and let the teachers embed them, before the first epoch.

        Args:
            to: the student's preprocessing.
            folder: where pixels are kept, and in a folder beside it what teachers see; None keeps nothing.
            decoding, teaching: called with (images done, images in all).

        Raises:
            DataError: an image that cannot be read.
        """
        recipe, device = self.recipe, self.accelerator.device
        how = Augmentation(**recipe.augmentation.model_dump())
        pixels = self.examples.images
        images = Images(pixels, to, folder=folder, progress=decoding)
        self.views = Views(images, how, to, recipe.views, recipe.seed)
        kept = folder and folder.with_name("teachers")
        self._lessons: Tensor | None = None  # (N, T), or (views, N, T)
        self._live = None
        spec, embed_views = recipe.views, partial(self.teachers.embed_views, pixels, self.views)
        if spec is None:
            self._lessons = self.teachers.embed(pixels, device=str(device), folder=kept, progress=teaching)
        elif spec.teachers == "plain":
            self._lessons = embed_views(1, device=device, folder=kept, progress=teaching)[0]
        elif spec.count:
            self._lessons = embed_views(spec.count, device=device, folder=kept, progress=teaching)
        else:
            self._live = self.teachers.live(device, half=spec.half)

    def epoch(self, labels: NDArray[np.int64], step: Step | None = None) -> dict[str, Any]:
        """Train one epoch; returns the mean of each loss, the learning rate, the image size and the speed.

        Args:
            labels: (N,) the identities of the images in this epoch, -1 where unknown.
            step: called after every step.

        Raises:
            TrainingError: a loss that is not finite.
            DataError: an image that cannot be read.
        """
        recipe, state, processes = self.recipe, self.state, self.accelerator.num_processes
        began, epoch = time.perf_counter(), state.epoch
        index, into = place(recipe.phases, epoch)
        phase = recipe.phases[index]
        if index != state.phase:
            state.enter(phase, index, self.accelerator, self._previous if into else None)
        state.train_mode(phase)
        set_seed((recipe.seed * 1_000_003 + epoch * 1_009 + self.accelerator.process_index) % 2**32)
        height, width = recipe.images.size_at(epoch)
        batches, mine = self._batches(labels, phase, epoch)
        frames = recipe.sampler_of(phase).frames
        views = (self.views.at_step(batch, mine, epoch, at, frames) for at, batch in enumerate(batches))
        sums: dict[str, tuple[float, int]] = {}  # of a loss, and of the steps in which it counted
        means: dict[str, float] = {}
        for at, seen in enumerate(prefetch(views)):
            x = self.views.show(seen, self.accelerator.device)
            target = self._target(labels, batches[at, mine], seen, x)
            x = resize(x, height, width)
            output = state.wrapped(x)
            target = target._replace(images=x)
            if frames > 1:
                output = pool_output(output, frames, by_length=recipe.model.name == ATTENTIVE)
                target = pool_target(target, frames)
            loss, parts = objective(output, target, recipe.losses_of(phase), state.memories[index])
            values = {"loss": float(loss.detach())} | {name: float(value) for name, value in parts.items()}
            rate = learning_rate(phase, into + at / len(batches))
            if not np.isfinite(values["loss"]):
                raise TrainingError(_diverged(values, rate, epoch, at))
            state.step(rate, loss, self.accelerator, phase.clip)
            for name, value in values.items():
                total, count = sums.get(name, (0.0, 0))
                sums[name] = total + value, count + 1
            means = {name: total / count for name, (total, count) in sums.items()}
            if step:
                step(len(x) * processes, (at + 1) / len(batches), means)
        took = time.perf_counter() - began
        state.epoch, state.seconds = epoch + 1, state.seconds + took
        return {
            "epoch": epoch + 1,
            **mean_over_processes(means, self.accelerator),
            "lr": rate,
            "size": f"{height}x{width}",
            "images_per_second": batches.size / took,
            "seconds": state.seconds,
        }

    def _batches(self, labels: NDArray[np.int64], phase: Phase, epoch: int) -> tuple[NDArray[np.int64], slice]:
        """The batches of an epoch, and which part of each is this process' own."""
        sampler, examples = self.recipe.sampler_of(phase), self.examples
        known = examples.triplets, examples.sources, examples.images.cameras, self._tracks
        batches = epoch_batches(labels, sampler, self.recipe.seed, epoch, *known)
        return batches, share(batches, sampler, self.accelerator.process_index, self.accelerator.num_processes)

    def _target(self, labels: NDArray[np.int64], batch: NDArray[np.int64], seen: Seen, x: Tensor) -> Target:
        """The ground truth of a batch; the teachers see ``x``, the view at its full size."""
        device, attributes = self.accelerator.device, self.examples.attributes
        lesson = None
        if self._live is not None:
            lesson = self._live(x, self.views.to)
        elif self._lessons is not None:
            lesson = self._lessons[batch] if self._lessons.ndim == 2 else self._lessons[seen.view, batch]
        return Target(
            torch.from_numpy(labels[batch]).to(device),
            x,
            None if attributes is None else torch.from_numpy(attributes[batch]).to(device),
            None if lesson is None else lesson.to(device),
            None if seen.plain is None else torch.from_numpy(seen.plain).to(device),
        )


def _diverged(values: dict[str, float], rate: float, epoch: int, step: int) -> str:
    parts = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    return (
        f"training stopped at the first loss that is not finite ({parts}) in step {step + 1} of epoch {epoch + 1}: "
        f"lower the learning rate (it was {rate:.3g}) or set precision: 'no'; the {epoch} epochs before are kept."
    )
