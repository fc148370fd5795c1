"""Pages of other sites stay out, keys open what they are for, and nothing answers without one where there are any."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from resight.errors import RecipeError
from resight.server.keys import new_key, read_keys
from resight.server.settings import Settings, is_local

from .conftest import Serve, png, put

NOBODY = "0" * 32


OTHERS = (
    {"host": "evil.example"},  # a name that was made to point here
    {"host": "evil.example:8000"},
    {"host": "localhost.evil.example"},
    {"host": "127.0.0.1.evil.example"},
    {"host": "user@evil.example"},
    {"host": "[::1"},
    {"host": ""},
    {"origin": "http://evil.example"},
    {"origin": "null"},  # a sandboxed frame, or a file
    {"origin": ""},
    {"origin": "http://localhost:1234"},  # another program's page on this machine
    {"origin": "http://["},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
)
OURS = (
    {},
    {"host": "127.0.0.1:8000"},
    {"host": "[::1]:8000"},
    {"host": "LocalHost:8000"},
    {"host": "localhost:8000", "origin": "http://localhost:8000", "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},  # typed into the browser
)


def test_without_keys_other_sites_get_nothing_and_change_nothing(client: TestClient) -> None:
    id = put(client)
    asked = (
        ("GET", "/api/records", {}),
        ("GET", f"/api/records/{id}/thumbnail", {}),
        ("GET", "/metrics", {}),
        ("POST", "/api/records", {"files": {"image": ("a.png", png(1))}}),
        ("POST", "/api/erase", {"json": {"ids": [id]}}),
    )
    for headers in OTHERS:
        assert client.get("/", headers=headers).status_code == (403 if "host" in headers else 200)  # or it is a link
        for method, address, body in asked:
            answer = client.request(method, address, headers=headers, **body)
            assert answer.status_code == 403, (headers, address)
            assert answer.json()["error"].endswith("or create keys.")
            assert "access-control-allow-origin" not in answer.headers
    assert [one["id"] for one in client.get("/api/records").json()["records"]] == [id]


def test_our_own_page_and_programs_come_in(client: TestClient) -> None:
    for headers in OURS:
        assert client.get("/api/records", headers=headers).status_code == 200, headers


def test_a_form_of_another_site_is_not_taken_for_json(client: TestClient) -> None:
    """What a page can send without asking first: text/plain, or a form."""
    id = put(client)
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = client.post("/api/erase", content=json.dumps({"ids": [id]}), headers={"content-type": kind})
        assert answer.status_code == 422, kind
    assert client.get(f"/api/records/{id}").status_code == 200


def routes(client: TestClient) -> list[tuple[str, str]]:
    return [
        (method.upper(), address.replace("{id}", NOBODY))
        for address, methods in client.app.openapi()["paths"].items()
        for method in methods
    ]


def test_every_route_needs_a_key_that_may(keyed: tuple[TestClient, dict[str, str]]) -> None:
    client, keys = keyed
    open_to_all = {"/healthz", "/readyz", "/api/me"}
    needs = {
        ("POST", "/api/erase"): "erase",
        ("POST", "/api/records"): "write",
        ("POST", "/api/identities/enrol"): "write",
        ("POST", "/api/identities/merge"): "write",
        ("POST", "/api/identities/split"): "write",
        ("POST", "/api/identities/rename"): "write",
        ("POST", "/api/calibration"): "write",
        ("POST", "/api/calibration/answer"): "write",
        ("POST", "/api/review"): "write",
        ("POST", "/api/review/link"): "write",
    }
    seen = set()
    for method, address in routes(client):
        if address in open_to_all:
            assert client.request(method, address).status_code == 200
            continue
        seen.add((method, address))
        for wrong in ({}, {"authorization": "Bearer nonsense"}, {"x-api-key": keys["read"][:-1]}):
            answer = client.request(method, address, headers=wrong)
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer", address
        needed = needs.get((method, address), "read")
        body = {"files": {"image": ("a.png", png())}} if address in ("/api/records", "/api/search") else {"json": {}}
        for name in ("read", "write", "erase", "all"):
            status = client.request(method, address, headers={"x-api-key": keys[name]}, **body).status_code
            assert (status == 403) == (name not in (needed, "all")), (address, name, status)
    assert len(seen) >= 18 and set(needs) <= seen


def test_who_may_not_is_told_before_anything_is_done(keyed: tuple[TestClient, dict[str, str]]) -> None:
    client, keys = keyed
    answer = client.post("/api/records", files={"image": ("a.png", png())}, headers={"x-api-key": keys["read"]})
    assert answer.json() == {"error": "This key may not write: ask for one with the scope write."}
    assert client.get("/api/records", headers={"x-api-key": keys["read"]}).json()["records"] == []


def test_me_says_what_the_page_must_know(keyed: tuple[TestClient, dict[str, str]]) -> None:
    client, keys = keyed
    for headers in ({}, {"x-api-key": "wrong"}):
        answer = client.get("/api/me", headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"scopes": [], "keys_needed": True})
    asked = client.get("/api/me", headers={"authorization": f"bearer {keys['write']}"})
    assert asked.json() == {"scopes": ["write"], "keys_needed": True}


def test_the_log_of_the_gallery_names_the_key(keyed: tuple[TestClient, dict[str, str]]) -> None:
    client, keys = keyed
    body = {"files": {"image": ("a.png", png())}}
    id = client.post("/api/records", headers={"x-api-key": keys["write"]}, **body).json()["id"]
    client.post("/api/erase", headers={"x-api-key": keys["all"]}, json={"ids": [id]})
    events = client.get("/api/log", headers={"x-api-key": keys["read"]}).json()["events"]
    done = [(one["action"], one["actor"]) for one in events]
    assert done == [("create", "tests"), ("add", "write"), ("erase", "all")]


def test_with_keys_the_name_of_the_machine_does_not_matter(keyed: tuple[TestClient, dict[str, str]]) -> None:
    """A browser never adds a key by itself; a proxy in front may have any name."""
    client, keys = keyed
    headers = {"host": "seen.example", "origin": "https://seen.example"}
    assert client.get("/api/records", headers=headers | {"x-api-key": keys["read"]}).status_code == 200
    assert client.get("/api/records", headers=headers).status_code == 401


def test_a_file_of_keys_holds_no_key(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    ada, bea = new_key(file, "Ada", ["write", "read"]), new_key(file, "Bea", ["erase"])
    text = file.read_text(encoding="utf-8")
    assert ada not in text and bea not in text and ada != bea and len(ada) > 40
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    keys = read_keys(file)
    found = keys.caller(ada)
    assert found is not None and (found.name, found.scopes) == ("Ada", ("read", "write"))
    assert keys.caller(ada + "x") is None and keys.caller("") is None and keys.caller("\ud800ä") is None
    with pytest.raises(RecipeError, match="has a key named 'Ada' already"):
        new_key(file, "Ada", ["read"])
    assert file.read_text(encoding="utf-8") == text


def test_wrong_keys_files_are_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with pytest.raises(RecipeError, match="cannot be read"):
        read_keys(file)
    for wrong in ("{}", "[1]", "[{}]", "nonsense", '[{"name": "a", "scopes": "read", "sha256": ""}]', "[]"):
        file.write_text(wrong, encoding="utf-8")
        with pytest.raises(RecipeError, match=r"is no file of keys|has no keys|The scopes of a key"):
            read_keys(file)
        assert file.read_text(encoding="utf-8") == wrong
    file.unlink()
    for name, scopes in (("", ["read"]), ("a\n", ["read"]), ("a", []), ("a", ["admin"])):
        with pytest.raises(RecipeError):
            new_key(file, name, scopes)
    assert not file.exists()


def test_others_are_let_near_with_keys_only(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.168.0.7", "::", "seen.example", "127.evil.example"):
        assert not is_local(host)
        with pytest.raises(RecipeError, match="can be reached by others, and without keys they may do everything"):
            Settings(host=host)
    for host in ("127.0.0.1", "127.3.2.1", "localhost", "::1"):
        assert is_local(host) and Settings(host=host).host == host
    new_key(tmp_path / "keys.json", "Ada", ["read"])
    assert Settings(host="0.0.0.0", keys=read_keys(tmp_path / "keys.json")).host == "0.0.0.0"
    for name in ("upload_bytes", "pixels", "queue", "patience"):
        with pytest.raises(RecipeError, match=name):
            Settings(**{name: 0})


def test_every_answer_has_the_headers_that_keep_it_in_its_place(serve: Serve) -> None:
    client = serve(rate=0)
    id = put(client)
    for address in ("/", "/api/records", f"/api/records/{id}/thumbnail", "/nowhere", "/metrics", "/openapi.json"):
        headers = client.get(address).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy and "*" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == ("no-cache" if address == "/" else "no-store")
        assert len(headers["x-request-id"]) == 16
        assert "server" not in headers


def test_a_key_that_is_taken_out_of_the_file_opens_nothing_any_more(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    first, second = (new_key(file, name, ["read"]) for name in ("first", "second"))
    client = serve(keys=read_keys(file), rate=0)

    def opens(secret: str) -> bool:
        return client.get("/api/stats", headers={"x-api-key": secret}).status_code == 200

    assert opens(first) and opens(second)
    left = [key for key in json.loads(file.read_text()) if key["name"] == "second"]
    file.write_text(json.dumps(left))
    assert not opens(first) and opens(second)
    third = new_key(file, "third", ["read"])
    assert opens(third) and not opens(first)
    kept = file.read_text()
    for gone in (lambda: file.write_text(kept[:20]), file.unlink):  # whoever damages the file opens no door
        gone()
        assert not opens(second) and client.get("/api/stats").status_code == 401
    file.write_text(kept)
    assert opens(second)
    early = read_keys(file)
    file.unlink()
    assert early.caller(second) is None  # gone before anybody came
