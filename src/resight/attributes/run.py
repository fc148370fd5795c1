"""Images in, attributes out, and how right they are. Shape letters: ``N`` images, ``A`` attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resight.attributes.measure import (
    AttributeReport,
    measure_attributes,
    official_accuracy,
    predict12,
)
from resight.attributes.reidentify import Part, Variant, compare, labels, probabilities
from resight.attributes.threshold import BETA
from resight.datasets import Dataset, market_attributes
from resight.datasets.attribute_names import ATTRIBUTES, OFFICIAL, PREDICTED, UNKNOWN
from resight.embedding.compute import embed, shifted
from resight.embedding.embedder import Embedder
from resight.errors import DataError, ModelError
from resight.files import write_csv
from resight.images.cache import Images
from resight.models.model import Model
from resight.models.output import Output
from resight.records import Embeddings, Split

NO_ATTRIBUTES = (
    "This model predicts no attributes: use one made for them, as listed by resight models list 'attributes*'."
)


def attribute_count(model: Model) -> int:
    """How many attributes the model predicts; 0 for a model that predicts none."""
    to = model.card.preprocessing
    weight = next(model.network.parameters(), torch.empty(0))  # an exported network has none
    was_training = model.network.training
    try:
        with torch.inference_mode():
            found = model.network.eval()(torch.zeros(1, 3, to.height, to.width, device=weight.device)).attributes
    finally:
        model.network.train(was_training)
    return 0 if found is None else int(found.shape[1])


def attribute_outputs(
    model: Model,
    splits: Sequence[Split],
    *,
    batch_size: int = 64,
    flip: bool = False,
    device: str | None = None,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Embeddings]:
    """The attribute logits of each split's images, as Embeddings (N, A) that attribute re-ID can compare.

    The arguments besides are those of :class:`~resight.embedding.embedder.Embedder` (``flip`` averages the logits);
    ``progress`` counts the images of all splits together.

    Raises:
        ModelError: the model predicts no attributes.
        DataError: a split without images, or an image that cannot be read; the message names it.
    """
    embedder = Embedder(model, batch_size=batch_size, flip=flip, device=device, cache=cache)  # checks the arguments
    network, to = model.network.to(embedder.device), model.card.preprocessing

    def pick(output: Output) -> Tensor:
        if output.attributes is None:
            raise ModelError(NO_ATTRIBUTES)
        return output.attributes

    total, done, found = sum(map(len, splits)), 0, []
    for split in splits:
        if not len(split):
            raise DataError(f"{split.name} has no images: no attributes can be predicted.")
        images = Images(split, to, folder=cache)
        shown = shifted(progress, done, total)
        logits = embed(network, images, to, batch_size=batch_size, flip=flip, pick=pick, progress=shown)
        found.append(Embeddings.from_split(split, logits, model.card.fingerprint))
        done += len(split)
    return found


@dataclass(frozen=True, eq=False)
class Recognition:
    """How right the attributes of a data set's gallery are.

    Attributes:
        report: per attribute and on the whole.
        official: accuracy of each of Market-1501's twelve official columns and their ``mean``; empty where the data
            has other attributes.
    """

    report: AttributeReport
    official: dict[str, float]

    def numbers(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return self.report.numbers() | {"official": self.official}


def check_attributes(count: int, data: Dataset) -> None:
    """Whether a model with ``count`` attributes (see :func:`attribute_count`) can be measured on ``data``.

    Raises:
        DataError: the data has no attribute labels.
        ModelError: the model predicts no attributes, or another number of them than the data has.
    """
    if not data.attributes:
        raise DataError(f"{data.name} has no attribute labels: use data that has them, such as market1501_attributes.")
    if count == 0:
        raise ModelError(NO_ATTRIBUTES)
    if count != len(data.attributes):
        raise ModelError(
            f"The model predicts {count} attributes but {data.name} has {len(data.attributes)}: use a model that was "
            "trained on these attributes."
        )


def recognise(outputs: Embeddings, data: Dataset) -> Recognition:
    """Measure attribute outputs, those of ``data``'s gallery or another split of it, against their labels.

    Raises:
        ResightError: as for :func:`check_attributes`.
    """
    check_attributes(outputs.vectors.shape[1], data)
    truth, found = labels(outputs), probabilities(outputs.vectors)
    return Recognition(measure_attributes(truth, found, data.attributes), _official(truth, found, data.attributes))


def reidentify(
    model: Model,
    data: Dataset,
    gallery: Embeddings,
    held_out: Dataset,
    *,
    beta: float = BETA,
    batch_size: int = 64,
    device: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Variant]:
    """People found by their attributes alone, see :func:`resight.attributes.reidentify.compare`.

    Args:
        model: one that predicts the attributes of ``data``.
        data: what is measured.
        gallery: the attribute outputs of its gallery, from :func:`attribute_outputs`.
        held_out: the validation fold: its train people give the linear layer, its held-out ones everything else that
            is chosen. It may be ``data`` itself.
        beta: for the threshold, see :func:`resight.attributes.threshold.choose_threshold`.

    Raises:
        ResightError: as for :func:`attribute_outputs` and what follows.
    """
    splits = [data.query, held_out.train, *(() if held_out is data else (held_out.query, held_out.gallery))]
    query, train, *rest = attribute_outputs(model, splits, batch_size=batch_size, device=device, progress=progress)
    evaluated = Part(query, gallery, data.protocol)
    validation = Part(rest[0], rest[1], held_out.protocol) if rest else evaluated
    return compare(train, validation, evaluated, data.attributes, beta=beta)


def write_predictions(path: str | Path, outputs: Embeddings, data: Dataset) -> None:
    """Write the predicted attributes as a CSV file with the columns of Market-1501's annotation, whole or not at all.

    The header is ``filename,age,backpack,...``; values are 1 for no and 2 for yes (probability at least 0.5), the age
    is 1 to 4, the most probable one.

    Args:
        path: the file to write.
        outputs: attribute outputs with paths, of which the file gets the names.
        data: where the images come from; it must have the attributes of ``market1501_attributes``.

    Raises:
        DataError: other attributes, or outputs without paths.
        ResightError: the file cannot be written.
    """
    if data.attributes != ATTRIBUTES:
        raise DataError(
            f"The CSV file holds the attributes of market1501_attributes, but {data.name} has others: leave it out."
        )
    if outputs.paths is None:
        raise DataError("The attribute outputs have no paths, so their file names cannot be written: pass paths=....")
    table = market_attributes.prediction_table(probabilities(outputs.vectors)).tolist()
    names = [PurePath(path).name for path in outputs.paths.tolist()]
    rows = ((name, *row) for name, row in zip(names, table, strict=True))
    write_csv(path, ("filename", *PREDICTED), rows)


def _official(truth: NDArray[Any], found: NDArray[np.float32], names: tuple[str, ...]) -> dict[str, float]:
    if names != ATTRIBUTES:
        return {}
    known = truth[:, 0] != UNKNOWN
    columns, mean = official_accuracy(market_attributes.official_columns(truth[known]), predict12(found[known], names))
    return dict(zip(OFFICIAL, columns.tolist(), strict=True)) | {"mean": mean}
