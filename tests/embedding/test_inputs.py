"""What an embedder takes and refuses besides paths and arrays, and what it does not depend on."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import resight
from conftest import write_noise
from resight.embedding.embedder import Embedder
from resight.embedding.engines.make import installed
from resight.embedding.source import source_of
from resight.errors import DataError, ModelError
from resight.images.cache import cache_folder
from resight.models.model import Model


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    return resight.load("osnet_x0_25", height=64, width=32)


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    for seed in range(4):
        write_noise(tmp_path / "images" / f"{seed}.png", 64, 32, seed)
    return [str(tmp_path / "images" / f"{seed}.png") for seed in range(4)]


def test_open_files_and_arrays_of_paths(model: Model, paths: list[str]) -> None:
    embedder = Embedder(model, "torch")
    right = embedder(np.stack([np.asarray(Image.open(path)) for path in paths])).vectors
    in_array = embedder(np.array(paths))
    assert in_array.paths is not None and in_array.paths.tolist() == paths
    for found in (
        in_array,
        embedder(np.array([Path(path) for path in paths], object)),
        embedder([Path(path).open("rb") for path in paths]),  # noqa: SIM115 - closed with the list
        embedder([io.BytesIO(Path(path).read_bytes()) for path in paths]),
        embedder(Path(path).open("rb") for path in paths),  # noqa: SIM115
    ):
        np.testing.assert_allclose(found.vectors, right, atol=1e-5)
    with Path(paths[2]).open("rb") as file:
        np.testing.assert_allclose(embedder(file).vectors, right[2:3], atol=1e-5)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_column_of_a_table(model: Model, paths: list[str], library: str) -> None:
    column = pytest.importorskip(library).Series(paths)[1:]  # in pandas the first row is then called 1
    found = Embedder(model, "torch")(column)
    np.testing.assert_array_equal(found.vectors, Embedder(model, "torch")(paths[1:]).vectors)
    assert len(source_of(column)) == 3  # type: ignore[arg-type] # no iterator of unknown length


def test_two_frames_of_opencv_are_compared_in_their_order(paths: list[str]) -> None:
    frame = np.asarray(Image.open(paths[0]))[..., ::-1]
    assert resight.same(frame, paths[0], colour="BGR").distance < 1e-6 < resight.same(frame, paths[0]).distance


@pytest.mark.parametrize("mode", ["text", "closed"])
def test_files_that_give_no_bytes(model: Model, paths: list[str], mode: str) -> None:
    with Path(paths[0]).open("r" if mode == "text" else "rb") as file:
        if mode == "closed":
            file.close()
        with pytest.raises(DataError, match=r"^image 0 is a file that .*: open it for reading bytes"):
            Embedder(model, "torch")([file])


@pytest.mark.parametrize("kind", ["sparse", "without content", "nested"])
def test_tensors_that_hold_no_pixels_are_one_sentence(model: Model, kind: str) -> None:
    plain = torch.zeros(3, 20, 10)
    tensor = {
        "sparse": plain.to_sparse(),
        "without content": plain.to("meta"),
        "nested": torch.nested.nested_tensor([*plain], layout=torch.jagged),
    }[kind]
    with pytest.raises(DataError, match=r"^image 0 is a tensor that is sparse, nested, quantised or without content"):
        Embedder(model, "torch")([tensor])


def test_another_default_type_of_numbers_changes_nothing(model: Model, paths: list[str]) -> None:
    vectors, threshold = Embedder(model, "torch")(paths).vectors, resight.same(paths[0], paths[1])
    torch.set_default_dtype(torch.float64)
    try:
        again = Embedder(model, "torch")(paths).vectors
        assert again.dtype == np.float32
        np.testing.assert_allclose(again, vectors, atol=1e-6)
        torch.manual_seed(0)
        made = resight.load("osnet_x0_25", height=64, width=32)
        assert {p.dtype for p in made.network.parameters()} <= {torch.float32, torch.float64}
        assert Embedder(made, "torch")(paths).vectors.dtype == np.float32
        assert resight.same(paths[0], paths[1]).distance == pytest.approx(threshold.distance, abs=1e-5)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_two_files_of_one_name_in_an_archive_are_refused(model: Model, paths: list[str], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.write(paths[0], "a.png")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.write(paths[1], "a.png")
    with pytest.raises(DataError, match=r"two\.zip holds several files under the name .*a\.png, of which"):
        Embedder(model, "torch")(tmp_path / "two.zip")


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_a_network_that_went_wrong_is_named_not_the_image(paths: list[str], engine: str) -> None:
    wrong = resight.load("osnet_x0_25", height=64, width=32)
    with torch.no_grad():
        wrong.network.get_parameter("conv1.conv.weight")[:] = float("nan")
    with pytest.raises(ModelError, match=r"has weights that are NaN or infinite, first in .*: load a checkpoint"):
        Embedder(wrong, engine)(paths)  # type: ignore[arg-type]
    overflowing = resight.load("osnet_x0_25", height=64, width=32)
    with torch.no_grad():
        overflowing.network.get_parameter("conv1.conv.weight")[:] = 3e38
    with pytest.raises(ModelError, match=r"gives NaN or infinity for .*0\.png: its numbers overflow"):
        Embedder(overflowing, engine)(paths)  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", ["a file", "below a file", "read-only"])
@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_no_cache_folder_is_needed(
    model: Model, paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, kept: str
) -> None:
    if engine not in installed():
        pytest.skip(f"engine {engine} is not installed")
    place = tmp_path / "cache"
    if kept == "read-only":
        if os.getuid() == 0:
            pytest.skip("the superuser may write everywhere")
        place.mkdir(mode=0o500)
    else:
        place.write_text("no folder")
    monkeypatch.setenv("RESIGHT_CACHE", str(place / "below" if kept == "below a file" else place))
    right = Embedder(model, "torch")(paths).vectors
    embedder = Embedder(model, engine, batch_size=2, cache=cache_folder())  # type: ignore[arg-type]
    np.testing.assert_allclose(embedder(paths).vectors, right, atol=1e-4)
    assert kept == "read-only" or place.read_text() == "no folder"
