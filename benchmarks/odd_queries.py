"""Pictures that show no whole person, searched among people: how often does the bundled model's decision say "match"?

    python benchmarks/odd_queries.py                    # about a minute

Empty rooms and streets are the medians of two videos' frames, cut at random; faces are the heads of street photographs;
plain colours, gradients and noise are made. They are searched in the five galleries of ``person_domains.zip``.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from pathlib import Path

import av
import cv2
import numpy as np
from deadline import add_deadline, limit
from numpy.typing import NDArray

import resight
from resight.retrieval.ranking.distance import pairwise

SHARED = Path(__file__).parents[2] / "shared"
PLACES = ("cuhk03", "caviar", "3dpes", "sarc3d", "pku")
Picture = NDArray[np.uint8]


def background(video: Path, random: np.random.Generator, count: int = 40) -> list[Picture]:
    """Random cuts, twice as high as wide, of what is left of a video when the moving parts are gone."""
    with av.open(str(video)) as film:
        frames = [frame.to_ndarray(format="rgb24") for at, frame in enumerate(film.decode(video=0)) if at % 12 == 0]
    empty = np.median(np.stack(frames[:60]), 0).astype(np.uint8)
    rows, columns = empty.shape[:2]
    cuts = []
    for _ in range(count):
        height = int(random.uniform(0.3, 1) * rows)
        top, left = random.integers(0, rows - height + 1), random.integers(0, columns - height // 2 + 1)
        cuts.append(empty[top : top + height, left : left + height // 2])
    return cuts


def faces(archive: Path, count: int = 40) -> list[Picture]:
    """The upper sixth of photographs of one person each."""
    found = []
    with zipfile.ZipFile(archive) as files:
        names = [name for name in files.namelist() if name.startswith("unlabelled/ccp/") and name.endswith(".jpg")]
        for name in names[:: len(names) // count][:count]:
            image = cv2.imdecode(np.frombuffer(files.read(name), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            side = image.shape[0] // 6
            top, left = side // 3, image.shape[1] // 2 - side // 2
            found.append(np.ascontiguousarray(image[top : top + side, left : left + side]))
    return found


def plain(random: np.random.Generator, count: int = 10) -> list[Picture]:
    """Colours, gradients and noise."""
    colours = [np.tile(random.integers(0, 256, 3, np.uint8), (128, 64, 1)) for _ in range(count)]
    ramps = [(np.linspace(0, 1, 128)[:, None, None] * one).astype(np.uint8) for one in colours]
    return [*colours, *ramps, *(random.integers(0, 256, (128, 64, 3), np.uint8) for _ in range(count))]


def pictures(shared: Path) -> dict[str, list[Picture]]:
    """All odd pictures, by kind."""
    random, videos = np.random.default_rng(1), shared / "data" / "video"
    return {
        "empty room": background(videos / "one-by-one-person-detection.mp4", random),
        "empty street": background(videos / "car-detection.mp4", random),
        "face": faces(shared / "data" / "person_domains.zip"),
        "colour, gradient or noise": plain(random),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="person")
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--json", action="store_true")
    add_deadline(parser, 600)
    args = parser.parse_args()
    limit(args.deadline)
    model = resight.load(args.model)
    embedder, decision = resight.Embedder(model), resight.Decision.from_card(model.card)
    archive, queries = args.shared / "data" / "person_domains.zip", pictures(args.shared)
    vectors = {name: embedder(some).vectors for name, some in queries.items()}
    rows = []
    for place in PLACES:
        gallery = embedder(resight.datasets.load("market_layout", archive / place).gallery).vectors
        for name, query in vectors.items():
            nearest = pairwise(query, gallery, decision.metric).min(1)
            rows.append(
                {
                    "place": place,
                    "queries": name,
                    "count": len(query),
                    "match": float((nearest <= decision.threshold).mean()),
                    "nearest": float(nearest.min()),
                }
            )
    if args.json:
        print(json.dumps({"threshold": decision.threshold, "rows": rows}, indent=2))
        return
    print(f"match up to {decision.threshold:.3f} ({decision.metric})")
    for row in rows:
        share = f"match {row['match']:.1%}  nearest {row['nearest']:.3f}"
        print(f"{row['place']:8} {row['queries']:26} {row['count']:3}  {share}")


if __name__ == "__main__":
    main()
