"""Crops of made-up people, a tiny network that knows other people, and an adaptation to the crops."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from resight.datasets import Dataset
from resight.models.model import Model
from resight.records import Split


@pytest.fixture(scope="session", autouse=True)
def _registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        tiny.install(patch)
        yield


@pytest.fixture(scope="session")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 crops: 50 people, 2 cameras, 5 images each."""
    folder = tmp_path_factory.mktemp("made") / "crops"
    tiny.write(folder, range(1, 51))
    return folder


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """30 other people under the same cameras, to measure with."""
    paths = tiny.write(tmp_path_factory.mktemp("others"), range(101, 131), images=3)
    people, cameras = (np.array([int(path.name[at]) for path in paths]) for at in (slice(4), slice(6, 7)))
    everyone = Split(np.array(list(map(str, paths))), people, cameras)
    asked = np.arange(len(paths)) % 3 == 0
    return Dataset("others", everyone.take([]), everyone.take(asked), everyone.take(~asked))


@pytest.fixture(scope="session")
def model() -> Model:
    return tiny.trained()


@pytest.fixture(scope="session")
def adapted(
    crops: Path, others: Dataset, model: Model, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A run folder and its result."""
    import resight

    folder = tmp_path_factory.mktemp("runs") / "adapted"
    result = resight.adapt(crops, folder, model, epochs=4, lr=1e-3, check=others, cpu=True, progress=False)
    return folder, result
