"""What the names of plain files say about the pictures: camera, identity, time, frame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.embedding.source import Source, source_of
from resight.errors import DataError, RecipeError
from resight.records import Split

GROUPS = ("camera", "identity", "time", "frame")


def read_names(paths: Sequence[str], pattern: str) -> list[dict[str, str]]:
    """The groups of ``pattern`` in each of N paths, in which it is searched; a group that takes no part is "".

    Args:
        paths: N paths.
        pattern: a regular expression with any of the groups ``camera``, ``identity``, ``time`` and ``frame``.

    Raises:
        RecipeError: no regular expression, or none of these groups.
        DataError: a path that it does not fit, or a frame that is no number.
    """
    try:
        search = re.compile(pattern)
    except re.error as error:
        raise RecipeError(f"The pattern {pattern!r} is no regular expression ({error}): correct it.") from None
    groups = [name for name in GROUPS if name in search.groupindex]
    if not groups:
        raise RecipeError(f"The pattern {pattern!r} names no group: write one, as in '(?P<camera>[^/]+)/[^/]+$'.")
    matches = [search.search(path) for path in paths]
    missed = [path for path, match in zip(paths, matches, strict=True) if match is None]
    if missed:
        raise DataError(
            f"The pattern {pattern!r} does not fit {len(missed)} of {len(paths)} images, first {missed[0]}: widen it."
        )
    rows = [{name: match[name] or "" for name in groups} for match in matches if match]
    if not all(row.get("frame", "0").isdecimal() for row in rows):
        raise DataError(f"The pattern {pattern!r} finds a frame that is no number: let it be (?P<frame>[0-9]+).")
    return rows


def named_source(where: str | Path, pattern: str) -> Source:
    """The images at a place, with identities and cameras as ``pattern`` reads them, further columns for its others.

    Names become the numbers of :func:`resight.labels.number_of`; the columns ``identity_names`` and ``camera_names``
    keep them. ``time`` stays as it is written, in the column ``times``; ``frame`` is the column ``frames``, (N,) int64.

    Raises:
        RecipeError, DataError: as :func:`read_names`, no images there, or an image without an identity or a camera.
    """
    source = source_of(where)
    assert isinstance(source, Source)  # of a path
    rows = read_names(source.paths.tolist(), pattern)
    columns: dict[str, NDArray[Any]] = {}
    for name, column in (("time", "times"), ("frame", "frames")):
        if name in rows[0]:
            columns[column] = np.array([row[name] for row in rows], np.int64 if name == "frame" else np.str_)
    labels: dict[str, Any] = {}
    for name in ("identity", "camera"):
        texts = [row.get(name) for row in rows]
        if "" in texts:
            raise DataError(f"The pattern {pattern!r} finds no {name} in {source.paths[texts.index('')]}: correct it.")
        labels[name] = np.zeros(len(rows), np.int64) if None in texts else np.array(texts, np.str_)
    split = Split(source.paths, labels["identity"], labels["camera"], columns)
    return replace(
        source,
        identities=split.identities if "identity" in rows[0] else None,
        cameras=split.cameras if "camera" in rows[0] else None,
        columns=split.columns,
    )
