"""Fine-tuning on a few labelled people from the user's cameras: rates, losses, sampler and epochs from the counts.

A new classifier learns alone first, so that its random weights do not spoil the trained network, and then everything
with identity and triplet loss. Some people are held out: the model is measured on them before and after, and its
decision is learnt from them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from resight.adaptation.checking import Check
from resight.adaptation.crops import Crops, read
from resight.adaptation.look import refuse_wide
from resight.adaptation.pixels import shapes
from resight.adaptation.result import card_of, next_step
from resight.adaptation.settings import refuse_numbers
from resight.adaptation.start import begin, refuse_untrainable
from resight.datasets import Dataset
from resight.datasets.splitting import hold_out
from resight.decisions.model import calibrate
from resight.errors import DataError, RecipeError
from resight.images.cache import Images, cache_folder
from resight.models.card import Card
from resight.models.loading import load
from resight.models.model import Model
from resight.records import DISTRACTOR
from resight.secrets import without_secrets
from resight.training.devices import accelerator as prepare_devices
from resight.training.devices import untouched
from resight.training.loop import train
from resight.training.losses import CrossEntropy, Triplet
from resight.training.parts import (
    AugmentationSpec,
    Averaging,
    Data,
    Evaluation,
    ImageSpec,
    ModelSpec,
    Phase,
    Sampler,
)
from resight.training.progress.live import Live
from resight.training.recipe import Recipe
from resight.training.run import Run

FEWEST = 4  # people: two to train on and two to measure with
FEW = 100  # below, results differ much with who happens to be among them
HELD_OUT = 0.3  # the share of people that the model is measured with
TO_CALIBRATE = 20  # people that a calibration takes at least: held out where that leaves as many to train on
MOST_HELD_OUT = 100
_STEPS = 1000  # that training everything takes at least, as far as epochs allow
_EPOCHS = (10, 40)
"""Fewest and most epochs."""


@untouched()
def fine_tune(
    source: Any,
    output: str | Path,
    model: Model | str | Path = "person",
    *,
    cameras: str = "",
    epochs: int | None = None,
    check: Dataset | str | Path | None = None,
    lr: float = 5e-4,
    seed: int = 1,
    precision: str = "no",
    resume: bool = False,
    cpu: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Fine-tune a model on labelled crops and leave it, calibrated, in ``output``.

    Args:
        source: crops with identities, as :func:`resight.adaptation.crops.read` takes them; a folder has a folder for
            each person, or a data set's layout.
        output, model, cameras, seed, precision, resume, cpu, progress: as for :func:`resight.adapt`.
        epochs: of training everything; chosen from the number of images by default.
        check: a labelled data set to measure with in place of people that are held out; the model is then trained on
            all people, and not calibrated.
        lr: the largest learning rate of the trained layers; the new classifier has ten times as much.

    Returns:
        what ``metrics.json`` in the run folder holds: as of :func:`resight.train`, and ``check`` and ``calibration``.

    Raises:
        DataError: too few people or images, with what would help.
        ResightError: anything that is wrong with model, disk or the course of training.
    """
    refuse_numbers(lr=lr, seed=seed)
    if epochs is not None and epochs < 1:
        raise RecipeError(
            f"epochs is {epochs}: fine-tuning takes 1 or more; without labels, 0 is the statistics alone."
        )
    run = Run(output)
    run.refuse_taken(resume=resume)
    named = str(model) if isinstance(model, (str, Path)) else model.card.architecture
    original = model if isinstance(model, Model) else load(model)
    refuse_untrainable(original, named)
    crops = _labelled(source, cameras, run)
    to = original.card.preprocessing
    refuse_wide(shapes(crops), to.height > to.width)
    data, notes = _split(crops, seed, held_out=check is None)
    checked = Check.of(data if check is None else check)

    device = prepare_devices(precision, cpu=cpu).device
    pixels = Images(data.train, to, folder=cache_folder())
    start = begin(original, pixels, device)
    recipe = _recipe(start.card, named, data, epochs, lr, seed, precision)
    with Live(0, 0, show=progress) as live:
        for note in (*crops.notes, *notes):
            live.note(note)
    silent = replace(data, query=data.query.take([]), gallery=data.gallery.take([]))
    result = train(recipe, output, resume=resume, cpu=cpu, progress=progress, data=silent, start=start)
    if "check" in result:
        checked.refuse_other(result, run.folder)
        return result
    tuned = load(run.folder)
    people = len(np.unique(data.train.identities))
    card = card_of(original.card, replace(crops, images=data.train), named, f"fine-tuned with {people} people, to")
    tuned = Model(tuned.network, card.model_copy(update={"fingerprint": tuned.card.fingerprint}))
    with Live(0, 0, show=progress) as live:
        result["check"] = checked.measure(original, tuned, str(device), live.note)
        if check is None:
            tuned, said = _calibrated(tuned, data)
            result["calibration"] = said
            live.note(said)
        else:
            live.note(next_step(run.folder))
        if people < FEW:
            live.note(
                f"{people} people are few: with others the result may differ by several points, see the intervals. "
                "More people help more than more images of each."
            )
    tuned.card.save(run.model)
    run.write_metrics(result)  # last, for with a check in it the run is finished
    return result


def _labelled(source: Any, cameras: str, run: Run) -> Crops:
    """The crops, of which two identities or more must be known."""
    name = "" if not isinstance(source, (str, Path)) or cameras else _kind(source)
    crops = read(source, cameras=cameras, name=name, pictures=run.folder / "crops")
    if not crops.labelled:
        raise DataError(
            f"{without_secrets(str(source))} says of no two people who they are: put the crops of each person into a "
            "folder of their own, name a column identity, or adapt without --labelled."
        )
    crops = crops.take(crops.images.identities > DISTRACTOR)
    nowhere = int((crops.cameras < 0).sum())
    if crops.camera_names and nowhere:
        raise DataError(
            f"{nowhere:,} of {len(crops):,} labelled crops have no camera, so that it cannot be measured who is found "
            "in another one: give the camera of each, or leave cameras out."
        )
    return crops


def _kind(source: str | Path) -> str:
    """``folder`` for a plain folder, whose sub-folders are people; "" for what says by itself who is who."""
    from resight import datasets
    from resight.adaptation.crops import gallery_at
    from resight.datasets.detect import is_table

    if is_table(source) or gallery_at(str(source)):
        return ""
    found = datasets.detect(source)
    return "people" if found == "folder" else found


def _split(crops: Crops, seed: int, *, held_out: bool) -> tuple[Dataset, tuple[str, ...]]:
    """The people to train on, and those to measure with."""
    images = crops.images
    people = np.unique(images.identities)
    single = len(crops.camera_names) < 2
    if len(people) < FEWEST:
        raise DataError(
            f"There are {len(people)} people, but to train and to measure takes {FEWEST} or more, and below about "
            "20 the result says little: label more people, two images or more of each."
        )
    protocol = "single_camera" if single else "market1501"
    if not held_out:
        nothing = images.take([])
        return Dataset("labelled crops", images, nothing, nothing, protocol), ()
    count = max(2, round(len(people) * HELD_OUT), min(TO_CALIBRATE, len(people) // 2))
    count = min(count, MOST_HELD_OUT)
    train_split, query, gallery = hold_out(images, count, seed=seed, single_camera=single)
    if not len(query):
        needs = "two images" if single else "images of two cameras"
        raise DataError(
            f"None of the {count} people held out has {needs}, so that nothing could be measured: add images, or pass "
            "a labelled data set as --check."
        )
    notes: tuple[str, ...] = (
        f"{len(people) - count} people are trained on; {count} are held out, to measure and to calibrate with.",
    )
    if len(people) < FEW:
        notes += (f"{len(people)} people are few: the numbers below are rough.",)
    return Dataset("held-out people", train_split, query, gallery, protocol), notes


def _recipe(card: Card, named: str, data: Dataset, epochs: int | None, lr: float, seed: int, precision: str) -> Recipe:
    """New classifier first, then everything; batches and epochs from the counts."""
    to, train_split = card.preprocessing, data.train
    people, per_person = np.unique(train_split.identities, return_counts=True)
    K = int(np.clip(np.median(per_person), 2, 4))
    P = int(np.clip(len(people), 2, 16))
    batch = P * K
    steps = max(1, int(np.maximum(1, per_person // K).sum()) // P)
    whole = epochs or int(np.clip(round(_STEPS / steps), *_EPOCHS))
    losses = (CrossEntropy(smoothing=0.1), Triplet(margin=0.3))
    return Recipe(
        name="adapt-labelled",
        about="A model fine-tuned on labelled crops, written by resight adapt --labelled.",
        data=Data(name="folder"),
        model=ModelSpec(
            name=card.architecture,
            arguments={key: value for key, value in card.arguments.items() if key != "num_identities"},
            weights=named,
        ),
        images=ImageSpec(height=to.height, width=to.width, resize=to.resize),
        augmentation=AugmentationSpec(flip=0.5, pad_crop=round(to.height * 10 / 256), erase=0.5),
        sampler=Sampler(batch_size=batch, images_per_identity=K),
        losses=losses,
        phases=(
            Phase(epochs=2, optimizer="amsgrad", lr=10 * lr, only=("classifier",), losses=(CrossEntropy(),)),
            Phase(epochs=whole, optimizer="amsgrad", lr=lr, schedule="cosine", warmup=1.0, rates={"classifier": 4.0}),
        ),
        averaging=Averaging(decay=0.99),
        evaluation=Evaluation(metric="cosine"),
        precision=precision,
        seed=seed,
    )


def _calibrated(model: Model, data: Dataset) -> tuple[Model, str]:
    """The model with its decision, or as it was where there are too few people to calibrate, and the sentence on it."""
    try:
        found, decision = calibrate(model, data, cache=cache_folder())
    except DataError as error:
        return model, f"The held-out people are too few to calibrate on ({error})"
    rate = decision.false_match_rate
    return found, (
        f"Calibrated on the held-out people: a match up to {decision.threshold:.4g} "
        f"(false-match rate {rate:g}). The model is ready for a gallery."
    )
