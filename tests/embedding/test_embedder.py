"""The same pictures give the same embeddings, whichever way they come in."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import resight
from conftest import write_noise
from resight.embedding.embedder import Embedder
from resight.errors import DataError, RecipeError
from resight.images.decode import decode, fit
from resight.images.transforms import prepare
from resight.models import Model
from resight.records import Split


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    made = resight.load("osnet_x0_25", height=32, width=16)
    for key, value in made.network.state_dict().items():
        if key.endswith("running_var"):  # no image is like another
            value.mul_(0.3)
    return made


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    for seed in range(7):
        write_noise(tmp_path / "images" / f"{seed}.jpg", 40 + seed, 20, seed)
    return [str(tmp_path / "images" / f"{seed}.jpg") for seed in range(7)]


def one_by_one(model: Model, paths: list[str]) -> np.ndarray:
    """Straight through the network, one picture at a time."""
    to = model.card.preprocessing
    out = []
    with torch.inference_mode():
        for path in paths:
            pixels = fit(decode(path), to.height, to.width)
            x = prepare(torch.from_numpy(pixels.copy())[None], to)
            out.append(model.network(x).embedding[0].numpy())
    return np.stack(out)


def test_all_kinds_of_input_agree(model: Model, paths: list[str], tmp_path: Path) -> None:
    embedder = Embedder(model, device="cpu")
    split = Split(paths, np.arange(7), np.ones(7, np.int64), {"times": np.arange(7) * 10})  # type: ignore[arg-type]
    expected = one_by_one(model, paths)
    assert np.linalg.norm(expected[0] - expected[1]) > 1e-2
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in paths:
            archive.write(path, Path(path).name)
    given = {
        "split": split,
        "folder": tmp_path / "images",
        "folder as text": str(tmp_path / "images"),
        "zip": tmp_path / "images.zip",
        "paths": paths,
        "Path objects": [Path(path) for path in paths],
        "Pillow images": [Image.open(path) for path in paths],
        "arrays": [decode(path) for path in paths],
        "both": [Image.open(paths[0]), *[decode(path) for path in paths[1:]]],
    }
    for kind, images in given.items():
        found = embedder(images)  # type: ignore[arg-type]
        assert found.vectors.shape == (7, 512) and found.vectors.dtype == np.float32
        np.testing.assert_allclose(found.vectors, expected, rtol=1e-4, atol=1e-5, err_msg=kind)
        assert found.fingerprint == model.card.fingerprint != ""
    for single in (paths[3], Path(paths[3]), Image.open(paths[3]), decode(paths[3])):
        np.testing.assert_allclose(embedder(single).vectors, expected[3:4], rtol=1e-4, atol=1e-5)


def test_columns_and_paths_come_along(model: Model, paths: list[str]) -> None:
    embedder = Embedder(model, device="cpu")
    split = Split(paths, np.arange(7), np.ones(7, np.int64), {"times": np.arange(7) * 10})  # type: ignore[arg-type]
    found = embedder(split)
    assert found.identities is not None and found.identities.tolist() == list(range(7))
    assert found.cameras is not None and found.columns["times"].tolist() == [0, 10, 20, 30, 40, 50, 60]
    anonymous = embedder(paths)
    assert anonymous.identities is None and anonymous.cameras is None
    assert anonymous.paths is not None and anonymous.paths.tolist() == paths


def test_order_and_repetition_are_kept(model: Model, paths: list[str]) -> None:
    embedder = Embedder(model, batch_size=2, device="cpu")
    expected = one_by_one(model, paths)
    order = [4, 0, 6, 6, 1]
    found = embedder([paths[at] for at in order])
    np.testing.assert_allclose(found.vectors, expected[order], rtol=1e-4, atol=1e-5)


def test_the_size_of_batches_changes_nothing(model: Model, paths: list[str]) -> None:
    alone = Embedder(model, batch_size=1, device="cpu")(paths).vectors
    for batch_size in (2, 3, 7, 64):
        found = Embedder(model, batch_size=batch_size, device="cpu")(paths).vectors
        np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-5)


def test_flip_is_the_mean_with_the_mirror_image(model: Model, paths: list[str]) -> None:
    plain, flipped = Embedder(model, device="cpu"), Embedder(model, device="cpu", flip=True)
    there = [fit(decode(path), 32, 16) for path in paths]
    mirrored = [np.ascontiguousarray(pixels[:, ::-1]) for pixels in there]
    expected = (plain(there).vectors + plain(mirrored).vectors) / 2
    np.testing.assert_allclose(flipped(paths).vectors, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(flipped(mirrored).vectors, flipped(there).vectors, rtol=1e-4, atol=1e-5)
    assert np.abs(flipped(paths).vectors - plain(paths).vectors).max() > 1e-3


def test_the_card_decides_on_the_preprocessing(model: Model, paths: list[str]) -> None:
    def changed(**changes: object) -> Model:
        to = model.card.preprocessing.model_copy(update=changes)
        return Model(model.network, model.card.model_copy(update={"preprocessing": to}))

    pixels = [decode(path) for path in paths]
    bgr = Embedder(changed(colour="BGR", mean=(0.406, 0.456, 0.485), std=(0.225, 0.224, 0.229)), device="cpu")
    swapped = [np.ascontiguousarray(p[..., ::-1]) for p in pixels]
    same = Embedder(changed(mean=(0.406, 0.456, 0.485), std=(0.225, 0.224, 0.229)), device="cpu")
    np.testing.assert_allclose(bgr(pixels).vectors, same(swapped).vectors, rtol=1e-4, atol=1e-5)
    boxed = Embedder(changed(resize="letterbox"), device="cpu")
    expected = Embedder(model, device="cpu")([fit(p, 32, 16, how="letterbox") for p in pixels])
    for images in (paths, pixels):
        np.testing.assert_allclose(boxed(images).vectors, expected.vectors, rtol=1e-4, atol=1e-5)


def test_a_cache_changes_nothing(model: Model, paths: list[str], tmp_path: Path) -> None:
    plain = Embedder(model, device="cpu")(paths)
    for _ in range(2):
        cached = Embedder(model, device="cpu", cache=tmp_path / "cache")(paths)
        np.testing.assert_array_equal(cached.vectors, plain.vectors)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_progress_is_told(model: Model, paths: list[str]) -> None:
    told: list[tuple[int, int]] = []
    Embedder(model, batch_size=3, device="cpu")(paths, progress=lambda *done: told.append(done))
    assert told == [(3, 7), (6, 7), (7, 7)]


def test_a_damaged_image_is_named_and_the_network_stays_as_it_was(model: Model, paths: list[str]) -> None:
    Path(paths[5]).write_bytes(Path(paths[5]).read_bytes()[:200])
    embedder = Embedder(model, batch_size=2, device="cpu")
    for images in (paths, paths[5], str(Path(paths[5]).parent)):
        with pytest.raises(DataError, match=r"5\.jpg is not a whole image"):
            embedder(images)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"gone\.jpg cannot be read"):
        embedder([*paths[:2], "gone.jpg"])
    model.network.train()
    try:
        with pytest.raises(DataError):
            embedder(paths)
        assert model.network.training
    finally:
        model.network.eval()


def test_embedding_leaves_weights_that_can_be_trained(paths: list[str]) -> None:
    """Also when they had another layout in memory before."""
    made = resight.load("osnet_x0_25", height=32, width=16, num_identities=3)
    Embedder(made, device="cpu")(paths)
    out = made.network.train()(torch.rand(4, 3, 32, 16))
    out.logits[0].sum().backward()
    assert all(p.grad is not None for p in made.network.parameters())


def test_what_cannot_be_embedded(model: Model, paths: list[str], tmp_path: Path) -> None:
    embedder = Embedder(model, device="cpu")
    (tmp_path / "empty").mkdir()
    nothing = Split([], [], [], name="nobody")  # type: ignore[arg-type]
    refused = {
        "nobody has no images": nothing,
        "empty holds no images": tmp_path / "empty",
        "gone does not exist": tmp_path / "gone",
        "the list of images is empty": [],
        "the list mixes paths and pixels": [paths[0], decode(paths[0])],
        r"image 0 is float32 \(4, 4, 3\): pass a path": np.zeros((4, 4, 3), np.float32),
        r"image 1 is uint8 \(4, 4\)": [decode(paths[0]), np.zeros((4, 4), np.uint8)],
        "image 0 is int": [3],
    }
    for message, images in refused.items():
        with pytest.raises(DataError, match=message):
            embedder(images)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="engine 'tensorrt' is not available"):
        Embedder(model, engine="tensorrt")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="batch_size is 0"):
        Embedder(model, batch_size=0)
