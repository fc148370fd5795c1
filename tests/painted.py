"""People whose 32 attributes are the 32 pixels of their images, a data set of them, and a network that reads them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

import resight
from resight.attributes.measure import AGES, DOWN_COLOURS, UP_COLOURS
from resight.datasets import Dataset, catalog
from resight.datasets.market_attributes import ATTRIBUTES
from resight.errors import RecipeError
from resight.models import Output, registry
from resight.records import Split

UP, DOWN, AGE = (*UP_COLOURS, "upmulticolor"), (*DOWN_COLOURS, "downmulticolor"), AGES


class Pixels(nn.Module):
    """Attribute a is whether pixel a, counted row by row, is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(12.0))

    def forward(self, x: Tensor) -> Output:
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        grey = (x * std[:, None, None] + mean[:, None, None]).mean(1)
        logits = self.scale * (grey - 0.5).flatten(1)
        return Output(logits, attributes=logits)


def install(monkeypatch: object) -> None:
    """Register the network as ``pixels`` and the data set as ``painted`` until the test ends."""
    registry.list_models(), catalog.names()  # everything registered before the copies, which are dropped afterwards
    for module, name in ((registry, "_BUILDERS"), (registry, "_INPUTS"), (catalog, "_LOADERS")):
        monkeypatch.setattr(module, name, dict(getattr(module, name)))  # type: ignore[attr-defined]

    @resight.models.register
    def pixels(num_identities: int = 0, head: str = "plain") -> nn.Module:
        """Reads attributes from pixels."""
        return Pixels()

    catalog.register("painted")(painted)


def painted(root: str | Path, *, fold: str = "test") -> Dataset:
    """24 people to train on (or 14, and 10 held out) and 12 to test on, each on 3 images of 3 cameras."""
    if fold not in ("test", "validation"):
        raise RecipeError(f"painted has no fold {fold!r}: choose 'test' or 'validation'.")
    folder = Path(root)
    everyone = np.arange(1, 37)
    train, held = (everyone[:24], everyone[24:]) if fold == "test" else (everyone[:14], everyone[14:24])
    names = [(int(p), c) for p in held for c in (2, 3)] + [(0, 1), (-1, 1)]
    return Dataset(
        f"painted-{fold}",
        _split(folder, [(int(p), c) for p in train for c in (1, 2, 3)], "train"),
        _split(folder, [(int(p), 1) for p in held], "query"),
        _split(folder, names, "gallery"),
        attributes=ATTRIBUTES,
    )


def labels(person: int) -> list[int]:
    """The 32 attributes of a person; 255 of nobody. Nobody wears anything purple."""
    if person <= 0:
        return [255] * len(ATTRIBUTES)
    rng = np.random.default_rng(person)
    worn = {name: int(rng.integers(0, 2)) for name in ATTRIBUTES}
    for choices in (UP, DOWN, AGE):
        chosen = rng.choice([name for name in choices if "purple" not in name])
        worn |= {name: int(name == chosen) for name in choices}
    return [worn[name] for name in ATTRIBUTES]


def _split(folder: Path, images: list[tuple[int, int]], name: str) -> Split:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for person, camera in images:
        path = folder / f"{person:04d}_c{camera}.png"
        rng = np.random.default_rng([person + 1, camera])
        sign = 2 * (np.array(labels(person)) == 1) - 1
        sign[rng.random(32) < 0.05] *= -1  # mistakes
        grey = np.round(255 * (0.5 + 0.5 * sign * rng.uniform(0.2, 1, 32)))
        cv2.imwrite(str(path), np.repeat(grey.astype(np.uint8).reshape(8, 4, 1), 3, axis=2))
        paths.append(str(path))
    who, cameras = np.array(images).T
    return Split(np.array(paths), who, cameras, {"attributes": np.array([labels(p) for p in who], np.uint8)}, name)
