"""Answers about pairs of records as constraints of clusters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resight.adaptation.answered import Answered, answered
from resight.adaptation.clusters import cluster, graph_of
from resight.adaptation.constraints import Constraints
from resight.adaptation.crops import read
from resight.gallery import answers
from resight.gallery.gallery import Gallery
from resight.gallery.record import Answer
from resight.models.model import Model

from .test_constraints import PEOPLE, only, right, scene
from .test_crops import crop


def said(*pairs: tuple[str, str, str]) -> list[Answer]:
    return [Answer(first, second, kind, 0.0, "Ann") for first, second, kind in pairs]


def test_same_goes_on_from_one_to_the_next_and_different_holds_for_all() -> None:
    found, notes = answered(
        list("abcdefg"),
        said(("a", "b", "same"), ("b", "c", "same"), ("c", "d", "different"), ("e", "f", "unsure"), ("d", "x", "same"),
             ("a", "c", "different")),
    )  # fmt: skip
    who = found.people.tolist()
    assert who[0] == who[1] == who[2] != who[3] and who[4:] == [-1, -1, -1]
    assert found.apart.tolist() == [sorted({who[0], who[3]})]
    assert notes == (
        "4 answers about pairs are used: 2 same, 2 different, but 1 of these, which contradict the others.",
    )
    none, nothing = answered(list("xy"), said(("a", "b", "same"), ("x", "y", "unsure")))
    assert none.people.tolist() == [-1, -1] and len(none.apart) == 0 and nothing == ()
    taken = found.take(np.array([3, 0, 6]))
    assert taken.people.tolist() == [who[3], who[0], -1] and taken.apart.tolist() == found.apart.tolist()


def test_which_pairs_answers_allow() -> None:
    _, _, crops = scene()
    crops = only(crops).take(np.arange(6))
    plain = Constraints(crops)
    assert not plain.forbid and plain.together is None
    people = np.array([0, 0, 1, 2, -1, 2])
    known = Constraints(replace(crops, answers=Answered(people, np.array([[0, 1], [1, 2]]))))
    assert known.forbid and known.together is not None and known.together.tolist() == people.tolist()
    one, other = (grid.ravel() for grid in np.meshgrid(np.arange(6), np.arange(6)))
    forbidden = {(a, b) for a, b, fine in zip(one, other, known.allowed(one, other), strict=True) if not fine}
    half = {(0, 2), (1, 2), (2, 3), (2, 5)}
    assert forbidden == half | {(b, a) for a, b in half}
    assert known.contradicted(np.array([0, 0, 1, 1, 1, 0])).tolist() == [1]
    assert known.contradicted(np.array([0, 0, 1, 2, 1, 2])).tolist() == []


@pytest.mark.parametrize("seed", range(2))
def test_answers_help_and_are_kept(seed: int) -> None:
    """For each person one answer joins two tracks, and one tells them apart from somebody who looks alike."""
    vectors, identities, crops = scene(seed=seed)
    images = [np.flatnonzero((identities == who) & (crops.cameras == 0))[0] for who in range(PEOPLE)]
    others = [np.flatnonzero((identities == who) & (crops.cameras == 1))[0] for who in range(PEOPLE)]
    ids = [str(at) for at in range(len(crops))]
    pairs = [(ids[one], ids[other], "same") for one, other in zip(images, others, strict=True)]
    pairs += [(ids[one], ids[other], "different") for one, other in zip(images[::2], images[1::2], strict=True)]
    given, _ = answered(ids, said(*pairs))
    crops = only(crops)
    known = Constraints(replace(crops, answers=given))
    assert right(vectors, identities, known) > right(vectors, identities, Constraints(crops)) + 0.03
    labels, _ = cluster(graph_of(vectors, known), 0.6, known, vectors)
    assert all(
        labels[one] != labels[other] or labels[one] < 0 for one, other in zip(images[::2], others[1::2], strict=True)
    )


def test_a_gallery_gives_its_answers(model: Model, tmp_path: Path) -> None:
    files = [crop(tmp_path / f"{at}.png", at) for at in range(4)]
    with Gallery.open(tmp_path / "seen", model) as gallery:
        ids = gallery.add([str(one) for one in files], cameras=["x", "x", "y", "y"]).ids
        plain = read(str(tmp_path / "seen"), pictures=tmp_path / "pictures")
        answers.put(gallery, ids[0], ids[2], "same")
        answers.put(gallery, ids[1], ids[2], "different")
    found = read(str(tmp_path / "seen"), pictures=tmp_path / "pictures")
    assert found.notes == ("2 answers about pairs are used: 1 same, 1 different.",) and plain.notes == ()
    assert found.answers is not None
    who = {Path(path).stem: number for path, number in zip(found.images.paths, found.answers.people, strict=True)}
    assert who[ids[0]] == who[ids[2]] != who[ids[1]] and who[ids[3]] == -1
    assert found.answers.apart.tolist() == [sorted({int(who[ids[0]]), int(who[ids[1]])})]
    assert found.fingerprint() != plain.fingerprint()
