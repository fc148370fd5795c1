"""A tiny network, and crops of made-up people under made-up cameras: patterns of colours, light and backgrounds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

import resight
from resight.models import Output, registry
from resight.models.card import IMAGENET_MEAN, IMAGENET_STD, Card, Preprocessing
from resight.models.layers import heads
from resight.models.model import Model
from resight.models.weights import fingerprint

HEIGHT, WIDTH = 32, 16


class Tiny(nn.Module):
    """Two convolutions, a mean over 4 x 2 places and a linear layer, each with batch norm."""

    def __init__(self, dim: int = 48, num_identities: int = 0, head: heads.Head = "plain") -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(12, 24, 3, 2, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU())
        self.end = nn.Sequential(nn.AdaptiveAvgPool2d((4, 2)), nn.Flatten(), nn.Linear(192, dim), nn.BatchNorm1d(dim))
        self.bottleneck, self.classifier = heads.build(head, dim, num_identities)

    def forward(self, x: Tensor) -> Output:
        return heads.output(self.end(self.two(self.one(x))), self.bottleneck, self.classifier)


def install(monkeypatch: object) -> None:
    """Register the network as ``tiny`` until the test ends."""
    registry.list_models()
    for name in ("_BUILDERS", "_INPUTS"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))  # type: ignore[attr-defined]

    @resight.models.register(height=HEIGHT, width=WIDTH)
    def tiny(num_identities: int = 0, dim: int = 48, head: heads.Head = "plain") -> nn.Module:
        """A network for tests."""
        return Tiny(dim, num_identities, head)


def model(seed: int = 0) -> Model:
    """The network with weights of its own, marked as trained."""
    torch.manual_seed(seed)
    network = Tiny().eval()
    to = Preprocessing(height=HEIGHT, width=WIDTH)
    card = Card(architecture="tiny", preprocessing=to, dim=48, metric="cosine", trained_on="a test")
    return Model(network, card.model_copy(update={"fingerprint": fingerprint(network, card)}))


def picture(person: int, camera: int, number: int, difficulty: float = 1.0) -> np.ndarray:
    """(32, 16, 3) uint8: the same arguments give the same pixels."""
    pattern = np.random.default_rng((1, person)).uniform(20, 235, (6, 2, 3))
    figure = cv2.resize(pattern.astype(np.float32), (WIDTH - 6, HEIGHT - 4), interpolation=cv2.INTER_NEAREST)
    at = np.random.default_rng((2, camera))
    light, cast = 1 + difficulty * at.uniform(-0.35, 0.35), 1 + difficulty * at.uniform(-0.15, 0.15, 3)
    wall = at.uniform(0, 255, (4, 2, 3)).astype(np.float32)
    rng = np.random.default_rng((3, person, camera, number))
    image = cv2.resize(wall, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    left, top = rng.integers(1, 6), rng.integers(0, 5)
    image[top : top + HEIGHT - 4, left : left + WIDTH - 6] = figure
    image = image * light * cast + rng.normal(0, 8 * difficulty, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def write(
    root: Path, people: range = range(1, 61), cameras: int = 2, images: int = 5, difficulty: float = 1.0
) -> list[Path]:
    """Crops named as Market-1501's, ``ID_cCAMs1_FRAME_00.png``; every image has a frame of its own."""
    root.mkdir(parents=True, exist_ok=True)
    paths, frame = [], 0
    for person in people:
        for camera in range(1, cameras + 1):
            for number in range(images):
                frame += 1
                path = root / f"{person:04d}_c{camera}s1_{frame:06d}_00.png"
                cv2.imwrite(str(path), picture(person, camera, number, difficulty)[..., ::-1])
                paths.append(path)
    return paths


def trained(steps: int = 120, difficulty: float = 1.0) -> Model:
    """The network after some steps on other people under other cameras, with their identities."""
    made = model()
    people, views = range(1001, 1061), [(camera, number) for camera in (11, 12, 13) for number in range(3)]
    pixels = np.stack([picture(person, *view, difficulty) for person in people for view in views])
    labels = torch.arange(len(people)).repeat_interleave(len(views))
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std
    network, head = made.network.train(), nn.Linear(48, len(people))
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], 3e-3)
    draw = torch.Generator().manual_seed(0)
    for _ in range(steps):
        batch = torch.randint(0, len(x), (64,), generator=draw)
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(network(x[batch]).embedding), labels[batch]).backward()
        optimizer.step()
    network.eval()
    return Model(network, made.card.model_copy(update={"fingerprint": fingerprint(network, made.card)}))
