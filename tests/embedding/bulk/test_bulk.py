"""Many images to one file: what stands in it, what is told beside it, and that it goes on when it was stopped."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import resight
from conftest import write_noise
from flat import flat_model, pixels_of
from limits import files_no_larger_than
from resight.embedding.bulk import run as bulk
from resight.embedding.bulk.run import embed_to_file
from resight.embedding.embedder import Embedder
from resight.embedding.files import read
from resight.embedding.measure import measure
from resight.embedding.source import find, source_of
from resight.errors import DataError, ResightError
from resight.images.decode import decode, fit
from resight.images.video import Video
from resight.models.model import Model
from resight.retrieval.evaluation.evaluate import evaluate

pytest.importorskip("pyarrow")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(22):
        write_noise(tmp_path / "images" / f"{seed:02d}.jpg", 40, 20, seed)
    return tmp_path / "images"


def embedder(batch_size: int = 4, **changes: object) -> Embedder:
    flat = flat_model()
    return Embedder(Model(flat.network, flat.card.model_copy(update=changes)), "torch", batch_size, device="cpu")


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
def test_a_folder_becomes_a_file_and_its_manifest(folder: Path, tmp_path: Path, suffix: str) -> None:
    told: list[tuple[int, int]] = []
    file = tmp_path / "out" / f"a.{suffix}"
    written = embed_to_file(
        embedder(), folder, file, part=10, about={"command": "c"}, progress=lambda *done: told.append(done)
    )
    found = read(file)
    paths = sorted(str(path) for path in folder.iterdir())
    assert found.paths is not None and found.paths.tolist() == paths and found.fingerprint == "flat"
    assert found.identities is None and found.cameras is None
    np.testing.assert_array_equal(pixels_of(found.vectors), [fit(decode(path), 32, 16) for path in paths])
    assert told == [(4, 22), (8, 22), (10, 22), (14, 22), (18, 22), (20, 22), (22, 22)]
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name, f"{file.name}.manifest.json"]
    manifest = json.loads(Path(written.manifest).read_text())
    assert manifest["images"] == manifest["embedded"] == 22 and manifest["dim"] == 3 * 32 * 16
    assert manifest["failed"] == [] and manifest["command"] == "c" and manifest["fingerprint"] == "flat"
    assert manifest["card"]["preprocessing"]["height"] == 32 and manifest["versions"]["numpy"] == np.__version__
    assert manifest["data_fingerprint"] == written.data_fingerprint == source_of(folder).fingerprint()  # type: ignore[union-attr]


@pytest.mark.long
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(folder: Path) -> None:
    (folder / "05.jpg").write_bytes(b"")
    for path in sorted(folder.iterdir())[9:]:
        path.unlink()
    script = Path(__file__).with_name("kill_and_go_on.py")
    done = subprocess.run(
        [sys.executable, script, folder],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["kills"] == result["same"] == result["left"] >= 20 and result["strays"] == [], result


def test_what_was_done_is_not_done_again(folder: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > 17:
            raise KeyboardInterrupt

    file = tmp_path / "a.npz"
    with pytest.raises(KeyboardInterrupt):
        embed_to_file(embedder(), folder, file, part=8, progress=stop)
    assert not file.exists()
    told: list[int] = []
    embed_to_file(embedder(), folder, file, part=8, progress=lambda done, total: told.append(done))
    assert told == [20, 22]
    assert len(read(file)) == 22


def test_two_programs_do_not_work_on_one_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "vectors.npz"
    refused = []

    def meanwhile(done: int, _: int) -> None:
        if not refused:
            with pytest.raises(ResightError, match=r"Another program embeds into .*vectors\.npz\.parts now") as caught:
                embed_to_file(embedder(), folder, file, part=4)
            refused.append(caught)

    written = embed_to_file(embedder(), folder, file, part=4, progress=meanwhile)
    assert refused and len(read(file).vectors) == written.embedded == written.images
    embed_to_file(embedder(), folder, file, part=4)


def test_other_work_is_not_gone_on_with(folder: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > 4:
            raise KeyboardInterrupt

    file = tmp_path / "a.npz"
    for part in (9, 4):  # of the first no part was done
        with pytest.raises(KeyboardInterrupt):
            embed_to_file(embedder(), folder, file, part=part, progress=stop)
    refused: dict[str, Callable[[], object]] = {
        r"model: flat, now other": lambda: embed_to_file(embedder(fingerprint="other"), folder, file, part=4),
        "batch size: 4, now 5": lambda: embed_to_file(embedder(5), folder, file, part=4),
        "images: [0-9a-f]{64}, now": lambda: embed_to_file(embedder(), [folder / "00.jpg"], file, part=4),
    }
    for message, attempt in refused.items():
        with pytest.raises(
            DataError, match=rf"a\.npz\.parts was begun with other settings \({message}.*delete the folder"
        ):
            attempt()
    write_noise(folder / "99.jpg", 40, 20)
    with pytest.raises(DataError, match=r"other settings \(images"):
        embed_to_file(embedder(), folder, file, part=4)
    (folder / "99.jpg").unlink()
    embed_to_file(embedder(), folder, file, part=4)
    foreign = tmp_path / "b.npz.parts"
    foreign.mkdir()
    (foreign / "mine.txt").touch()
    with pytest.raises(DataError, match="is in the way"):
        embed_to_file(embedder(), folder, tmp_path / "b.npz")
    assert (foreign / "mine.txt").exists()


def test_links_stay_and_pipes_and_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link.npz").symlink_to("real.npz")
    embed_to_file(embedder(), folder, tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink() and len(read(tmp_path / "real.npz")) == 22
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "folder.npz").mkdir()
    for name, what in (("pipe", "a pipe, socket or device"), ("folder", "a folder")):
        with pytest.raises(DataError, match=rf"{name}\.npz is {what}, and"):
            embed_to_file(embedder(), folder, tmp_path / f"{name}.npz")


def test_the_fingerprint_of_images_knows_names_sizes_order_and_labels(folder: Path, tmp_path: Path) -> None:
    def of(images: object) -> str:
        return source_of(images).fingerprint()  # type: ignore[arg-type, union-attr]

    paths = np.array(sorted(str(path) for path in folder.iterdir()))
    split = resight.Split(paths, np.arange(22), np.ones(22, np.int64))
    known = [of(folder), of(split), of(split.take(np.arange(22)[::-1])), of(paths[:-1].tolist())]
    known.append(of(resight.Split(paths, np.arange(22)[::-1], np.ones(22, np.int64))))
    assert len(set(known)) == 5 and of(folder) == of(paths.tolist()) == known[0]
    folder.rename(tmp_path / "elsewhere")
    assert of(tmp_path / "elsewhere") == known[0]
    (tmp_path / "elsewhere" / "07.jpg").write_bytes(b"another")
    assert of(tmp_path / "elsewhere") != known[0]


def test_bad_images_stop_it_or_are_named_in_the_manifest(folder: Path, tmp_path: Path) -> None:
    for name in ("03", "08", "09", "10", "11"):
        (folder / f"{name}.jpg").write_bytes(b"")
    file = tmp_path / "a.parquet"
    with pytest.raises(DataError, match=r"03\.jpg is empty"):
        embed_to_file(embedder(), folder, file, part=4)
    assert not file.exists()
    written = embed_to_file(embedder(), folder, file, skip=True, part=4)
    assert (written.images, written.embedded) == (22, 17)
    failed = json.loads(Path(written.manifest).read_text())["failed"]
    assert [one["position"] for one in failed] == [3, 8, 9, 10, 11]  # a whole part among them
    assert failed[0]["name"] == str(folder / "03.jpg") and "is empty (0 bytes)" in failed[0]["reason"]
    found = read(file)
    left = [at for at in range(22) if at not in (3, 8, 9, 10, 11)]
    assert found.paths is not None and found.paths.tolist() == [str(folder / f"{at:02d}.jpg") for at in left]
    np.testing.assert_array_equal(pixels_of(found.vectors), [fit(decode(path), 32, 16) for path in found.paths])
    with pytest.raises(DataError, match=r"None of 2 images can be embedded; of the first: .*03\.jpg is empty"):
        embed_to_file(embedder(), [folder / "03.jpg", folder / "08.jpg"], tmp_path / "b.npz", skip=True)


def test_parts_with_bad_images_do_not_pass_for_whole_ones(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "03.jpg").write_bytes(b"")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(bulk, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        embed_to_file(embedder(), folder, tmp_path / "a.npz", skip=True)
    with pytest.raises(DataError, match=r"03\.jpg is empty"):
        embed_to_file(embedder(), folder, tmp_path / "a.npz")


def test_a_full_disk_or_a_forbidden_place_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    with pytest.raises(ResightError, match="cannot be written"), files_no_larger_than(10_000):
        embed_to_file(embedder(), folder, file, part=4)
    assert not file.exists()
    embed_to_file(embedder(), folder, file, part=4)  # once there is space again
    assert len(read(file)) == 22
    (tmp_path / "c.npz").mkdir()
    with pytest.raises(DataError, match=r"c\.npz is a folder"):
        embed_to_file(embedder(), folder, tmp_path / "c.npz")
    (tmp_path / "file").touch()
    with pytest.raises(ResightError, match="cannot be written"):
        embed_to_file(embedder(), folder, tmp_path / "file" / "a.npz")
    with pytest.raises(DataError, match=r"must end in \.parquet or \.npz"):
        embed_to_file(embedder(), folder, tmp_path / "a.csv")
    for images in (iter([folder / "00.jpg"]), [decode(folder / "00.jpg")]):
        with pytest.raises(DataError, match="Only files can be gone on with"):
            embed_to_file(embedder(), images, tmp_path / "b.npz")
    odd = folder / os.fsdecode(b"\xff.jpg")
    write_noise(odd, 40, 20)
    with pytest.raises(DataError, match=r"The path '.*udcff\.jpg' is no UTF-8, which Parquet needs"):
        embed_to_file(embedder(), folder, tmp_path / "b.parquet")
    assert not (tmp_path / "b.parquet.parts").exists()
    assert len(read(embed_to_file(embedder(), folder, tmp_path / "b.npz").file)) == 23


def test_a_data_set_keeps_its_labels_and_is_measured_alike(tiny_market: Callable[..., Path], tmp_path: Path) -> None:
    model = resight.load("osnet_x0_25", height=32, width=16)
    data = resight.datasets.load("market_layout", tiny_market())
    images = find(tmp_path / "market")
    embed_to_file(Embedder(model, "torch", device="cpu"), images, tmp_path / "a.parquet", part=7)
    found = read(tmp_path / "a.parquet")
    assert len(found) == sum(map(len, data.splits.values()))
    parts = {key: found.take(found.columns["split"] == key) for key in data.splits}
    for key, split in data.splits.items():
        for name in ("paths", "identities", "cameras"):
            np.testing.assert_array_equal(getattr(parts[key], name), getattr(split, name))
    report = evaluate(parts["query"], parts["gallery"], protocol=data.protocol, metric=model.card.metric)
    expected = measure(model, data, device="cpu")[2]
    assert report.mAP == pytest.approx(expected.mAP, abs=1e-6) and report.queries == expected.queries
    query = find(tmp_path / "market", part="query")
    assert isinstance(query, resight.Split) and query.paths.tolist() == data.query.paths.tolist()
    assert find(tmp_path / "market" / "query") == str(tmp_path / "market" / "query")  # a mere folder
    with pytest.raises(DataError, match="'test' is no part of"):
        find(tmp_path / "market", part="test")
    with pytest.raises(DataError, match="is no known data set and has no query"):
        find(tmp_path / "market" / "query", part="query")
    with pytest.raises(DataError, match="does not exist"):
        find(tmp_path / "gone")


def test_auto_settles_on_one_engine_for_all_parts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int) -> None:
        if done > 12:
            raise KeyboardInterrupt

    asked: list[object] = []
    monkeypatch.setattr(bulk, "known", lambda *_: {})
    monkeypatch.setattr(bulk, "measure", lambda *_: asked.append(_) or {"torch": 2.0})
    monkeypatch.setattr(bulk, "engines_of", lambda *_: ("torch", "onnx"))
    flat = Embedder(flat_model(), "auto", 4, device="cpu")
    few = embed_to_file(flat, folder, tmp_path / "few.npz", part=8)
    assert asked == [] and json.loads(Path(few.manifest).read_text())["settings"]["engine"] == "torch"
    monkeypatch.setattr(bulk, "PATIENCE", 10)
    with pytest.raises(KeyboardInterrupt):
        embed_to_file(flat, folder, tmp_path / "many.npz", part=8, progress=stop)
    monkeypatch.setattr(bulk, "measure", lambda *_: {"onnx": 2.0})  # not asked again
    many = embed_to_file(flat, folder, tmp_path / "many.npz", part=8)
    assert len(asked) == 1 and json.loads(Path(many.manifest).read_text())["settings"]["engine"] == "torch"
    assert Path(many.file).read_bytes() == Path(few.file).read_bytes()


def test_a_video_is_read_once_for_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 32))
    for seed in range(12):
        writer.write(np.random.default_rng(seed).integers(0, 256, (32, 32, 3)).astype(np.uint8))
    writer.release()
    lines = [f"{frame},{x},2,16,20,{x}" for frame in range(12) for x in (0, 9)]
    (tmp_path / "a.csv").write_text("\n".join(["frame,x,y,width,height,track", *lines]) + "\n")
    video = Video(tmp_path / "a.avi", tmp_path / "a.csv")
    opened, items = [], video.items
    monkeypatch.setattr(Video, "items", lambda self, start=0: opened.append(start) or items(start))

    def stop(done: int, total: int) -> None:
        if done == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_to_file(embedder(), video, tmp_path / "a.npz", part=5, progress=stop)
    written = embed_to_file(embedder(), video, tmp_path / "a.npz", part=5)
    assert opened == [0, 10]
    found = read(written.file)
    np.testing.assert_array_equal(found.vectors, embedder()(video).vectors)
    assert found.columns["tracks"].tolist() == [0, 9] * 12 and found.columns["boxes"].shape == (24, 4)


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
def test_a_file_of_somebody_else_is_not_replaced(folder: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"mine.{suffix}"
    embed_to_file(embedder(), folder, file)
    embed_to_file(embedder(), folder, file)  # what it wrote itself, it writes again
    numbers = tmp_path / "numbers.npz"
    np.savez(numbers, a=np.arange(3))
    for foreign in (b"hello\n", numbers.read_bytes()):
        file.write_bytes(foreign)
        with pytest.raises(DataError, match=rf"mine\.{suffix} holds no embeddings written by resight"):
            embed_to_file(embedder(), folder, file)
        assert file.read_bytes() == foreign
