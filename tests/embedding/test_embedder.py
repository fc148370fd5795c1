"""The same pictures give the same embeddings, whichever way they come in."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import resight
from conftest import write_noise
from flat import flat_model, pixels_of
from resight.embedding.embedder import Embedder
from resight.errors import DataError, ModelError, RecipeError
from resight.images.decode import decode, fit
from resight.images.quality import quality
from resight.images.stream import BadImage
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
    embedder = Embedder(model, "torch", device="cpu")
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
        "files in memory": [Path(path).read_bytes() for path in paths],
        "tensors": [torch.from_numpy(decode(path)).permute(2, 0, 1) for path in paths],
        "tensors of floats": [torch.from_numpy(decode(path)).permute(2, 0, 1) / 255 for path in paths],
        "a generator": (path for path in paths),
        "all mixed": [
            paths[0],
            Path(paths[1]),
            Path(paths[2]).read_bytes(),
            *map(Image.open, paths[3:6]),
            decode(paths[6]),
        ],
    }
    for kind, images in given.items():
        found = embedder(images)  # type: ignore[arg-type]
        assert found.vectors.shape == (7, 512) and found.vectors.dtype == np.float32
        np.testing.assert_allclose(found.vectors, expected, rtol=1e-4, atol=1e-5, err_msg=kind)
        assert found.fingerprint == model.card.fingerprint != ""
    for single in (paths[3], Path(paths[3]), Path(paths[3]).read_bytes(), Image.open(paths[3]), decode(paths[3])):
        np.testing.assert_allclose(embedder(single).vectors, expected[3:4], rtol=1e-4, atol=1e-5)


def test_columns_and_paths_come_along(model: Model, paths: list[str]) -> None:
    embedder = Embedder(model, "torch", device="cpu")
    split = Split(paths, np.arange(7), np.ones(7, np.int64), {"times": np.arange(7) * 10})  # type: ignore[arg-type]
    found = embedder(split)
    assert found.identities is not None and found.identities.tolist() == list(range(7))
    assert found.cameras is not None and found.columns["times"].tolist() == [0, 10, 20, 30, 40, 50, 60]
    anonymous = embedder(paths)
    assert anonymous.identities is None and anonymous.cameras is None
    assert anonymous.paths is not None and anonymous.paths.tolist() == paths
    mixed = embedder(iter([paths[0], decode(paths[1])]))
    assert mixed.paths is not None and mixed.paths.tolist() == [paths[0], "image 1"]


def test_arrays_in_every_shape_and_colour_order() -> None:
    embedder = Embedder(flat_model(), "torch", device="cpu")
    stack = np.random.default_rng(0).integers(0, 256, (5, 32, 16, 3), dtype=np.uint8)
    planes = torch.from_numpy(stack).permute(0, 3, 1, 2)
    for colour, expected in (("RGB", stack), ("BGR", stack[..., ::-1])):
        for images in (stack, list(stack), planes, planes.contiguous(), planes.double() / 255, iter(stack)):
            found = embedder(images, colour=colour)  # type: ignore[arg-type]
            np.testing.assert_array_equal(pixels_of(found.vectors), expected)
        one = embedder(planes[2], colour=colour)  # type: ignore[arg-type]
        np.testing.assert_array_equal(pixels_of(one.vectors), expected[2:3])
    grey = embedder(stack[0, ..., 0]).vectors
    np.testing.assert_array_equal(pixels_of(grey)[0], np.repeat(stack[0, ..., :1], 3, axis=2))
    as_file = io.BytesIO()
    Image.fromarray(stack[0]).save(as_file, "PNG")
    for known in (as_file.getvalue(), Image.fromarray(stack[0])):  # they know their order
        np.testing.assert_array_equal(pixels_of(embedder(known, colour="BGR").vectors)[0], stack[0])
    with pytest.raises(RecipeError, match="colour is 'bgr'"):
        embedder(stack, colour="bgr")  # type: ignore[arg-type]


def test_bad_images_are_left_out_and_told_of(paths: list[str]) -> None:
    Path(paths[2]).write_bytes(b"")
    Path(paths[5]).write_bytes(b"no picture")
    split = Split(paths, np.arange(7), np.arange(7) % 2, {"times": np.arange(7) * 10})  # type: ignore[arg-type]
    embedder = Embedder(flat_model(), "torch", batch_size=3, device="cpu")
    bad: list[BadImage] = []
    told: list[tuple[int, int]] = []
    found = embedder(split, on_error=bad.append, progress=lambda *done: told.append(done))
    assert [(one.position, one.name) for one in bad] == [(2, paths[2]), (5, paths[5])]
    assert "is empty" in bad[0].reason and "not an image of a known format" in bad[1].reason
    assert told == [(3, 7), (6, 7), (7, 7)]
    assert found.identities is not None and found.identities.tolist() == [0, 1, 3, 4, 6]
    assert found.cameras is not None and found.cameras.tolist() == [0, 1, 1, 0, 0]
    assert found.columns["times"].tolist() == [0, 10, 30, 40, 60]
    left = [at for at in range(7) if at not in (2, 5)]
    np.testing.assert_array_equal(pixels_of(found.vectors), [fit(decode(paths[at]), 32, 16) for at in left])
    with pytest.raises(DataError, match=r"None of 2 images can be embedded; of the first: .*2\.jpg is empty"):
        embedder([paths[2], paths[5]], on_error=bad.append)

    def enough(one: BadImage) -> None:
        raise RuntimeError(one.name)

    with pytest.raises(RuntimeError, match=r"2\.jpg"):
        embedder(paths, on_error=enough)


def test_a_stream_is_the_same_batch_by_batch_and_reads_no_further_than_asked() -> None:
    embedder = Embedder(flat_model(), "torch", batch_size=2, device="cpu")
    asked = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal asked
        while True:
            asked += 1
            yield np.full((32, 16, 3), asked % 256, np.uint8)

    stream = embedder.stream(endless())
    for number in range(5):
        some = next(stream)
        assert some.vectors[:, 0].tolist() == [2 * number + 1, 2 * number + 2]
        assert some.paths is not None and some.paths.tolist() == [f"image {2 * number}", f"image {2 * number + 1}"]
        assert asked <= 2 * (number + 1 + 5)  # in the queue, about to be put there, being read
    stream.close()  # type: ignore[attr-defined]


def test_the_quality_of_each_image_is_a_column() -> None:
    pictures = [
        np.random.default_rng(seed).integers(0, 30 * seed + 1, (40, 20, 3), dtype=np.uint8) for seed in range(4)
    ]
    found = Embedder(flat_model(), "torch", batch_size=3, device="cpu")(pictures, quality=True)
    assert found.columns["quality"].tolist() == pytest.approx([quality(one) for one in pictures])


def test_order_and_repetition_are_kept(model: Model, paths: list[str]) -> None:
    embedder = Embedder(model, "torch", batch_size=2, device="cpu")
    expected = one_by_one(model, paths)
    order = [4, 0, 6, 6, 1]
    found = embedder([paths[at] for at in order])
    np.testing.assert_allclose(found.vectors, expected[order], rtol=1e-4, atol=1e-5)


def test_the_size_of_batches_changes_nothing(model: Model, paths: list[str]) -> None:
    alone = Embedder(model, "torch", batch_size=1, device="cpu")(paths).vectors
    for batch_size in (2, 3, 7, 64):
        found = Embedder(model, "torch", batch_size=batch_size, device="cpu")(paths).vectors
        np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-5)


def test_flip_is_the_mean_with_the_mirror_image(model: Model, paths: list[str]) -> None:
    plain, flipped = Embedder(model, "torch", device="cpu"), Embedder(model, "torch", device="cpu", flip=True)
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
    expected = Embedder(model, "torch", device="cpu")([fit(p, 32, 16, how="letterbox") for p in pixels])
    for images in (paths, pixels):
        np.testing.assert_allclose(boxed(images).vectors, expected.vectors, rtol=1e-4, atol=1e-5)


def test_a_cache_changes_nothing(model: Model, paths: list[str], tmp_path: Path) -> None:
    plain = Embedder(model, "torch", device="cpu")(paths)
    for _ in range(2):
        cached = Embedder(model, "torch", device="cpu", cache=tmp_path / "cache")(paths)
        np.testing.assert_array_equal(cached.vectors, plain.vectors)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_progress_is_told(model: Model, paths: list[str]) -> None:
    told: list[tuple[int, int]] = []
    Embedder(model, "torch", batch_size=3, device="cpu")(paths, progress=lambda *done: told.append(done))
    assert told == [(3, 7), (6, 7), (7, 7)]


def test_a_damaged_image_is_named_and_the_network_stays_as_it_was(model: Model, paths: list[str]) -> None:
    Path(paths[5]).write_bytes(Path(paths[5]).read_bytes()[:200])
    embedder = Embedder(model, "torch", batch_size=2, device="cpu")
    for images in (paths, paths[5], str(Path(paths[5]).parent)):
        with pytest.raises(DataError, match=r"5\.jpg is not a complete image"):
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
    embedder = Embedder(model, "torch", device="cpu")
    (tmp_path / "empty").mkdir()
    nothing = Split([], [], [], name="nobody")  # type: ignore[arg-type]
    refused = {
        "nobody has no images": nothing,
        "empty holds no images": tmp_path / "empty",
        "gone does not exist": tmp_path / "gone",
        "the list of images is empty": [],
        "the iterator yields no images": iter([]),
        r"image 0 is float32 \(4, 4, 3\): pass a path": np.zeros((4, 4, 3), np.float32),
        r"image 1 is uint8 \(4, 4, 4\)": [decode(paths[0]), np.zeros((4, 4, 4), np.uint8)],
        r"image 0 is uint8 \(0, 4, 3\)": np.zeros((0, 4, 3), np.uint8),
        r"image 0 is uint8 \(4, 4, 3\)": torch.zeros((4, 4, 3), dtype=torch.uint8),
        "image 0 has values outside 0 to 1": torch.full((3, 4, 4), 255.0),
        r"image 1 has values outside 0 to 1": torch.stack([torch.zeros(3, 4, 4), torch.full((3, 4, 4), torch.nan)]),
        "image 0 is int": [3],
        "is no path, for it has a zero byte": ["a\0.jpg"],
        "image 0 is None, which cv2.imread gives for a file it cannot read: ": None,
    }
    for message, images in refused.items():
        with pytest.raises(DataError, match=message):
            embedder(images)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="engine 'tensorrt' is not known"):
        Embedder(model, engine="tensorrt")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="batch_size is 0"):
        Embedder(model, "torch", batch_size=0)


def test_each_images_own_camera(paths: list[str]) -> None:
    """Side information: the row of the table of the image's camera, counted from 1; without it their mean."""
    torch.manual_seed(0)
    plain = resight.load("transreid_tiny", depth=2, cameras=3, height=32, width=32)
    torch.nn.init.normal_(plain.network.base.sie_embed)
    split = Split(paths, np.arange(7), np.array([1, 2, 3, 1, 2, 3, 1]))  # type: ignore[arg-type]
    own = Embedder(plain, device="cpu", batch_size=3, cameras=True)
    found, averaged = own(split), Embedder(plain, "torch", device="cpu")(split)
    to = plain.card.preprocessing
    with torch.no_grad():
        for at, path in enumerate(paths):
            x = prepare(torch.from_numpy(fit(decode(path), to.height, to.width).copy())[None], to)
            expected = plain.network(x, torch.tensor([split.cameras[at] - 1])).embedding[0].numpy()
            np.testing.assert_allclose(found.vectors[at], expected, rtol=0, atol=1e-5)
    assert found.fingerprint not in ("", averaged.fingerprint)
    assert not np.allclose(found.vectors, averaged.vectors, atol=1e-3)
    again = Embedder(own.model, **own.settings)
    assert again.model.card == own.model.card and np.allclose(again(split).vectors, found.vectors)
    with pytest.raises(ModelError, match="Camera 4 is outside the model's table of cameras 1 to 3"):
        own(Split(paths, np.arange(7), np.full(7, 4)))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="needs the camera of each image"):
        own(paths)
    with pytest.raises(RecipeError, match="use engine='torch'"):
        Embedder(plain, "onnx", cameras=True)
    with pytest.raises(ModelError, match="has no camera table"):
        Embedder(flat_model(), cameras=True)


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
def test_the_interpolation_of_the_card(paths: list[str], kind: str, tmp_path: Path) -> None:
    """As Pillow resizes, antialiased, whichever way the pictures come; in the fingerprint; in what is kept decoded."""
    plain = flat_model(16, 8)
    card = plain.card.model_copy(
        update={"preprocessing": plain.card.preprocessing.model_copy(update={"interpolation": kind})}
    )
    model = replace(plain, card=card)
    how = getattr(Image.Resampling, kind.upper())
    for path in paths:
        with Image.open(path) as picture:
            expected = np.asarray(picture.convert("RGB").resize((8, 16), how), int)
        assert np.abs(fit(decode(path), 16, 8, interpolation=kind).astype(int) - expected).max() <= 1  # type: ignore[arg-type]
    embedder = Embedder(model, "torch", device="cpu", cache=tmp_path / "cache")
    first = embedder(paths).vectors
    for given in (paths, [Image.open(path) for path in paths], [decode(path) for path in paths]):
        np.testing.assert_allclose(embedder(given).vectors, first, atol=1e-6)
    other = Embedder(plain, "torch", device="cpu", cache=tmp_path / "cache")(paths).vectors
    assert not np.allclose(other, first, atol=1e-3)
    bars = fit(decode(paths[0]), 16, 8, how="letterbox", interpolation=kind)  # type: ignore[arg-type]
    assert bars.shape == (16, 8, 3)
