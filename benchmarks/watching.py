"""Watching videos, measured: identity F1 on a drawn scene whose truth is known, and who is found in real clips.

    python benchmarks/watching.py                      # all of it; draws people and trains on them first
    python benchmarks/watching.py --drawn demo         # with the model of an earlier `resight demo`
    python benchmarks/watching.py --model person --sizes 3,10 6,50 --kinds detector --rates 0.01   # the bundled model
    python benchmarks/watching.py --model person --sizes 12,200 --seconds 20 --scenes 1 --kinds detector --rates 0.01
    python benchmarks/watching.py --scenes 0 --people runs/osnet_x0_25_market1501_cpu person   # the clips alone

The scenes: 10 synthetic people walk between 3 cameras for 40 seconds (``--sizes`` for others; 60 seconds for more than
3 cameras), cross and hide each other (100 to 220 pixels tall, 10 frames a second). The model has seen none of them: it
is trained on other synthetic people as ``resight demo`` does, and calibrated on others again, for two false-match
rates. Boxes come from the truth; from the truth with mistakes (4% jitter, 10% missed, 3% ghosts); and from the real
detector, which was made for photographs. Each row tells apart:

- tracking: identity F1 (Ristani et al. 2016) if every track got the name of whoever is in most of its boxes;
- purity: the share of boxes in tracks that are of that person;
- identity F1 of the names that were given, over all cameras; and what it is without travel times (the same tracks,
  linked by appearance and the rules of time and place).

The clips stand in ``../shared/data/video``: six people, one at a time, and four cars from above, counted by eye; one
track of each is right. Models without a calibration are calibrated on Market-1501's test identities (people) or the 60
test vehicles of two_camera_vehicles.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from deadline import add_deadline, limit

from resight import Embedder, datasets, demo
from resight.datasets.synthetic.scene import Scene, write_scene
from resight.decisions.model import calibrate
from resight.errors import ResightError
from resight.gallery.gallery import Gallery
from resight.images.video import Video
from resight.models.loading import load
from resight.models.model import Model
from resight.watch.detectors import Detections, Detector, open_detector
from resight.watch.following.boxes import overlaps
from resight.watch.following.track import Track
from resight.watch.frames import Frame
from resight.watch.link import WORLD, Rules, Sighted, at_home, link
from resight.watch.measure import SAME, Boxed, identity_f1
from resight.watch.watch import View, watch

SHARED = Path(__file__).parents[2] / "shared"
PEOPLE = SHARED / "weights" / "openvino" / "person-detection-retail-0013.FP32.xml"
ROOT = Path(__file__).parents[1]
RATES = (1e-3, 1e-2)
KINDS = ("true", "mistakes", "detector")
STRANGERS = 1001  # the first person of the scenes; the model was trained and calibrated on others
START = 1_760_000_000.0


@dataclass(frozen=True)
class Row:
    """One line of the table of scenes; means over them."""

    scene: str
    boxes: str
    rate: float
    tracking: float
    purity: float
    f1: float
    without_times: float
    precision: float
    recall: float
    found: float
    true: float
    tracks: float
    alike: float


@dataclass(frozen=True)
class Clip:
    """One line of the table of clips."""

    clip: str
    model: str
    threshold: float
    tracks: int
    found: int
    true: int
    frames_per_second: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawn", type=Path, help="the folder of resight demo; made here when not given")
    parser.add_argument(
        "--model", help="of the scenes, instead of one trained on drawn people; calibrated all the same"
    )
    parser.add_argument("--sizes", nargs="+", default=["3,10"], metavar="CAMERAS,PEOPLE", help="of the scenes")
    parser.add_argument("--seconds", type=float, help="of each scene (default: 40; 60 for more than 3 cameras)")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS, help="of boxes in the scenes")
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES), help="false-match rates of the scenes")
    parser.add_argument("--first", type=int, default=0, help="the first scene, to measure others than before")
    parser.add_argument("--no-clips", action="store_true", help="leave the clips out")
    parser.add_argument("--people", nargs="+", default=[str(ROOT / "runs" / "osnet_x0_25_market1501_cpu")])
    parser.add_argument("--vehicles", nargs="+", default=[str(ROOT / "runs" / "bot_resnet18_vehicles_cpu")])
    parser.add_argument("--scenes", type=int, default=3, help="how many; 0 leaves them out")
    parser.add_argument("--every", type=int, default=2, help="of the clips, look at every so many-th frame")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    add_deadline(parser, 7200)
    options = parser.parse_args()
    limit(options.deadline)
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = scenes(Path(folder), options) if options.scenes else []
            films = [] if options.no_clips else clips(Path(folder), options)
    except ResightError as error:
        sys.exit(f"Error: {error}")
    if options.json:
        print(
            json.dumps({"scenes": [asdict(row) for row in rows], "clips": [asdict(film) for film in films]}, indent=2)
        )
        return
    if rows:
        columns = (
            "cameras, people",
            "boxes",
            "FMR",
            "tracking",
            "purity",
            "without times",
            "identity F1",
            "precision",
            "recall",
            "identities",
            "tracks",
        )
        print(f"| {' | '.join(columns)} | look-alikes |\n|---{'|---:' * len(columns)}|")
    for row in rows:
        shares = (row.tracking, row.purity, row.without_times, row.f1, row.precision, row.recall)
        rates = " | ".join(f"{share:.1%}" for share in shares)
        people = f"{row.found:.1f} of {row.true:.1f} | {row.tracks:.1f}"
        print(f"| {row.scene} | {row.boxes} | {row.rate:g} | {rates} | {people} | {row.alike:.1%} |")
    if films:
        print("\n| clip | model | threshold | tracks | identities | frames/s |\n|---|---|---:|---:|---:|---:|")
    for film in films:
        print(
            f"| {film.clip} | {film.model} | {film.threshold:.3f} | {film.tracks} | {film.found} of {film.true} "
            f"| {film.frames_per_second:.1f} |"
        )


class Mistaken:
    """The true boxes as a detector of middling quality would see them; the same mistakes every time."""

    def __init__(self, truth: Detector) -> None:
        self.truth = truth

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        return [self._look(frame, found) for frame, found in zip(frames, self.truth(frames), strict=True)]

    def _look(self, frame: Frame, found: Detections) -> Detections:
        random = np.random.default_rng((ord(Path(frame.source).stem[-1]), frame.number))
        sizes = np.tile(found.boxes[:, 2:] - found.boxes[:, :2], 2)
        boxes = found.boxes + 0.04 * sizes * random.normal(size=found.boxes.shape)
        seen = boxes[random.random(len(boxes)) >= 0.1]
        height, width = frame.pixels.shape[:2]
        ghosts = []
        while random.random() < 0.03 * max(1, len(boxes)):
            x, y = random.uniform(0, width - 60), random.uniform(0, height - 150)
            ghosts.append([x, y, x + 60, y + 150])
        every = np.concatenate([seen, np.array(ghosts, np.float64).reshape(-1, 4)])
        return Detections.within(frame, every, np.full(len(every), 0.8), np.full(len(every), "person"))


class Remembered:
    """A detector that looks at each frame once."""

    def __init__(self, detector: Detector) -> None:
        self.detector, self.known = detector, {}

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        new = [frame for frame in frames if (frame.source, frame.number) not in self.known]
        for frame, found in zip(new, self.detector(new), strict=True):
            self.known[frame.source, frame.number] = found
        return [self.known[frame.source, frame.number] for frame in frames]


def scenes(folder: Path, options: argparse.Namespace) -> list[Row]:
    """Each kind of boxes on each scene, for each rate, and the means."""
    drawn = options.drawn or folder / "demo"
    if options.model is None and options.drawn is None:
        demo.run(drawn, say=lambda text: print(text, file=sys.stderr))
    model = load(options.model or drawn / "run")
    people = drawn / "people" if options.model is None else folder / "people"
    data = datasets.load("synthetic", people, identities=160, cameras=4, images_per_camera=3)
    models = {rate: calibrate(model, data, false_match_rate=rate)[0] for rate in options.rates}
    rows: dict[tuple[str, str, float], list[Row]] = {}
    for size in options.sizes:
        cameras, many = map(int, size.split(","))
        for number in range(options.first, options.first + options.scenes):
            place = folder / f"scene{size}-{number}"
            seconds = options.seconds or (40.0 if cameras <= 3 else 60.0)
            scene = write_scene(
                place, people=many, cameras=cameras, seconds=seconds, first=STRANGERS + 100 * -(-many // 100) * number
            )
            detectors: dict[str, Callable[[], Detector]] = {
                "true": lambda place=place: open_detector(place),
                "mistakes": lambda place=place: Mistaken(open_detector(place)),
                "detector": lambda: Remembered(open_detector(PEOPLE)),
            }
            for kind in options.kinds:
                detector = detectors[kind]()
                for rate, one in models.items():
                    where = folder / f"seen-{size}-{number}-{kind}-{rate}"
                    row = watched(where, one, scene, f"{cameras}, {many}", kind, rate, detector)
                    print(json.dumps(asdict(row)), file=sys.stderr, flush=True)
                    rows.setdefault((size, kind, rate), []).append(row)
    return [mean(some) for some in rows.values()]


def watched(where: Path, model: Model, scene: Scene, size: str, kind: str, rate: float, detector: Detector) -> Row:
    tracks: list[tuple[View, Track, str]] = []
    rules = Rules(travel=2.0)
    with Gallery.open(where, Embedder(model)) as gallery:
        views = [View(str(video), "", START) for video in scene.videos]
        found = watch(views, gallery, detector, rules=rules, on_track=lambda *one: tracks.append(one))
        names = {record.id: record.identity for record in gallery.records(limit=10_000)}
    tracks.sort(key=lambda one: (one[1].times[0], one[0].camera, one[2]))
    seen = [Sighted(view.camera, START + one.times[0], START + one.times[-1], WORLD) for view, one, _ in tracks]
    vectors = np.stack([one.vector for _, one, _ in tracks])
    home = at_home([one.change for _, one, _ in tracks])
    threshold = model.card.threshold or 0.0
    groups = link(vectors, model.card.metric, threshold, seen, rules, home)
    cameras = [view.camera for view in views]
    truth = true_boxes(scene)
    owners = [owner(track, cameras.index(view.camera), truth) for view, track, _ in tracks]
    parts = [(cameras.index(view.camera), track) for view, track, _ in tracks]
    best = identity_f1(truth, without_twice(parts, [f"{who}" for who, _ in owners]))
    given = identity_f1(truth, without_twice(parts, [names[id] for _, _, id in tracks]))
    plain = identity_f1(truth, without_twice(parts, groups))
    boxes = sum(len(track) for _, track, _ in tracks)
    return Row(
        size,
        kind,
        rate,
        best.f1,
        sum(right for _, right in owners) / max(1, boxes),
        given.f1,
        plain.f1,
        given.precision,
        given.recall,
        given.found,
        given.true,
        len(tracks),
        found.alike / max(1, found.impossible),
    )


def true_boxes(scene: Scene) -> Boxed:
    parts = []
    for camera, (video, table) in enumerate(zip(scene.videos, scene.tables, strict=True)):
        film = Video(video, table)
        boxes = film.boxes.copy()
        boxes[:, 2:] += boxes[:, :2]
        assert film.tracks is not None
        sides = np.array([640, 360, 640, 360])
        parts.append((camera, film.frames, boxes.clip(0, sides), film.tracks))
    return Boxed.joined(parts)


def owner(track: Track, camera: int, truth: Boxed) -> tuple[object, int]:
    """Who is in most boxes of a track, and in how many."""
    seen: Counter[object] = Counter()
    for frame, box in zip(track.frames, track.boxes, strict=True):
        rows = np.flatnonzero((truth.frames == (camera, frame)).all(axis=1))
        over = overlaps(box[None], truth.boxes[rows])[0]
        if len(rows) and over.max() >= SAME:
            seen[truth.who[rows[over.argmax()]]] += 1
    return seen.most_common(1)[0] if seen else ("nobody", 0)


def without_twice(parts: list[tuple[int, Track]], names: Sequence[object]) -> Boxed:
    """All boxes of the tracks; of one name twice in a frame, which only the best naming makes, the first counts."""
    taken: set[tuple[int, int, object]] = set()
    rows = []
    for (camera, track), name in zip(parts, names, strict=True):
        new = [at for at, frame in enumerate(track.frames.tolist()) if (camera, frame, name) not in taken]
        taken |= {(camera, int(frame), name) for frame in track.frames}
        rows.append((camera, track.frames[new], track.boxes[new], str(name)))
    return Boxed.joined(rows)


def mean(rows: list[Row]) -> Row:
    values: dict[str, Any] = {
        key: float(np.mean([getattr(row, key) for row in rows]))
        for key in Row.__dataclass_fields__
        if key not in ("scene", "boxes")
    }
    return Row(rows[0].scene, rows[0].boxes, **values)


def clips(folder: Path, options: argparse.Namespace) -> list[Clip]:
    """Six people and four cars."""
    people = [clip(folder, "one-by-one-person-detection", one, "person", 6, options.every) for one in options.people]
    return people + [clip(folder, "car-detection", one, "object", 4, options.every) for one in options.vehicles]


def clip(folder: Path, name: str, model: str, what: str, true: int, every: int) -> Clip:
    loaded = load(model)
    if loaded.card.decision is None:
        kind, file = ("market1501", "Market-1501-v15.09.15.zip")
        if what != "person":
            kind, file = ("two_camera_vehicles", "two_camera_vehicles.zip")
        print(f"calibrating {model} on {kind}", file=sys.stderr)
        loaded = calibrate(loaded, datasets.load(kind, SHARED / "data" / file))[0]
    assert loaded.card.threshold is not None
    video = SHARED / "data" / "video" / f"{name}.mp4"
    detector = open_detector(PEOPLE if what == "person" else SHARED / "weights" / "yolox_nano.onnx")
    began = time.perf_counter()
    with Gallery.open(folder / f"{name}-{loaded.card.fingerprint}", Embedder(loaded)) as gallery:
        found = watch([View(str(video))], gallery, detector, what=what, every=every)
    rate = found.frames / (time.perf_counter() - began)
    return Clip(
        name, Path(model).name, loaded.card.threshold, sum(found.tracks.values()), len(found.people), true, rate
    )


if __name__ == "__main__":
    main()
