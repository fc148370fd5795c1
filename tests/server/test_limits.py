"""What is too much is sent away with the right status, in time, and costs nothing."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from resight.server.limits import BURST, REMEMBERED, Body, Rate
from resight.server.refusals import Refused

from .conftest import Serve, apart, png


def test_the_rate_is_that_of_a_bucket_that_fills() -> None:
    """Against the definition: of any t seconds at most burst + rate t requests pass, and in all about that many."""
    random = np.random.default_rng(0)
    rate, times = Rate(5.0), np.cumsum(random.exponential(0.1, 2000))
    passed = []
    for now in times:
        try:
            rate.take("a", float(now))
            passed.append(now)
        except Refused as refused:
            assert refused.status_code == 429
            assert int(refused.headers["Retry-After"]) == 1
    inside = np.array(passed)
    for at in range(0, len(inside), 7):
        counts = np.arange(1, len(inside) - at + 1)
        assert (counts <= 5 * BURST + 5 * (inside[at:] - inside[at]) + 1e-6).all()
    assert len(passed) == pytest.approx(5 * times[-1] + 5 * BURST, rel=0.05)


def test_callers_have_buckets_of_their_own_and_few_are_remembered() -> None:
    rate = Rate(1.0)
    for _ in range(int(BURST)):
        rate.take("a", 0.0)
    with pytest.raises(Refused):
        rate.take("a", 0.0)
    rate.take("b", 0.0)
    for caller in range(REMEMBERED + 5):
        rate.take(str(caller), 0.0)
    assert len(rate._buckets) == REMEMBERED and "a" not in rate._buckets
    unlimited = Rate(0)
    for _ in range(1000):
        unlimited.take("a", 0.0)


def test_more_than_the_rate_is_told_to_wait(serve: Serve) -> None:
    client = serve(rate=2)
    answers = [client.get("/api/me") for _ in range(12)]
    assert [one.status_code for one in answers[:8]] == [200] * 8
    assert answers[-1].status_code == 429 and answers[-1].headers["Retry-After"] == "1"
    assert answers[-1].json() == {"error": "More than 2 requests a second came from here: wait a little."}
    assert client.get("/healthz").status_code == 200  # whoever looks after the service is not counted


def test_long_bodies_are_refused_by_their_header_and_while_they_come(serve: Serve) -> None:
    client = serve(upload_bytes=10_000)
    sentence = {"error": "The request is longer than the 10,000 bytes that are taken: send less."}
    answer = client.post("/api/search", files={"image": ("a.png", bytes(10_001))})
    assert (answer.status_code, answer.json()) == (413, sentence)
    sent = 0

    def parts() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(100):
            sent += 1000
            yield bytes(1000)

    answer = client.post("/api/search", content=parts(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert (answer.status_code, answer.json()) == (413, sentence)
    headers = {"content-type": "application/json"}
    answer = client.post("/api/erase", content=b'{"ids": [' + b" " * 20_000, headers=headers)
    assert (answer.status_code, answer.json()) == (413, sentence)
    assert client.post("/api/search", files={"image": ("a.png", png())}).status_code == 200


def test_the_rest_of_a_long_body_is_not_read() -> None:
    async def check() -> None:
        given = 0

        async def receive() -> dict[str, object]:
            nonlocal given
            given += 1
            return {"type": "http.request", "body": bytes(400), "more_body": True}

        body = Body({"headers": []}, receive, 1000, 10)
        assert len((await body())["body"]) == len((await body())["body"]) == 400
        with pytest.raises(Refused, match="longer than the 1,000 bytes"):
            await body()
        assert given == 3
        with pytest.raises(Refused, match="longer than"):
            Body({"headers": [(b"content-length", b"1001")]}, receive, 1000, 10)

    apart(check())


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def check() -> None:
        async def receive() -> dict[str, object]:
            await asyncio.sleep(60)
            return {}

        with pytest.raises(Refused, match="did not arrive in time") as refused:
            await Body({"headers": []}, receive, 1000, 0.01)()
        assert refused.value.status_code == 408

    apart(check())


def test_more_requests_than_the_queue_are_told_to_come_back(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve(rate=0, queue=3)
    go, inside = threading.Event(), threading.Semaphore(0)
    real = client.app.state.service.gallery.store.near

    def slow(*arguments: object) -> object:
        inside.release()
        assert go.wait(10)
        return real(*arguments)

    monkeypatch.setattr(client.app.state.service.gallery.store, "near", slow)

    def ask(_: int) -> object:
        return client.post("/api/search", files={"image": ("a.png", png())})

    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(ask, n) for n in range(3)]
        assert inside.acquire(timeout=10)
        while "resight_requests_under_way 4.0" not in client.get("/metrics").text:  # three, and this one
            pass
        refused = client.get("/api/records")
        assert refused.status_code == 503 and refused.headers["Retry-After"] == "1"
        assert refused.json() == {"error": "Too many requests are under way: try again in a moment."}
        assert client.get("/healthz").status_code == 200
        go.set()
        assert [one.result(10).status_code for one in waiting] == [200] * 3
    assert client.get("/api/records").status_code == 200


def bomb(form: str, height: int, width: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (width, height)).save(out, form)
    return out.getvalue()


@pytest.mark.parametrize("form", ["PNG", "GIF", "TIFF", "BMP", "WEBP"])
def test_pictures_of_too_many_pixels_are_not_decoded(form: str, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve(rate=0, pixels=10_000)
    fits, huge = bomb(form, 100, 100), bomb(form, 100, 101)
    assert client.post("/api/search", files={"image": ("a", fits)}).status_code == 200
    monkeypatch.setattr("resight.server.pictures.decode_bytes", lambda *_: pytest.fail("it was decoded"))
    for address in ("/api/search", "/api/records"):
        answer = client.post(address, files={"image": ("a", huge)})
        assert answer.status_code == 413, answer.text
        assert answer.json()["error"].startswith("The picture claims to have more than the 10,000 pixels")


def test_a_header_that_claims_billions_of_pixels_is_a_bomb(client: TestClient) -> None:
    for data in (b"P6 60000 60000 255\n", b"P5 4000000000 4000000000 255\n"):
        answer = client.post("/api/search", files={"image": ("a", data)})
        assert answer.status_code == 413, answer.text
