"""Fixtures shared by all tests: the real Market-1501 where it is at hand, and tiny sets laid out like it."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; the nets of the tests are tiny
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # where a test has more threads, those that wait take no processor

SHARED = Path(__file__).parents[2] / "shared"
TinyMarket = Callable[..., Path]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Torch's random numbers of a fresh process: a test's random weights do not depend on the tests before it."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(67280421310721)  # c10::detail::default_rng_seed_val


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What has a browser's tab or a cluster among its fixtures is long."""
    for item in items:
        if {"tab", "cluster"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.long)


def pytest_collection_finish() -> None:
    """What is imported stays: no search for garbage looks at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def market_zip() -> Path:
    """The zip of the real Market-1501; the test is skipped where it is absent."""
    path = SHARED / "data" / "Market-1501-v15.09.15.zip"
    if not path.is_file():
        pytest.skip(f"needs the real Market-1501 at {path}, which may not be passed on")
    return path


def write_noise(path: Path, height: int = 64, width: int = 32, seed: int = 0) -> None:
    """Write a JPEG of coloured noise around a colour of its own; the same seed gives the same bytes."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 176, 3) + random.integers(0, 80, (height, width, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = cv2.imencode(".jpg", image.astype(np.uint8))[1]
    path.write_bytes(encoded.tobytes())


@pytest.fixture
def tiny_market(tmp_path: Path) -> TinyMarket:
    """A factory of folders in Market-1501's layout, filled with noise.

    ``tiny_market(name="market", train=4, test=3, cameras=2, images=2, junk=1, distractors=1)`` writes ``images``
    pictures of each identity in each camera. Train identities are 1, 2, ...; test ones go on from there, and the
    first picture of each test identity in each camera is its query.
    """

    def write(
        name: str = "market",
        train: int = 4,
        test: int = 3,
        cameras: int = 2,
        images: int = 2,
        junk: int = 1,
        distractors: int = 1,
        height: int = 64,
        width: int = 32,
    ) -> Path:
        root = tmp_path / name
        wanted: list[tuple[str, str, int, int]] = []  # folder, identity, camera, frame
        for identity in range(1, train + test + 1):
            for camera in range(1, cameras + 1):
                for frame in range(images):
                    folder = "query" if frame == 0 else "bounding_box_test"
                    folder = "bounding_box_train" if identity <= train else folder
                    wanted.append((folder, f"{identity:04d}", camera, frame))
        wanted += [("bounding_box_test", "-1", 1, frame) for frame in range(junk)]
        wanted += [("bounding_box_test", "0000", 1, frame) for frame in range(distractors)]
        for seed, (folder, label, camera, frame) in enumerate(wanted):
            write_noise(root / folder / f"{label}_c{camera}s1_{frame:06d}_01.jpg", height, width, seed)
        return root

    return write


@pytest.fixture
def small_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid of tiny tiles, so that small cases cross many tile and block edges."""
    from resight.retrieval.ranking import distance, rough, symmetric

    monkeypatch.setattr(distance, "TILE_QUERIES", 2)
    monkeypatch.setattr(distance, "TILE_GALLERY", 3)
    monkeypatch.setattr(rough, "_LEAST", 8)
    for name, value in {"_STRIP": 8, "_TILE": 3, "_WIDTH": 5, "_SAMPLE": 3}.items():
        monkeypatch.setattr(symmetric, name, value)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def msmt17_weights() -> Path:
    """Real OSNet x0.25 weights; the test is skipped where they are absent."""
    path = SHARED / "weights" / "osnet_x0_25_msmt17.pth"
    if not path.is_file():
        pytest.skip(f"needs the OSNet weights at {path}, which may not be passed on")
    return path
