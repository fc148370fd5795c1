"""The report of an adaptation without labels: did the model learn people, or backgrounds? A person can see it.

Shape letters: ``N`` images, ``D`` embedding.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

import resight
from resight.files import write_text
from resight.images.decode import decode
from resight.report import plots
from resight.report.html import environment
from resight.report.pictures import Pictures

ROWS = 12  # clusters of each kind
SHOTS = 14  # images of each
_FEWEST = 6  # images of a cluster that may be doubtful


def write_adapted(
    path: str | os.PathLike[str],
    *,
    title: str,
    paths: Sequence[str],
    cameras: Sequence[str],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    vectors: NDArray[np.float32],
    result: Mapping[str, Any],
    pictures: bool = True,
) -> Path:
    """Write the report as one self-contained HTML file.

    Args:
        path: where to write; an existing file is replaced only once the new one is whole.
        title: the heading.
        paths: N paths of images; cameras: what took each, "" where unknown.
        before, after: (N,) the cluster of each before and after the training, -1 for none.
        vectors: (N, D) by the adapted model.
        result: what :func:`resight.adapt` gives.
        pictures: whether the file may hold pictures; the strips are left out otherwise.

    Raises:
        ResightError: the file cannot be written. A picture that cannot be read leaves a gap, and the file says so.
    """
    shown = Pictures(decode)
    chosen = _chosen(after, np.array(cameras, np.str_), vectors) if pictures else []
    groups = [
        (name, words, [_strip(shown, paths, cameras, before, images, number) for number, images in rows])
        for name, words, rows in chosen
    ]
    page = (
        environment()
        .get_template("adapted.html.j2")
        .render(
            title=title,
            images=len(paths),
            cameras=len({one for one in cameras if one}),
            look=result["look"],
            last=result["history"][-1] if result["history"] else {},
            stopped=result["stopped"],
            check=result.get("check"),
            charts=_charts(result),
            groups=groups,
            pictures=shown if pictures else None,
            version=resight.__version__,
        )
    )
    write_text(path, page)
    return Path(path)


def doubt(vectors: NDArray[np.float32]) -> tuple[float, NDArray[np.bool_]]:
    """How far apart two halves of a cluster are, and which images (N,) are in the second.

    The halves are parted at the mean along the direction in which the unit vectors differ most; 1 - cos of their means.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    centred = unit - unit.mean(0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    second = along > 0
    if second.all() or not second.any():
        return 0.0, second
    one, other = unit[~second].mean(0), unit[second].mean(0)
    return float(1 - one @ other / (np.linalg.norm(one) * np.linalg.norm(other))), second


Rows = list[tuple[int, NDArray[np.int64]]]


def _chosen(
    after: NDArray[np.int64], cameras: NDArray[np.str_], vectors: NDArray[np.float32]
) -> list[tuple[str, str, Rows]]:
    """(heading, what it shows, clusters with their images) of each kind."""
    order = np.argsort(after, kind="stable")
    order = order[after[order] >= 0]
    members = np.split(order, np.flatnonzero(np.diff(after[order])) + 1) if len(order) else []
    across = [images for images in members if len(set(cameras[images].tolist()) - {""}) > 1]
    halves = [(images, *doubt(vectors[images])) for images in members if len(images) >= _FEWEST]
    halves.sort(key=lambda one: -one[1])
    doubtful = [
        images[np.argsort(second, kind="stable")][_both(len(images), int((~second).sum()))]
        for images, _, second in halves[:ROWS]
    ]
    some = np.random.default_rng(0).permutation(len(members))[:ROWS].tolist()
    across.sort(key=lambda images: -len(set(cameras[images].tolist())))

    def rows(chosen: list[NDArray[np.int64]]) -> Rows:
        return [(int(after[images[0]]), images) for images in chosen]

    kinds = [
        ("Most doubtful merges", "clusters whose two halves are farthest apart: two people, or two views of one?"),
        ("Over several cameras", "clusters with images of the most cameras: the model recognises people across them"),
        ("Some clusters", "drawn at random"),
    ]
    each = [rows(doubtful), rows(across[:ROWS]), rows([members[at] for at in some])]
    return [(*kind, found) for kind, found in zip(kinds, each, strict=True) if found]


def _both(count: int, first: int) -> NDArray[np.int64]:
    """The places of at most ``SHOTS`` images, from both halves, of which the first has so many."""
    half = SHOTS // 2
    one = min(first, max(half, SHOTS - (count - first)))
    return np.concatenate([np.arange(one), first + np.arange(min(count - first, SHOTS - one))])


def _strip(
    pictures: Pictures,
    paths: Sequence[str],
    cameras: Sequence[str],
    before: NDArray[np.int64],
    images: NDArray[np.int64],
    number: int,
) -> dict[str, Any]:
    """One cluster: its pictures, and how many clusters its images came from."""
    shots = [
        {"name": PurePath(paths[at]).name, "picture": pictures.of(paths[at]), "camera": cameras[at]}
        for at in images[:SHOTS].tolist()
    ]
    were = before[images]
    return {
        "number": number,
        "size": len(images),
        "shots": shots,
        "from": len(set(were[were >= 0].tolist())),
        "noise": int((were < 0).sum()),
    }


def _charts(result: Mapping[str, Any]) -> list[tuple[str, plots.Chart, str]]:
    """(title, chart, caption) of the curve before training and of the course of the training."""
    curve = result["look"]["curve"]
    bounds = [one["distance"] for one in curve]
    shares = [("in a cluster", "clustered"), ("in the largest", "largest")]
    lines = [plots.Line(name, bounds, [one[key] for one in curve]) for name, key in shares]
    if all(one["spanning"] is not None for one in curve):
        lines.append(plots.Line("clusters over cameras", bounds, [one["spanning"] for one in curve]))
    text = f"Share of images in clusters by distance, {curve[0]['clustered']:.0%} to {curve[-1]['clustered']:.0%}"
    look = plots.lines(lines, x_label="distance", y_label="share", alt=text, y_text=plots.percent)
    charts = [("Before training", look, f"Distance {result['look']['distance']:g} was used.")]
    history = result["history"]
    if history:
        epochs = [float(one["epoch"]) for one in history]
        kinds = [("in a cluster", "clustered"), ("agreement with the epoch before", "agreement")]
        course = [plots.Line(name, epochs, [one[key] for one in history]) for name, key in kinds]
        if all(one["spanning"] is not None for one in history):
            course.append(plots.Line("clusters over cameras", epochs, [one["spanning"] for one in history]))
        text = f"In a cluster: {history[0]['clustered']:.0%} after epoch 1, {history[-1]['clustered']:.0%} at the end"
        drawn = plots.lines(course, x_label="epoch", y_label="share", alt=text, y_text=plots.percent)
        charts.append(("Course", drawn, "Agreement: the adjusted Rand index of consecutive clusterings."))
    return charts
