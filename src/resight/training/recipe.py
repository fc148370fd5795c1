"""A recipe: one training run as data. Typed, read from YAML, refused when anything in it is unknown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from resight.errors import RecipeError
from resight.models.card import Resize
from resight.training.losses import LOSSES, AnyLoss, CrossEntropy, Loss


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Part):
    """Which data set: its name and place, and options of its loader (``fold``, ``seed``, ...)."""

    name: str
    root: str = ""
    options: dict[str, Any] = {}


class ModelSpec(_Part):
    """Which network, with which end (its own if not said), from which weights (random if empty).

    ``weights`` is a file, ``imagenet`` (torchvision's, for a ResNet or what it carries), or several by the part of the
    network they fill: ``{vae: runs/saver_vae/model.safetensors, backbone: imagenet}``.
    """

    name: str
    head: Literal["plain", "bnneck"] | None = None
    weights: str | dict[str, str] = ""
    partial: bool = False
    arguments: dict[str, Any] = {}

    @field_validator("arguments")
    @classmethod
    def _theirs(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        if "num_identities" in arguments:
            raise ValueError("num_identities follows from the data: leave it out")
        return arguments

    @property
    def builds_with(self) -> dict[str, Any]:
        """The arguments of the architecture, the end among them."""
        return self.arguments | ({} if self.head is None else {"head": self.head})


class Stage(_Part):
    """Train at this input size until (not including) an epoch."""

    until: int = Field(gt=0)
    height: int = Field(gt=0)
    width: int = Field(gt=0)


class ImageSpec(_Part):
    """The input size; ``progressive`` trains at smaller sizes first. Evaluation is always at the full size."""

    height: int = Field(256, gt=0)
    width: int = Field(128, gt=0)
    resize: Resize = "stretch"
    cache: bool = True
    progressive: tuple[Stage, ...] = ()

    @model_validator(mode="after")
    def _one_after_the_other(self) -> ImageSpec:
        ends = [stage.until for stage in self.progressive]
        if any(end <= before for before, end in pairwise(ends)):
            raise ValueError(f"progressive sizes end after epochs {ends}, which must rise")
        return self

    def size_at(self, epoch: int) -> tuple[int, int]:
        """Height and width that the network is trained at in ``epoch`` (from 0)."""
        sizes = ((stage.height, stage.width) for stage in self.progressive if epoch < stage.until)
        return next(sizes, (self.height, self.width))


class AugmentationSpec(_Part):
    """Random changes of training images: see :class:`resight.images.augmentation.Augmentation`."""

    flip: float = Field(0.5, ge=0, le=1)
    pad_crop: int = Field(0, ge=0)
    brightness: float = Field(0.0, ge=0, le=1)
    contrast: float = Field(0.0, ge=0, le=1)
    saturation: float = Field(0.0, ge=0, le=1)
    erase: float = Field(0.0, ge=0, le=1)
    erase_area: tuple[float, float] = (0.02, 0.4)
    erase_ratio: tuple[float, float] = (0.3, 3.33)
    halves: float = Field(0.0, ge=0, le=1)
    box: float = Field(0.0, ge=0, le=1)
    box_scale: tuple[float, float] = (0.8, 1.15)
    light: float = Field(0.0, ge=0, le=1)
    blur: float = Field(0.0, ge=0, le=1)
    low_resolution: float = Field(0.0, ge=0, le=1)
    patch: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _ranges(self) -> AugmentationSpec:
        if not 0 < self.erase_area[0] <= self.erase_area[1] <= 1:
            raise ValueError(f"erase_area {self.erase_area} must rise within (0, 1]")
        if not 0 < self.erase_ratio[0] <= self.erase_ratio[1]:
            raise ValueError(f"erase_ratio {self.erase_ratio} must be positive and rise")
        if not 0 < self.box_scale[0] <= self.box_scale[1]:
            raise ValueError(f"box_scale {self.box_scale} must be positive and rise")
        return self


class Sampler(_Part):
    """``identities``: batches of batch_size / images_per_identity identities; ``random``: shuffled images;
    ``triplets``: the data's own triplets, batch_size / 3 of them.

    With several sources of data, ``sources`` says how they share batches: ``pooled`` draws from all images alike,
    ``balanced`` fills each batch with equal parts of every source, ``separate`` fills it from one source alone.
    """

    kind: Literal["identities", "random", "triplets"] = "identities"
    batch_size: int = Field(64, gt=0)
    images_per_identity: int = Field(4, gt=0)
    sources: Literal["pooled", "balanced", "separate"] = "pooled"

    @model_validator(mode="after")
    def _whole(self) -> Sampler:
        if self.kind == "identities" and self.batch_size % self.images_per_identity:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of images_per_identity {self.images_per_identity}"
            )
        if self.kind == "triplets" and self.batch_size % 3:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of 3, as triplets need")
        if self.kind == "triplets" and self.sources != "pooled":
            raise ValueError(f"sources {self.sources!r} does not apply to the data's own triplets: use 'pooled'")
        return self

    @property
    def unit(self) -> int:
        """How many images of a batch belong together."""
        return {"identities": self.images_per_identity, "triplets": 3, "random": 1}[self.kind]


class Views(_Part):
    """What student and teachers see of each training image.

    Every image has ``count`` fixed views, the plain image and ``count - 1`` augmented ones, and shows one after the
    other from epoch to epoch. ``count: 0`` draws a new view at every step instead; ``plain`` is the share of images
    that are then left as they are. Teachers see the ``same`` view as the student, or the ``plain`` image whatever the
    student sees, for augmentation that changes no person. What they see of fixed views and plain images is computed
    once and kept in the cache folder; new views they embed during training. ``half`` lets them compute in 16 bits.
    """

    count: int = Field(3, ge=0)
    plain: float = Field(0.25, ge=0, le=1)
    teachers: Literal["same", "plain"] = "same"
    half: bool = False


class Phase(_Part):
    """Some epochs with one optimiser and one learning-rate schedule; ``sgd`` is with Nesterov momentum.

    ``only`` names parameter prefixes that are trained while the others rest (``[classifier]``). ``warmup`` epochs
    rise linearly from ``warmup_factor``; then ``constant``, ``cosine`` (to ``final_factor`` at the phase's end) or
    ``multi_step`` (times ``gamma`` at each of ``milestones``, epochs of this phase). ``rates`` multiply the learning
    rate of parameter prefixes (``{backbone: 0.1}``; the longest prefix counts). ``sampler`` and ``losses`` replace the
    recipe's for this phase.
    """

    epochs: int = Field(gt=0)
    optimizer: Literal["adam", "amsgrad", "adamw", "sgd"] = "adam"
    lr: float = Field(3.5e-4, gt=0)
    weight_decay: float = Field(5e-4, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    schedule: Literal["constant", "cosine", "multi_step"] = "constant"
    milestones: tuple[int, ...] = ()
    gamma: float = Field(0.1, gt=0)
    final_factor: float = Field(0.0, ge=0)
    warmup: float = Field(0.0, ge=0)
    warmup_factor: float = Field(0.01, ge=0)
    only: tuple[str, ...] = ()
    rates: dict[str, float] = {}
    sampler: Sampler | None = None
    losses: tuple[AnyLoss, ...] | None = Field(None, min_length=1)


class Averaging(_Part):
    """Exponential moving average of the weights, ``decay`` per step (less at first); it is what is kept."""

    decay: float = Field(0.999, gt=0, lt=1)


class Evaluation(_Part):
    """When and how the query and gallery of the data are ranked: every n epochs (0: at the end only)."""

    every: int = Field(0, ge=0)
    metric: Literal["euclidean", "cosine"] = "cosine"


class Recipe(_Part):
    """Everything that makes a run: with the same seed and machine it gives the same result.

    ``about`` and ``source`` say what it is and where it comes from; ``published`` and ``measured`` hold numbers for
    people, in words, and change nothing. ``data`` is one source or a list of them. ``teachers`` are files of trained
    models that the losses ``distillation`` and ``direction`` learn from; without ``views`` they see each image plain
    and mirrored, whatever the student sees.
    """

    name: str
    about: str = ""
    source: str = ""
    published: str = ""
    measured: str = ""
    data: Annotated[
        Annotated[Data, Tag("one")] | Annotated[tuple[Data, ...], Field(min_length=1), Tag("list")],
        Discriminator(lambda value: "list" if isinstance(value, (list, tuple)) else "one"),
    ]
    model: ModelSpec
    images: ImageSpec = ImageSpec()
    augmentation: AugmentationSpec = AugmentationSpec()
    sampler: Sampler = Sampler()
    losses: tuple[AnyLoss, ...] = Field((CrossEntropy(smoothing=0.1),), min_length=1)
    teachers: tuple[str, ...] = ()
    views: Views | None = None
    phases: tuple[Phase, ...] = Field(min_length=1)
    averaging: Averaging | None = None
    evaluation: Evaluation = Evaluation()
    precision: Literal["no", "bf16", "fp16"] = "no"
    sync_batchnorm: bool = True
    seed: int = Field(1, ge=0, lt=2**32)

    @field_validator("precision", mode="before")
    @classmethod
    def _no(cls, value: Any) -> Any:
        return "no" if value is False else value  # what YAML makes of a bare no

    @model_validator(mode="after")
    def _batches(self) -> Recipe:
        for phase in self.phases:
            for loss in self.losses_of(phase):
                kind = self.sampler_of(phase).kind
                if loss.sampler not in ("", kind):
                    raise ValueError(f"the loss {loss.name!r} needs sampler.kind {loss.sampler!r}, not {kind!r}")
        return self

    @model_validator(mode="after")
    def _seen_by_teachers(self) -> Recipe:
        if self.views is not None and not self.teachers:
            raise ValueError("views are what teachers see: name teachers, or leave views out")
        plain = [loss.name for phase in self.phases for loss in self.losses_of(phase) if loss.plain_views]
        if plain and self.views is None:
            raise ValueError(f"plain_views of the loss {plain[0]!r} needs views: add them, or leave plain_views out")
        return self

    @property
    def sources(self) -> tuple[Data, ...]:
        """The data sets to train on."""
        return self.data if isinstance(self.data, tuple) else (self.data,)

    @property
    def epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    def sampler_of(self, phase: Phase) -> Sampler:
        """Which images make a batch in that phase."""
        return phase.sampler or self.sampler

    def losses_of(self, phase: Phase) -> tuple[Loss, ...]:
        """What is minimised in that phase."""
        return phase.losses or self.losses

    @property
    def classifies(self) -> bool:
        """Whether any loss needs a classifier."""
        return any(loss.classifies for phase in self.phases for loss in self.losses_of(phase))

    @property
    def leaves_some_unused(self) -> bool:
        """Whether the network has a classifier that some phase has no use for."""
        uses = [any(loss.classifies for loss in self.losses_of(phase)) for phase in self.phases]
        return any(uses) and not all(uses)

    def essence(self) -> Recipe:
        """The recipe without what is only for people, and without the place of the data, whose fingerprint counts.

        Two recipes equal in this give the same run on the same data.
        """
        prose = dict.fromkeys(("name", "about", "source", "published", "measured"), "")
        nowhere = tuple(one.model_copy(update={"root": ""}) for one in self.sources)
        return self.model_copy(update=prose | {"data": nowhere if isinstance(self.data, tuple) else nowhere[0]})

    def yaml(self) -> str:
        """The resolved recipe, with every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def read(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply ``key=value`` overrides, such as ``phases.0.lr=0.01`` or ``data.root=/data/m.zip``.

    Raises:
        RecipeError: no such file, not YAML, an unknown key (the nearest one is suggested) or a value out of range.
    """
    file = Path(path)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{file} does not exist: pass the path of a recipe, such as those in recipes/.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{file} is not a readable YAML file ({' '.join(str(error).split())[:200]}).") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{file} is not a recipe: it must be a YAML mapping with name, data, model and phases.")
    for override in overrides:
        assign(content, override)
    return parse(content, str(file))


def parse(content: dict[str, Any], source: str = "recipe") -> Recipe:
    """A recipe from plain data; errors as in :func:`read`."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(_explain(error, source)) from None


def assign(content: dict[str, Any], override: str) -> None:
    """Put the value of a ``key=value`` text at its place in plain data; dots lead into mappings and lists.

    Raises:
        RecipeError: not of that form, not a YAML value, or no such place.
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override!r} is not of the form key=value, such as phases.0.lr=0.01.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise RecipeError(f"--set {override!r}: {text!r} is not a YAML value.") from None
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        value = float(value)  # YAML 1.1 reads 1e-3 as text
    at: Any = content
    *parents, last = key.split(".")
    try:
        for part in parents:
            if isinstance(at, dict) and at.get(part) is None:
                at[part] = {}
            at = at[int(part)] if isinstance(at, list) else at[part]
        at[int(last) if isinstance(at, list) else last] = value
    except (ValueError, IndexError, TypeError, AttributeError):
        raise RecipeError(f"--set {override!r}: the recipe has no place {key!r}.") from None


def _explain(error: ValidationError, source: str) -> str:
    first = error.errors()[0]
    path = [step for at, step in enumerate(first["loc"]) if not _is_kind(first["loc"], at)]
    where = ".".join(map(str, path))
    if first["type"] == "extra_forbidden":
        part: Any = Recipe
        for at, step in enumerate(first["loc"][:-1]):
            if step in LOSSES and _is_kind(first["loc"], at):
                part = LOSSES[str(step)]
            elif isinstance(step, str) and not _is_kind(first["loc"], at):
                part = _inner(part.model_fields[step].annotation)
        near = get_close_matches(str(first["loc"][-1]), part.model_fields, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(part.model_fields)}."
        return f"{source}: unknown key {where!r}: {hint}"
    if first["type"] == "missing":
        return f"{source}: {where!r} is missing: add it."
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return (
        f"{source}: {where or 'recipe'}: {first['msg'].removeprefix('Value error, ')}, found {first['input']!r}{more}."
    )


def _is_kind(path: tuple[str | int, ...], at: int) -> bool:
    """Whether this step of a path in an error names which kind of loss or data is meant, and no key."""
    if path[0] == "data":
        return at == 1
    return path[at] in LOSSES and "losses" in path[:at]


def _inner(annotation: Any) -> Any:
    """The model class inside ``X``, ``X | None``, ``tuple[X, ...]`` or unions of these."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in getattr(annotation, "__args__", ()) if (found := _inner(argument))), None)
