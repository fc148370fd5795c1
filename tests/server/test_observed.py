"""What the service tells about itself: lines of JSON, numbers for Prometheus, and no names in either."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from starlette.testclient import TestClient

from resight.errors import ResightError
from resight.gallery.gallery import Gallery
from resight.gallery.record import Damaged
from resight.server.logs import LOG, write_logs

from .conftest import Serve, png, put

NAME = "Ada Lovelace 4711"


@pytest.fixture
def lines() -> Iterator[Any]:
    """A function: what was logged since, line by line."""
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = []  # pytest's, which would be closed
    write_logs(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.captureWarnings(False)
    root.handlers = before
    root.setLevel(level)


def test_each_request_is_a_line_without_names_and_pictures(client: TestClient, lines: Any) -> None:
    id = put(client, camera=NAME, identity=NAME, source=NAME, basis=NAME)
    client.get("/api/timeline", params={"identity": NAME})
    for quiet in (f"/api/records/{id}/thumbnail", "/static/page.js", "/healthz"):  # dozens a page
        assert client.get(quiet).status_code == 200
    answer = client.get(f"/{NAME}")
    client.post("/api/identities/rename", json={"name": NAME, "new_name": NAME + "2"})
    client.post("/api/erase", json={"identity": NAME + "3"})
    found = lines()
    asked = [(one["method"], one["route"], one["status"]) for one in found]
    assert asked == [
        ("POST", "/api/records", 200),
        ("GET", "/api/timeline", 200),
        ("GET", "", 404),
        ("POST", "/api/identities/rename", 200),
        ("POST", "/api/erase", 404),
    ]
    assert all(one["ms"] > 0 and one["time"].endswith("Z") and one["level"] == "info" for one in found)
    assert found[2]["request"] == answer.headers["x-request-id"]
    assert len({one["request"] for one in found}) == len(found)
    text = json.dumps(found)
    assert NAME not in text and "4711" not in text and id not in text


def test_the_log_names_the_key_and_never_shows_it(keyed: tuple[TestClient, dict[str, str]], lines: Any) -> None:
    client, keys = keyed
    client.get("/api/records", headers={"x-api-key": keys["read"]})
    client.get("/api/records", headers={"authorization": "Bearer secret-guess"})
    assert [one["key"] for one in lines()] == ["read", ""]
    text = json.dumps(lines())
    assert "secret-guess" not in text and not any(secret in text for secret in keys.values())


def test_what_goes_wrong_here_is_told_here_alone(
    client: TestClient, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError(f"about {NAME}")

    monkeypatch.setattr(type(client.app.state.service.gallery), "identities", fail)
    answer = client.get("/api/identities")
    number = answer.headers["x-request-id"]
    assert answer.status_code == 500
    assert answer.json() == {"error": f"Internal error: see request {number} in the service's log."}
    assert answer.headers["x-content-type-options"] == "nosniff"
    failed, request = lines()
    assert failed["event"] == "failed" and failed["error"] == "ZeroDivisionError" and failed["request"] == number
    assert any("test_observed.py" in at for at in failed["where"])
    assert request["status"] == 500 and NAME not in json.dumps(lines())


@pytest.mark.parametrize("trouble", [ResightError, Damaged])
def test_what_the_gallery_cannot_do_is_for_whoever_runs_it(
    trouble: type[ResightError], client: TestClient, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise trouble("/secret/seen.db cannot be written or read.")

    monkeypatch.setattr(type(client.app.state.service.gallery), "add", stopped)
    answer = client.post("/api/records", files={"image": ("a.png", png())})
    number = answer.headers["x-request-id"]
    assert answer.status_code == 503 and "secret" not in answer.text and f"request {number} in" in answer.text
    assert lines()[0]["sentence"].startswith("/secret/seen.db cannot be") and lines()[0]["request"] == number


def test_uvicorn_and_warnings_write_lines_too(lines: Any) -> None:
    logging.getLogger("uvicorn.error").error("no %s", "luck")
    logging.getLogger("uvicorn.error").info("started")
    LOG.info("two\nlines")
    assert [(one["level"], one["event"]) for one in lines()] == [("error", "no luck"), ("info", "two\nlines")]


def test_prometheus_counts_what_was_done(serve: Serve) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    client = serve(rate=0)
    for seed in range(3):
        put(client, seed)
    client.post("/api/search", files={"image": ("a", png(1))})
    client.post("/api/search", files={"image": ("a", b"no")})
    client.get("/nowhere/" + NAME)
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples[("resight_requests_total", "/api/records", "200", "POST")] == 3
    assert samples[("resight_requests_total", "/api/search", "200", "POST")] == 1
    assert samples[("resight_requests_total", "/api/search", "415", "POST")] == 1
    assert samples[("resight_requests_total", "", "404", "GET")] == 1
    assert samples[("resight_request_seconds_count", "/api/search")] == 2
    assert samples[("resight_work_items_total", "model")] == 5  # with the one to warm up
    assert samples[("resight_work_items_total", "search")] == 2
    assert samples[("resight_records",)] == 3
    assert samples[("resight_requests_under_way",)] == 1
    assert NAME not in answer.text


def test_alive_and_ready(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from resight.errors import DataError

    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}

    def gone(_: object) -> int:
        raise DataError("/secret is gone.")

    monkeypatch.setattr(type(client.app.state.service.gallery), "__len__", gone)
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert answer.status_code == 503 and "secret" not in answer.text


def test_what_is_past_its_expiry_goes_by_itself(
    serve: Serve, gallery: Gallery, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(name: str, seed: int) -> None:
        gallery.add(np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8), identities=name, expires=1.0)

    def wait(done: Callable[[], bool]) -> None:
        last = time.monotonic() + 30
        while not done():
            assert time.monotonic() < last
            time.sleep(0.01)

    add(NAME, 1)
    serve(expire_every=0)
    time.sleep(0.1)
    assert len(gallery) == 1
    serve(expire_every=0.02)
    wait(lambda: not len(gallery))
    add(NAME, 2)  # later, too
    wait(lambda: not len(gallery))
    with monkeypatch.context() as patched:
        patched.setattr(gallery.store, "erase", Mock(side_effect=ResightError("The disk is full: free some space.")))
        add(NAME, 3)
        wait(lambda: any(line["level"] == "error" for line in lines()))
        assert len(gallery) == 1
    wait(lambda: not len(gallery))
    told = [line for line in lines() if line["event"] == "expire"]
    assert {line.get("records", line.get("sentence")) for line in told} == {1, "The disk is full: free some space."}
    assert NAME not in json.dumps(told)
