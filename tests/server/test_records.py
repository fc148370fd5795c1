"""Records over HTTP are those of the gallery: added once, listed page by page, erased for good."""

from __future__ import annotations

import io

import numpy as np
from httpx import Response
from PIL import Image
from starlette.testclient import TestClient

from resight.gallery.gallery import Gallery

from .conftest import noise, png, put

SCRIPT = '<script>alert("1")</script>&\u202e"'


def test_a_picture_is_the_same_one_over_http_and_in_python(client: TestClient, gallery: Gallery) -> None:
    data = png(3)
    fields = {
        "camera": "yard",
        "time": "12.5",
        "box": "1,2,30,40",
        "basis": "consent",
        "source": "a.jpg",
        "expires": "9e9",
    }
    answer = client.post("/api/records", files={"image": ("b.png", data)}, data=fields)
    assert answer.status_code == 200 and answer.json()["new"]
    id = answer.json()["id"]
    again = client.post("/api/records", files={"image": ("other.png", data)}, data=fields).json()
    assert again == {"id": id, "new": False, "different": False}
    named = client.post("/api/records", files={"image": ("b.png", data)}, data=fields | {"identity": "Ann"}).json()
    assert named == {"id": id, "new": False, "different": True}
    added = gallery.add([data], cameras="yard", times=12.5, boxes=[(1, 2, 30, 40)])
    assert added.ids == (id,) and added.new == 0
    record = client.get(f"/api/records/{id}").json()
    assert record.pop("added") > 1e9
    assert record == {
        "id": id,
        "identity": None,
        "camera": "yard",
        "time": 12.5,
        "source": "a.jpg",
        "box": [1, 2, 30, 40],
        "basis": "consent",
        "expires": 9e9,
    }
    np.testing.assert_array_equal(gallery.vectors([id])[0], noise(3).transpose(2, 0, 1).reshape(-1))


def test_empty_fields_of_a_form_are_left_out(client: TestClient) -> None:
    empty = dict.fromkeys(("camera", "time", "identity", "basis", "expires", "box"), "")
    record = client.get(f"/api/records/{put(client, 1, **empty)}").json()
    assert (record["camera"], record["time"], record["identity"], record["box"]) == ("", None, None, None)
    assert record["source"] == "upload"


def test_pages_hold_every_record_once(client: TestClient) -> None:
    ids = sorted(put(client, seed, camera=f"c{seed % 2}", time=seed) for seed in range(11))
    found, after, pages = [], "", 0
    while after is not None:
        answer = client.get("/api/records", params={"limit": 4, "after_id": after}).json()
        found += [one["id"] for one in answer["records"]]
        after, pages = answer["next"], pages + 1
    assert found == ids and pages == 3
    assert client.get("/api/records", params={"limit": 11}).json()["next"] is None
    some = client.get("/api/records", params={"camera": ["c1"], "after": 3, "before": 9}).json()["records"]
    assert sorted(one["time"] for one in some) == [3, 5, 7]
    assert client.get("/api/records", params={"unknown": "false"}).json()["records"] == []


def test_thumbnails_are_jpegs_without_exif_and_upright(client: TestClient) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x8825] = 6, "where Ada lives", {1: "N", 2: (52.0, 0.0, 0.0)}
    halves = Image.fromarray(np.repeat(np.array([[255], [0]], np.uint8), 40, axis=0).repeat(40, axis=1))  # white above
    halves.save(out, "JPEG", exif=exif.tobytes(), quality=95)
    answer = client.post("/api/records", files={"image": ("a.jpg", out.getvalue(), "text/html")})
    seen = client.get(f"/api/records/{answer.json()['id']}/thumbnail")
    assert seen.headers["content-type"] == "image/jpeg" and seen.headers["x-content-type-options"] == "nosniff"
    assert b"Exif" not in seen.content and b"Ada" not in seen.content
    with Image.open(io.BytesIO(seen.content)) as picture:
        assert picture.format == "JPEG" and not picture.getexif()
        pixels = np.asarray(picture.convert("L")).astype(int)
    assert pixels[:, pixels.shape[1] * 3 // 4].mean() > 250 > 5 > pixels[:, pixels.shape[1] // 4].mean()  # white right


def test_what_is_erased_is_found_nowhere(client: TestClient) -> None:
    ids = [put(client, seed, time=seed, **({"identity": "Ada"} if seed < 2 else {})) for seed in range(6)]
    assert client.post("/api/erase", json={"identity": "Ada"}).json() == {"erased": 2}
    assert client.post("/api/erase", json={"ids": [ids[2], "0" * 32]}).json() == {"erased": 1}
    assert client.post("/api/erase", json={"before": 4}).json() == {"erased": 1}
    assert sorted(one["id"] for one in client.get("/api/records").json()["records"]) == sorted(ids[4:])
    for id in ids[:4]:
        for address in (f"/api/records/{id}", f"/api/records/{id}/thumbnail"):
            answer = client.get(address)
            assert answer.status_code == 404 and "erased since" in answer.json()["error"]
        assert client.post("/api/search/record", json={"id": id}).status_code == 404
    hits = client.post("/api/search", files={"image": ("a", png(0))}, data={"k": 10}).json()["hits"]
    assert sorted(hit["record"]["id"] for hit in hits) == sorted(ids[4:])
    for wrong in ({}, {"identity": "Ada", "before": 3}, {"ids": []}, {"ids": ["x"]}, {"everything": True}):
        assert client.post("/api/erase", json=wrong).status_code == 422
    assert len(client.get("/api/records").json()["records"]) == 2


def test_what_was_erased_is_refused_unless_asked(client: TestClient) -> None:
    id = put(client, 1)
    assert client.post("/api/erase", json={"ids": [id]}).json() == {"erased": 1}

    def add(**fields: str) -> Response:
        return client.post("/api/records", files={"image": ("a.png", png(1))}, data=fields)

    refused = add(camera="another")
    assert refused.status_code == 409 and "add_erased=true" in refused.json()["error"]
    assert client.get("/api/records").json()["records"] == []
    assert add(add_erased="true").json() == {"id": id, "new": True, "different": False}
    assert add(camera="another").json()["new"]


def test_names_are_given_joined_divided_and_changed(client: TestClient) -> None:
    ids = [put(client, seed, camera=f"c{seed % 2}", time=100 - seed) for seed in range(6)]

    def post(what: str, **body: object) -> tuple[int, object]:
        answer = client.post(f"/api/identities/{what}", json=body)
        return answer.status_code, answer.json()

    assert post("enrol", name=SCRIPT, ids=ids[:2]) == (200, {"records": 2})
    assert post("enrol", name="  Bea ", ids=ids[2:5]) == (200, {"records": 3})
    people = client.get("/api/identities")
    assert people.headers["content-type"] == "application/json"
    assert [
        (one["name"], one["records"], one["cameras"], one["first"], one["last"]) for one in people.json()["identities"]
    ] == [
        (SCRIPT, 2, ["c0", "c1"], 99, 100),
        ("Bea", 3, ["c0", "c1"], 96, 98),
    ]
    line = client.get("/api/timeline", params={"identity": "Bea"}).json()["records"]
    assert [one["id"] for one in line] == [ids[4], ids[3], ids[2]]
    assert post("rename", name=SCRIPT, new_name="Ada") == (200, {"records": 2})
    assert post("split", name="Bea", ids=[ids[4]], new_name="Cleo") == (200, {"records": 1})
    assert post("split", name="Bea", ids=[ids[3]]) == (200, {"records": 1})
    assert post("merge", into="Ada", others=["Bea", "Cleo"]) == (200, {"records": 2})
    named = {one["id"]: one["identity"] for one in client.get("/api/records").json()["records"]}
    assert named == dict(zip(ids, ["Ada", "Ada", "Ada", None, "Ada", None], strict=True))
    assert [one["name"] for one in client.get("/api/identities").json()["identities"]] == ["Ada"]
    post("enrol", name="Bea", ids=[ids[5]])
    for status, what, body in (
        (404, "rename", {"name": "Nobody", "new_name": "Else"}),
        (404, "merge", {"into": "Ada", "others": ["Nobody"]}),
        (404, "enrol", {"name": "Ada", "ids": ["0" * 32]}),
        (409, "rename", {"name": "Ada", "new_name": "Bea"}),
        (409, "enrol", {"name": "Ada", "ids": [ids[5]]}),
        (409, "split", {"name": "Ada", "ids": [ids[0]], "new_name": "Bea"}),
        (422, "enrol", {"name": "a\nb", "ids": [ids[3]]}),
        (422, "enrol", {"name": " ", "ids": [ids[3]]}),
        (422, "enrol", {"name": "a" * 201, "ids": [ids[3]]}),
    ):
        found, answer = post(what, **body)
        assert (found, list(answer)) == (status, ["error"]), (what, body, answer)


def test_cameras_numbers_and_the_log(client: TestClient, gallery: Gallery) -> None:
    for seed in range(5):
        put(client, seed, camera=("yard", "")[seed % 2], identity="Ada")
    assert client.get("/api/cameras").json() == {"cameras": {"": 2, "yard": 3}, "next": None}
    stats = client.get("/api/stats").json()
    assert (stats["records"], stats["identities"], stats["unknown"], stats["dim"]) == (5, 1, 0, 96)
    events = client.get("/api/log", params={"after": 2, "limit": 3}).json()["events"]
    assert [one["number"] for one in events] == [3, 4, 5]
    assert "Ada" not in client.get("/api/log").text
    gallery.verify_log()


WRONG = (
    {"time": "noon"},
    {"time": "inf"},
    {"time": "nan"},
    {"time": "1e18"},
    {"box": "1,2,3"},
    {"box": "1,2,3,x"},
    {"box": "٣,٣,٣,٣"},
    {"camera": "a" * 201},
    {"identity": "a\0b"},
    {"camera": "a\x7fb"},
    {"source": "s" * 1001},
    {"expires": "30"},
)


def test_wrong_fields_add_nothing(client: TestClient) -> None:
    for fields in WRONG:
        answer = client.post("/api/records", files={"image": ("a.png", png())}, data=fields)
        assert answer.status_code == 422 and answer.json().keys() == {"error"}, (fields, answer.text)
    assert client.get("/api/records").json()["records"] == []
