"""Protocols as data: which gallery images count for a query.

What holds in every protocol: junk (identity -1) counts nowhere; a distractor (identity 0) stays in the gallery as a
wrong answer to every query; the rest of the gallery with the query's identity are its true matches.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace

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
        tracklets: query and gallery are tracklets, one embedding each, such as
            :func:`resight.embedding.tracks.pool_tracks` makes.
        joins_queries: the queries are in the gallery too; they need not be given there.
        counts_unmatched: a query without a true match counts, with 0 for every number; else it counts nowhere.
        trapezoids: average precision is integrated by trapezoids, as the MATLAB code of MARS and Market-1501 does.
        reassociates: the candidates of a query are the gallery images of its camera in the frame ``later_frames`` (see
            :mod:`resight.retrieval.ranking.reassociation`).
    """

    name: str
    ignore_same_camera: bool
    ignore_same_path: bool
    summary: str
    by_track: bool = False
    tracklets: bool = False
    joins_queries: bool = False
    counts_unmatched: bool = False
    trapezoids: bool = False
    reassociates: bool = False


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

tracklets = Protocol(
    "tracklets",
    ignore_same_camera=True,
    ignore_same_path=False,
    summary="Tracklets are ranked; those of the same identity on the query's own camera and junk are left out; "
    "distractors stay in; queries without a match count nowhere.",
    tracklets=True,
)
"""What LS-VID uses; of iLIDS-VID and PRID-2011, whose gallery has one tracklet of each identity from the other camera,
it is the CMC they report, averaged over ten halves."""

tracklets_single_camera = replace(
    tracklets,
    name="tracklets_single_camera",
    ignore_same_camera=False,
    summary="Tracklets are ranked; those on the same camera count; junk is left out; distractors stay in; queries "
    "without a match count nowhere.",
)
"""For tracklets from one camera."""

mars_torchreid = replace(tracklets, name="mars_torchreid")
"""What torchreid, TF-CLIP and most papers report on MARS: the gallery is without the queries, so that 140 of the 1,980
queries have no match and are dropped."""

mars_joined = replace(
    tracklets,
    name="mars_joined",
    joins_queries=True,
    summary="Tracklets are ranked, the queries among them; those of the same identity on the query's own camera, the "
    "query itself among these, and junk are left out; distractors stay in; queries without a match count nowhere.",
)
"""What AP3D and TKP report on MARS."""

mars_official = replace(
    mars_joined,
    name="mars_official",
    counts_unmatched=True,
    trapezoids=True,
    summary="Tracklets are ranked, the queries among them; those of the same identity on the query's own camera, the "
    "query itself among these, and junk are left out; distractors stay in; queries without a match count 0; average "
    "precision is integrated by trapezoids.",
)
"""Zheng et al., "MARS: A Video Benchmark for Large-Scale Person Re-Identification", ECCV 2016, and its MATLAB code."""

reassociation = Protocol(
    "reassociation",
    ignore_same_camera=False,
    ignore_same_path=False,
    summary="The candidates of a query are the boxes of its camera some frames later; queries with fewer than two "
    "candidates, or whose identity is not among them, count nowhere; junk is left out.",
    reassociates=True,
)
"""What a tracker needs: who of those in a later frame is the person in this box?"""

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        market1501,
        single_camera,
        image_to_track,
        tracklets,
        tracklets_single_camera,
        mars_official,
        mars_torchreid,
        mars_joined,
        reassociation,
    )
}


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
