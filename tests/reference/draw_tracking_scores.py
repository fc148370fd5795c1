"""Write ``tracking_scores.json``: the scores of the cases by trackeval and motmetrics.

    python -m venv peers && peers/bin/pip install trackeval==1.3.0 motmetrics==1.4.0
    cd tests && ../peers/bin/python -m reference.draw_tracking_scores

They need opencv-python, matplotlib and pycocotools, so they are no dependency of the tests.
"""

import json
import tempfile
from pathlib import Path

import motmetrics
import numpy as np
import trackeval

from reference.tracking_cases import CASES, FRAMES, lines

TARGET = Path(__file__).with_name("tracking_scores.json")
FIELDS = {
    "HOTA": ("HOTA", "DetA", "AssA", "LocA"),
    "CLEAR": ("MOTA", "MOTP", "IDSW", "Frag", "CLR_FN", "CLR_FP", "MT", "ML"),
}


def by_trackeval(folder, case):
    name = f"CASE-{case}"
    config = trackeval.datasets.MotChallenge2DBox.get_default_dataset_config()
    config |= {
        "GT_FOLDER": str(folder / "gt"), "TRACKERS_FOLDER": str(folder / "trackers"), "TRACKERS_TO_EVAL": ["one"],
        "BENCHMARK": "MOT17", "SPLIT_TO_EVAL": "train", "SKIP_SPLIT_FOL": True, "PRINT_CONFIG": False,
        "SEQ_INFO": {name: FRAMES}, "DO_PREPROC": True,
    }  # fmt: skip
    data = trackeval.datasets.MotChallenge2DBox(config)
    sequence = data.get_preprocessed_seq_data(data.get_raw_seq_data("one", name), "pedestrian")
    quiet = {"PRINT_CONFIG": False, "THRESHOLD": 0.5}
    found = {}
    whole = trackeval.metrics.HOTA().eval_sequence(sequence)
    found |= {field: float(np.mean(whole[field])) for field in FIELDS["HOTA"]}
    boxes = trackeval.metrics.CLEAR(quiet).eval_sequence(sequence)
    found |= {field: float(boxes[field]) for field in FIELDS["CLEAR"]}
    same = trackeval.metrics.Identity(quiet).eval_sequence(sequence)
    return found | {field: float(same[field]) for field in ("IDF1", "IDP", "IDR")}


def by_motmetrics(truth, found):
    """Of cases without classes: motmetrics has no rules for what counts."""
    frames = [np.array([line.split(",")[:6] for line in side], float) for side in (truth, found)]
    frames = [side.reshape(-1, 6) for side in frames]
    events = motmetrics.MOTAccumulator(auto_id=False)
    for frame in range(1, FRAMES + 1):
        left, right = (side[side[:, 0] == frame] for side in frames)
        distances = 1 - trackeval.datasets.MotChallenge2DBox._calculate_box_ious(left[:, 2:], right[:, 2:])
        distances[distances > 0.5] = np.nan  # motmetrics.distances.iou_matrix, which does not run with NumPy 2
        events.update(left[:, 1].astype(int), right[:, 1].astype(int), distances, frameid=frame)
    wanted = ["idf1", "idp", "idr", "mota", "num_switches"]
    summary = motmetrics.metrics.create().compute(events, metrics=wanted, name="one")
    return {name: float(summary[name].iloc[0]) for name in wanted}


def main():
    scores = []
    for case in range(CASES):
        truth, found = lines(case)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            (folder / "gt" / f"CASE-{case}" / "gt").mkdir(parents=True)
            (folder / "trackers" / "one" / "data").mkdir(parents=True)
            (folder / "gt" / f"CASE-{case}" / "gt" / "gt.txt").write_text("\n".join(truth) + "\n")
            (folder / "trackers" / "one" / "data" / f"CASE-{case}.txt").write_text("\n".join(found) + "\n")
            scores.append({"trackeval": by_trackeval(folder, case)})
        if case < 3:
            scores[-1]["motmetrics"] = by_motmetrics(truth, found)
    TARGET.write_text(json.dumps(scores, indent=1) + "\n")


if __name__ == "__main__":
    main()
