"""``resight embed``: the file, the manifest, what is printed, and what is refused."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import resight
from conftest import write_noise
from resight.embedding.files import read
from resight.images.decode import decode

from .conftest import Shell


@pytest.fixture
def model(shell: Shell) -> str:
    """An untrained model in the working folder."""
    resight.load("osnet_x0_25", height=32, width=16).save("model.safetensors")
    return "model.safetensors"


def vectors(images: object, **settings: object) -> np.ndarray:
    embedder = resight.Embedder(resight.load("model.safetensors"), "torch", device="cpu", **settings)  # type: ignore[arg-type]
    return embedder(images).vectors  # type: ignore[arg-type]


def test_a_folder_with_a_bad_image(shell: Shell, model: str) -> None:
    for seed in range(5):
        write_noise(Path("images") / f"{seed}.jpg", 40, 20, seed)
    Path("images/3.jpg").write_bytes(b"")
    code, out, err = shell("embed", model, "images", "-o", "a.npz", "--engine", "torch")
    assert code == 2 and out == "" and "images/3.jpg is empty (0 bytes): copy it again or remove it." in err
    assert not Path("a.npz").exists()
    code, out, err = shell("embed", model, "images", "-o", "a.npz", "--on-error", "skip", "--engine", "torch")
    assert code == 0 and out == "4 of 5 images embedded, 512 numbers each.\n"
    assert "left out: images/3.jpg is empty" in err and "written: a.npz, a.npz.manifest.json" in err
    left = [f"images/{seed}.jpg" for seed in (0, 1, 2, 4)]
    np.testing.assert_allclose(read("a.npz").vectors, vectors(left), rtol=1e-4, atol=1e-5)
    manifest = json.loads(Path("a.npz.manifest.json").read_text())
    assert manifest["model"] == model and manifest["source"] == "images" and manifest["failed"][0]["position"] == 3
    assert manifest["command"] == "resight embed model.safetensors images -o a.npz --on-error skip --engine torch"
    assert manifest["card"]["architecture"] == "osnet_x0_25"
    code, out, _ = shell(
        "embed",
        model,
        "images",
        "-o",
        "b.npz",
        "--on-error",
        "skip",
        "--flip",
        "--batch-size",
        3,
        "--engine",
        "torch",
        "--json",
    )
    result = json.loads(out)
    assert code == 0 and result["images"] == 5 and result["embedded"] == 4 and result["dim"] == 512
    assert result["file"] == "b.npz" and result["fingerprint"] == manifest["fingerprint"]
    np.testing.assert_allclose(read("b.npz").vectors, vectors(left, flip=True), rtol=1e-4, atol=1e-5)


def test_names_by_a_pattern(shell: Shell, model: str) -> None:
    for seed, name in enumerate(["door/anna_7.jpg", "yard/ben_8.jpg", "yard/anna_9.jpg"]):
        write_noise(Path("images") / name, 40, 20, seed)
    pattern = r"(?P<camera>\w+)/(?P<identity>[a-z]+)_(?P<frame>\d+)\.jpg$"
    code, _, err = shell("embed", model, "images", "-o", "a.npz", "--pattern", pattern, "--engine", "torch")
    assert code == 0, err
    found = read("a.npz")
    assert found.columns["identity_names"].tolist() == ["anna", "anna", "ben"]
    assert found.columns["camera_names"].tolist() == ["door", "yard", "yard"]
    assert found.columns["frames"].tolist() == [7, 9, 8]
    assert found.identities is not None and found.cameras is not None
    assert found.identities[0] == found.identities[1] != found.identities[2] and found.cameras[1] == found.cameras[2]
    code, _, err = shell("embed", model, "images", "-o", "b.npz", "--pattern", r"(?P<camera>\w+)/", "--engine", "torch")
    assert code == 0 and read("b.npz").identities is None
    code, _, err = shell("embed", model, "images", "-o", "c.npz", "--pattern", r"(?P<identity>x)")
    assert code == 2 and "does not fit 3 of 3 images" in err
    code, _, err = shell("embed", model, "images", "-o", "c.npz", "--pattern", r"(?P<identity>x)?(?P<camera>\w)")
    assert code == 2 and "finds no identity in images/door/anna_7.jpg" in err
    code, _, err = shell("embed", model, "images", "-o", "c.npz", "--pattern", r"(?P<identity>x)", "--as", "folder")
    assert code == 2 and "leave out --boxes, --as and --split" in err


def test_a_data_set_and_a_model_by_name(shell: Shell, tiny_market: Callable[..., Path]) -> None:
    pytest.importorskip("pyarrow")
    size = "--height", "32", "--width", "16", "--engine", "torch"
    data = resight.datasets.load("market_layout", tiny_market())
    code, out, err = shell("embed", "osnet_x0_25", "market", "-o", "query.parquet", "--split", "query", *size)
    assert code == 0, err
    found = read("query.parquet")
    assert found.identities is not None and found.identities.tolist() == data.query.identities.tolist()
    assert found.cameras is not None and found.cameras.tolist() == data.query.cameras.tolist()
    everything = sum(map(len, data.splits.values()))
    code, out, err = shell("embed", "osnet_x0_25", "market", "-o", "all.npz", "--as", "market_layout", *size)
    assert code == 0 and f"{everything} of {everything} images embedded" in out
    assert set(read("all.npz").columns["split"].tolist()) == {"train", "query", "gallery"}


def test_the_boxes_of_a_video(shell: Shell, model: str) -> None:
    writer = cv2.VideoWriter("a.avi", cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 32))
    for seed in range(3):
        writer.write(np.random.default_rng(seed).integers(0, 256, (32, 32, 3)).astype(np.uint8))
    writer.release()
    Path("boxes.csv").write_text("frame,x,y,width,height,track\n1,2,3,16,20,5\n0,2,3,16,20,5\n9,0,0,9,9,5\n")
    options = "--boxes", "boxes.csv", "--engine", "torch", "-o", "a.npz"
    code, _, err = shell("embed", model, "a.avi", *options)
    assert code == 2 and "boxes.csv line 4: frame 9 is not in the video, which has 3" in err
    code, out, _ = shell("embed", model, "a.avi", *options, "--on-error", "skip")
    assert code == 0 and "2 of 3 images embedded" in out
    film = cv2.VideoCapture("a.avi")
    crops = [film.read()[1][3:23, 2:18] for _ in range(2)]
    expected = resight.Embedder(resight.load(model), "torch", device="cpu")(crops, colour="BGR")
    np.testing.assert_allclose(read("a.npz").vectors, expected.vectors, rtol=1e-4, atol=1e-5)
    assert read("a.npz").columns["tracks"].tolist() == [5, 5]


def test_what_is_refused(shell: Shell, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_noise(Path("images/0.jpg"), 40, 20)
    Path("empty").mkdir()
    for arguments, message in {
        (model, "images", "-o", "a.csv"): "a.csv must end in .parquet or .npz",
        (model, "gone", "-o", "a.npz"): "gone does not exist",
        (model, "empty", "-o", "a.npz"): "empty holds no images: nothing to embed",
        (model, "images", "-o", "a.npz", "--split", "query"): "images is no known data set and has no query",
        ("gone.safetensors", "images", "-o", "a.npz"): "gone.safetensors does not exist",
        (model, "a.avi", "--boxes", "b.csv", "-o", "a.npz"): "a.avi does not exist",
        (model, "images", "-o", "images/0.jpg/a.npz"): "cannot be written",
    }.items():
        code, out, err = shell("embed", *arguments)
        assert code == 2 and out == "" and message in err, (arguments, err)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    code, _, err = shell("embed", model, "images", "-o", "a.parquet")
    assert code == 2 and "Parquet files need pyarrow" in err
    assert not list(Path().glob("*.parts"))


def test_one_image(shell: Shell, model: str) -> None:
    write_noise(Path("0.jpg"), 40, 20)
    code, out, _ = shell("embed", model, "0.jpg", "-o", "a.npz", "--engine", "torch")
    assert code == 0 and out.startswith("1 of 1 images embedded")
    np.testing.assert_allclose(read("a.npz").vectors, vectors(decode("0.jpg")), rtol=1e-4, atol=1e-5)
