"""What is asked: names that an address does not know, lists in pages, HEAD, proxies, full disks, odd file names."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from resight import RecipeError
from resight.gallery.gallery import Gallery
from resight.server.settings import Settings

from .conftest import Serve, png, put, vector

PICTURE = {"image": ("a.png", png())}
JSON = {"content-type": "application/json"}
A = "a" * 32


@pytest.mark.parametrize(
    ("method", "address", "sent"),
    [
        ("POST", "/api/search", {"files": PICTURE, "data": {"cameras": "yard"}}),
        ("POST", "/api/search", {"files": PICTURE, "data": {"kk": "1"}}),
        ("POST", "/api/search", {"files": PICTURE, "data": {"k": ["1", "2"]}}),
        ("POST", "/api/search", {"files": PICTURE, "params": {"camera": "yard"}}),
        ("POST", "/api/search", {"files": [("image", PICTURE["image"])] * 21}),
        ("POST", "/api/records", {"files": [("image", PICTURE["image"]), ("image", PICTURE["image"])]}),
        ("POST", "/api/records", {"files": PICTURE, "data": {"name": "Ada"}}),
        ("POST", "/api/search/embedding", {"json": {"embedding": vector().tolist(), "where": {"cameras": ["yard"]}}}),
        ("POST", "/api/search/embedding", {"json": {"embedding": vector().tolist()}, "params": {"k": 3}}),
        ("POST", "/api/search/record", {"content": f'{{"id": "{A}", "id": "{A}"}}', "headers": JSON}),
        ("POST", "/api/erase", {"content": '{"identity": "Ann", "identity": "Bob"}', "headers": JSON}),
        ("POST", "/api/search", {"data": {"image": "a.png"}}),
        ("GET", "/api/records", {"params": {"cameras": "yard"}}),
        ("GET", "/api/records", {"params": {"identities": "Bob"}}),
        ("GET", "/api/records", {"params": {"limt": "1"}}),
        ("GET", "/api/records", {"params": {"limit": ["1", "2"]}}),
        ("GET", "/api/identities", {"params": {"camera": "yard"}}),
        ("GET", "/api/stats", {"params": {"camera": "yard"}}),
        ("GET", "/api/log", {"params": {"befor": "3"}}),
    ],
)
def test_what_an_address_does_not_take_is_refused(
    client: TestClient, gallery: Gallery, method: str, address: str, sent: dict[str, Any]
) -> None:
    answer = client.request(method, address, **sent)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"].endswith(".") and "<" not in answer.json()["error"]
    assert len(gallery) == 0


def test_a_name_twice_in_a_filter(client: TestClient) -> None:
    body = f'{{"embedding": {vector().tolist()}, "where": {{"camera": "yard", "camera": "door"}}}}'
    answer = client.post("/api/search/embedding", content=body, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["error"] == "The body has 'camera' 2 times in one object: send it once."


def test_one_name_for_a_camera_and_an_identity_everywhere(client: TestClient) -> None:
    for seed, (camera, name) in enumerate([("yard", "Ann"), ("door", "Bob"), ("hall", "Cy")]):
        put(client, seed, camera=camera, identity=name)
    where = {"camera": ["yard", "door"], "exclude_camera": "door", "identity": ["Ann", "Bob"]}
    answers = (
        client.get("/api/records", params=where).json()["records"],
        [hit["record"] for hit in client.post("/api/search", files=PICTURE, data=where).json()["hits"]],
        [
            hit["record"]
            for hit in client.post(
                "/api/search/embedding", json={"embedding": vector().tolist(), "where": where}
            ).json()["hits"]
        ],
    )
    for records in answers:
        assert [(record["camera"], record["identity"]) for record in records] == [("yard", "Ann")]


def test_lists_come_in_pages(client: TestClient) -> None:
    for seed in range(7):
        put(client, seed, camera=f"camera {seed % 4}" if seed else "", identity=f"P{seed // 2}", time=seed)

    def pages(address: str, cursor: str, field: str, **query: object) -> list[Any]:
        found: list[Any] = []
        after: dict[str, object] = {}
        while True:
            answer = client.get(address, params={**query, **after, "limit": 2}).json()
            assert len(answer[field]) <= 2
            found += answer[field].items() if isinstance(answer[field], dict) else answer[field]
            if answer["next"] is None:
                return found
            after = {cursor: answer["next"]}

    assert [one["name"] for one in pages("/api/identities", "after", "identities")] == ["P0", "P1", "P2", "P3"]
    assert dict(pages("/api/cameras", "after", "cameras")) == client.get("/api/stats").json()["cameras"]
    assert [one["number"] for one in pages("/api/log", "after", "events")] == list(range(1, 9))
    assert len(pages("/api/records", "after_id", "records")) == 7
    for name in ("P1", "P2"):
        whole = client.get("/api/timeline", params={"identity": name}).json()
        assert pages("/api/timeline", "after_id", "records", identity=name) == whole["records"]
        assert whole["next"] is None
    for address in ("records", "identities", "cameras", "log", "timeline?identity=P1"):
        joint = "&" if "?" in address else "?"
        assert client.get(f"/api/{address}{joint}limit=1001").status_code == 422


def test_head(client: TestClient) -> None:
    for address in ("/", "/healthz", "/readyz"):
        answer = client.head(address)
        assert answer.status_code == 200
        assert answer.content == b""
        assert answer.headers["content-type"] == client.get(address).headers["content-type"]


def test_a_temporary_folder_without_room(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    large = png(0, 700, 700)
    assert len(large) > 1_000_000
    for address in ("/api/search", "/api/records"):
        answer = client.post(address, files={"image": ("a.png", large)})
        assert answer.status_code == 507
        assert answer.json()["error"].endswith(".")
    lines = [record.fields for record in caplog.records if record.getMessage() == "temporary folder"]
    assert len(lines) == 2 and lines[0]["reason"]
    monkeypatch.undo()
    assert client.post("/api/search", files={"image": ("a.png", large)}).status_code == 200


HTTPS = {"x-forwarded-proto": "https", "host": "seen.example.org"}


def test_behind_a_proxy_that_was_declared(serve: Serve) -> None:
    client = serve(proxies=("10.0.0.0/8",), rate=0)

    def ask(address: str, headers: dict[str, str], method: str = "GET") -> int:
        client._transport.client = (address, 50000)  # type: ignore[attr-defined] # starlette's test client asks as this
        return int(
            client.request(
                method, "/api/records", headers=headers, files=PICTURE if method == "POST" else None
            ).status_code
        )

    own = HTTPS | {"origin": "https://seen.example.org", "sec-fetch-site": "same-origin"}
    for method in ("GET", "POST"):
        assert ask("10.0.0.7", own, method) == 200
        assert ask("10.0.0.7", own | {"host": "localhost:8000", "x-forwarded-host": "seen.example.org"}, method) == 200
        assert ask("10.0.0.7", own | {"origin": "https://evil.example.org"}, method) == 403
        assert ask("10.0.0.7", own | {"origin": "http://seen.example.org"}, method) == 403
        assert ask("10.0.0.7", HTTPS | {"sec-fetch-site": "cross-site"}, method) == 403
        assert ask("192.168.0.7", own, method) == 403  # anybody may send these headers
        assert ask("127.0.0.1", own, method) == 403


def test_a_service_for_a_proxy_alone_answers_nobody_else(serve: Serve) -> None:
    with pytest.raises(RecipeError, match="without keys"):
        Settings(host="0.0.0.0")
    with pytest.raises(RecipeError, match="no address"):
        Settings(proxies=("proxy.example.org",))
    client = serve(host="0.0.0.0", proxies=("10.0.0.7",), rate=0)
    for address, headers, status in (
        ("10.0.0.7", HTTPS, 200),
        ("10.0.0.8", HTTPS, 403),
        ("10.0.0.8", {"host": "localhost"}, 403),
        ("127.0.0.1", {"host": "localhost"}, 200),
    ):
        client._transport.client = (address, 50000)  # type: ignore[attr-defined]
        assert client.get("/api/records", headers=headers).status_code == status, (address, headers)


def test_callers_behind_a_proxy_are_counted_apart(serve: Serve) -> None:
    client = serve(proxies=("10.0.0.7",), rate=0.25)  # one at once
    client._transport.client = ("10.0.0.7", 50000)  # type: ignore[attr-defined]
    statuses = [
        client.get("/api/stats", headers=HTTPS | {"x-forwarded-for": f"1.1.1.1, {who}"}).status_code
        for who in ("2.2.2.2", "2.2.2.2", "3.3.3.3")
    ]
    assert statuses == [200, 429, 200]


def test_a_file_whose_name_is_no_utf_8(client: TestClient, gallery: Gallery, tmp_path: Path) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/Jos\xe9.png")
    try:
        Path(name).write_bytes(png())
    except OSError:
        pytest.skip("this file system takes no such names")
    (id,) = gallery.add([name], identities="Jo").ids
    shown = f"{tmp_path}/Jos\\xe9.png"
    assert client.get(f"/api/records/{id}").json()["source"] == shown
    assert client.get("/api/records").json()["records"][0]["source"] == shown
    assert client.get("/api/timeline", params={"identity": "Jo"}).json()["records"][0]["source"] == shown
    assert client.post("/api/search", files=PICTURE).json()["hits"][0]["record"]["source"] == shown
    assert client.post("/api/search/record", json={"id": id}).status_code == 200
    folder = gallery.export("Jo", tmp_path / "out")
    assert "Jos\\\\xe9.png" in (folder / "records.json").read_text(encoding="utf-8")
