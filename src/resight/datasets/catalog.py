"""The catalog: what a re-ID data set is, and every data set known by name.

A data set is added in one file of this package, at any depth (or of :data:`ELSEWHERE`), with one decorator::

    @register("my_data")
    def my_data(root: str | Path, *, strict: bool = True) -> Dataset: ...

and is then there for ``load("my_data", root, strict=False)`` and in ``names()``.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import os
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from resight.datasets.options import checked
from resight.errors import DataError, RecipeError
from resight.from_zero import from_one, person_zero, said
from resight.labels import SAID
from resight.paths import reachable
from resight.records import DISTRACTOR, JUNK, Split


@dataclass(frozen=True, eq=False)
class Dataset:
    """A re-ID data set: train, query and gallery.

    Attributes:
        name: what it is called in messages and reports.
        train, query, gallery: its images; identities of ``train`` never appear in the other two.
        protocol: the rules of evaluation: ``"market1501"`` (same identity in the same camera does not count)
            or ``"single_camera"`` (it counts); those of tracklets are in
            :mod:`resight.retrieval.ranking.protocols`.
        notes: what a reader of its numbers should know, one sentence each.
        attributes: names of the binary attributes in ``split.columns["attributes"]``, (N, A) uint8 of 0 and 1.
        triplets: (T, 3) int64 indices into ``train``, each an anchor, a positive and a negative, where the data
            comes with triplets of its own.

    Raises:
        DataError: ``train`` or ``query`` has the identity 0, which marks distractors of the gallery.
    """

    name: str
    train: Split
    query: Split
    gallery: Split
    protocol: str = "market1501"
    notes: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    triplets: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        self._count_from_one()
        self._say_distractors()
        for key in ("train", "query"):
            count = int((self.splits[key].identities == DISTRACTOR).sum())
            if count:
                raise DataError(
                    f"{count} image(s) in {key} of {self.name} have the identity 0, which marks distractors of the "
                    "gallery: number identities from 1, pass them as text, or build the split with distractors=None."
                )

    def _say_distractors(self) -> None:
        """Where 0 is left in the gallery without junk beside it, keep with the images that it marks distractors."""
        known = self.gallery.identities
        if person_zero(known) and not said(self.gallery):
            people = {SAID: (known > DISTRACTOR).astype(np.int64)}
            object.__setattr__(self, "gallery", replace(self.gallery, columns={**self.gallery.columns, **people}))

    def _count_from_one(self) -> None:
        """Where 0 is a person of train or query, count identities from 1 in all splits."""
        train, query, gallery = from_one(self.train, self.query, self.gallery)
        query, train, gallery = from_one(query, train, gallery)
        if train is self.train and query is self.query:
            return
        for key, split in (("train", train), ("query", query), ("gallery", gallery)):
            object.__setattr__(self, key, split)
        note = "Train or query has the identity 0, so it is no distractor: identities count one more here."
        object.__setattr__(self, "notes", (*self.notes, note))

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name: train, query, gallery."""
        return {"train": self.train, "query": self.query, "gallery": self.gallery}

    @property
    def single_camera(self) -> bool:
        """Whether images of the query's own camera count as matches."""
        return self.protocol in ("single_camera", "tracklets_single_camera", "reassociation")

    def fingerprint(self) -> str:
        """64 hex digits that stand for who is on which image in which split.

        It covers names, identities and cameras, in order. Names count from the deepest folder that holds all
        images, so the same data in another place, or in a zip archive, has the same fingerprint.
        """
        paths = {key: split.paths.tolist() for key, split in self.splits.items()}
        start = len(common_folder(path for group in paths.values() for path in group))
        digest = hashlib.sha256()
        for key, split in self.splits.items():
            digest.update(f"{key} {len(split)}\n".encode())
            digest.update("\n".join(path[start:] for path in paths[key]).encode("utf-8", "surrogateescape"))
            digest.update(split.identities.astype("<i8").tobytes())
            digest.update(split.cameras.astype("<i8").tobytes())
        return digest.hexdigest()

    def facts(self) -> dict[str, dict[str, int]]:
        """Of each split how many images, identities (junk and distractors aside), cameras, junk and distractors.

        Where a split has the column ``tracks``, also how many tracklets: 0 for a split without.
        """
        tracked = any("tracks" in split.columns for split in self.splits.values())
        return {
            key: ({"tracklets": len(np.unique(split.columns.get("tracks", [])))} if tracked else {})
            | {
                "images": len(split),
                "identities": len(np.unique(split.identities[split.identities > DISTRACTOR])),
                "cameras": len(np.unique(split.cameras)),
                "junk": int((split.identities == JUNK).sum()),
                "distractors": int((split.identities == DISTRACTOR).sum()),
            }
            for key, split in self.splits.items()
        }


PACKAGE = "resight.datasets"
ELSEWHERE = {"course": "resight.course.dataset"}  # data sets whose file is in another package, by name
Loader = TypeVar("Loader", bound=Callable[..., Dataset])
_LOADERS: dict[str, Callable[..., Dataset]] = {}


def register(name: str) -> Callable[[Loader], Loader]:
    """Put a loader ``(root, **options) -> Dataset`` in the catalog under ``name``.

    Raises:
        RecipeError: another loader already has that name.
    """

    def add(loader: Loader) -> Loader:
        known = _LOADERS.get(name)
        if known is not None and known.__module__ != loader.__module__:
            raise RecipeError(
                f"The data set name {name!r} of {loader.__module__} is taken by {known.__module__}: choose another."
            )
        _LOADERS[name] = loader
        return loader

    return add


def names() -> list[str]:
    """The names that :func:`load` knows, sorted."""
    for module in _modules().values():
        import_module(module)
    return sorted(_LOADERS)


def load(name: str, root: Any = None, **options: object) -> Dataset:
    """The data set ``name`` from ``root``, a folder or a zip archive.

    Args:
        name: one of :func:`names`.
        root: where the images are: a path, in which ``~`` is the home folder; of ``"table"`` also a data frame.
        options: passed on to the data set's own loader, for example ``fold="validation"`` or ``strict=False``.

    Raises:
        RecipeError: no such data set or option, where the message names the nearest one, or an option of another type.
        DataError: ``root`` is missing, or is not that data set.
    """
    if not isinstance(name, str):
        raise RecipeError(
            f"The name of a data set is text, not {name!r}: pass one of {', '.join(names())}, and its path."
        )
    if isinstance(root, (str, os.PathLike)):
        found = reachable(root)
        root = found if os.fspath(root).startswith("~") else root
    if name not in _LOADERS and name in _modules():  # mostly the file's name: this avoids the other imports
        import_module(_modules()[name])
    if name not in _LOADERS:
        known = names()
        if name not in known:
            if os.path.exists(name):  # noqa: PTH110 - it need not be a path at all
                raise RecipeError(
                    f"{name!r} is a path in the place of a data set's name: pass the name first, as in "
                    f"load('folder', {name!r}); resight data stats {name} says which set it is."
                )
            raise RecipeError(
                f"There is no data set {name!r}{_nearest(name, known)}: choose one of {', '.join(known)}."
            )
    loader = _LOADERS[name]
    parameters = inspect.signature(loader).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        allowed = [key for key in parameters if key != "root"]
        for option in options:
            if option not in allowed:
                raise RecipeError(
                    f"The data set {name!r} has no option {option!r}{_nearest(option, allowed)}: "
                    f"it takes {', '.join(allowed) or 'none'}."
                )
    options = checked(name, loader, options)
    if root is None:
        if "root" not in parameters or parameters["root"].default is not inspect.Parameter.empty:
            return loader(**options)
        raise DataError(f"The data set {name!r} needs the folder or zip archive of its images: pass it as root.")
    return loader(root, **options)


def _modules() -> dict[str, str]:
    """Every module that may register a data set, by the name it most likely registers."""
    here = list(pkgutil.walk_packages(import_module(PACKAGE).__path__, f"{PACKAGE}."))
    return {module.name.rpartition(".")[2]: module.name for module in reversed(here)} | ELSEWHERE


def _nearest(name: str, known: Iterable[str]) -> str:
    """``" (did you mean 'market1501'?)"``, or nothing when no name is near."""
    lowered = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    return f" (did you mean {lowered[near[0]]!r}?)" if near else ""


def common_folder(paths: Iterable[str]) -> str:
    """The deepest folder that holds all ``paths``, with its closing slash; "" where there is none."""
    ordered = sorted(paths)
    if not ordered:
        return ""
    prefix = os.path.commonprefix([ordered[0], ordered[-1]])  # noqa: RUF071, cut back to a slash just below
    return prefix[: prefix.rfind("/") + 1]
