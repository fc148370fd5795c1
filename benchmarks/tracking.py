"""Following, measured: our tracker with and without appearance beside ByteTrack and others, on the same boxes.

    python -m venv peers && peers/bin/pip install trackers supervision
    python benchmarks/tracking.py --peers peers/bin/python

The scenes are drawn: 10 people before each of 2 cameras for 30 seconds, who cross and hide each other (10 frames a
second). Boxes come from the truth with mistakes (4% jitter, 10% missed, 3% ghosts), and from the real detector. All
trackers get the same boxes; the frame rate is passed to those that take it. ``trackers`` (roboflow) has BoT-SORT
without appearance, and its camera motion is switched off, since the cameras stand still. Tracks of all have boxes in
the frames between two sightings up to a second apart, interpolated. Numbers are those of ``resight.watch.scoring``, all
cameras as one long sequence in which an identity is one within a camera.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from deadline import add_deadline, limit, run

RATE = 10
SHARED = Path(__file__).parents[2] / "shared"
PEOPLE = SHARED / "weights" / "openvino" / "person-detection-retail-0013.FP32.xml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="a Python that has trackers and supervision; they are left out when not given")
    parser.add_argument("--models", nargs="+", default=["person"], help="whose embeddings our tracker compares")
    parser.add_argument("--scenes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--follow", nargs=2, help=argparse.SUPPRESS)  # the part that the peers' Python runs
    add_deadline(parser, 4 * 3600)
    options = parser.parse_args()
    limit(options.deadline)
    if options.follow:
        follow_peers(*options.follow)
        return
    rows = measure(options)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    columns = ("HOTA", "DetA", "AssA", "IDF1", "MOTA", "switches", "found", "true")
    print(f"| boxes | tracker | {' | '.join(columns)} |\n|---|---|{'---:|' * len(columns)}")
    for row in rows:
        cells = [f"{row[c]:.1%}" if isinstance(row[c], float) else f"{row[c]:,}" for c in columns]
        print(f"| {row['boxes']} | {row['tracker']} | {' | '.join(cells)} |")


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    from watching import Mistaken

    from resight.datasets.synthetic.scene import write_scene
    from resight.watch.detectors import open_detector

    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        scenes = []
        for number in range(options.scenes):
            first = 1001 + 100 * number
            scenes.append(
                write_scene(
                    folder / f"s{number}", people=10, cameras=2, seconds=options.seconds, rate=RATE, first=first
                )
            )
        videos = [(video, table) for scene in scenes for video, table in zip(scene.videos, scene.tables, strict=True)]
        truth = true_boxes(videos)
        detectors = {"true, with mistakes": lambda video: Mistaken(open_detector(video.parent))}
        if PEOPLE.exists():
            detectors["detector"] = lambda video: open_detector(PEOPLE)
        for name, detector in detectors.items():
            seen, ours = follow(videos, detector, options.models)
            if options.peers:
                ours |= by_peers(options.peers, seen, folder)
            for tracker, found in ours.items():
                rows.append({"boxes": name, "tracker": tracker} | scored(truth, found))
                print(rows[-1], file=sys.stderr)
    return rows


def true_boxes(videos: Any) -> Any:
    from resight.images.video import Video
    from resight.watch.measure import Boxed

    parts = []
    for camera, (path, table) in enumerate(videos):
        film = Video(path, table)
        boxes = film.boxes.copy()
        boxes[:, 2:] += boxes[:, :2]
        who = [f"{camera} {track}" for track in film.tracks.tolist()]
        parts.append((camera, film.frames, boxes.clip(0, [640, 360, 640, 360]), who))
    return Boxed.joined(parts)


def follow(videos: Any, detector: Any, models: list[str]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """All boxes (N, 7: camera, frame, box, score), and the tracks (M, 7: camera, frame, box, identity) of ours."""
    from resight import Embedder, load
    from resight.decisions.decide import Decision
    from resight.images.quality import quality
    from resight.watch.following.tracker import Tracker, Tracking
    from resight.watch.frames import batches, film_frames, open_film

    embedders = {name: Embedder(load(name)) for name in models}
    ways = {"resight, without appearance": None} | {f"resight, {name}": name for name in models}
    seen: list[tuple[float, ...]] = []
    tracks: dict[str, list[np.ndarray]] = {way: [] for way in ways}
    for camera, (path, _) in enumerate(videos):
        finds, film = detector(path), open_film(path)
        trackers = {}
        for way, name in ways.items():
            if name is None:
                trackers[way] = Tracker("euclidean", 1.0, 1.0, Tracking())
            else:
                card = embedders[name].model.card
                decision = Decision.from_card(card)
                apart = max(decision.no_match_beyond, decision.threshold)
                trackers[way] = Tracker(card.metric, decision.threshold, apart, Tracking())
        for some in batches(film_frames(film, 1), 8):
            for frame, found in zip(some, finds(some), strict=True):
                found = found.take(found.kinds == "person")
                for box, sure in zip(found.boxes, found.scores, strict=True):
                    seen.append((camera, frame.number, *box, sure))
                crops = [crop(frame, box) for box in found.boxes]
                good = np.array([quality(one) for one in crops], np.float32)
                for way, name in ways.items():
                    vectors = np.ones((len(crops), 1), np.float32)
                    if name is not None and crops:
                        vectors = embedders[name](crops).vectors
                        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
                    elif name is not None:
                        vectors = np.ones((0, embedders[name].model.card.dim), np.float32)
                    tracks[way] += [rows_of(camera, one) for one in trackers[way].step(frame, found, vectors, good)]
        film.close()
        for way, tracker in trackers.items():
            tracks[way] += [rows_of(camera, one) for one in tracker.finish()]
    named = {}
    for way, some in tracks.items():
        for number, rows in enumerate(some):
            rows[:, 6] = number
        named[way] = np.concatenate([np.empty((0, 7)), *some])
    return {"boxes": np.array(seen).reshape(-1, 7)}, named


def crop(frame: Any, box: np.ndarray) -> np.ndarray:
    left, top, right, bottom = np.round(box).astype(int)
    return frame.pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def rows_of(camera: int, track: Any) -> np.ndarray:
    rows = np.zeros((len(track), 7))
    rows[:, 0], rows[:, 1], rows[:, 2:6] = camera, track.frames, track.boxes
    return rows


def by_peers(python: str, seen: dict[str, np.ndarray], folder: Path) -> dict[str, np.ndarray]:
    np.savez(folder / "seen.npz", **seen)
    command = [python, "-W", "ignore", __file__, "--follow", str(folder / "seen.npz"), str(folder / "found.npz")]
    run(command, 1200, check=True)
    with np.load(folder / "found.npz") as found:
        return {name: filled(found[name]) for name in found.files}


def filled(rows: np.ndarray) -> np.ndarray:
    """With boxes interpolated where an identity is missing for less than a second, as ours are."""
    parts = [rows]
    for camera, who in np.unique(rows[:, [0, 6]], axis=0):
        own = rows[(rows[:, 0] == camera) & (rows[:, 6] == who)]
        own = own[np.argsort(own[:, 1])]
        for one, other in pairwise(own):
            steps = int(other[1] - one[1])
            if steps <= RATE:
                parts += [(one + (other - one) * step / steps)[None] for step in range(1, steps)]
    return np.concatenate(parts)


def follow_peers(source: str, target: str) -> None:
    """In the peers' Python: every tracker over every camera's boxes."""
    import supervision as sv
    import trackers

    made = {
        "trackers, SORT": lambda: trackers.SORTTracker(frame_rate=RATE),
        "trackers, ByteTrack": lambda: trackers.ByteTrackTracker(frame_rate=RATE),
        "trackers, OC-SORT": lambda: trackers.OCSORTTracker(frame_rate=RATE),
        "trackers, BoT-SORT": lambda: trackers.BoTSORTTracker(frame_rate=RATE, enable_cmc=False),
    }
    with np.load(source) as file:
        boxes = file["boxes"]
    found = {}
    for name, make in made.items():
        rows = []
        for camera in np.unique(boxes[:, 0]):
            tracker, own = make(), boxes[boxes[:, 0] == camera]
            for frame in range(int(own[:, 1].max()) + 1):
                here = own[own[:, 1] == frame]
                result = tracker.update(
                    sv.Detections(xyxy=here[:, 2:6], confidence=here[:, 6], class_id=np.zeros(len(here), int))
                )
                for box, who in zip(result.xyxy, result.tracker_id, strict=True):
                    if who >= 0:
                        rows.append((camera, frame, *box, who))
        found[name] = np.array(rows).reshape(-1, 7)
    np.savez(target, **found)


def scored(truth: Any, rows: np.ndarray) -> dict[str, Any]:
    from resight.watch.measure import Boxed
    from resight.watch.scoring.scores import score

    names = np.array([f"{int(row[0])} {int(row[6])}" for row in rows], dtype=np.str_)
    return score(truth, Boxed(rows[:, :2].astype(np.int64), rows[:, 2:6], names)).numbers()


if __name__ == "__main__":
    main()
