"""Secrets in addresses, parameters and options are left out; everything else stays as it is."""

from __future__ import annotations

import pytest

from resight.secrets import without_secrets


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("rtsp://admin:hunter2@10.0.0.5/stream1", "rtsp://10.0.0.5/stream1"),
        ("rtsp://admin:hunt@er2@cam:554/x?y=1", "rtsp://cam:554/x?y=1"),
        ("rtsp://admin:hunter/2@cam/x", "rtsp://cam/x"),
        ("rtsp://admin:12/hunter2@cam/x", "rtsp://cam/x"),
        ("rtsp://:hunter2@cam/1", "rtsp://cam/1"),
        ("rtsp://cam/user=admin_password=hunter2_channel=1_x=0.sdp", "rtsp://cam/user=admin_password=***_channel=1_x=0.sdp"),
        ("http://cam/video?usr=admin&pwd=hunter2&channel=1", "http://cam/video?usr=admin&pwd=***&channel=1"),
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
        "bypass=2", "shop.mp4#frame=7&xywh=10,20,30,60", "",
    ],
)  # fmt: skip
def test_text_without_secrets_stays(text: str) -> None:
    assert without_secrets(text) == text
