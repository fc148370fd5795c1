"""``resight course build`` and ``resight predict``: what they write, and that pred.csv keeps what is its own."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import resight
from resight.course.predict import predict

from .conftest import Shell


@pytest.fixture
def built(shell: Shell, tiny_market: Callable[..., Path], tmp_path: Path) -> Path:
    """The folder ``course`` with galleries of five, and beside it the untrained model ``model.safetensors``."""
    resight.load("osnet_x0_25", height=32, width=16).save("model.safetensors")
    code, _, err = shell("course", "build", tiny_market(train=14), "course", "--identities", "4", "--gallery", "5")
    assert code == 0, err
    return tmp_path / "course"


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def nearest(test: Path) -> list[str]:
    """The gallery image nearest to each query of ``test``, in the order of pred.csv, by brute force."""
    embedder = resight.Embedder(resight.load("model.safetensors"), device="cpu")
    gallery = sorted((test / "gallery").iterdir())
    vectors = embedder([str(path) for path in gallery]).vectors.astype(np.float64)
    asked = embedder([str(test / row[0]) for row in rows(test / "pred.csv")[1:]]).vectors.astype(np.float64)
    distances = np.linalg.norm(asked[:, None] - vectors[None], axis=2)
    return [f"gallery/{gallery[at].name}" for at in distances.argmin(1)]


def test_build_says_what_it_built(shell: Shell, tiny_market: Callable[..., Path]) -> None:
    market = tiny_market(train=8)
    options = "--identities", "4", "--gallery", "2", "--triplets", "9"
    code, out, _ = shell("course", "build", market, "one", *options, "--json")
    one = json.loads(out)
    assert code == 0 and one["folder"] == "one" and one["triplets"] == 9
    assert one["splits"]["train"]["identities"] == 4 and one["splits"]["query"]["images"] == 2
    assert one["fingerprint"] == resight.datasets.load("course", "one").fingerprint()
    code, out, _ = shell("course", "build", market, "two", *options)
    assert code == 0 and "12 images of 4 identities and 9 triplets" in out and "2 queries" in out
    code, out, _ = shell("course", "build", market, "three", *options, "--seed", "3", "--json")
    assert code == 0 and json.loads(out)["fingerprint"] != one["fingerprint"]
    code, out, _ = shell("data", "stats", "two", "--as", "course", "--json")
    assert json.loads(out)["fingerprint"] == one["fingerprint"]


def test_predict_fills_the_gallery_with_the_nearest_image(shell: Shell, built: Path) -> None:
    pred = built / "test" / "pred.csv"
    before, expected = rows(pred), nearest(built / "test")
    code, out, err = shell("predict", "model.safetensors", built / "test", "--json")
    assert code == 0, err
    result = json.loads(out)
    after = rows(pred)
    assert after[0] == before[0] == ["query", "gallery"]
    assert [row[0] for row in after] == [row[0] for row in before]
    assert [row[1] for row in after[1:]] == expected
    assert result["queries"] == 5 and result["top1"] is None and result["metric"] == "euclidean"
    assert [[one["query"], one["gallery"]] for one in result["predictions"]] == after[1:]
    assert not list(pred.parent.glob(".*"))  # no temporary file is left
    pred.write_text(pred.read_text().replace(after[1][1], "gallery/gone.jpg", 1))  # an old answer is written over
    again = shell("predict", "model.safetensors", pred)
    assert again[0] == 0 and rows(pred) == after and "5 queries answered (euclidean)." in again[1]


def test_predict_writes_elsewhere_and_leaves_the_original(shell: Shell, built: Path) -> None:
    pred = built / "test" / "pred.csv"
    before = pred.read_bytes()
    code, out, _ = shell("predict", "model.safetensors", pred, "-o", "answers/mine.csv", "--json")
    assert code == 0 and json.loads(out)["file"] == "answers/mine.csv"
    assert pred.read_bytes() == before
    assert [row[1] for row in rows(Path("answers/mine.csv"))[1:]] == nearest(built / "test")


def test_queries_that_are_gallery_images_are_all_found(shell: Shell, built: Path) -> None:
    answers = rows(built / "test_answers.csv")[1:]
    for query, image in answers:
        shutil.copy(built / image, built / query)
    code, out, _ = shell(
        "predict", "model.safetensors", "course/test", "--answers", "course/test_answers.csv", "--json"
    )
    result = json.loads(out)
    assert code == 0 and result["top1"] == 1.0
    assert [f"test/{one['gallery']}" for one in result["predictions"]] == [image for _, image in answers]
    assert max(one["distance"] for one in result["predictions"]) < 1e-3

    shutil.copy(built / answers[0][1], built / answers[1][0])  # the second query now shows whom the first one shows
    code, out, _ = shell("predict", "model.safetensors", "course/test", "--answers", "course/test_answers.csv")
    assert code == 0 and "80.00% right" in out


def test_the_order_of_columns_and_the_way_paths_are_written_stay(shell: Shell, built: Path) -> None:
    pred = built / "test" / "pred.csv"
    expected = nearest(built / "test")
    queries = [row[0] for row in rows(pred)[1:]]
    ways = [f"test/{queries[0]}", queries[1], str(built / "test" / queries[2]), f"course/test/{queries[3]}", queries[4]]
    pred.write_text("gallery,query\n" + "".join(f",{query}\n" for query in ways))
    assert shell("predict", "model.safetensors", "course/test")[0] == 0
    bases = ["test/", "", f"{built}/test/", "course/test/", ""]
    filled = [[f"{base}{image}", query] for base, image, query in zip(bases, expected, ways, strict=True)]
    assert rows(pred) == [["gallery", "query"], *filled]


def test_the_metric_is_that_of_the_card(shell: Shell, built: Path) -> None:
    model = resight.load("model.safetensors")
    cosine = resight.models.load("model.safetensors")
    object.__setattr__(cosine, "card", model.card.model_copy(update={"metric": "cosine"}))
    found = predict(cosine, built / "test", device="cpu")
    embedder = resight.Embedder(model, device="cpu")
    test = built / "test"
    query, gallery = (
        embedder([str(test / folder / f"{at}.jpg") for at in range(5)]).vectors for folder in ("query", "gallery")
    )
    unit = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (query, gallery)]
    assert found.metric == "cosine" and found.indices.tolist() == (1 - unit[0] @ unit[1].T).argmin(1).tolist()
    np.testing.assert_allclose(found.distances, (1 - unit[0] @ unit[1].T).min(1), atol=1e-5)


def test_bad_input_is_one_sentence_and_exit_code_2(shell: Shell, built: Path, tiny_market: Callable[..., Path]) -> None:
    (built / "val" / "pred.csv").write_text("query,gallery\nquery/0.jpg,\n")
    Path("lacking.csv").write_text("query,gallery\ncourse/test/query/0.jpg,course/test/gallery/0.jpg\n")
    before = (built / "test" / "pred.csv").read_bytes()
    for arguments, clue in [
        (["course", "build", built, "other"], "course"),
        (["course", "build", tiny_market("m2"), "other"], "230 to train on"),
        (["course", "build", tiny_market("m3"), "course"], "exists already"),
        (["predict", "nowhere.safetensors", built / "test"], "nowhere.safetensors"),
        (["predict", "model.safetensors", built], "pred.csv does not exist"),
        (["predict", "model.safetensors", built / "train_idloss.csv"], "line 1"),
        (["predict", "model.safetensors", built / "test", "--answers", "lacking.csv"], "pred.csv line 3"),
        (["predict", "model.safetensors", built / "test", "--answers", "course/test/pred.csv"], "has no answers"),
    ]:
        code, _, err = shell(*arguments)
        lines = [line for line in err.splitlines() if line.startswith("Error:")]
        assert code == 2 and len(lines) == 1 and clue in lines[0] and lines[0].endswith("."), (arguments, code, err)
    assert not Path("other").exists() and (built / "test" / "pred.csv").read_bytes() == before
