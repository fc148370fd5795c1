"""A model learns from crops that nobody has labelled: clusters as labels, new ones in every epoch.

Cluster Contrast (Dai et al. 2022) from a trained model, without the data it was trained on: embed all crops by the
averaged network, cluster them, learn the clusters for an epoch, and again. What only a user of cameras knows goes into
the clusters (:mod:`resight.adaptation.constraints`), and no label is used to stop or to choose
(:mod:`resight.adaptation.judge`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from resight.adaptation.checking import Check
from resight.adaptation.constraints import Constraints
from resight.adaptation.course import Course
from resight.adaptation.crops import Crops, read
from resight.adaptation.look import Look, first_of_copies, look, refuse_few, refuse_wide
from resight.adaptation.pixels import embedded, shapes
from resight.adaptation.result import card_of, next_step, write_clusters
from resight.adaptation.settings import EPOCHS, refuse_numbers, refuse_other, settings
from resight.adaptation.start import begin, refuse_untrainable
from resight.adaptation.statistics import reestimate
from resight.datasets import Dataset
from resight.images.cache import Images, cache_folder
from resight.models.card import Card
from resight.models.loading import load
from resight.models.model import Model
from resight.report.adapted import write_adapted
from resight.training import checkpoint
from resight.training.devices import accelerator as prepare_devices
from resight.training.devices import from_main, untouched
from resight.training.loop import keep
from resight.training.memory import freed_memory_kept
from resight.training.progress.live import Live
from resight.training.progress.recording import recorded
from resight.training.run import Run
from resight.watch.link import Rules


@untouched()
def adapt(
    source: Any,
    output: str | Path,
    model: Model | str | Path = "person",
    *,
    cameras: str = "",
    tracks: str = "",
    travel: float = 0.0,
    overlap: Sequence[tuple[str, str]] = (),
    named: bool = False,
    epochs: int = EPOCHS,
    distance: float | None = None,
    check: Dataset | str | Path | None = None,
    lr: float = 3.5e-4,
    steps: int = 0,
    seed: int = 1,
    precision: str = "no",
    resume: bool = False,
    cpu: bool = False,
    pictures: bool = True,
    progress: bool = True,
) -> dict[str, Any]:
    """Adapt a model to unlabelled crops, and leave it with its card, metrics and a report in ``output``.

    Args:
        source: what :func:`resight.adaptation.crops.read` takes: a folder, zip archive, data set, table or gallery.
        output: the run folder.
        model: what to begin with.
        cameras, tracks: which part of a name, or which column, tells the camera and the track.
        travel: the shortest time in seconds from one camera to another; 0 rules nothing out.
        overlap: pairs of cameras whose views overlap, where one person may be seen by both at once.
        named: use the identities that are known of some crops: images of one name are of one person, of two names of
            two.
        epochs: at most; 0 estimates the statistics of batch normalisation again, in one pass, and nothing else.
        distance: up to which two images are neighbours in a cluster; chosen by :func:`~resight.adaptation.look.look`.
        check: a labelled data set on which the model is measured before and after. It chooses nothing.
        lr: the learning rate; steps: batches in an epoch, 0 for about one view of each clustered image.
        seed, precision, resume, cpu, progress: as for :func:`resight.train`.
        pictures: whether the report may hold pictures.

    Returns:
        what ``metrics.json`` in the run folder holds: ``look`` (before training), ``history`` (an entry per epoch),
        ``stopped`` (why it ended), ``seconds`` and, with ``check``, ``check``.

    Raises:
        DataError: crops that nothing can be learnt from, with the reason.
        RecipeError: a number that no training takes.
        TrainingError: ``resume`` of a run with other crops or settings, or of a finished one with another check.
        ResightError: anything that is wrong with model, disk or the course of training.
    """
    refuse_numbers(lr=lr, seed=seed, epochs=epochs, steps=steps, travel=travel)
    run = Run(output)
    run.refuse_taken(resume=resume)
    called = str(model) if isinstance(model, (str, Path)) else model.card.architecture
    place = str(source) if isinstance(source, (str, Path)) else str(getattr(source, "name", "a table"))
    if resume and run.model.exists() and (done := run.results()) is not None and "stopped" in done:
        refuse_other(run.recipe, place, called, epochs, lr, seed, precision)
        if check is not None:
            Check.of(check).refuse_other(done, run.folder)
        return done
    original = model if isinstance(model, Model) else load(model)
    refuse_untrainable(original, called)
    checked = None if check is None else Check.of(check)
    crops = read(source, cameras=cameras, tracks=tracks, pictures=run.folder / "crops")
    refuse_few(crops)
    to = original.card.preprocessing
    refuse_wide(shapes(crops), to.height > to.width)
    rules = Rules(frozenset(map(frozenset, overlap)), travel)

    accelerator = prepare_devices(precision, cpu=cpu)
    device, main = accelerator.device, accelerator.is_main_process
    with Live(epochs, 0, show=progress and main) as live:
        for note in crops.notes:
            live.note(note)
        reading = partial(live.preparing, "decoding")
        with accelerator.main_process_first():
            images = Images(crops.images, to, folder=cache_folder(), progress=reading)
            start = begin(original, images, device)
        if epochs == 0:
            return _statistics_only(run, start, original, crops, images, device, called, checked, live)
        first_look = partial(_first_look, crops, images, start, rules, named, distance, device, live)
        kept, vectors, first = from_main(accelerator, first_look)
    crops = crops.take(kept)

    recipe = settings(
        start.card,
        source=place,
        model=called,
        found=first.facts,
        images=len(crops),
        epochs=epochs,
        lr=lr,
        seed=seed,
        precision=precision,
        steps=steps,
    )
    made_of = (
        f"{crops.fingerprint()} {original.card.fingerprint} {first.distance:g} {travel:g} {sorted(overlap)} {named}"
    )
    essence = recipe.essence()
    previous = checkpoint.read(run.checkpoint, essence, made_of) if resume and run.checkpoint.exists() else None
    course = Course(recipe, Constraints(crops, rules, named), first, vectors, start, accelerator, previous)
    facts = {"crops": len(crops), "cameras": list(crops.camera_names)}
    with (
        run.begun(recipe, facts, resume=resume, main=main),
        freed_memory_kept(device.type == "cpu"),
        Live(epochs, course.state.epoch, show=progress and main) as live,
        recorded(run.folder, recipe, (), wanted=main) as record,
    ):
        stopped = course.learn(run, live, record, essence=essence.yaml(), made_of=made_of)
        result: dict[str, Any] = {
            "look": first.numbers(),
            "history": course.state.history,
            "stopped": stopped,
            "seconds": course.state.seconds,
        }
        if main:
            card = card_of(original.card, crops, called, "adapted without labels to")
            adapted = Model(course.state.kept, card)
            if checked is not None:
                result["check"] = checked.measure(original, adapted, str(device), live.note)
            write_clusters(run.folder, crops, first.labels, course.labels)
            _report(run, crops, first, course, result, called, pictures=pictures)
            run.write_metrics(result)
            keep(adapted, run)
            live.note(f"{run.folder}: {card.trained_on}. {next_step(run.folder)}")
        return dict(from_main(accelerator, lambda: result))


def _first_look(
    crops: Crops,
    images: Images,
    start: Model,
    rules: Rules,
    named: bool,
    distance: float | None,
    device: torch.device,
    live: Live,
) -> tuple[NDArray[np.int64], NDArray[np.float32], Look]:
    """The crops that are no copies of others, their embeddings by the model as it is, and their clusters."""
    vectors = embedded(start.network, start.card, images, device, partial(live.preparing, "embedding"))
    kept = first_of_copies(vectors)
    if len(kept) < len(crops):
        live.note(f"{len(crops) - len(kept):,} of {len(crops):,} crops are exact copies and were left out.")
    crops = crops.take(kept)
    refuse_few(crops)
    first = look(vectors[kept], crops, Constraints(crops, rules, named), distance)
    live.note(f"Before training, at distance {first.distance:g}: {first.facts}.")
    for note in first.notes:
        live.note(note)
    return kept, vectors[kept], first


def _statistics_only(
    run: Run,
    start: Model,
    original: Model,
    crops: Crops,
    images: Images,
    device: torch.device,
    called: str,
    checked: Check | None,
    live: Live,
) -> dict[str, Any]:
    """Estimate the statistics of batch normalisation again and save the model."""
    from resight.adaptation.pixels import in_random_order

    began = perf_counter()
    count = reestimate(start.network, in_random_order(images, start.card, device, len(crops)))
    how = "statistics estimated again without labels on"
    card: Card = card_of(original.card, crops, called, how).model_copy(update={"metric": original.card.metric})
    adapted = Model(start.network, card)
    result: dict[str, Any] = {"norms": count, "stopped": "the statistics alone", "seconds": perf_counter() - began}
    if checked is not None:
        result["check"] = checked.measure(original, adapted, str(device), live.note)
    run.folder.mkdir(parents=True, exist_ok=True)
    run.write_metrics(result)
    keep(adapted, run)
    live.note(f"{run.folder}: {card.trained_on}. {next_step(run.folder)}")
    return result


def _report(
    run: Run,
    crops: Crops,
    first: Look,
    course: Course,
    result: dict[str, Any],
    called: str,
    *,
    pictures: bool,
) -> None:
    write_adapted(
        run.folder / "report.html",
        title=f"{called} adapted to {len(crops):,} crops",
        paths=crops.images.paths.tolist(),
        cameras=[crops.camera_names[camera] if camera >= 0 else "" for camera in crops.cameras.tolist()],
        before=first.labels,
        after=course.labels,
        vectors=course.vectors,
        result=result,
        pictures=pictures,
    )
