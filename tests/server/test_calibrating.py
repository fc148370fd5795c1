"""Calibration over HTTP: twenty questions, and a threshold that the service uses from then on."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from resight.gallery.gallery import Gallery

from .conftest import HEIGHT, WIDTH

PEOPLE, EACH = 14, 6


@pytest.fixture
def who(gallery: Gallery) -> dict[str, int]:
    """Records of fourteen people, and who is on each."""
    random = np.random.default_rng(5)
    people = random.integers(40, 216, (PEOPLE, HEIGHT, WIDTH, 3))
    pictures = []
    for person in people.repeat(EACH, axis=0):
        out = io.BytesIO()
        Image.fromarray(np.clip(person + random.normal(0, 40, person.shape), 0, 255).astype(np.uint8)).save(out, "PNG")
        pictures.append(out.getvalue())
    ids = gallery.add(pictures, sources=[f"{at}.png" for at in range(len(pictures))]).ids
    return {id: at // EACH for at, id in enumerate(ids)}


def answer_all(client: TestClient, who: dict[str, int]) -> int:
    """Answer by the truth until there are enough answers; how many there were."""
    state, count = client.get("/api/calibration").json(), 0
    while state["given"] < state["needed"]:
        first, second = (state["question"][side]["id"] for side in ("first", "second"))
        word = "same" if who[first] == who[second] else "different"
        state = client.post("/api/calibration/answer", json={"first": first, "second": second, "answer": word}).json()
        count += 1
        assert state["given"] == count
    return count


def test_twenty_answers_change_what_the_service_decides(
    client: TestClient, gallery: Gallery, who: dict[str, int]
) -> None:
    early = client.post("/api/calibration", json={})
    assert early.status_code == 422 and "answer 20 more" in early.json()["error"]
    assert client.get("/api/decision").json()["threshold"] is None
    assert answer_all(client, who) == 20
    found = client.post("/api/calibration", json={}).json()
    assert found["same"] + found["different"] == 20 and found["unsure"] == 0 and found["threshold_before"] is None
    assert client.get("/api/decision").json()["threshold"] == found["threshold"]
    event = client.get("/api/log").json()["events"][-1]
    assert event["action"] == "calibrate" and event["details"]["answers"] == 20
    ids = list(who)
    hits = client.post("/api/search/record", json={"id": ids[0], "k": 83}).json()["hits"]
    decided = {hit["record"]["id"]: hit["decision"] for hit in hits}
    matches = [id for id, word in decided.items() if word == "match"]
    assert matches and {who[id] for id in matches} == {0}
    again = client.post("/api/calibration", json={}).json()
    assert again["threshold_before"] == found["threshold"] and again["expected_before"]["low"] >= 0


def test_reading_is_not_enough_to_calibrate(keyed: tuple[TestClient, dict[str, str]], who: object) -> None:
    client, secrets = keyed
    reading, writing = ({"Authorization": f"Bearer {secrets[name]}"} for name in ("read", "write"))
    question = client.get("/api/calibration", headers=reading).json()["question"]
    said = {"first": question["first"]["id"], "second": question["second"]["id"], "answer": "unsure"}
    assert client.post("/api/calibration/answer", json=said, headers=reading).status_code == 403
    assert client.post("/api/calibration", json={}, headers=reading).status_code == 403
    answered = client.post("/api/calibration/answer", json=said, headers=writing).json()
    assert answered["given"] == 0 and answered["question"] not in (None, question)


def test_a_gallery_with_too_few_records(client: TestClient) -> None:
    answer = client.get("/api/calibration")
    assert answer.status_code == 422 and "has 0 records" in answer.json()["error"]
