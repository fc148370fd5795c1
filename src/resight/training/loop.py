"""A training run from recipe to model, on one page. Accelerate takes care of devices, precision and processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from resight import datasets
from resight.datasets import Dataset
from resight.datasets.sources import source_names
from resight.embedding.measure import measure
from resight.embedding.tracklets import Clips
from resight.errors import DataError, RecipeError
from resight.images.cache import cache_folder
from resight.models import weights
from resight.models.card import Card, Preprocessing
from resight.models.model import Model, write
from resight.records import Report
from resight.retrieval.evaluation.domains import Domains
from resight.training import checkpoint
from resight.training import recipe as recipes
from resight.training.checks import refuse_hopeless
from resight.training.devices import accelerator as prepare_devices
from resight.training.devices import from_main, untouched
from resight.training.examples import Examples, stamp
from resight.training.memory import freed_memory_kept
from resight.training.parts import Data
from resight.training.progress.live import Live
from resight.training.progress.recording import recorded
from resight.training.recipe import Recipe
from resight.training.run import Run
from resight.training.session import Session
from resight.training.teachers import Teachers


@untouched()
def train(
    recipe: Recipe | Mapping[str, Any] | str | Path,
    output: str | Path,
    *,
    resume: bool = False,
    cpu: bool = False,
    progress: bool = True,
    data: Dataset | Sequence[Dataset] | None = None,
    start: Model | None = None,
    trackers: Sequence[str] = (),
) -> dict[str, Any]:
    """Train what a recipe describes and leave model, card, metrics and the resolved recipe in ``output``.

    The same recipe, data, machine and number of threads give the same weights (on a GPU nearly the same, since some of
    its kernels add in any order); ``resume`` continues after the last whole epoch and reaches the same weights. Under
    ``torchrun`` every batch is divided among the processes.

    Args:
        recipe: a recipe, its content as a mapping, or its path.
        output: the run folder.
        resume: continue the run in ``output`` if there is one, else begin; a finished run is left unchanged. The recipe
            may have more epochs than the run had, if the epochs that are done would have been the same.
        cpu: do not use a GPU even if there is one.
        progress: show progress on standard error.
        data: the data set, or one for each source, if it is loaded already; else the recipe's.
        start: a model to begin with in place of the recipe's weights; its architecture must be the recipe's.
        trackers: where the numbers are recorded besides the run folder: ``mlflow``, ``wandb``
            (:mod:`resight.training.progress.recording`).

    Returns:
        what ``metrics.json`` in the run folder holds: ``history`` (one entry per epoch), ``seconds`` and, where the
        data has queries, ``report``; with several sources or ``evaluation.data`` ``reports``, one for each data set
        that has queries, by its name, and their ``average``.

    Raises:
        ResightError: anything that is wrong with recipe, data, weights, disk or the course of training.
    """
    recipe = _recipe(recipe)
    sources = _sources(recipe, data)
    measured_on = _measured_on(recipe, sources)
    teachers, essence = Teachers.read(recipe.teachers), recipe.essence()
    made_of = " ".join((stamp(sources), *teachers.names, *([start.card.fingerprint] if start else [])))
    run, previous = Run(output), None
    if resume and run.checkpoint.exists():
        previous = checkpoint.read(run.checkpoint, essence, made_of)
        done = run.results()
        if previous.epoch == recipe.epochs and run.model.exists() and done is not None:
            return done
    examples = Examples.from_sources(sources)
    refuse_hopeless(recipe, examples)

    accelerator = prepare_devices(recipe.precision, cpu=cpu, unused=recipe.leaves_some_unused)
    device, main = accelerator.device, accelerator.is_main_process
    weights_of_start = None if start is None else start.network.state_dict()
    session = Session(recipe, examples, teachers, accelerator, previous, weights_of_start)
    state = session.state
    with run.begun(recipe, _facts(sources), resume=resume, main=main):
        trained_on = [f"{source.name} ({source.fingerprint()})" for source in sources]
        card = _card(state.network, recipe, ", taught by ".join((" and ".join(trained_on), *teachers.names)))
        folder = cache_folder() if recipe.images.cache else None
        with accelerator.main_process_first(), Live(recipe.epochs, state.epoch, show=progress and main) as live:
            begins = f"{recipe.model.name} from {f'epoch {state.epoch}' if state.epoch else 'random weights'}"
            live.note(state.loaded or f"{begins}, {len(examples):,} images, on {device}")
            decoding, teaching = partial(live.preparing, "decoding"), partial(live.preparing, "embedding by teachers")
            session.read(card.preprocessing, folder, decoding=decoding, teaching=teaching)
        clips = Clips(recipe.evaluation.frames, recipe.evaluation.sampling)
        measured = partial(_measure, measured_on, device=str(device), cache=folder, clips=clips)
        with (
            freed_memory_kept(device.type == "cpu"),
            Live(recipe.epochs, state.epoch, show=progress and main) as live,
            recorded(run.folder, recipe, trackers, wanted=main) as record,
        ):
            for epoch in range(state.epoch, recipe.epochs):
                live.epoch_begins(epoch)
                entry = session.epoch(examples.labels, live.step)
                if main:
                    every = recipe.evaluation.every
                    if every and (epoch + 1) % every == 0 and epoch + 1 < recipe.epochs:
                        entry |= _means(measured(Model(state.kept, card)))
                    state.history.append(entry)
                    state.checkpoint(essence.yaml(), made_of, accelerator).save(run.checkpoint)
                    run.write_metrics({"history": state.history, "seconds": state.seconds})
                    record(entry)
                    live.epoch_ends(entry)
                accelerator.wait_for_everyone()

            result: dict[str, Any] = {"history": state.history, "seconds": state.seconds}
            if main:
                reports = measured(Model(state.kept, card))
                for name, report in reports.items():
                    live.note(f"{name}: {report}")
                result |= _as_json(reports, several=len(sources) > 1 or bool(recipe.evaluation.data))
                command = f"resight train {Path(*run.recipe.parts[-2:])}"  # a card does not show the rest of the path
                rows = ({"data": name, "command": command, **report.numbers()} for name, report in reports.items())
                run.write_metrics(result)
                keep(Model(state.kept, card.model_copy(update={"metrics": tuple(rows)})), run)
            return from_main(accelerator, lambda: result)


def _recipe(given: object) -> Recipe:
    """A recipe from whatever :func:`train` takes."""
    if isinstance(given, Recipe):
        return given
    if isinstance(given, Mapping):
        return recipes.parse(dict(given))
    if isinstance(given, str | Path):
        return recipes.read(given)
    raise RecipeError(f"train takes a recipe, a mapping or a path, not a {type(given).__name__}: pass one of these.")


def _sources(recipe: Recipe, data: Dataset | Sequence[Dataset] | None) -> tuple[Dataset, ...]:
    """The data sets to train on: those given, else the recipe's."""
    if isinstance(data, Dataset):
        return (data,)
    return tuple(data or map(_load, recipe.sources))


def _measured_on(recipe: Recipe, sources: Sequence[Dataset]) -> dict[str, Dataset]:
    """The data sets to measure on, by name: those of the recipe's evaluation, else the sources that have queries."""
    if not recipe.evaluation.data:
        named = zip(source_names(sources), sources, strict=True)
        return {name: source for name, source in named if len(source.query)}
    found = {name: _load(one) for name, one in recipe.evaluation.data.items()}
    for name, one in found.items():
        if not len(one.query):
            raise DataError(f"evaluation.data.{name} has no queries, so nothing can be measured on it: leave it out.")
    return found


def _load(one: Data) -> Dataset:
    return datasets.load(one.name, one.root or None, **one.options)


def _facts(sources: Sequence[Dataset]) -> dict[str, Any] | list[dict[str, Any]]:
    """What the run's record says of its data: of one set, or of each source."""
    names = source_names(sources)
    facts = [
        {"name": name, "fingerprint": source.fingerprint(), **source.facts()}
        for name, source in zip(names, sources, strict=True)
    ]
    return facts if len(facts) > 1 else facts[0]


def _measure(
    sets: Mapping[str, Dataset], model: Model, *, device: str, cache: Path | None, clips: Clips
) -> dict[str, Report]:
    """The report of a model on each data set, by name."""
    return {
        name: measure(model, one, engine="torch", device=device, cache=cache, clips=clips)[2]
        for name, one in sets.items()
    }


def _means(reports: Mapping[str, Report]) -> dict[str, float]:
    """mAP and Rank-1, averaged over data sets; nothing where none has queries."""
    if not reports:
        return {}
    average = Domains(reports, {}).average()
    return {name: average[name] for name in ("mAP", "R1")}


def _as_json(reports: Mapping[str, Report], *, several: bool) -> dict[str, Any]:
    """The reports for ``metrics.json``."""
    if several and reports:
        table = Domains(reports, {}).numbers()
        return {"reports": table["sets"], "average": table["average"]}
    return dict(zip(("report",), (report.numbers() for report in reports.values()), strict=False))


def _card(network: nn.Module, recipe: Recipe, trained_on: str) -> Card:
    """What is known of the model before it is trained."""
    spec = recipe.images
    device = next(network.parameters()).device
    with torch.inference_mode():
        images = torch.zeros(1, 3, spec.height, spec.width, dtype=torch.float32, device=device)
        dim = network.eval()(images).embedding.shape[1]
    return Card(
        architecture=recipe.model.name,
        arguments=recipe.builds_with,
        preprocessing=Preprocessing(
            height=spec.height, width=spec.width, resize=spec.resize, interpolation=spec.interpolation
        ),
        dim=dim,
        metric=recipe.evaluation.metric,
        trained_on=trained_on,
    )


def keep(model: Model, run: Run) -> None:
    """Write the card and then the model: where it is, the run is finished. The classifier has done its work."""
    tensors = {
        key: value for key, value in model.network.state_dict().items() if not key.startswith(weights.CLASSIFIER)
    }
    found = weights.fingerprint(model.network, model.card)
    write(tensors, model.card.model_copy(update={"fingerprint": found}), run.model)
