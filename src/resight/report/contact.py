"""A contact sheet: every group of images in a row, the largest first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

import resight
from resight.files import write_text
from resight.images.decode import decode
from resight.report.html import environment
from resight.report.pictures import Pictures


def write_contact(
    path: str | os.PathLike[str],
    *,
    title: str,
    paths: Sequence[str],
    groups: NDArray[np.int64],
    threshold: float,
    metric: str,
    warning: str = "",
    rows: int = 300,
    shots: int = 16,
) -> Path:
    """Write groups of images as one self-contained HTML file.

    Args:
        path: where to write; an existing file is replaced only once the new one is whole.
        title: the heading.
        paths: N paths of images; groups: (N,) the group of each.
        threshold, metric: what was counted as the same.
        warning: a sentence to show above everything, such as that the threshold does not apply here.
        rows: how many groups to show; shots: how many images of each.

    Raises:
        ResightError: the file cannot be written. A picture that cannot be read leaves a gap, and the file says so.
    """
    pictures = Pictures(decode)
    numbers, sizes = np.unique(groups, return_counts=True)
    order = np.lexsort((numbers, -sizes))[:rows]
    shown = []
    for at in order.tolist():
        members = np.flatnonzero(groups == numbers[at])[:shots].tolist()
        named = [(PurePath(paths[i]).name, pictures.of(paths[i])) for i in members]
        shown.append({"number": int(numbers[at]), "size": int(sizes[at]), "shots": named})
    page = (
        environment()
        .get_template("contact.html.j2")
        .render(
            title=title,
            images=len(groups),
            total=len(numbers),
            alone=int((sizes == 1).sum()),
            groups=shown,
            left_out=len(numbers) - len(shown),
            threshold=threshold,
            metric=metric,
            warning=warning,
            pictures=pictures,
            version=resight.__version__,
        )
    )
    write_text(path, page)
    return Path(path)
