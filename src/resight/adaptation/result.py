"""What an adaptation leaves behind: the model with its card, and which crop was in which cluster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.adaptation.crops import Crops
from resight.counted import counted
from resight.files import write_csv
from resight.models.card import Card

CLUSTERS = "clusters.csv"


def card_of(start: Card, crops: Crops, model: str, how: str) -> Card:
    """The card of an adapted model: no threshold and no decision, for its distances mean something else now.

    Args:
        start: of the model it was made from, which the user called ``model``.
        crops: what it was adapted to; how: "adapted without labels to" or the like.
    """
    cameras = len(crops.camera_names)
    seen = "cameras that are not known" if not cameras else counted(cameras, "camera")
    what = f"{how} {len(crops):,} crops of {seen} from {model} ({start.fingerprint})"
    licences = start.licences.model_copy(
        update={"data": f"{start.licences.data}; and the pictures that it was adapted to"}
    )
    about = start.about.model_copy(
        update={
            "title": f"{start.about.title or start.architecture}, adapted",
            "made": f"{what[:1].upper()}{what[1:]}. {start.about.made}".strip(),
            "limits": "It was adapted to the cameras above, and may do worse on others than the model it was made "
            f"from. Its weights are made from the people in those pictures. {start.about.limits}".strip(),
            "calibrated": "",
        }
    )
    return start.model_copy(
        update={
            "metric": "cosine",
            "trained_on": what,
            "licences": licences,
            "about": about,
            "metrics": (),
            "threshold": None,
            "decision": None,
            "fingerprint": "",
        }
    )


def next_step(folder: str | Path) -> str:
    """The sentence that says how the model gets a threshold."""
    return (
        f"It has no threshold: calibrate it on labelled images of these cameras with resight calibrate {folder} DATA, "
        f"or with resight calibrate {folder} --pairs FILE."
    )


def write_clusters(folder: Path, crops: Crops, before: NDArray[np.int64], after: NDArray[np.int64]) -> Path:
    """Write which crop was in which cluster before and after, -1 for none, as ``clusters.csv``."""
    names = np.array([*crops.camera_names, ""], np.str_)  # -1 is the last one
    columns = (crops.images.paths, names[crops.cameras], crops.tracks, before, after)
    path = folder / CLUSTERS
    rows = zip(*(column.tolist() for column in columns), strict=True)
    write_csv(path, ("path", "camera", "track", "before", "after"), rows)
    return path
