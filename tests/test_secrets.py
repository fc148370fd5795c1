"""Secrets in addresses, parameters and options are left out; everything else stays as it is."""

from __future__ import annotations

import pytest

from resight.addresses import split_address
from resight.errors import DataError
from resight.secrets import without_secrets


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("rtsp://admin:hunter2@10.0.0.5/stream1", "rtsp://10.0.0.5/stream1"),
        ("rtsp://admin:hunt@er2@cam:554/x?y=1", "rtsp://cam:554/x?y=1"),
        ("rtsp://admin:hunter/2@cam/x", "rtsp://cam/x"),
        ("rtsp://admin:12/hunter2@cam/x", "rtsp://cam/x"),
        ("rtsp://:hunter2@cam/1", "rtsp://cam/1"),
        ("rtsp://admin:hun ter 2@cam/1", "rtsp://cam/1"),
        ("rtsp://the admin:hun/ter 2@10.0.0.5:554/1", "rtsp://10.0.0.5:554/1"),
        ("rtsp://admin:hun'ter\"2@cam/1", "rtsp://cam/1"),
        ("no stream at rtsp://admin:hun ter2@cam/1: check it", "no stream at rtsp://cam/1: check it"),
        ("rtsp://cam/user=admin_password=hunter2_channel=1_x=0.sdp", "rtsp://cam/user=admin_password=***_channel=1_x=0.sdp"),
        ("http://cam/video?usr=admin&pwd=hunter2&channel=1", "http://cam/video?usr=admin&pwd=***&channel=1"),
        ("http://cam/video.cgi?loginuse=a&loginpas=hunter2", "http://cam/video.cgi?loginuse=a&loginpas=***"),
        ("http://chat/v1/messages?key=hunter2&threadKey=1", "http://chat/v1/messages?key=***&threadKey=1"),
        ("postgresql://db/seen?sslpassword=hunter2", "postgresql://db/seen?sslpassword=***"),
        ("https://cam/?auth_token=hunter2#top", "https://cam/?auth_token=***#top"),
        ("postgresql://me:hunter%402@db:5432/seen?sslmode=require", "postgresql://db:5432/seen?sslmode=require"),
        ("host=db user=me password=hunter2 dbname=x", "host=db user=me password=*** dbname=x"),
        ("resight watch rtsp://a:hunter2@cam/1 --token hunter2 -o x", "resight watch rtsp://cam/1 --token *** -o x"),
        ("no stream at rtsp://a:hunter2@one/1 nor at http://b:hunter2@two", "no stream at rtsp://one/1 nor at http://two"),
    ],
)  # fmt: skip
def test_secrets_are_left_out(text: str, kept: str) -> None:
    assert without_secrets(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://10.0.0.5:554/stream@2x", "http://cam/@door", "hf:org/name@v1", "me@example.org", "/data/a@b/c:d.jpg",
        "rtsp://cam:554 does not answer me@example.org", "rtsp://cam: no answer to me@example.org",
        "rtsp://cam --as me:a@b",
        "bypass=2", "monkey=3", "http://shop/?turnkey=1", "/data/key=2/a.jpg", "shop.mp4#frame=7&xywh=10,20,30,60", "",
    ],
)  # fmt: skip
def test_text_without_secrets_stays(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize("password", ["hun/ter2", "hun[ter2", "hun#ter2", "hun?ter2", "hun%ter2", "12/ter2"])
@pytest.mark.parametrize("rest", ["127.0.0.1:9/hook", "one:1,two:2/base"])
def test_a_password_is_never_taken_for_a_host(password: str, rest: str) -> None:
    with pytest.raises(DataError, match=r"cannot be read as an address: .*%2F") as error:
        split_address(f"http://me:{password}@{rest}")
    assert "ter2" not in str(error.value) and "hun" not in str(error.value)
    assert split_address(f"http://me:a%2Fb@{rest}").netloc == f"me:a%2Fb@{rest.partition('/')[0]}"


@pytest.mark.parametrize("address", ["http://[::1/x", "mqtt://host:99999/x", "https://host:x/y", "http://a host/x"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(DataError, match="cannot be read as an address"):
        split_address(address)
