"""Searching by picture, embedding and record finds what a plain loop over all pixels finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import resight
from resight.gallery.gallery import Gallery
from resight.gallery.record import Filter
from resight.retrieval.reranking.rerank import KReciprocal

from .conftest import Serve, calibrated, png, put, vector

SEEDS = range(30)
CAMERAS = ("entrance", "yard", "")


def camera(seed: int) -> str:
    return CAMERAS[seed % 3]


@pytest.fixture
def filled(client: TestClient, gallery: Gallery) -> tuple[TestClient, dict[int, str]]:
    """Thirty pictures under three cameras, every fifth of somebody known, and their ids."""
    added = gallery.add(
        [png(seed) for seed in SEEDS],
        cameras=[camera(seed) for seed in SEEDS],
        times=[1000 + seed for seed in SEEDS],
        identities=[None if seed % 5 else f"P{seed}" for seed in SEEDS],
    )
    return client, dict(zip(SEEDS, added.ids, strict=True))


def expected(asked: int, k: int, passes: object = lambda seed: True) -> list[tuple[int, float]]:
    """The nearest of all seeds that pass, by a loop."""
    found = []
    for seed in SEEDS:
        if passes(seed):
            apart = vector(seed).astype(np.float64) - vector(asked)
            found.append((seed, float(np.sqrt((apart**2).sum()))))
    return sorted(found, key=lambda one: one[1])[:k]


def check(answer: object, ids: dict[int, str], nearest: list[tuple[int, float]]) -> None:
    assert answer.status_code == 200, answer.text
    hits = answer.json()["hits"]
    assert [hit["record"]["id"] for hit in hits] == [ids[seed] for seed, _ in nearest]
    np.testing.assert_allclose([hit["distance"] for hit in hits], [far for _, far in nearest], rtol=1e-6, atol=1e-6)


def test_by_picture_and_by_embedding(filled: tuple[TestClient, dict[int, str]]) -> None:
    client, ids = filled
    for asked in (0, 7, 100):
        nearest = expected(asked, 7)
        picture = {"image": ("a.png", png(asked))}
        check(client.post("/api/search", files=picture, data={"k": 7}), ids, nearest)
        check(client.post("/api/search/embedding", json={"embedding": vector(asked).tolist(), "k": 7}), ids, nearest)
    answer = client.post("/api/search", files=picture).json()
    assert len(answer["hits"]) == 10 and answer["took_ms"] > 0
    assert answer["threshold"] is None
    assert answer["hits"][0]["probability"] is answer["hits"][0]["decision"] is None


FILTERS = (
    ({"camera": ["yard"]}, lambda seed: camera(seed) == "yard"),
    ({"camera": ["yard", "entrance"]}, lambda seed: camera(seed) != ""),
    ({"exclude_camera": ["yard", "entrance"]}, lambda seed: camera(seed) == ""),
    ({"after": 1010, "before": 1020}, lambda seed: 10 <= seed < 20),
    ({"identity": ["P5", "P10"]}, lambda seed: seed in (5, 10)),
    ({"unknown": True}, lambda seed: seed % 5),
    ({"unknown": False, "exclude_camera": ["yard"]}, lambda seed: seed % 5 == 0 and camera(seed) != "yard"),
    ({"camera": ["nowhere"]}, lambda seed: False),
)


def test_filters(filled: tuple[TestClient, dict[int, str]]) -> None:
    client, ids = filled
    for where, passes in FILTERS:
        nearest = expected(50, 5, passes)
        check(client.post("/api/search", files={"image": ("a", png(50))}, data=where | {"k": 5}), ids, nearest)
        query = {"embedding": vector(50).tolist(), "where": where, "k": 5}
        check(client.post("/api/search/embedding", json=query), ids, nearest)


def test_more_like_a_record_leaves_it_out(filled: tuple[TestClient, dict[int, str]]) -> None:
    client, ids = filled
    nearest = expected(7, 5)
    assert nearest[0][0] == 7
    check(client.post("/api/search/record", json={"id": ids[7], "k": 4}), ids, nearest[1:])
    elsewhere = {"id": ids[7], "k": 4, "where": {"exclude_camera": [camera(7)]}}
    check(
        client.post("/api/search/record", json=elsewhere), ids, expected(7, 4, lambda seed: camera(seed) != camera(7))
    )
    asked = {"id": ids[7], "k": 4, "other_cameras": True}
    known = expected(7, 4, lambda seed: camera(seed) not in ("", camera(7)))
    check(client.post("/api/search/record", json=asked), ids, known)
    assert client.post("/api/search/record", json={"id": "0" * 32}).status_code == 404


def test_re_ranking_is_the_gallerys(filled: tuple[TestClient, dict[int, str]], gallery: Gallery) -> None:
    client, _ = filled
    hits = client.post("/api/search", files={"image": ("a", png(50))}, data={"rerank": "true", "k": 8}).json()["hits"]
    wanted = gallery.search(vector(50), 8, rerank=KReciprocal())
    assert [hit["record"]["id"] for hit in hits] == [hit.record.id for hit in wanted]
    plain = gallery.search(vector(50), 8)
    assert [hit.record.id for hit in plain] != [hit.record.id for hit in wanted]  # it makes a difference here


def test_different_searches_at_once_do_not_mix(filled: tuple[TestClient, dict[int, str]]) -> None:
    """They share batches; one that is wrong spoils nobody else's."""
    service = filled[0].app.state.service
    from resight.server.service import Search

    hows = [Search(k, where, False, False) for k in (1, 3) for where in (Filter(), Filter(cameras=("yard",)))]
    queries = [(vector(seed), hows[seed % 4]) for seed in range(12)]
    queries[5] = (np.full(len(vector()), np.inf, np.float32), hows[1])
    found = service._hits(queries)
    for at, (query, how) in enumerate(queries):
        if at == 5:
            assert isinstance(found[at], resight.DataError)
        else:
            assert found[at] == service.gallery.search(query, how.k, how.where)


def test_probabilities_and_decisions_are_the_cards(serve: Serve, tmp_path: Path) -> None:
    model = calibrated()
    with Gallery.open(tmp_path / "known", resight.Embedder(model, "torch")) as known:
        client = serve(known, rate=0)
        for seed in SEEDS:
            put(client, seed)
        answer = client.post("/api/search", files={"image": ("a", png(3))}, data={"k": 30}).json()
        decision = resight.Decision.from_plain(model.card.decision)
        assert answer["threshold"] == decision.threshold
        for hit in answer["hits"]:
            assert hit["decision"] == decision.decide(hit["distance"])
            assert hit["probability"] == pytest.approx(decision.probability(hit["distance"]))
        assert {hit["decision"] for hit in answer["hits"]} >= {"match", "no match"}


WRONG = (
    ({}, "at body.embedding: Field required"),
    ({"embedding": []}, "at body.embedding"),
    ({"embedding": [1.0]}, "The embedding has 1 numbers but this gallery's have 96: send 96."),
    ({"embedding": ["a"]}, "at body.embedding.0"),
    ({"embedding": vector().tolist(), "k": 0}, "at body.k"),
    ({"embedding": vector().tolist(), "k": 1001}, "at body.k"),
    ({"embedding": vector().tolist(), "wher": {}}, "at body.wher: Extra inputs are not permitted"),
    ({"embedding": vector().tolist(), "where": {"cameras": []}}, "at body.where.cameras"),
    ({"embedding": vector().tolist(), "where": {"after": 1e300}}, "at body.where.after"),
)


def test_wrong_searches_are_one_sentence(client: TestClient) -> None:
    for body, says in WRONG:
        answer = client.post("/api/search/embedding", json=body)
        assert answer.status_code == 422 and answer.json().keys() == {"error"}
        assert says in answer.json()["error"] and answer.json()["error"].endswith("."), answer.text


def test_numbers_that_are_none_are_refused(client: TestClient) -> None:
    for number in ("NaN", "Infinity", "1e999", "-1e39"):
        body = f'{{"embedding": [{", ".join([number] * 96)}]}}'
        answer = client.post("/api/search/embedding", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422, number
