"""The synthetic sets: laid out like Market-1501, the same for the same seed, not to be solved by colour."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset, load
from resight.datasets.market1501 import market1501
from resight.datasets.synthetic import dataset as synthetic
from resight.datasets.synthetic.dataset import attributes, draw, generate
from resight.datasets.synthetic.people import LOWER, UPPER
from resight.errors import DataError, ResightError
from resight.records import Split

SMALL = {"identities": 5, "cameras": 2, "images_per_camera": 2, "size": (32, 16)}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return generate(tmp_path_factory.mktemp("people") / "set")


def pictures(split: Split) -> NDArray[np.uint8]:
    images = [cv2.imread(path) for path in split.paths.tolist()]
    assert all(image is not None for image in images)
    return np.stack(images)


def rank1(data: Dataset, query: NDArray[np.float64], gallery: NDArray[np.float64], only_other_cameras: bool) -> float:
    """The share of queries whose nearest image shows the same identity; its images in the same camera do not count."""
    same_camera = data.query.cameras[:, None] == data.gallery.cameras
    same_identity = data.query.identities[:, None] == data.gallery.identities
    left_out = same_camera if only_other_cameras else same_camera & same_identity
    nearest = np.where(left_out, np.inf, -query @ gallery.T).argmin(axis=1)
    return float((data.gallery.identities[nearest] == data.query.identities).mean())


def test_market1501_reads_the_same_set(people: Dataset) -> None:
    read = market1501(Path(people.query.paths[0]).parents[1], strict=False)
    assert read.fingerprint() == people.fingerprint()
    assert people.facts()["query"] == {"images": 48 * 4, "identities": 48, "cameras": 4, "junk": 0, "distractors": 0}
    assert len(people.gallery) == 48 * 4 * 2 and len(people.train) == 72 * 4 * 3
    assert not set(people.train.identities) & set(people.query.identities)
    assert set(people.query.identities) == set(people.gallery.identities)
    assert set(people.train.identities) | set(people.query.identities) == set(range(1, 121))
    assert len({*zip(people.query.identities.tolist(), people.query.cameras.tolist(), strict=True)}) == 48 * 4


def test_files_show_what_their_names_say(people: Dataset) -> None:
    for split, index in ((people.query, 0), (people.gallery, 1)):
        for i in (0, 7, 101):
            i *= 1 if split is people.query else 2
            identity, camera = int(split.identities[i]), int(split.cameras[i])
            on_disk = cv2.cvtColor(pictures(split.take([i]))[0], cv2.COLOR_BGR2RGB).astype(int)
            drawn = draw("person", identity, camera, index)
            another = draw("person", identity, camera, index + 3)
            assert np.abs(on_disk - drawn).mean() < 8 < np.abs(on_disk - another).mean()


def test_colour_does_not_tell_who_but_the_images_do(people: Dataset) -> None:
    def histograms(images: NDArray[np.uint8], space: int, limits: list[int]) -> NDArray[np.float64]:
        counted = [
            cv2.calcHist([cv2.cvtColor(image, space)], [0, 1, 2], None, [8, 8, 8], limits).ravel() for image in images
        ]
        return np.sqrt(np.stack(counted) / images[0].size)

    query, gallery = pictures(people.query), pictures(people.gallery)
    for space, limits in ((cv2.COLOR_BGR2HSV, [0, 180, 0, 256, 0, 256]), (cv2.COLOR_BGR2RGB, [0, 256] * 3)):
        colours = histograms(query, space, limits), histograms(gallery, space, limits)
        assert rank1(people, *colours, only_other_cameras=False) < 0.25
        easier = rank1(people, *colours, only_other_cameras=True)
        assert 2 / 48 < easier < 0.4  # colour helps, but does not do

    learned = linear_discriminant(people)
    assert rank1(people, *learned, only_other_cameras=False) > 0.6  # 1 of 48 identities by chance


def linear_discriminant(data: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Whitening by what varies within the identities of the train split, on small pixels."""

    def pixels(split: Split) -> NDArray[np.float64]:
        small = [cv2.resize(image, (16, 32), interpolation=cv2.INTER_AREA).astype(float) for image in pictures(split)]
        return np.stack([((image - image.mean((0, 1))) / image.std()).ravel() for image in small])

    train, query, gallery = (pixels(split) for split in (data.train, data.query, data.gallery))
    mean = train.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov(train.T))
    train, query, gallery = ((x - mean) @ directions[:, -200:] for x in (train, query, gallery))
    within = np.concatenate([train[data.train.identities == i] for i in np.unique(data.train.identities)])
    within = within.reshape(72, 12, 200)
    within = (within - within.mean(axis=1, keepdims=True)).reshape(-1, 200)
    spread = within.T @ within / len(within)
    spread += 0.1 * np.trace(spread) / len(spread) * np.eye(len(spread))
    whiten = np.linalg.cholesky(np.linalg.inv(spread))
    query, gallery = query @ whiten, gallery @ whiten
    return query / np.linalg.norm(query, axis=1)[:, None], gallery / np.linalg.norm(gallery, axis=1)[:, None]


def test_cameras_see_differently(people: Dataset) -> None:
    # Who stands there aside, the mean colour along the edges tells the camera.
    def edges(split: Split) -> NDArray[np.float64]:
        return np.concatenate([pictures(split)[:, :, :6], pictures(split)[:, :, -6:]], axis=2).mean(axis=(1, 2))

    train, query = edges(people.train), edges(people.query)
    train, query = (x / x.sum(axis=1, keepdims=True) for x in (train, query))
    means = np.stack([train[people.train.cameras == camera].mean(axis=0) for camera in range(1, 5)])
    nearest = np.linalg.norm(query[:, None] - means, axis=2).argmin(axis=1) + 1
    assert (nearest == people.query.cameras).mean() > 0.5


def test_attributes_are_coded_as_in_market1501(people: Dataset) -> None:
    for split in people.splits.values():
        columns = dict(split.columns)
        assert all(column.dtype == np.int64 and set(column.tolist()) <= {1, 2} for column in columns.values())
        assert (sum(columns[f"up{colour}"] == 2 for colour in UPPER) == 1).all()
        assert (sum(columns[f"down{colour}"] == 2 for colour in LOWER) == 1).all()
        assert {"gender", "hair", "up", "down", "clothes", "hat", "backpack", "bag", "handbag"} < set(columns)
        for identity in np.unique(split.identities):
            of_one = [column[split.identities == identity] for column in columns.values()]
            assert all(len(set(values.tolist())) == 1 for values in of_one)
    assert all(set(column.tolist()) == {1, 2} for column in people.train.columns.values())


def test_attributes_can_be_seen(people: Dataset) -> None:
    # The upper colour, from the median of the chest, camera by camera, learned and tested on different people.
    def chests(split: Split) -> NDArray[np.float64]:
        return np.median(pictures(split)[:, 32:60, 22:42].reshape(len(split), -1, 3), axis=1)

    def colours(split: Split) -> NDArray[np.int64]:
        return np.argmax([split.columns[f"up{colour}"] for colour in UPPER], axis=0)

    hits = []
    for camera in range(1, 5):
        train, query = (split.take(split.cameras == camera) for split in (people.train, people.query))
        distances = np.linalg.norm(chests(query)[:, None] - chests(train), axis=2)
        hits.extend(colours(train)[distances.argmin(axis=1)] == colours(query))
    assert np.mean(hits) > 0.4  # 1 of 8 by chance


def test_the_same_outfit_is_worn_by_many() -> None:
    outfits: dict[tuple[int, ...], int] = {}
    for identity in range(1, 121):
        known = attributes("person", identity)
        key = tuple(known[f"up{c}"] for c in UPPER) + tuple(known[f"down{c}"] for c in LOWER)
        outfits[key] = outfits.get(key, 0) + 1
    assert 6 <= len(outfits) <= 10 and min(outfits.values()) >= 3


@pytest.mark.parametrize("kind", ["person", "vehicle"])
def test_an_image_depends_on_its_own_numbers_alone(kind: synthetic.Kind) -> None:
    one = draw(kind, 5, 2, 1)
    assert one.dtype == np.uint8 and one.shape == {"person": (128, 64, 3), "vehicle": (128, 128, 3)}[kind]
    for others in ((6, 2, 1), (5, 3, 1), (5, 2, 0)):
        assert np.abs(draw(kind, *others).astype(int) - one).mean() > 3
    assert np.abs(draw(kind, 5, 2, 1, seed=1).astype(int) - one).mean() > 3
    assert np.array_equal(draw(kind, 5, 2, 1), one)
    assert draw(kind, 5, 2, 1, size=(64, 48)).shape == (64, 48, 3)


@pytest.mark.parametrize("kind", ["person", "vehicle"])
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, kind: synthetic.Kind) -> None:
    def contents(name: str, seed: int) -> dict[str, bytes]:
        root = tmp_path / name
        generate(root, kind=kind, seed=seed, **SMALL)
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.*"))}

    one, same, other = contents("one", 3), contents("same", 3), contents("other", 4)
    assert one == same and one != other
    assert len(one) == 5 * 2 * 2 + 1


def test_vehicles_have_a_type_and_a_colour(tmp_path: Path) -> None:
    data = generate(tmp_path / "cars", kind="vehicle", **{**SMALL, "identities": 40})
    for split in data.splits.values():
        assert set(split.columns) == {"type", "colour"}
    assert set(data.train.columns["type"].tolist()) == {1, 2, 3, 4, 5}
    assert set(data.train.columns["colour"].tolist()) <= set(range(1, 9))
    assert data.protocol == "market1501"


def test_distractors_stay_in_the_gallery(tmp_path: Path) -> None:
    data = generate(tmp_path / "set", distractors=3, **SMALL)
    facts = data.facts()
    assert facts["gallery"]["distractors"] == 3 * 2 * 2
    assert facts["train"]["distractors"] == facts["query"]["distractors"] == 0
    stray = data.gallery.take(data.gallery.identities == 0)
    assert all(Path(path).name.startswith("0000_c") for path in stray.paths.tolist())
    assert all((column == 0).all() for column in stray.columns.values())
    assert market1501(tmp_path / "set", strict=False).fingerprint() == data.fingerprint()


def test_a_set_that_is_there_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = generate(tmp_path / "set", **SMALL)
    monkeypatch.setattr(synthetic, "draw", lambda *_, **__: pytest.fail("drawn again"))
    again = load("synthetic", tmp_path / "set", **SMALL)
    assert again.fingerprint() == first.fingerprint()
    manifest = json.loads((tmp_path / "set" / "synthetic.json").read_text())
    assert manifest["arguments"]["identities"] == 5
    assert manifest["identities"]["0004"] == attributes("person", 4)
    assert sorted(manifest["identities"]) == ["0001", "0002", "0003", "0004", "0005"]


def test_an_interrupted_set_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def stop(*arguments: object, **options: object) -> None:
        drawn.append(1)
        if len(drawn) == 5:
            raise KeyboardInterrupt
        return draw(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(synthetic, "draw", stop)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "set", **SMALL)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert len(generate(tmp_path / "set", **SMALL).train) == 3 * 2 * 2


def test_two_at_once_give_one_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtake(*arguments: object, **options: object) -> object:
        monkeypatch.undo()
        generate(tmp_path / "set", **SMALL)  # another process is faster
        return draw(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(synthetic, "draw", overtake)
    data = generate(tmp_path / "set", **SMALL)
    assert len(pictures(data.query)) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_other_files_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match=r"something other than a synthetic set"):
        generate(tmp_path, **SMALL)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    generate(tmp_path / "set", **SMALL)
    with pytest.raises(DataError, match=r"seed=0, not 1"):
        generate(tmp_path / "set", seed=1, **SMALL)
    gone = next((tmp_path / "set" / "query").iterdir())
    gone.unlink()
    with pytest.raises(DataError, match=gone.name):
        generate(tmp_path / "set", **SMALL)
    with pytest.raises(ResightError, match="cannot be written"):
        generate(tmp_path / "mine.txt" / "set", **SMALL)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"kind": "dog"}, "kind='dog'"),
        ({"identities": 1}, "identities=1"),
        ({"cameras": 10}, "from 2 to 9"),
        ({"images_per_camera": 1}, "images_per_camera=1"),
        ({"distractors": -1}, "distractors=-1"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 0.5}, "seed=0.5"),
        ({"test_fraction": 1.0}, "test_fraction=1.0"),
        ({"size": (128, 8)}, "at least 16"),
        ({"size": 128}, "size=128"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, wrong: dict[str, object], named: str) -> None:
    with pytest.raises(DataError, match=named):
        generate(tmp_path / "set", **wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
