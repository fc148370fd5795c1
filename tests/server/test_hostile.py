"""Whatever is sent, the answer is one sentence with the right status: never 500, no traceback, no path."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from starlette.testclient import TestClient

from images.test_stream import KINDS, by_pillow, corrupted
from resight.gallery.gallery import Gallery

from .conftest import png, put

JSON = {"content-type": "application/json"}


def check(answer: object, *statuses: int) -> None:
    assert answer.status_code in statuses, (answer.status_code, answer.text[:200])
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/json" and answer.json().keys() == {"error"}
        sentence = answer.json()["error"]
        assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 400
    for leak in ("Traceback", "site-packages", 'File "', "/tmp/", "/work", "sqlite"):
        assert leak not in answer.text, answer.text


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_damaged_pictures_are_used_or_told_apart(client: TestClient) -> None:
    """Some of the thousand that the decoder is tested with."""
    statuses: dict[str, Counter[int]] = {kind: Counter() for kind in KINDS}
    for seed in range(0, 1000, 7):
        data = corrupted(seed)
        answer = client.post("/api/search", files={"image": ("a.jpg", data)})
        check(answer, 200, 413, 415, 422)
        statuses[KINDS[seed % len(KINDS)]][answer.status_code] += 1
        if answer.status_code == 200:
            ended = data + b"\xff\xd9"  # a JPEG whose end marker alone is missing is a picture
            assert by_pillow(data) is not None or by_pillow(ended) is not None
    assert set(statuses["whole"]) == {200}
    assert set(statuses["wrong type"]) == {415}
    assert set(statuses["empty"]) == {422}
    assert statuses["huge"][413] > 3 and statuses["cut"][422] > 3 and statuses["flipped bits"][200] > 3


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_adding_takes_the_pictures_that_searching_takes(client: TestClient, gallery: Gallery) -> None:
    added = 0
    for seed in range(0, 1000, 13):
        files = {"image": ("../../etc/passwd", corrupted(seed))}
        status = client.post("/api/search", files=files).status_code
        answer = client.post("/api/records", files=files)
        check(answer, status)
        added += status == 200 and answer.json()["new"]
    assert 10 < added == len(gallery)


ADDRESSES = (
    "/static/../app.py",
    "/static/%2e%2e/app.py",
    "/static/..%2fapp.py",
    "/static/....//app.py",
    "/static//etc/passwd",
    "/static/%00",
    "/static/",
    "/static",
    "/api/records/../../etc/passwd",
    "/api/records/..%2f..%2fetc%2fpasswd/thumbnail",
    "/api/records/%00/thumbnail",
    "/api/records/' OR 1=1 --",
    "/api/records/" + "f" * 10_000,
    "/api/records/" + "F" * 32,
    "/api/records?limit=1&limit=2&after_id='",
    "/api/records?after=NaN",
    "/api/records?before=-1e400",
    "/api/records?limit=99999999999999999999",
    "/api/log?after=99999999999999999999999",
    "/api/log?after=-1",
    "/api/timeline",
    "/api/timeline?identity=%00",
    "/api/",
    "/api",
    "/docs",
    "/redoc",
    "/api/records/",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/.git/config",
)


def test_strange_addresses(client: TestClient) -> None:
    for address in ADDRESSES:
        answer = client.get(address)
        assert answer.status_code in (404, 422), address
        check(answer, 404, 422)


def test_names_that_look_like_commands_are_names(client: TestClient) -> None:
    names = ("'; DROP TABLE records; --", "%s%n{0}", "../../x", "\u202egpj", "🙂" * 50, "null", "undefined")
    for seed, name in enumerate(names):
        id = put(client, seed, camera=name, identity=name, source=name, basis=name)
        record = client.get(f"/api/records/{id}").json()
        assert record["camera"] == record["identity"] == record["source"] == record["basis"] == name
        line = client.get("/api/timeline", params={"identity": name}).json()["records"]
        assert [one["id"] for one in line] == [id]
        check(client.get("/api/timeline", params={"identity": name + "'"}), 200)
        client.post("/api/erase", json={"ids": [id]})


BODIES = [
    b"",
    b"null",
    b"[]",
    b"0",
    b'"text"',
    b"{",
    b"[" * 10_000,
    b'{"a":' * 10_000,
    b'{"ids": ["\\ud800"]}',
    b'{"name": "\\ud800", "ids": ["00000000000000000000000000000000"]}',
    b'{"name": "\\u0000", "ids": ["00000000000000000000000000000000"]}',
    b'{"name": {"$gt": ""}, "ids": {}}',
    b'{"before": 1' + b"0" * 5000 + b"}",
    b'{"before": 1e999}',
    b'{"before": -Infinity}',
    b'{"identity": "a", "identity": "b"}',
    b"\xff\xfe{\x00}\x00",
    b"\xff" * 100,
    b'{"embedding": [' + b"1," * 70_000 + b"1]}",
    b'{"__proto__": {}, "k": true}',
    b'{"' + b"a" * 10_000 + b'": 1}',
]


def test_strange_bodies(client: TestClient) -> None:
    for address in ("embedding", "record"):
        for body in BODIES:
            check(client.post(f"/api/search/{address}", content=body, headers=JSON), 400, 422)
    for body in BODIES:
        for address in ("erase", "identities/enrol", "identities/merge", "identities/split", "identities/rename"):
            check(client.post(f"/api/{address}", content=body, headers=JSON), 400, 404, 422)
    for kind in (
        "text/html",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "application/json; charset=x",
        "x",
    ):
        for body in BODIES[::3]:
            for address in ("search", "records", "erase"):
                check(client.post(f"/api/{address}", content=body, headers={"content-type": kind}), 400, 404, 422)


def part(head: bytes, content: bytes = b"1") -> bytes:
    return b"--x\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def test_json_that_is_not_sent_as_json(client: TestClient) -> None:
    """As curl sends it with -d alone."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    for body in ('{"name": "Ada", "ids": []}', "name=Ada"):
        answer = client.post("/api/identities/enrol", content=body, headers=form)
        assert answer.status_code == 422
        assert (
            "not JSON, or not sent as such (with curl: -H 'Content-Type: application/json')" in answer.json()["error"]
        )


def test_strange_forms(client: TestClient) -> None:
    image = part(b'Content-Disposition: form-data; name="image"; filename="a"', png())
    for charset in ("utf-8", "punycode", "idna", "utf-16", "rot13", "zlib", "undefined", "\xe9"):
        for form in (
            image + part(b'Content-Disposition: form-data; name="k"', b"\xff\xfe"),
            image + part(b'Content-Disposition: form-data; name="\xff\xfe"', b"\xff"),
            image + part(b"Content-Disposition: form-data"),
            image + part(b"X: y"),
            part(b'Content-Disposition: form-data; name="image"', b"text"),
            part(b'Content-Disposition: form-data; name="k"; filename="k"', b"5") + image,
            image * 3,
            image + part(b'Content-Disposition: form-data; name="camera"', b"c") * 1500,
            image[:-20],
            b"",
        ):
            kind = f"multipart/form-data; boundary=x; charset={charset}".encode("latin-1")
            answer = client.post("/api/search", content=form + b"--x--\r\n", headers={"content-type": kind})
            check(answer, 200, 400, 422)
    kind = "multipart/form-data; boundary=" + "x" * 5000
    check(client.post("/api/search", content=image, headers={"content-type": kind}), 400, 422)


def test_noise_in_the_place_of_forms(client: TestClient) -> None:
    source = random.Random(0)
    whole = part(b'Content-Disposition: form-data; name="image"; filename="a"', png()) + b"--x--\r\n"
    for _ in range(100):
        wrong = bytearray(whole)
        for _ in range(source.randint(1, 8)):
            wrong[source.randrange(len(wrong))] = source.randrange(256)
        headers = {"content-type": "multipart/form-data; boundary=x"}
        check(client.post("/api/search", content=bytes(wrong), headers=headers), 200, 400, 413, 415, 422)


def test_wrong_methods(client: TestClient) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "CONNECT", "BREW"):
        answer = client.request(method, "/api/search")
        assert answer.status_code == 405 and answer.headers["allow"] == "POST"
    assert client.put("/api/records").headers["allow"] == "GET, POST"
    for address in ("/", "/static", "/static/page.js"):
        answer = client.delete(address)
        assert answer.status_code in (404, 405), address
        check(answer, answer.status_code)
    text = client.get("/metrics").text
    assert "BREW" not in text  # whoever asks does not make up labels
