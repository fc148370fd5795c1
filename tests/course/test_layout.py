"""The course's folder built from Market-1501's train images: who is in it, and that nothing leaks."""

from __future__ import annotations

import csv
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from resight.course.layout import draw_triplets, write_course
from resight.datasets import load
from resight.datasets.tables import read_idloss, read_retrieval
from resight.errors import DataError, RecipeError

FILES = {"train_idloss.csv", "val_idloss.csv", "train_random_triplet.csv", "test_answers.csv"}
FOLDERS = {"train", "val_id", "val", "test"}


def tree(root: Path) -> dict[str, bytes]:
    """Every file below ``root`` by its path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


class Origins:
    """Of which Market image each copy is, told by its bytes."""

    def __init__(self, market: Path) -> None:
        self.names = {path.read_bytes(): path for path in market.rglob("*.jpg")}

    def __call__(self, path: str | Path) -> tuple[int, int]:
        """(identity, camera) of a copy; fails where it is no copy of a train image."""
        origin = self.names[Path(path).read_bytes()]
        assert origin.parent.name == "bounding_box_train"
        identity, camera = re.match(r"(\d+)_c(\d+)", origin.name).groups()
        return int(identity), int(camera)


def test_the_folder_has_everything_the_hand_out_names(tiny_market, tmp_path: Path) -> None:
    data = write_course(tiny_market(train=12, images=3), tmp_path / "course", identities=6, gallery=3, triplets=40)
    out = tmp_path / "course"
    assert {path.name for path in out.iterdir()} == FILES | FOLDERS
    assert rows(out / "train_idloss.csv")[0] == rows(out / "val_idloss.csv")[0] == ["filepath", "id"]
    assert rows(out / "train_random_triplet.csv")[0] == ["anchor", "positive", "negative"]
    for name in ("val/gt.csv", "test/pred.csv", "test_answers.csv"):
        assert rows(out / name)[0] == ["query", "gallery"] and len(rows(out / name)) == 4
    assert [row[1] for row in rows(out / "test/pred.csv")[1:]] == ["", "", ""]
    for part in ("val", "test"):
        for folder in ("query", "gallery"):
            assert {path.name for path in (out / part / folder).iterdir()} == {"0.jpg", "1.jpg", "2.jpg"}
    assert data.facts()["train"] == {"images": 30, "identities": 6, "cameras": 1, "junk": 0, "distractors": 0}
    assert data.fingerprint() == load("course", out).fingerprint()


def test_identities_are_disjoint_and_ids_are_theirs(tiny_market, tmp_path: Path) -> None:
    market, out = tiny_market(train=12, images=3), tmp_path / "course"
    write_course(market, out, identities=6, gallery=3)
    of = Origins(market)
    parts: dict[str, set[int]] = {}
    numbers: dict[int, set[int]] = {}
    for name in ("train", "val"):
        paths, ids = read_idloss(out / f"{name}_idloss.csv", 6)
        assert len(set(paths)) == len(paths)
        parts[name] = {of(path)[0] for path in paths}
        for path, number in zip(paths, ids, strict=True):
            numbers.setdefault(of(path)[0], set()).add(int(number))
    assert parts["train"] == parts["val"]  # held back are other images of the same identities
    assert sorted(number for (number,) in numbers.values()) == list(range(6))
    copies = [(out / "train").iterdir(), (out / "val_id").iterdir()]
    assert len({path.read_bytes() for path in itertools.chain(*copies)}) == 6 * 6
    val = {of(path)[0] for path in (out / "val" / "gallery").iterdir()}
    test = {of(path)[0] for path in (out / "test" / "gallery").iterdir()}
    assert len(val) == len(test) == 3 and len(val | test | parts["train"]) == 12


def test_a_query_is_answered_by_its_identity_in_another_camera(tiny_market, tmp_path: Path) -> None:
    market, out = tiny_market(train=12, cameras=3), tmp_path / "course"
    write_course(market, out, identities=4, gallery=4)
    of = Origins(market)
    for name in ("val/gt.csv", "test_answers.csv"):
        queries, answers = read_retrieval(out / name)
        assert len(set(answers)) == 4
        for query, answer in zip(queries, answers, strict=True):
            assert of(query)[0] == of(answer)[0] and of(query)[1] != of(answer)[1]
    queries = read_retrieval(out / "test" / "pred.csv")[0]
    assert queries.tolist() == read_retrieval(out / "test_answers.csv")[0].tolist()


def test_names_do_not_tell_the_answer(tiny_market, tmp_path: Path) -> None:
    market = tiny_market(train=26)
    for seed in range(3):
        write_course(market, tmp_path / str(seed), identities=2, gallery=12, seed=seed)
        numbers = [[Path(cell).stem for cell in row] for row in rows(tmp_path / str(seed) / "val" / "gt.csv")[1:]]
        assert [query for query, _ in numbers] == [str(at) for at in range(12)]
        assert sum(query == answer for query, answer in numbers) < 6  # by chance one, on average


def test_those_seen_by_two_cameras_are_asked_about_first(tiny_market, tmp_path: Path) -> None:
    market, out = tiny_market(train=10), tmp_path / "course"
    for who in (1, 4, 7):
        for path in (market / "bounding_box_train").glob(f"{who:04d}_c2*"):
            path.unlink()
    of = Origins(market)
    for seed in range(4):
        write_course(market, out / str(seed), identities=3, gallery=2, seed=seed)
        for name in ("val/gt.csv", "test_answers.csv"):
            for query, answer in zip(*read_retrieval(out / str(seed) / name), strict=True):
                assert of(query)[1] != of(answer)[1]


def test_one_camera_will_do_with_another_image(tiny_market, tmp_path: Path) -> None:
    market = tiny_market(train=6, cameras=1, images=2)
    write_course(market, tmp_path / "course", identities=2, gallery=2)
    of = Origins(market)
    for query, answer in zip(*read_retrieval(tmp_path / "course" / "val" / "gt.csv"), strict=True):
        assert of(query) == of(answer) and Path(query).read_bytes() != Path(answer).read_bytes()


def test_the_seed_decides(tiny_market, tmp_path: Path) -> None:
    market = tiny_market(train=10)
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        write_course(market, tmp_path / name, identities=4, gallery=3, seed=seed)
    assert tree(tmp_path / "one") == tree(tmp_path / "same") != tree(tmp_path / "other")


def test_triplets_are_drawn_from_the_train_images(tiny_market, tmp_path: Path) -> None:
    data = write_course(tiny_market(train=10), tmp_path / "course", identities=4, gallery=3)
    assert data.triplets is not None and data.triplets.shape == (len(data.train), 3)
    who = data.train.identities[data.triplets]
    assert (who[:, 0] == who[:, 1]).all() and (who[:, 0] != who[:, 2]).all()
    assert (data.triplets[:, 0] != data.triplets[:, 1]).all()


def test_all_triplets_are_those_of_three_loops() -> None:
    identities = np.array([1, 1, 4, 5, 5, 5, 9])
    everything = {
        (a, p, n)
        for a, p, n in itertools.product(range(7), repeat=3)
        if a != p and identities[a] == identities[p] != identities[n]
    }
    drawn = draw_triplets(identities, len(everything), np.random.default_rng(1))
    assert sorted(map(tuple, drawn.tolist())) == sorted(everything)
    with pytest.raises(RecipeError, match=f"ask for 1 to {len(everything)}"):
        draw_triplets(identities, len(everything) + 1, np.random.default_rng(1))
    with pytest.raises(RecipeError, match="0 triplets"):
        draw_triplets(identities, 0, np.random.default_rng(1))


def test_every_triplet_has_the_same_chance() -> None:
    identities = np.array([1, 1, 2, 2, 2, 3])  # 2 * 1 * 4 + 3 * 2 * 3 = 26 triplets
    counts: dict[tuple[int, ...], int] = {}
    for seed in range(4000):
        (drawn,) = draw_triplets(identities, 1, np.random.default_rng(seed)).tolist()
        counts[tuple(drawn)] = counts.get(tuple(drawn), 0) + 1
    assert len(counts) == 26
    assert 4000 / 26 * 0.7 < min(counts.values()) <= max(counts.values()) < 4000 / 26 * 1.3


def test_what_cannot_be_built_is_refused_and_nothing_is_left(tiny_market, tmp_path: Path) -> None:
    market, out = tiny_market(train=8), tmp_path / "here" / "course"
    with pytest.raises(DataError, match=r"has 8 train identities with two or more images, but 4 .* make 10: ask for"):
        write_course(market, out, identities=4, gallery=3)
    for wrong, complaint in (
        ({"identities": 1}, "identities is 1: it must be at least 2"),
        ({"gallery": 0}, "gallery is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"triplets": 0}, "0 triplets cannot be made"),
    ):
        with pytest.raises(RecipeError, match=complaint):
            write_course(market, out, **{"identities": 3, "gallery": 2, **wrong})
    for gone in list((market / "bounding_box_train").glob("0001_*")):
        gone.unlink()
        gone.symlink_to("nowhere.jpg")
    with pytest.raises(DataError, match=r"0001_\S+ cannot be read"):
        write_course(market, out, identities=4, gallery=2)
    assert not out.parent.exists() or not list(out.parent.iterdir())
    out.mkdir(parents=True)
    with pytest.raises(DataError, match="exists already: choose another folder"):
        write_course(market, out, identities=3, gallery=2)
    assert not list(out.iterdir())


def test_the_real_market_gives_the_numbers_of_the_hand_out(market_zip: Path, tmp_path: Path) -> None:
    data = write_course(market_zip, tmp_path / "course")
    facts = data.facts()
    assert facts["train"]["identities"] == 230 and facts["gallery"]["images"] == facts["query"]["images"] == 100
    held_back, ids = read_idloss(tmp_path / "course" / "val_idloss.csv", 230)
    assert len(held_back) > 230 / 2 and set(ids.tolist()) <= set(range(230))
    assert data.triplets is not None and len(data.triplets) == len(data.train) > 3000
    assert len(read_retrieval(tmp_path / "course" / "test" / "pred.csv")[0]) == 100
