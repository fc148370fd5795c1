"""Pictures into a gallery and out of it, with a model whose embeddings are the pixels."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from conftest import write_noise
from flat import flat_model
from resight import DataError, Embedder, Gallery, ModelError, RecipeError, Split
from resight.gallery import answers
from resight.gallery.record import Missing, Policy
from resight.images.decode import decode, decode_bytes
from resight.images.stream import BadImage
from resight.models.model import Model

NewUri = Callable[[], str]


def model(fingerprint: str = "flat") -> Embedder:
    """The 32 x 16 pixels of a picture, or of another model the 16 x 8."""
    one = flat_model() if fingerprint == "flat" else flat_model(16, 8)
    return Embedder(Model(one.network, one.card.model_copy(update={"fingerprint": fingerprint})), "torch", device="cpu")


def jpeg(seed: int, height: int = 64, width: int = 32) -> bytes:
    image = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3)).astype(np.uint8)
    large = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, 98])[1])


def with_exif(data: bytes) -> bytes:
    """The same picture by a camera that tells its name and place, lying on its side."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "SecretCamera"
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 1.0, 2.0)
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).save(out, "jpeg", exif=exif, comment=b"SecretPlace")
    return out.getvalue()


def folder(where: Path, count: int) -> list[str]:
    where.mkdir()
    for seed in range(count):
        (where / f"{seed}.jpg").write_bytes(jpeg(seed))
    return [str(where / f"{seed}.jpg") for seed in range(count)]


def test_pictures_are_found_by_themselves_in_any_form(gallery_uri: str, tmp_path: Path) -> None:
    paths = folder(tmp_path / "in", 5)
    with Gallery.open(gallery_uri, model()) as gallery:
        steps: list[tuple[int, int]] = []
        added = gallery.add(tmp_path / "in", cameras="north", progress=lambda done, total: steps.append((done, total)))
        assert (added.new, added.failed) == (5, ())
        assert steps[-1] == (5, 5)
        for at, path in enumerate(paths):
            forms = (path, Path(path), Path(path).read_bytes(), Image.open(path), decode(path))
            for form in forms:
                hit = gallery.search(form)[0]
                assert (hit.record.id, hit.distance) == (added.ids[at], 0.0)
        assert [record.source for record in gallery.get(added.ids)] == paths
        assert [hits[0].record.id for hits in gallery.search_many(paths)] == list(added.ids)
        embedded = model()(paths)
        np.testing.assert_array_equal(gallery.vectors(added.ids), embedded.vectors)
        assert [hits[0].record.id for hits in gallery.search_many(embedded)] == list(added.ids)


def test_the_same_file_is_the_same_record_however_it_comes(gallery_uri: str, tmp_path: Path) -> None:
    (path,) = folder(tmp_path / "in", 1)
    data = Path(path).read_bytes()
    with Gallery.open(gallery_uri, model()) as gallery:
        (id,) = gallery.add(path, cameras="north", times=3).ids
        copy = tmp_path / "copy.jpg"
        copy.write_bytes(data)
        for form in (data, copy, [copy, data], iter([path]), io.BytesIO(data), [io.BytesIO(data)]):
            again = gallery.add(form, cameras="north", times=3.0)
            assert (again.new, set(again.ids)) == (0, {id})
        assert gallery.add([io.BytesIO(jpeg(5)), io.BytesIO(data)], cameras="north", times=3).new == 1
        assert gallery.search(jpeg(5))[0].distance < 1e-6
        assert gallery.add(decode(path), cameras="north", times=3).new == 1  # pixels are not the file
        assert gallery.add(decode(path), cameras="north", times=3).new == 0
        assert gallery.add([jpeg(7), path, jpeg(8)], cameras="north", times=3).new == 2


def test_what_a_notebook_shows(new_uri: NewUri) -> None:
    with Gallery.open(new_uri(), model()) as gallery:
        added = gallery.add(jpeg(1))
        assert repr(gallery) == f"<Gallery {gallery.uri}, of {gallery.card.architecture}>"
        assert repr(added).startswith("Added(new=1, known=0, ") and added.ids[0] not in repr(added)


def test_frames_of_opencv(new_uri: NewUri, tmp_path: Path) -> None:
    """In BGR they are the same records and pictures as in RGB."""
    paths = folder(tmp_path / "in", 3)
    right, wrong = [decode(path) for path in paths], [decode(path)[..., ::-1] for path in paths]
    with Gallery.open(new_uri(), model()) as gallery:
        added = gallery.add(wrong, colour="BGR")
        assert gallery.add(right).known == 3 and len(gallery) == 3
        small = gallery.thumbnail(added.ids[0])
        assert small is not None and np.abs(decode_bytes(small, "") - right[0].astype(int)).mean() < 8
        assert [hits[0].distance for hits in gallery.search_many(wrong, k=1, colour="BGR")] == [0.0] * 3
        assert gallery.search(wrong[1], k=1, colour="BGR")[0].record.id == added.ids[1]
        assert gallery.search(wrong[1], k=1)[0].distance > 0.0
        for action in (gallery.add, gallery.search):
            with pytest.raises(RecipeError, match="colour is 'bgr': choose 'RGB' or 'BGR'"):
                action(wrong[0], colour="bgr")  # type: ignore[operator]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_of_a_table_are_pictures_and_labels(new_uri: NewUri, tmp_path: Path, library: str) -> None:
    series, paths = pytest.importorskip(library).Series, folder(tmp_path / "in", 3)
    with Gallery.open(new_uri(), model()) as gallery:
        added = gallery.add(
            series(paths)[1:], cameras=series(["a", "b", "c"])[1:], identities=series(["", "B", "C"])[1:]
        )
        told = [(record.source, record.camera, record.identity) for record in gallery.get(added.ids)]
        assert told == [(paths[1], "b", "B"), (paths[2], "c", "C")]


def test_what_is_there_is_not_embedded_again(gallery_uri: str, tmp_path: Path) -> None:
    paths = folder(tmp_path / "in", 3)
    with Gallery.open(gallery_uri, model()) as gallery:
        gallery.add(paths)
        seen: list[int] = []

        class Counting(Embedder):
            def run(self, batches, total, **how):  # type: ignore[no-untyped-def]
                batches = list(batches)
                seen.extend(len(batch.positions) for batch in batches)
                return super().run(batches, total, **how)

        counting = Gallery(gallery.store, Counting(flat_model(), "torch", device="cpu"), "me")
        assert counting.add([*paths, jpeg(9)]).new == 1
        assert seen == [1]


def test_a_thumbnail_is_small_upright_and_tells_nothing_else(new_uri: NewUri) -> None:
    data = with_exif(jpeg(0, height=400, width=1000))
    with Gallery.open(new_uri(), model()) as gallery:
        (id,) = gallery.add(data).ids
        small = gallery.thumbnail(id)
        assert small is not None
        assert small.startswith(b"\xff\xd8")
        assert decode_bytes(small, "it").shape == (256, 102, 3)  # upright, as the EXIF said
        assert not any(word in small for word in (b"Exif", b"Secret", b"ICC_PROFILE"))
        expected = cv2.resize(decode_bytes(data, "it"), (102, 256), interpolation=cv2.INTER_AREA)
        assert (
            np.abs(decode_bytes(small, "it").astype(float) - expected).mean() < 10
        )  # mirrored or lying it would be 80
        tiny = gallery.thumbnail(gallery.add(jpeg(1, height=40, width=20)).ids[0])
        assert tiny is not None
        assert decode_bytes(tiny, "it").shape == (40, 20, 3)
        (own,) = gallery.add(embeddings_of(jpeg(2)), thumbnails=[data]).ids
        again = gallery.thumbnail(own)
        assert again is not None
        assert b"Secret" not in again
        (other,) = gallery.add(jpeg(3), thumbnails=[jpeg(4)]).ids
        assert gallery.thumbnail(other) != gallery.thumbnail(gallery.add(jpeg(3), cameras="x").ids[0])
        with pytest.raises(DataError, match="thumbnail of picture 0"):
            gallery.add(embeddings_of(jpeg(5)), thumbnails=[b"no image"])
    with Gallery.open(new_uri(), model(), policy=Policy(thumbnail_side=30)) as gallery:
        small = gallery.thumbnail(gallery.add(data).ids[0])
        assert small is not None
        assert decode_bytes(small, "it").shape == (30, 12, 3)
    with Gallery.open(new_uri(), model(), policy=Policy(thumbnails=False)) as gallery:
        assert gallery.thumbnail(gallery.add(data, thumbnails=[data]).ids[0]) is None


def embeddings_of(data: bytes):  # type: ignore[no-untyped-def]
    return model()(data)


def test_bad_pictures_are_told_of_and_the_rest_is_added(gallery_uri: str, tmp_path: Path) -> None:
    paths = folder(tmp_path / "in", 3)
    Path(paths[1]).write_bytes(b"\xff\xd8 broken")
    told: list[BadImage] = []
    with Gallery.open(gallery_uri, model()) as gallery:
        with pytest.raises(DataError, match=r"1\.jpg"):
            gallery.add(paths)
        assert len(gallery) == 0
        added = gallery.add([*paths, str(tmp_path / "none.jpg"), b"", 3.5], on_error=told.append)  # type: ignore[list-item]
        assert (added.new, len(added.ids)) == (2, 2)
        assert [bad.position for bad in told] == [1, 3, 4, 5]
        assert list(added.failed) == told
        assert "none.jpg" in told[1].reason
        assert [gallery.search(paths[at])[0].record.id for at in (0, 2)] == list(added.ids)
        with pytest.raises(DataError):
            gallery.search(b"no picture")
        with pytest.raises(DataError, match="empty"):
            gallery.add([])


def test_labels_of_each_picture(gallery_uri: str, tmp_path: Path) -> None:
    paths = folder(tmp_path / "in", 4)
    split = Split(np.array(paths), np.array([1, 2, 0, -1]), np.array([3, 3, 4, 5]))
    with Gallery.open(gallery_uri, model()) as gallery:
        ids = gallery.add(split, times=[1, 2, None, 4], identities=["Ann", None, None, "Bob"]).ids
        found = gallery.get(ids)
        assert [record.camera for record in found] == ["3", "3", "4", "5"]
        assert [record.time for record in found] == [1.0, 2.0, None, 4.0]
        assert [record.identity for record in found] == ["Ann", None, None, "Bob"]
        with pytest.raises(DataError, match="iterator"):
            gallery.add(iter(paths), times=[1.0] * 4)


def test_the_model_comes_from_where_it_was(gallery_uri: str, tmp_path: Path) -> None:
    import resight

    file = tmp_path / "net.safetensors"
    resight.load("osnet_x0_25", height=64, width=32).save(file)
    with Gallery.open(gallery_uri, file) as gallery:
        (id,) = gallery.add(jpeg(0)).ids
    with Gallery.open(gallery_uri) as gallery:
        assert gallery.search(jpeg(0))[0].record.id == id
    resight.load("osnet_x0_25", height=64, width=32).save(file)  # other random weights
    with pytest.raises(
        ModelError, match="whose weights are random and differ each time it is made: open it with its own"
    ):
        Gallery.open(gallery_uri, resight.load("osnet_x0_25", height=64, width=32))
    with Gallery.open(gallery_uri) as gallery, pytest.raises(ModelError, match=r"now, but.*reembed"):
        gallery.search(jpeg(0))
    file.unlink()
    with Gallery.open(gallery_uri) as gallery, pytest.raises(ModelError, match="model="):
        gallery.search(jpeg(0))


def test_another_model_takes_the_sources_and_else_the_thumbnails(new_uri: NewUri, tmp_path: Path) -> None:
    paths = folder(tmp_path / "in", 4)
    frame = decode_bytes(jpeg(20, height=300, width=300), "it")
    (tmp_path / "frame.png").write_bytes(cv2.imencode(".png", frame[..., ::-1])[1].tobytes())
    box = (10, 20, 110, 260)
    crop = frame[20:260, 10:110]
    with Gallery.open(new_uri(), model()) as gallery:
        ids = gallery.add(paths, cameras="north", identities=["Ann", None, "Bob", None]).ids
        (cut,) = gallery.add(crop, boxes=[box], sources=[str(tmp_path / "frame.png")]).ids
        (lost,) = gallery.add(model()(jpeg(30))).ids
        Path(paths[1]).unlink()
        write_noise(Path(paths[2]))  # another picture under the same name
        for other in (ids[0], lost):
            answers.put(gallery, cut, other, "different")
        target = new_uri()
        done = gallery.reembed(model("other"), target)
        assert done.records == 5
        assert set(done.from_thumbnails) == {ids[1], ids[2]}
        assert done.lost == (lost,)
        with Gallery.open(target, model("other")) as moved:
            assert moved.get([*ids, cut]) == gallery.get([*ids, cut])
            assert moved.thumbnail(cut) == gallery.thumbnail(cut)
            assert [{one.first, one.second} for one in answers.of(moved)] == [{cut, ids[0]}]
            np.testing.assert_array_equal(moved.vectors([ids[0], cut]), model("other")([paths[0], crop]).vectors)
            small = [gallery.thumbnail(id) for id in ids[1:3]]
            np.testing.assert_array_equal(moved.vectors(ids[1:3]), model("other")(small).vectors)
            assert moved.card.dim == 3 * 16 * 8
        again = gallery.reembed(model("other"), target)
        assert (again.records, again.lost) == (5, (lost,))
        with pytest.raises(ModelError, match="already"):
            gallery.reembed(model(), new_uri())
        with pytest.raises(Missing):
            gallery.thumbnail("0" * 32)


def test_colours_and_sizes_of_pixels(gallery_uri: str) -> None:
    grey: NDArray[np.uint8] = np.full((4, 3), 7, np.uint8)
    with Gallery.open(gallery_uri, model()) as gallery:
        (id,) = gallery.add(grey).ids
        assert gallery.search(np.full((9, 9, 3), 7, np.uint8))[0].record.id == id
        with pytest.raises(DataError):
            gallery.add(np.zeros((0, 3, 3), np.uint8))
