"""Protocols as data: which gallery images count for a query.

What holds in every protocol: junk (identity -1) counts nowhere; a distractor (identity 0) stays in the gallery as a
wrong answer to every query; the rest of the gallery with the query's identity are its true matches.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from resight.errors import DataError


@dataclass(frozen=True)
class Protocol:
    """Which gallery images are left out for a query, beside junk.

    Attributes:
        name: how it is asked for and reported.
        ignore_same_camera: leave out the query's identity on the query's own camera (neither right nor wrong).
        ignore_same_path: leave out the very image of the query, recognised by its path where paths are known.
        summary: one sentence for reports.
        by_track: rank the gallery's tracks instead of its images, each as near as the nearest of its images
            (see :mod:`resight.retrieval.ranking.by_track`).
    """

    name: str
    ignore_same_camera: bool
    ignore_same_path: bool
    summary: str
    by_track: bool = False


market1501 = Protocol(
    "market1501",
    ignore_same_camera=True,
    ignore_same_path=False,
    summary="Images of the same identity on the query's own camera and junk are left out; distractors stay in.",
)
"""Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015; also what MSMT17, CUHK03 (767/700) and
VERI-Wild use, and VeRi-776 from image to image."""

single_camera = Protocol(
    "single_camera",
    ignore_same_camera=False,
    ignore_same_path=True,
    summary="Matches on the same camera count; the query image itself and junk are left out; distractors stay in.",
)
"""For data from one camera, or where cameras are unknown; the query set may be the gallery itself."""

image_to_track = Protocol(
    "image_to_track",
    ignore_same_camera=True,
    ignore_same_path=False,
    summary="Tracks are ranked, each as near as its nearest image; tracks of the same identity on the query's own "
    "camera and junk are left out; distractors stay in.",
    by_track=True,
)
"""Liu et al., "A Deep Learning-based Approach to Progressive Vehicle Re-identification for Urban Surveillance", ECCV
2016: how VeRi-776 was measured first."""

PROTOCOLS = {protocol.name: protocol for protocol in (market1501, single_camera, image_to_track)}


def get(name: str | Protocol) -> Protocol:
    """The protocol of that name (a Protocol passes through).

    Raises:
        DataError: there is none; the message names the nearest.
    """
    if isinstance(name, Protocol):
        return name
    if isinstance(name, str) and name in PROTOCOLS:
        return PROTOCOLS[name]
    near = difflib.get_close_matches(str(name).lower(), PROTOCOLS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(PROTOCOLS)}."
    raise DataError(f"There is no protocol {name!r}: {hint}")
