"""Epochs on pseudo-labels: train on the clusters, embed all crops anew, cluster them, and judge what came of it."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from resight.adaptation import judge
from resight.adaptation.clusters import Labels, agreement, centres
from resight.adaptation.constraints import Constraints
from resight.adaptation.look import Look, again
from resight.adaptation.pixels import embedded
from resight.adaptation.settings import LOWERED
from resight.errors import TrainingError
from resight.images.cache import cache_folder
from resight.models.model import Model
from resight.training.checkpoint import Checkpoint
from resight.training.devices import from_main
from resight.training.examples import Examples
from resight.training.progress.live import Live
from resight.training.progress.recording import Record
from resight.training.recipe import Recipe
from resight.training.run import Run
from resight.training.session import Session
from resight.training.state import State
from resight.training.teachers import Teachers

_SHOWN = ("epoch", "loss", "clusters", "clustered", "spanning", "agreement", "seconds", "seconds_clustering")


class Course:
    """An adaptation between the first look at the crops and its last epoch.

    Attributes:
        labels: (N,) the clusters that the next epoch learns, -1 for an image in none.
        vectors: (N, D) the embeddings that they were made from.

    Args:
        recipe: the run.
        known: the N crops, with what time and place say of them.
        first: the clusters before training; vectors: (N, D) the embeddings before training.
        start: the model to begin with.
        accelerator: device, precision and processes.
        previous: the checkpoint to continue from.
    """

    def __init__(
        self,
        recipe: Recipe,
        known: Constraints,
        first: Look,
        vectors: NDArray[np.float32],
        start: Model,
        accelerator: Accelerator,
        previous: Checkpoint | None = None,
    ) -> None:
        self._known, self._first, self._card, self._accelerator = known, first, start.card, accelerator
        self._beginning = {**first.facts.numbers(), "spread": judge.spread(vectors)}
        self._epochs = recipe.epochs
        crops = known.crops.images
        examples = Examples(crops, first.labels, np.zeros(len(crops), np.int64))
        self._session = Session(recipe, examples, Teachers.read(()), accelerator, previous, start.network.state_dict())
        self._session.read(start.card.preprocessing, cache_folder())
        self.labels, self.vectors = first.labels, vectors
        if previous is not None and previous.labels is not None:
            self.labels = previous.labels.numpy()
            self.vectors = from_main(accelerator, self._embedded)
        else:
            self._remember_centres()

    @property
    def state(self) -> State:
        """The network, its average and the history."""
        return self._session.state

    def learn(self, run: Run, live: Live, record: Record, *, essence: str, made_of: str) -> str:
        """The epochs that are left; returns why they ended.

        Args:
            run: the run folder, which gets a checkpoint and the metrics after each epoch.
            live, record: what shows and records an epoch.
            essence, made_of: the recipe and the crops, as checkpoints name them.

        Raises:
            TrainingError: the first epoch went wrong, or a loss is not finite.
        """
        state, main = self.state, self._accelerator.is_main_process
        for epoch in range(state.epoch, self._epochs):
            if judge.settled(state.history, round(self._epochs * LOWERED)):
                stopped = f"the clusters do not change any more, after {state.epoch} of {self._epochs} epochs"
                live.note(f"Stopped: {stopped}.")
                return stopped
            live.epoch_begins(epoch)
            entry = self._session.epoch(self.labels, live.step)
            labels, vectors, numbers = from_main(self._accelerator, self._clustered)
            entry |= numbers
            wrong = judge.collapsed(entry, self._beginning, state.history)
            if wrong:
                stopped = _go_back(state, run, wrong, epoch)
                live.note(stopped)
                return stopped
            self.labels, self.vectors = labels, vectors
            self._remember_centres()
            state.history.append(entry)
            if main:
                saved = state.checkpoint(essence, made_of, self._accelerator)
                replace(saved, labels=torch.from_numpy(labels)).save(run.checkpoint)
                look = self._first.numbers()
                run.write_metrics({"look": look, "history": state.history, "seconds": state.seconds})
                record(entry)
                live.epoch_ends({key: entry[key] for key in _SHOWN if entry[key] is not None})
            self._accelerator.wait_for_everyone()
        return f"all {self._epochs} epochs are done"

    def _embedded(self) -> NDArray[np.float32]:
        pixels = self._session.views.images
        return embedded(self.state.kept, self._card, pixels, self._accelerator.device)

    def _clustered(self) -> tuple[Labels, NDArray[np.float32], dict[str, Any]]:
        """Clusters by the network as it is now, its embeddings, and the numbers of an entry of the history."""
        began = perf_counter()
        now = self._embedded()
        labels, found = again(now, self._known, self._first.distance)
        numbers = {
            **found.numbers(),
            "agreement": agreement(self.labels, labels),
            "spread": judge.spread(now),
            "drift": judge.drift(self.vectors, now),
            "seconds_clustering": perf_counter() - began,
        }
        return labels, now, numbers

    def _remember_centres(self) -> None:
        self.state.remember("clusters", torch.from_numpy(centres(self.vectors, self.labels)))


def _go_back(state: State, run: Run, wrong: str, epoch: int) -> str:
    """Put the weights of the epoch before in place, and say why.

    Raises:
        TrainingError: there is none.
    """
    if epoch == 0:
        raise TrainingError(
            f"The adaptation went wrong in its first epoch ({wrong}), and nothing was kept: try a smaller --distance "
            "or --lr, and look at the crops."
        )
    before: dict[str, Any] = torch.load(run.checkpoint, map_location="cpu", weights_only=True)
    state.network.load_state_dict(before["network"])
    if state.averaged is not None and before["averaged"] is not None:
        state.averaged.load_state_dict(before["averaged"])
    return f"epoch {epoch + 1} went wrong ({wrong}), so that the model is that of epoch {epoch}"
