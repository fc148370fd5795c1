"""The review queue: what is asked, what answers change, and that they change more than answers about any pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from resight.errors import DataError
from resight.gallery import answers
from resight.gallery.gallery import Gallery
from resight.records import Embeddings
from resight.watch.answers import between, export
from resight.watch.link import Answers, Rules
from resight.watch.origin import Origin
from resight.watch.review import Review, doubts
from resight.watch.timed import Linked, link_in_time
from resight.watch.travel import TravelTimes
from watch.simulated import Tracks, pair_f1, tracks
from watch.test_watch import opened

RULES = Rules(travel=2.0)


def linked(some: Tracks, answers: Answers) -> Linked:
    slope = 3 / some.threshold
    return link_in_time(some.vectors, "cosine", some.threshold, some.seen, RULES, np.inf, TravelTimes(), slope, answers)


def answered(some: Tracks, pairs: list[tuple[int, int]]) -> Answers:
    """What somebody says who knows everybody."""
    same = [pair for pair in pairs if some.who[pair[0]] == some.who[pair[1]]]
    return Answers(tuple(same), tuple(pair for pair in pairs if pair not in same))


def test_twenty_answers_help_more_than_twenty_pairs_at_random() -> None:
    """In five rounds of four, as somebody answers and links again; means over four scenes."""
    asked, random = [], []
    for seed in range(4):
        some = tracks(noise=0.9, seed=seed)
        before = pair_f1(linked(some, Answers()).groups, some.who)
        pairs: list[tuple[int, int]] = []
        for _ in range(5):
            answers = answered(some, pairs)
            found = linked(some, answers)
            slope = 3 / some.threshold
            queue = doubts(some.vectors, "cosine", some.threshold, slope, some.seen, RULES, found, answers)
            pairs += [(a, b) for a, b, *_ in queue[:4]]
        assert len({frozenset(pair) for pair in pairs}) == 20
        asked.append(pair_f1(linked(some, answered(some, pairs)).groups, some.who) - before)
        rng = np.random.default_rng(seed)
        any_pair = [tuple(sorted(rng.choice(len(some.who), 2, replace=False).tolist())) for _ in range(20)]
        random.append(pair_f1(linked(some, answered(some, any_pair)).groups, some.who) - before)
    assert np.mean(asked) > 0.05 and np.mean(asked) > 3 * abs(np.mean(random))


def filled(folder: Path, some: Tracks) -> tuple[Gallery, list[str]]:
    gallery = opened(folder)
    vectors = np.zeros((len(some.who), gallery.card.dim), np.float32)
    vectors[:, : some.vectors.shape[1]] = some.vectors
    ids = gallery.add(
        Embeddings(vectors, fingerprint=gallery.card.fingerprint),
        cameras=[one.camera for one in some.seen],
        times=[(one.begin + one.end) / 2 for one in some.seen],
        sources=[str(Origin(f"{one.camera}.mp4", at, one.begin, one.end)) for at, one in enumerate(some.seen)],
        thumbnails=[_jpeg(at) for at in range(len(some.who))],
    ).ids
    return gallery, list(ids)


def _jpeg(at: int) -> bytes:
    import cv2

    return bytes(cv2.imencode(".jpg", np.full((32, 16, 3), 7 * at % 256, np.uint8))[1])


def test_answers_in_a_gallery_change_its_names(tmp_path: Path) -> None:
    some = tracks(people=8, seconds=30, noise=1.1, seed=1)
    gallery, ids = filled(tmp_path, some)
    with gallery:
        number = {id: at for at, id in enumerate(ids)}
        review = Review(gallery, some.threshold, RULES)

        def measured() -> float:
            names = [record.identity or record.id for record in gallery.get(ids)]
            return pair_f1([names.index(name) for name in names], some.who)

        gallery.enrol("Bea", [ids[0]])  # a name that somebody gave stays
        assert review.link() == len(ids) - 1 and review.link() == 0
        before = measured()
        for _ in range(2):
            for one in review.questions(5):
                same = some.who[number[one.first]] == some.who[number[one.second]]
                answers.put(gallery, one.first, one.second, "same" if same else "different")
            review.link()
        assert measured() > before and gallery.get([ids[0]])[0].identity == "Bea"
        asked = {frozenset((one.first, one.second)) for one in answers.of(gallery)}
        assert len(asked) == 10
        for one in answers.of(gallery):
            names = [record.identity for record in gallery.get([one.first, one.second])]
            assert (names[0] == names[1]) == (one.answer == "same")
        (first, *_) = review.questions()
        answers.put(gallery, first.first, first.second, "unsure")
        assert all({one.first, one.second} != {first.first, first.second} for one in review.questions())


def test_answers_become_constraints_and_pairs(tmp_path: Path) -> None:
    some = tracks(people=3, seconds=20)
    gallery, ids = filled(tmp_path, some)
    with gallery:
        with pytest.raises(DataError, match="There is no answered pair"):
            export(gallery, tmp_path / "pairs")
        answers.put(gallery, ids[1], ids[0], "different")
        answers.put(gallery, ids[1], ids[2], "same")
        answers.put(gallery, ids[2], ids[3], "unsure")
        found = between(gallery, ids)
        assert {*map(frozenset, found.same)} == {frozenset((1, 2))}
        assert {*map(frozenset, found.different)} == {frozenset((0, 1))}
        assert between(gallery, ids[2:]) == Answers()
        assert export(gallery, tmp_path / "pairs") == 2
        rows = (tmp_path / "pairs" / "pairs.csv").read_text().splitlines()
        assert rows[0] == "a,b,same" and {row.rsplit(",", 1)[1] for row in rows[1:]} == {"0", "1"}
        assert all((tmp_path / "pairs" / name).exists() for row in rows[1:] for name in row.split(",")[:2])
