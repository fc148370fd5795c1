"""The card of a model: everything needed to use its weights rightly, kept beside them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from resight.errors import ModelError
from resight.files import write_text

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)  # mean and deviation of most transformers


Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Resize = Literal["stretch", "letterbox", "letterbox_corner"]
Interpolation = Literal["linear-area", "bilinear", "bicubic"]


class Preprocessing(BaseModel):
    """From a decoded image to the network's input. Normalisation is never inside the network.

    The image is resized to ``height`` x ``width``: ``stretch``; ``letterbox``, the longer side fits, black around it;
    ``letterbox_corner``, the same at the top left of ImageNet's mean colour, which normalisation makes zero. It is put
    in ``colour`` order, divided by ``scale``, then ``mean`` is subtracted and the result divided by ``std``.
    ``interpolation``: ``linear-area`` is the mean area where the image shrinks and linear where it grows (OpenCV);
    ``bilinear`` and ``bicubic`` are Pillow's, antialiased, which torchvision uses for Pillow images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: int = Field(256, gt=0)
    width: int = Field(128, gt=0)
    resize: Resize = "stretch"
    interpolation: Interpolation = "linear-area"
    colour: Literal["RGB", "BGR"] = "RGB"
    scale: Positive = 255.0
    mean: tuple[Finite, Finite, Finite] = IMAGENET_MEAN
    std: tuple[Positive, Positive, Positive] = IMAGENET_STD


class Licences(BaseModel):
    """Three different things that people mix up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = "Apache-2.0"
    weights: str = "unknown"
    data: str = "unknown"


class About(BaseModel):
    """What a person should read before using a model, in words; whoever ships one fills it in.

    Attributes:
        title: what it is called.
        made: from what, how and by whom it was trained, teachers among them.
        intended, not_intended: what it is for, and what it must not be used for.
        limits: where it does worse: the gap between the data it knows and what others have.
        calibrated: on whom the decision was learnt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    made: str = ""
    intended: str = ""
    not_intended: str = ""
    limits: str = ""
    calibrated: str = ""


class Measured(BaseModel):
    """What an entry of a card's ``metrics`` must hold at least; rates are in [0, 1]."""

    model_config = ConfigDict(frozen=True, extra="allow")

    data: str
    mAP: float | None = Field(None, ge=0, le=1)
    mINP: float | None = Field(None, ge=0, le=1)
    cmc: dict[str, float] = {}


UNTRAINED = "nothing: random weights"
IMAGENET_ONLY = "ImageNet classification only"


class Card(BaseModel):
    """What a model is, what it needs, and what was measured with it.

    Attributes:
        architecture, arguments: what :func:`resight.models.create` takes.
        dim: length of the embedding; ``metric``: how embeddings are to be compared.
        trained_on: the training data, in words and as a fingerprint; ``about``: the rest in words.
        metrics: one entry per measurement: data, numbers in [0, 1], and the command that measured them.
        threshold: distance up to which two images count as the same, once calibrated.
        decision: what distances mean, once calibrated: :meth:`resight.decisions.decide.Decision.plain`.
        unsaid: of a checkpoint that others published, what its file cannot say: each with ``name``, the ``value`` taken
            and its ``source``.
        fingerprint: which function from image to embedding (:func:`named`); embeddings with different ones are never
            compared. A float export keeps that of its model, whose embeddings it gives.
        digest: of an exported file: its bytes and preprocessing.
        output: of an exported file from elsewhere: the name of the output that is the embedding; "" for the one named
            ``embedding``, or the only one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    arguments: dict[str, Any] = {}
    preprocessing: Preprocessing = Preprocessing()
    dim: int = 512
    metric: Literal["euclidean", "cosine"] = "euclidean"
    trained_on: str = "unknown"
    licences: Licences = Licences()
    about: About = About()
    metrics: tuple[dict[str, Any], ...] = ()
    threshold: float | None = None
    decision: dict[str, Any] | None = None
    unsaid: tuple[dict[str, Any], ...] = ()
    fingerprint: str = ""
    digest: str = ""
    output: str = ""

    def save(self, weights: str | Path) -> Path:
        """Write the card beside its weights file, as ``<stem>.card.json``."""
        path = card_path(weights)
        write_text(path, self.model_dump_json(indent=2) + "\n")
        return path


def card_path(weights: str | Path) -> Path:
    """Where the card of a weights file stands: ``runs/a/model.safetensors`` has ``runs/a/model.card.json``.

    An exported model has one of its own, ``model.onnx.card.json``, since it may stand beside what it was made from.
    """
    path = Path(weights)
    return path.with_name(f"{path.name}.card.json") if is_exported(path) else path.with_suffix(".card.json")


def is_exported(file: str | Path) -> bool:
    """Whether a file's name is that of an exported model: ONNX, OpenVINO's XML or TorchScript."""
    return Path(file).suffix.lower() in (".onnx", ".xml", ".torchscript")


def read_card(weights: str | Path) -> Card | None:
    """The card beside a weights file, or None if it has none.

    Raises:
        ModelError: the card is not valid.
    """
    path = card_path(weights)
    if not path.exists():
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not a valid model card (the file: {error}): correct or delete it.") from None
    return parse_card(text, str(path))


def named(weights: str, architecture: str, arguments: Mapping[str, Any]) -> str:
    """The fingerprint of a model, 24 hex digits: of its weights and preprocessing, and how its network is built.

    Args:
        weights: 16 hex digits that name weights and preprocessing, or an exported file's digest.
        architecture, arguments: as on the card; the size of the classifier does not count.
    """
    counting = {name: value for name, value in arguments.items() if name != "num_identities"}
    built = json.dumps([architecture, counting], sort_keys=True, default=str)
    return hashlib.sha256(f"{weights} {built}".encode()).hexdigest()[:24]


def parse_card(text: str, source: str) -> Card:
    """A card from JSON; ``source`` is for the message.

    On cards of version 0.1.0 the fingerprint named weights and preprocessing alone, in 16 digits. Such a card comes
    back with the fingerprint of today, and so does the decision on it.

    Raises:
        ModelError: the card is not valid.
    """
    try:
        card = Card.model_validate_json(text)
    except ValidationError as error:
        raise ModelError(f"{source} is not a valid model card ({first_wrong(error)}): correct or delete it.") from None
    old = card.fingerprint
    if not re.fullmatch("[0-9a-f]{16}", old):
        return card
    new = named(old, card.architecture, card.arguments)
    decision = card.decision
    if decision is not None and decision.get("fingerprint") == old:
        decision = decision | {"fingerprint": new}
    return card.model_copy(update={"fingerprint": new, "decision": decision})


def first_wrong(error: ValidationError) -> str:
    """The first place where something is not what it should be, and what is wrong there."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
