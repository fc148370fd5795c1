"""Embeddings in FiftyOne, to look at, correct and search them there, and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.errors import DataError
from resight.files import split_archive
from resight.records import DISTRACTOR, JUNK, Embeddings

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.core.dataset import Dataset

EMBEDDING, IDENTITY, CAMERA = "embedding", "identity", "camera"  # fields of a sample
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")  # as str writes an integer of 64 bits
_PATHS = {IDENTITY: "identity.label", CAMERA: "camera.label"}


def to_fiftyone(embeddings: Embeddings, name: str | None = None) -> Dataset:
    """A FiftyOne data set with a sample per image: its path, embedding, and identity and camera as classifications.

    Junk has the identity ``junk``, a distractor ``distractor``. Further columns of one value per image are fields.

    Args:
        embeddings: with paths of files.
        name: of the data set; FiftyOne chooses one when None, and refuses one that it has.

    Raises:
        DataError: no paths, paths inside archives, which FiftyOne cannot open, or columns called as FiftyOne's own.
    """
    import fiftyone as fo

    if embeddings.paths is None:
        raise DataError("The embeddings have no paths: FiftyOne shows files, so embed files.")
    if packed := next((path for path in embeddings.paths.tolist() if split_archive(path)[1]), ""):
        raise DataError(f"{packed} is inside an archive, which FiftyOne cannot open: unpack it and embed the folder.")
    columns = {key: column for key, column in embeddings.columns.items() if column.ndim == 1}
    columns = {key: column for key, column in columns.items() if key not in ("identity_names", "camera_names")}
    taken = {"id", "filepath", "tags", "metadata", "media_type", "created_at", "last_modified_at", *_PATHS, EMBEDDING}
    if wrong := next((key for key in columns if key in taken), ""):
        raise DataError(f"The column {wrong!r} has a name that means something else in FiftyOne: rename it.")
    labels = {IDENTITY: _names(embeddings, "identities"), CAMERA: _names(embeddings, "cameras")}
    dataset = fo.Dataset(name)
    samples = []
    for at, path in enumerate(embeddings.paths.tolist()):
        sample = fo.Sample(filepath=path, **{key: column[at].item() for key, column in columns.items()})
        sample[EMBEDDING] = embeddings.vectors[at]
        for field, names in labels.items():
            if names is not None:
                sample[field] = fo.Classification(label=names[at])
        samples.append(sample)
    dataset.add_samples(samples, progress=False)
    dataset.info.update(
        fingerprint=embeddings.fingerprint, metric=embeddings.metric, integers=_without_names(embeddings)
    )
    dataset.save()
    return dataset


def _names(embeddings: Embeddings, field: str) -> list[str] | None:
    numbers = getattr(embeddings, field)
    if numbers is None:
        return None
    kept = embeddings.columns.get("identity_names" if field == "identities" else "camera_names", numbers)
    names = [str(name) for name in kept.tolist()]
    if field == "identities":
        special = {-1: "junk", 0: "distractor"}
        names = [special.get(number, name) for number, name in zip(numbers.tolist(), names, strict=True)]
    return names


def _without_names(embeddings: Embeddings) -> list[str]:
    """The fields whose labels are integers that stand for no text."""
    named = {IDENTITY: "identity_names", CAMERA: "camera_names"}
    return [field for field, names in named.items() if names not in embeddings.columns]


def as_before(labels: list[str], *, integers: bool) -> list[str] | list[int]:
    """Labels as integers, where they were ``integers`` and all still are one: -1 for junk, 0 for a distractor."""
    special = {"junk": "-1", "distractor": "0"}
    written = [special.get(label, label) for label in labels]
    if not integers or not all(_WHOLE.fullmatch(label) for label in written):
        return labels
    return [int(label) for label in written]


def from_fiftyone(
    samples: SampleCollection[Any], embedding: str = EMBEDDING, identity: str = IDENTITY, camera: str = CAMERA
) -> Embeddings:
    """The embeddings of a data set or view, with labels as they were corrected there.

    Integers that :func:`to_fiftyone` wrote as text are integers again, unless one was corrected to another text.

    Args:
        samples: a data set or a view of one.
        embedding: the field of vectors; ``identity`` and ``camera``: fields of classifications, where there are any.

    Raises:
        DataError: a sample without an embedding, or with a label that others have and it has not.
    """
    vectors = samples.values(embedding)
    paths = samples.values("filepath")
    if missing := [path for path, vector in zip(paths, vectors, strict=True) if vector is None]:
        raise DataError(
            f"{len(missing)} samples have no {embedding}, first {missing[0]}: embed them, or leave them out."
        )
    info = getattr(samples, "_root_dataset", samples).info
    known: dict[str, Any] = {}
    for name, field in (("identities", identity), ("cameras", camera)):
        if field in samples.get_field_schema():
            labels = samples.values(f"{field}.label")
            without = [path for path, label in zip(paths, labels, strict=True) if label is None]
            if without and len(without) < len(labels):
                raise DataError(
                    f"{len(without)} samples have no {field}, first {without[0]}: label them or leave them out."
                )
            if not without:
                known[name] = np.array(as_before(labels, integers=field in info.get("integers", ())))
    as_text = "identities" not in known or known["identities"].dtype.kind == "U"
    return Embeddings(
        np.array(vectors, np.float32),
        **known,
        paths=np.array(paths),
        fingerprint=str(info.get("fingerprint", "")),
        metric=str(info.get("metric", "")),
        junk="junk" if as_text else JUNK,
        distractors="distractor" if as_text else DISTRACTOR,
    )
