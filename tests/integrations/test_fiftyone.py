"""Embeddings in FiftyOne and back, with its own database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import resight
from resight.errors import DataError
from resight.integrations.fiftyone import as_before, from_fiftyone, to_fiftyone


@pytest.fixture(scope="module")
def fo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    module = pytest.importorskip("fiftyone", reason="run by tools.integrations")
    try:
        module.list_datasets()
    except Exception as error:  # it starts a database of its own, or one that is configured
        pytest.skip(f"FiftyOne has no MongoDB here: {error}")
    yield module


@pytest.fixture
def embeddings(tmp_path: Path) -> resight.Embeddings:
    paths = []
    for at in range(4):
        paths.append(str(tmp_path / f"{at}.png"))
        Image.new("RGB", (8, 16), (40 * at, 0, 0)).save(paths[-1])
    return resight.Embeddings(
        np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32),
        identities=np.array([1, 2, 0, -1]),
        cameras=np.array(["door", "yard", "door", "door"]),  # type: ignore[arg-type]
        paths=np.array(paths),
        columns={"quality": np.array([0.5, 0.25, 1, 2])},
        fingerprint="mine-1",
        metric="cosine",
    )


def test_there_and_back_with_a_correction(fo: Any, embeddings: resight.Embeddings) -> None:
    dataset = to_fiftyone(embeddings)
    try:
        assert dataset.count_values("identity.label") == {"1": 1, "2": 1, "distractor": 1, "junk": 1}
        assert dataset.values("quality") == [0.5, 0.25, 1, 2]
        found = from_fiftyone(dataset)
        np.testing.assert_array_equal(found.vectors, embeddings.vectors)
        assert found.identities is not None and found.identities.tolist() == [1, 2, 0, -1]
        assert found.columns["camera_names"].tolist() == ["door", "yard", "door", "door"]
        assert (found.fingerprint, found.metric) == ("mine-1", "cosine")
        sample = dataset.first()
        sample["identity"] = fo.Classification(label="2")
        sample.save()
        assert found.paths is not None and found.paths.tolist() == dataset.values("filepath")
        corrected = from_fiftyone(dataset.match(fo.ViewField("camera.label") == "door"))
        assert corrected.identities is not None and corrected.identities.tolist() == [2, 0, -1]
        sample["identity"] = None
        sample.save()
        with pytest.raises(DataError, match="1 samples have no identity"):
            from_fiftyone(dataset)
    finally:
        dataset.delete()


def test_integers_stay_integers_and_text_stays_text() -> None:
    assert as_before(["7", "distractor", "junk", "-3"], integers=True) == [7, 0, -1, -3]
    for text in (["7", "Bea"], ["7", "07"], ["1" * 19]):
        assert as_before(text, integers=True) == text
    assert as_before(["7", "12"], integers=False) == ["7", "12"]


def test_what_fiftyone_cannot_show(embeddings: resight.Embeddings) -> None:
    pytest.importorskip("fiftyone", reason="run by tools.integrations")
    with pytest.raises(DataError, match="have no paths"):
        to_fiftyone(resight.Embeddings(embeddings.vectors))
    with pytest.raises(DataError, match="'tags' has a name that means something else"):
        to_fiftyone(resight.Embeddings(embeddings.vectors, paths=embeddings.paths, columns={"tags": np.arange(4)}))
