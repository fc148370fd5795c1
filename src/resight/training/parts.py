"""The parts of a recipe: data, model, images, augmentation, batches, views, phases."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from resight.images.clips import Sampling
from resight.models.card import Interpolation, Resize
from resight.training.losses import AnyLoss


class Part(BaseModel):
    """Named values that cannot be changed; any other name is refused, and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Part):
    """Which data set: its name and place, and options of its loader (``fold``, ``seed``, ...)."""

    name: str
    root: str = ""
    options: dict[str, Any] = {}


class ModelSpec(Part):
    """Which network, with which head (its default if not given), from which weights (random if empty).

    ``weights`` is a file, ``imagenet`` (torchvision's, for a ResNet or what it carries), or several by the part of the
    network they fill: ``{vae: runs/saver_vae/model.safetensors, backbone: imagenet}``.
    """

    name: str
    head: Literal["plain", "bnneck"] | None = None
    weights: str | dict[str, str] = ""
    partial: bool = False
    arguments: dict[str, Any] = {}

    @field_validator("weights", mode="before")
    @classmethod
    def _none(cls, weights: object) -> object:
        return "" if weights is None else weights  # what YAML reads after an empty "weights:"

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


class Stage(Part):
    """Train at this input size until (not including) an epoch."""

    until: int = Field(gt=0)
    height: int = Field(gt=0)
    width: int = Field(gt=0)


class ImageSpec(Part):
    """The input size; ``progressive`` trains at smaller sizes first. Evaluation is always at the full size."""

    height: int = Field(256, gt=0)
    width: int = Field(128, gt=0)
    resize: Resize = "stretch"
    interpolation: Interpolation = "linear-area"
    cache: bool = True
    progressive: tuple[Stage, ...] = ()

    @model_validator(mode="after")
    def _one_after_the_other(self) -> ImageSpec:
        ends = [stage.until for stage in self.progressive]
        if any(end <= before for before, end in pairwise(ends)):
            raise ValueError(f"progressive sizes end after epochs {ends}, which must rise")
        return self

    @property
    def smaller(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each progressive stage."""
        return tuple((stage.height, stage.width) for stage in self.progressive)

    def size_at(self, epoch: int) -> tuple[int, int]:
        """Height and width that the network is trained at in ``epoch`` (from 0)."""
        sizes = ((stage.height, stage.width) for stage in self.progressive if epoch < stage.until)
        return next(sizes, (self.height, self.width))


class AugmentationSpec(Part):
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


class Sampler(Part):
    """``identities``: batches of batch_size / images_per_identity identities; ``random``: shuffled images;
    ``triplets``: the data's own triplets, batch_size / 3 of them; ``cameras``: as ``identities``, the images of an
    identity from different cameras, for ``steps`` batches an epoch (0: as many as show each image once);
    ``tracklets``: as ``identities``, with a clip of ``frames`` random frames of a tracklet in place of an image, and
    batch_size counting frames.

    With several sources of data, ``sources`` says how they share batches: ``pooled`` draws from all images alike,
    ``balanced`` fills each batch with equal parts of every source, ``separate`` fills it from one source alone.
    """

    kind: Literal["identities", "random", "triplets", "cameras", "tracklets"] = "identities"
    batch_size: int = Field(64, gt=0)
    images_per_identity: int = Field(4, gt=0)
    steps: int = Field(0, ge=0)
    frames: int = Field(1, gt=0)
    sources: Literal["pooled", "balanced", "separate"] = "pooled"

    @model_validator(mode="after")
    def _whole(self) -> Sampler:
        if self.kind in ("identities", "cameras") and self.batch_size % self.images_per_identity:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of images_per_identity {self.images_per_identity}"
            )
        if self.frames > 1 and self.kind != "tracklets":
            raise ValueError(f"frames {self.frames} are those of tracklets: use kind 'tracklets', or leave them out")
        if self.kind == "tracklets" and self.batch_size % self.unit:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of images_per_identity {self.images_per_identity} x "
                f"frames {self.frames}"
            )
        if self.kind == "triplets" and self.batch_size % 3:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of 3, as triplets need")
        if self.kind in ("triplets", "cameras") and self.sources != "pooled":
            raise ValueError(f"sources {self.sources!r} does not apply to sampler.kind {self.kind!r}: use 'pooled'")
        if self.steps and self.kind != "cameras":
            raise ValueError(f"steps does not apply to sampler.kind {self.kind!r}: leave it out")
        return self

    @property
    def unit(self) -> int:
        """How many images of a batch belong together."""
        return {"triplets": 3, "random": 1}.get(self.kind, self.images_per_identity * self.frames)


class Views(Part):
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


class Phase(Part):
    """Some epochs with one optimiser and one learning-rate schedule; ``sgd`` is with Nesterov momentum.

    ``only`` names parameter prefixes that are trained while the others are frozen (``[classifier]``). ``warmup`` epochs
    rise linearly from ``warmup_factor``; then ``constant``, ``cosine`` (to ``final_factor`` at the phase's end) or
    ``multi_step`` (times ``gamma`` at each of ``milestones``, epochs of this phase). ``rates`` multiply the learning
    rate of parameter prefixes (``{backbone: 0.1}``; the longest prefix counts), ``bias_rate`` that of all biases (2 in
    TransReID), and ``layer_decay`` that of layer i of n blocks by its (n + 1 - i)-th power: tokens, positions and stem
    are layer 0, what follows the blocks is layer n + 1 (0.65 to 0.75 for transformers from MAE or DINO weights).
    ``decay_vectors: false`` spares biases, norms, tokens and positions the weight decay. ``clip`` limits the norm of
    all gradients together (0: no limit). ``sampler`` and ``losses`` replace the recipe's for this phase.
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
    bias_rate: float = Field(1.0, gt=0)
    layer_decay: float = Field(1.0, gt=0, le=1)
    decay_vectors: bool = True
    clip: float = Field(0.0, ge=0)
    sampler: Sampler | None = None
    losses: tuple[AnyLoss, ...] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _warms_up_within(self) -> Phase:
        if self.warmup > self.epochs:
            raise ValueError(
                f"warmup is {self.warmup:g} epochs, longer than the phase ({self.epochs}), so the learning rate would "
                "never be reached: choose a warmup of at most epochs"
            )
        return self


class Averaging(Part):
    """Exponential moving average of the weights, ``decay`` per step (less at first); it is what is kept."""

    decay: float = Field(0.999, gt=0, lt=1)


class Evaluation(Part):
    """When and how queries and galleries are ranked: every n epochs (0: at the end only).

    ``data`` are the data sets to measure on, by a name each, such as other cameras than those of training; their macro
    average stands in the history. Without it they are the sources of training that have queries.
    ``frames`` of each tracklet are embedded (0: all), where the data has tracklets; see
    :class:`resight.embedding.tracklets.Clips`.
    """

    every: int = Field(0, ge=0)
    data: dict[str, Data] = {}
    frames: int = Field(0, ge=0)
    sampling: Sampling = "evenly"
    metric: Literal["euclidean", "cosine"] = "cosine"
