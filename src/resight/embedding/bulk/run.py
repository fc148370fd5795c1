"""Any number of images to a file of embeddings, part by part: in bounded memory, and going on where it was stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.embedding.bulk.parts import Part, fill
from resight.embedding.bulk.scale_out import fill_with_ray
from resight.embedding.bulk.tracklets import frames_to_embed, pooled
from resight.embedding.compute import Progress
from resight.embedding.embedder import Embedder
from resight.embedding.engines.auto import PATIENCE, fastest, known, measure
from resight.embedding.engines.make import engines_of
from resight.embedding.files import check, check_replaceable, columns_of, write
from resight.embedding.source import Pictures, Source, source_of
from resight.embedding.tracklets import Clips
from resight.embedding.versions import versions
from resight.errors import DataError, ResightError
from resight.files import write_text
from resight.images.stream import BadImage
from resight.locks import held

PART = 4096  # images
_PLAN, _MANIFEST = "plan.json", "manifest.json"


@dataclass(frozen=True)
class Written:
    """What :func:`embed_to_file` wrote.

    Attributes:
        file, manifest: where.
        images: how many were given; ``embedded`` of them are in the file, the others in ``failed``.
        dim: D.
        fingerprint, data_fingerprint: of the model, and of the images' names, sizes, order and labels.
        failed: images that could not be embedded.
        others: files of the folder that are not images by their names.
        tracklets: how many are in the file, if it has one row for each instead of one for each image.
    """

    file: str
    manifest: str
    images: int
    embedded: int
    dim: int
    fingerprint: str
    data_fingerprint: str
    failed: tuple[BadImage, ...]
    others: tuple[str, ...] = ()
    tracklets: int = 0

    def numbers(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)


def embed_to_file(
    embedder: Embedder,
    images: Pictures,
    file: str | Path,
    *,
    skip: bool = False,
    part: int = PART,
    ray: str | None = None,
    about: dict[str, Any] | None = None,
    clips: Clips | None = None,
    progress: Progress | None = None,
) -> Written:
    """Embed ``images`` into ``file`` and say in ``<file>.manifest.json`` what is in it.

    Parts of the work are kept in the folder ``<file>.parts`` until all are done. Stopped at any moment, the same call
    goes on with them, to the same bytes.

    Args:
        embedder: with the model, the engine and the batch size.
        images: a split, a folder or zip of images, a list of paths, or a video.
        file: its name ends in ``.parquet`` or ``.npz``.
        skip: leave out images that cannot be embedded; the manifest names them. Without it the first is an error.
        part: images in a part.
        ray: let the workers of a Ray cluster compute, to the same bytes: ``HOST:PORT`` of its head, or ``auto``
            (:mod:`resight.embedding.bulk.scale_out`).
        about: more for the manifest.
        clips: write one row for each tracklet of a split, of the frames and with the pooling that it says.
        progress: called with (images done, images in all).

    Raises:
        DataError: nothing to embed, an image that cannot be read, or parts of other work.
        ResightError: the disk is full, the place cannot be written, another program does it, or Ray does not.
    """
    card = embedder.model.card
    if clips is not None:
        images = frames_to_embed(images, clips, card)
    source = source_of(images)
    if not isinstance(source, Source) or not (source.files or source.stamp):
        raise DataError("Only files can be gone on with: pass paths, or use Embedder.stream for what is in memory.")
    columns = columns_of(source)
    check(file, columns)
    check_replaceable(file)
    if Path(file).is_symlink():  # it stays, and what it leads to is written
        file = Path(file).resolve()
    data = source.fingerprint()
    plan = {
        "model": card.fingerprint,
        "images": data,
        "flip": embedder.flip,
        "half": embedder.half,
        "engine": embedder.engine,
        "batch size": embedder.batch_size,
        "part": part,
    }
    folder = Path(f"{file}.parts")
    with _alone(folder):
        _begin(folder, plan)
        if embedder.engine == "auto":
            embedder = _settled(embedder, folder, len(source))
        if ray is None:
            fill(folder, embedder, source, part=part, skip=skip, progress=progress)
        else:
            fill_with_ray(ray, folder, embedder, source, part=part, skip=skip, progress=progress)
        kept, failed, dim = _outcome(folder, range(0, len(source), part))
        if failed and not skip:
            raise DataError(failed[0].reason)
        if not len(kept):
            raise DataError(f"None of {len(source):,} images can be embedded; of the first: {failed[0].reason}")
        manifest, fingerprint = f"{file}.manifest.json", card.fingerprint
        rows = {name: column[kept] for name, column in columns.items()}
        tracklets = 0 if clips is None else len(np.unique(rows["tracks"]))
        counts = len(source), len(kept), dim
        written = Written(str(file), manifest, *counts, fingerprint, data, tuple(failed), source.others, tracklets)
        settings = plan | {"engine": embedder.engine}
        facts = written.numbers() | {"card": card.model_dump(), "settings": settings, "versions": versions()}
        write_text(folder / _MANIFEST, json.dumps(facts | (about or {}), indent=2) + "\n")
        vectors = (Part.read(folder, start).vectors for start in range(0, len(source), part))
        some_rows = (some for some in vectors if len(some))
        if clips is not None:
            rows, of_tracklets = pooled(rows, some_rows, by_length=clips.pooling_with(card) == "attention")
            some_rows = (one for one in (of_tracklets,))
        joined = folder / f"joined{Path(file).suffix}"  # here, so that a killed run leaves nothing elsewhere
        write(joined, rows, some_rows, tracklets or len(kept), fingerprint, card.metric)
        _move(joined, written.file)
        _move(folder / _MANIFEST, manifest)
        _end(folder)
    return written


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While no other program works in the folder, where the file system knows such locks."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # what is written there first reports it
        yield
        return
    with held(place) as mine:
        if mine is False:
            raise ResightError(
                f"Another program embeds into {folder} now: run the command when it is done, or choose another file."
            )
        yield


def _begin(folder: Path, plan: dict[str, Any]) -> None:
    """Make the folder of parts, or go on with one that was begun with the same plan."""
    file, text = folder / _PLAN, json.dumps(plan, indent=2)
    for left in folder.glob(".*"):  # what a killed run was writing
        left.unlink(missing_ok=True)
    if not file.exists():
        if folder.exists() and any(folder.iterdir()):
            raise DataError(
                f"{folder} is in the way and was not made by resight embed: move it or choose another file."
            )
        write_text(file, text)
        return
    if not any(folder.glob("[0-9]*.npz")):  # nothing would be lost
        write_text(file, text)
        return
    try:
        begun = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}): delete the folder to begin anew.") from None
    for name, value in plan.items():
        if begun.get(name) != value:
            raise DataError(
                f"{folder} was begun with other settings ({name}: {begun.get(name)}, now {value}): "
                "run the command it was begun with, delete the folder, or choose another file."
            )


def _settled(embedder: Embedder, folder: Path, images: int) -> Embedder:
    """One that computes all parts with the same engine, whichever ``auto`` comes to for so many images."""
    file, model, size = folder / "engine.json", embedder.model, embedder.batch_size
    if not file.exists():
        here = engines_of(model, embedder.half) if embedder.device.type == "cpu" else ("torch",)
        many = len(here) > 1 and images > PATIENCE
        half = embedder.half
        rates = (known(model, size, half) or measure(model, size, half)) if many else {}
        write_text(file, json.dumps({"engine": fastest(rates) or here[0]}))
    engine = json.loads(file.read_text(encoding="utf-8"))["engine"]
    return Embedder(model, **embedder.settings | {"engine": engine})


def _outcome(folder: Path, starts: range) -> tuple[NDArray[np.int64], list[BadImage], int]:
    """Which images were embedded, which were not, and D (0 if none was)."""
    kept, failed, dim = [], [], 0
    for start in starts:
        part = Part.read(folder, start)
        kept.append(part.kept)
        failed += part.failed
        dim = dim or part.vectors.shape[1]
    return np.concatenate(kept), failed, dim


def _move(made: Path, to: str) -> None:
    try:
        made.replace(to)
    except OSError as error:
        what = f"{to} cannot be written ({error.strerror})"
        raise DataError(f"{what}: move the existing file or folder and run the command again.") from None


def _end(folder: Path) -> None:
    """Remove the parts; the plan last, so that a run killed here goes on."""
    for left in sorted(folder.iterdir(), key=lambda path: path.name == _PLAN):
        left.unlink()
    folder.rmdir()
