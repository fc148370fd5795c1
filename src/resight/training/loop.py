"""The training loop: read it from top to bottom. Devices, precision and processes are Accelerate's business."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, set_seed
from torch import nn

from resight import datasets
from resight.datasets import Dataset
from resight.embedding.measure import measure
from resight.errors import DataError, TrainingError
from resight.images.augmentation import Augmentation, draw
from resight.images.batches import prefetch
from resight.images.cache import Images, cache_folder
from resight.images.transforms import augment, resize
from resight.models import weights
from resight.models.card import Card, Preprocessing
from resight.models.model import Model
from resight.training import checkpoint
from resight.training import recipe as recipes
from resight.training.devices import accelerator as prepare_devices
from resight.training.devices import mean_over_processes
from resight.training.losses import Target
from resight.training.memory import keep_freed_memory
from resight.training.objective import objective
from resight.training.optim import learning_rate
from resight.training.progress import Live
from resight.training.recipe import Recipe
from resight.training.run import Run, tensorboard
from resight.training.sampler import epoch_batches, share
from resight.training.state import State, place
from resight.training.teachers import Teachers


def train(
    recipe: Recipe | str | Path,
    output: str | Path,
    *,
    resume: bool = False,
    cpu: bool = False,
    progress: bool = True,
    data: Dataset | None = None,
) -> dict[str, Any]:
    """Train what a recipe describes and leave model, card, metrics and the resolved recipe in ``output``.

    The same recipe, data, machine and number of threads give the same weights (on a GPU nearly the same, since some of
    its kernels add in any order); ``resume`` goes on after the last whole epoch and reaches those same weights. Under
    ``torchrun`` every batch is divided among the processes.

    Args:
        recipe: a recipe or its path.
        output: the run folder.
        resume: go on with the run in ``output`` if there is one, else begin; nothing is done where it is finished.
        cpu: do not use a GPU even if there is one.
        progress: show progress on standard error.
        data: the data set, if it is at hand already; else the recipe's.

    Returns:
        what ``metrics.json`` in the run folder holds: ``history`` (one entry per epoch), ``seconds`` and, where the
        data has queries, ``report``.

    Raises:
        ResightError: anything that is wrong with recipe, data, weights, disk or the course of training.
    """
    recipe = recipe if isinstance(recipe, Recipe) else recipes.read(recipe)
    data = data or datasets.load(recipe.data.name, recipe.data.root or None, **recipe.data.options)
    fingerprint, resolved = data.fingerprint(), recipe.essence().yaml()
    teachers = Teachers.read(recipe.teachers)
    stamp = " ".join((fingerprint, *_answers(data), *teachers.names))
    run, previous = Run(output), None
    if resume and run.checkpoint.exists():
        previous = checkpoint.read(run.checkpoint, resolved, stamp)
        done = run.results()
        if previous.epoch == recipe.epochs and run.model.exists() and done is not None:
            return done
    known = data.train.identities > 0
    people, triplets = data.train.take(known), data.triplets
    if triplets is not None:  # they count among all of train's images, here only those of known identities remain
        triplets = np.cumsum(known)[triplets[known[triplets].all(1)]] - 1
    if not len(people):
        raise DataError(
            f"{data.name} has no images of known identities to train on: check its folder of training images."
        )
    labels = np.unique(people.identities, return_inverse=True)[1].astype(np.int64)
    attributes = people.columns.get("attributes")

    accelerator = prepare_devices(recipe.precision, cpu=cpu, unused=recipe.leaves_some_unused)
    device, main = accelerator.device, accelerator.is_main_process
    for sampler in {recipe.sampler_of(phase) for phase in recipe.phases}:  # raises now what would stop a later phase
        first = epoch_batches(labels, sampler, recipe.seed, 0, triplets)
        share(first, sampler, accelerator.process_index, accelerator.num_processes)
    if device.type == "cpu":
        keep_freed_memory()
    set_seed(recipe.seed)
    state = State.create(recipe, labels, attributes, accelerator, filled=previous is None)
    if previous is not None:
        state.restore(previous, accelerator)
    if main:
        run.begin(recipe, {"name": data.name, "fingerprint": fingerprint, **data.facts()}, resume=resume)

    trained_on = ", taught by ".join((f"{data.name} ({fingerprint})", *teachers.names))
    spec, card = recipe.images, _card(state.network, recipe, trained_on)
    to, folder = card.preprocessing, cache_folder() if spec.cache else None
    how = Augmentation(**recipe.augmentation.model_dump())
    with accelerator.main_process_first(), Live(recipe.epochs, state.epoch, show=progress and main) as live:
        start = f"{recipe.model.name} from {f'epoch {state.epoch}' if state.epoch else 'random weights'}"
        live.note(state.loaded or f"{start}, {len(people):,} images, on {device}")
        decoding, asking = partial(live.preparing, "decoding"), partial(live.preparing, "asking teachers")
        images = Images(people, to.height, to.width, how=to.resize, folder=folder, progress=decoding)
        kept = folder and folder.with_name("teachers")
        lessons = teachers.embed(people, device=str(device), folder=kept, progress=asking)
    with Live(recipe.epochs, state.epoch, show=progress and main) as live, tensorboard(run.folder, main) as record:
        for epoch in range(state.epoch, recipe.epochs):
            began = time.perf_counter()
            index, into = place(recipe.phases, epoch)
            phase = recipe.phases[index]
            if index != state.phase:
                state.enter(phase, index, accelerator, previous if into else None)
            state.train_mode(phase)
            set_seed((recipe.seed * 1_000_003 + epoch * 1_009 + accelerator.process_index) % 2**32)
            sizes = ((stage.height, stage.width) for stage in spec.progressive if epoch < stage.until)
            height, width = next(sizes, (spec.height, spec.width))
            sampler, losses = recipe.sampler_of(phase), recipe.losses_of(phase)
            batches = epoch_batches(labels, sampler, recipe.seed, epoch, triplets)
            mine = share(batches, sampler, accelerator.process_index, accelerator.num_processes)

            live.epoch_begins(epoch)
            sums: dict[str, float] = {}
            for step, pixels in enumerate(prefetch(images.read(batch[mine]) for batch in batches)):
                table = draw(batches.shape[1], (recipe.seed, epoch, step))[mine]
                x = augment(torch.from_numpy(pixels).to(device, non_blocking=True), table, how, to)
                x = resize(x, height, width)
                output_, batch = state.wrapped(x), batches[step, mine]
                answers = None if attributes is None else torch.from_numpy(attributes[batch]).to(device)
                lesson = None if lessons is None else lessons[batch].to(device)
                target = Target(torch.from_numpy(labels[batch]).to(device), x, answers, lesson)
                loss, parts = objective(output_, target, losses, state.memories[index])
                values = {"loss": float(loss.detach())} | {name: float(value) for name, value in parts.items()}
                rate = learning_rate(phase, into + step / len(batches))
                if not np.isfinite(values["loss"]):
                    raise TrainingError(_diverged(values, rate, epoch, step))
                state.step(rate, loss, accelerator)
                for name, value in values.items():
                    sums[name] = sums.get(name, 0.0) + value
                means = {name: value / (step + 1) for name, value in sums.items()}
                live.step(len(pixels) * accelerator.num_processes, (step + 1) / len(batches), means)

            took = time.perf_counter() - began
            state.epoch, state.seconds = epoch + 1, state.seconds + took
            entry: dict[str, Any] = {
                "epoch": epoch + 1,
                **mean_over_processes(means, accelerator),
                "lr": rate,
                "size": f"{height}x{width}",
            }
            entry |= {"images_per_second": batches.size / took, "seconds": state.seconds}
            if main:
                every = recipe.evaluation.every
                if every and (epoch + 1) % every == 0 and epoch + 1 < recipe.epochs and len(data.query):
                    _, _, found = measure(
                        Model(state.kept, card), data, engine="torch", device=str(device), cache=folder
                    )
                    entry |= {"mAP": found.mAP, "R1": found.cmc[1]}
                state.history.append(entry)
                state.checkpoint(resolved, stamp, accelerator).save(run.checkpoint)
                run.write_metrics({"history": state.history, "seconds": state.seconds})
                record(entry)
                live.epoch_ends(entry)
            accelerator.wait_for_everyone()

        result: dict[str, Any] = {"history": state.history, "seconds": state.seconds}
        if main:
            if len(data.query):
                _, _, report = measure(Model(state.kept, card), data, engine="torch", device=str(device), cache=folder)
                result["report"] = report.numbers()
                live.note(f"{data.name}: {report}")
                command = f"resight train {Path(*run.recipe.parts[-2:])}"  # cards go where other folders concern nobody
                card = card.model_copy(
                    update={"metrics": ({"data": data.name, "command": command, **result["report"]},)}
                )
            run.write_metrics(result)
            _keep(Model(state.kept, card), run)
        everybody: list[dict[str, Any]] = [result]
        broadcast_object_list(everybody)
    return everybody[0]


def _answers(data: Dataset) -> tuple[str, ...]:
    """A digest of what data may say besides who is where, of attributes and triplets; nothing where there are none."""
    said = [data.train.columns.get("attributes"), data.triplets]
    return tuple(hashlib.sha256(one.tobytes()).hexdigest()[:16] for one in said if one is not None)


def _diverged(values: dict[str, float], rate: float, epoch: int, step: int) -> str:
    parts = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    return (
        f"training stopped at the first loss that is not finite ({parts}) in step {step + 1} of epoch {epoch + 1}: "
        f"lower the learning rate (it was {rate:.3g}) or set precision: 'no'; the {epoch} epochs before are kept."
    )


def _card(network: nn.Module, recipe: Recipe, trained_on: str) -> Card:
    """What is known of the model before it is trained."""
    spec = recipe.images
    device = next(network.parameters()).device
    with torch.inference_mode():
        dim = network.eval()(torch.zeros(1, 3, spec.height, spec.width, device=device)).embedding.shape[1]
    return Card(
        architecture=recipe.model.name,
        arguments=recipe.model.builds_with,
        preprocessing=Preprocessing(height=spec.height, width=spec.width, resize=spec.resize),
        dim=dim,
        metric=recipe.evaluation.metric,
        trained_on=trained_on,
    )


def _keep(model: Model, run: Run) -> None:
    """Write the card and then the model: where it is, the run is finished. The classifier has done its work."""
    tensors = {key: value for key, value in model.network.state_dict().items() if not key.startswith("classifier.")}
    found = weights.fingerprint(model.network, model.card)
    model.card.model_copy(update={"fingerprint": found}).save(run.model)
    weights.save(tensors, run.model)
