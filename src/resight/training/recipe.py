"""A recipe: one training run as data. Typed, read from YAML, refused when anything in it is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from resight.errors import RecipeError
from resight.models.registry import size_arguments
from resight.training.losses import LOSSES, AnyLoss, CrossEntropy, Loss
from resight.training.parts import (
    AugmentationSpec,
    Averaging,
    Data,
    Evaluation,
    ImageSpec,
    ModelSpec,
    Part,
    Phase,
    Sampler,
    Views,
)
from resight.yaml_text import assign, read_yaml


class Recipe(Part):
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
        return "no" if value is False else value  # YAML reads a bare no as false

    @model_validator(mode="after")
    def _batches(self) -> Recipe:
        for phase in self.phases:
            if not any(loss.weight for loss in self.losses_of(phase)):
                raise ValueError("every loss has weight 0, so nothing would be learnt: give one a weight above 0")
            for loss in self.losses_of(phase):
                kind = self.sampler_of(phase).kind
                if loss.sampler not in ("", kind):
                    raise ValueError(f"the loss {loss.name!r} needs sampler.kind {loss.sampler!r}, not {kind!r}")
        return self

    @model_validator(mode="after")
    def _clips_alone(self) -> Recipe:
        if self.teachers and any(self.sampler_of(phase).kind == "tracklets" for phase in self.phases):
            raise ValueError("teachers see single images, not clips: leave teachers out, or sampler.kind 'tracklets'")
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
    def builds_with(self) -> dict[str, Any]:
        """The arguments of the architecture, and for one that is built for one image size also this size."""
        return size_arguments(self.model.name, self.images.height, self.images.width) | self.model.builds_with

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
        sources = tuple(map(_nowhere, self.sources))
        on = {name: _nowhere(one) for name, one in self.evaluation.data.items()}
        places = {
            "data": sources if isinstance(self.data, tuple) else sources[0],
            "evaluation": self.evaluation.model_copy(update={"data": on}),
        }
        return self.model_copy(update=prose | places)

    def yaml(self) -> str:
        """The resolved recipe, with every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _nowhere(data: Data) -> Data:
    """The data set without its place."""
    return data.model_copy(update={"root": ""})


def read(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply ``key=value`` overrides, such as ``phases.0.lr=0.01`` or ``data.root=/data/m.zip``.

    Raises:
        RecipeError: no such file, not YAML, an unknown key (the nearest one is suggested) or a value out of range.
    """
    file = Path(path)
    try:
        content = read_yaml(file)
    except FileNotFoundError:
        raise RecipeError(f"{file} does not exist: pass the path of a recipe, such as those in recipes/.") from None
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
        return f"{source}: the key {where!r} is missing: add it."
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
