"""Messages about tracks: what they say, and that none is lost whatever the sinks do."""

from __future__ import annotations

import base64
import io
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight.errors import DataError, RecipeError
from resight.gallery.gallery import Gallery
from resight.records import Embeddings
from resight.watch.events import delivery as module
from resight.watch.events.delivery import Delivery
from resight.watch.events.event import seen_event
from resight.watch.events.outbox import Outbox
from resight.watch.events.pipe import Pipe
from resight.watch.events.sink import Undelivered
from resight.watch.events.webhook import Webhook, webhook_name
from watch.events.servers import broker, free_port, taker
from watch.films import Walk, write
from watch.test_watch import DOOR, START, YARD, look, opened

NOON = 1_760_011_200.0  # 2025-10-09 12:00:00 UTC


def track(gallery: Gallery, camera: str, time: float | None, number: int = 0) -> str:
    """A track of one kind of vector, 4 s long, with its best picture in the middle."""
    begin = 10.0 if time is None else time
    vector = np.eye(gallery.card.dim, dtype=np.float32)[:1] + number * 1e-3
    embeddings = Embeddings(vector, fingerprint=gallery.card.fingerprint)
    (id,) = gallery.add(
        embeddings,
        cameras=camera,
        times=None if time is None else time + 2,
        sources=[f"{camera}.mp4#frame=20&t={begin:.3f},{begin + 4:.3f}"],
    ).ids
    return id


def until(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen within 5 s")


def messages(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_a_message_says(tmp_path: Path) -> None:
    with opened(tmp_path) as gallery:
        first, second = track(gallery, "door", NOON), track(gallery, "yard", NOON + 60)
        assert seen_event(gallery, gallery.get([first])[0]) is None
        gallery.enrol("Bea", [first, second])
        one, two = (seen_event(gallery, record) for record in gallery.get([first, second]))
        assert one is not None and one.text == "Bea at door, 2025-10-09 12:00:00Z, seen for the first time"
        assert two is not None and two.text == "Bea at yard, 2025-10-09 12:01:00Z, seen before at door"
        assert two.numbers() == {
            "event": "seen",
            "id": second,
            "identity": "Bea",
            "camera": "yard",
            "begin": "2025-10-09T12:01:00Z",
            "end": "2025-10-09T12:01:04Z",
            "before_camera": "door",
            "before_time": "2025-10-09T12:00:02Z",
            "source": f"yard.mp4#frame=20&t={NOON + 60:.3f},{NOON + 64:.3f}",
            "text": two.text,
        }
        third = track(gallery, "hall", None)
        gallery.enrol("Bea", [third])
        untimed = seen_event(gallery, gallery.get([third])[0])
        assert untimed is not None and (untimed.begin, untimed.before_camera) == (None, "yard")
        assert untimed.text == "Bea at hall, seen before at yard"


def test_watching_writes_a_line_for_each_new_track(tmp_path: Path) -> None:
    write(tmp_path, "door", DOOR), write(tmp_path, "yard", YARD)
    lines = tmp_path / "lines.jsonl"
    with opened(tmp_path) as gallery:
        for _ in range(2):  # the second time nothing is new
            events = Delivery(gallery, [str(lines)])
            look(tmp_path, gallery, "door", "yard", events=events)
            assert events.close() == {}
        got = messages(lines)
        assert {one["id"]: one["identity"] for one in got} == {one.id: one.identity for one in gallery.records()}
        assert len(got) == 5 and got[0]["begin"] == "2025-10-09T08:53:20Z"
        before = [(one["identity"], one["camera"], one["before_camera"]) for one in got]
        assert sorted(before) == [
            ("person 1", "door", None),
            ("person 1", "yard", "door"),
            ("person 2", "door", "yard"),
            ("person 2", "yard", None),
            ("person 3", "yard", None),
        ]


def test_a_web_server_that_fails_gets_everything_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order; refused ones come again with the same key; the login is neither printed nor kept."""
    monkeypatch.setattr(module, "PAUSE", 0.01)
    said: list[str] = []
    with opened(tmp_path) as gallery, taker(codes=(503, 204, 500)) as server:
        address = f"http://bea:s%40cret@127.0.0.1:{server.server_port}/hook?room=1"
        ids = [track(gallery, "door", NOON + 10 * at, at) for at in range(3)]
        events = Delivery(gallery, [address], say=said.append)
        events.add(ids)
        gallery.enrol("Bea", ids)
        events.wake()
        until(lambda: len(server.got) == 5)
        assert events.close() == {}
        keys = [headers["Idempotency-Key"] for headers, _ in server.got]
        assert keys == [ids[0], ids[0], ids[1], ids[1], ids[2]] == [one["id"] for _, one in server.got]
        assert server.got[0][0]["Authorization"] == "Basic " + base64.b64encode(b"bea:s@cret").decode()
        assert server.got[0][0]["Content-Type"] == "application/json; charset=utf-8"
    assert any("it answered 503" in one for one in said) and not any("cret" in one for one in said)
    assert b"cret" not in (tmp_path / "seen.outbox.db").read_bytes()


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_has_not_taken_the_message(tmp_path: Path, code: int) -> None:
    """Followed, it would be a GET without the message, with the login for another host, and would count as taken."""
    said: list[str] = []
    with opened(tmp_path) as gallery, taker(codes=(code,) * 100) as old, taker() as new:
        old.sends_on = f"http://127.0.0.1:{new.server_port}/new/token"
        ids = [track(gallery, "door", NOON)]
        gallery.enrol("Bea", ids)
        events = Delivery(gallery, [f"http://bea:cret@127.0.0.1:{old.server_port}/hook"], say=said.append)
        events.add(ids)
        events.wake()
        until(lambda: bool(said))
        assert list(events.close(grace=0).values()) == [1] and new.got == []
        assert f"answered {code}" in said[0] and "new address" in said[0] and "token" not in said[0]


def test_standard_output_that_cannot_take_a_line_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    with opened(tmp_path) as gallery:
        ids = [track(gallery, "Straße", NOON)]
        gallery.enrol("Bea", ids)
        events = Delivery(gallery, ["-"], say=said.append)
        events.add(ids)
        events.wake()
        until(lambda: bool(said))
        assert "ascii" in said[0] and events.close(grace=0) == {"-": 1}


def test_a_pipe_takes_messages_while_somebody_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads at first, then somebody reads two messages and goes away, then another one reads the rest."""
    monkeypatch.setattr(module, "PAUSE", 0.01)
    pipe = tmp_path / "pipe"
    said: list[str] = []
    os.mkfifo(pipe)
    with opened(tmp_path) as gallery:
        ids = [track(gallery, "door", NOON + 10 * at, at) for at in range(4)]
        gallery.enrol("Bea", ids)
        events = Delivery(gallery, [str(pipe), "/dev/null"], say=said.append)
        events.add(ids[:2])
        events.wake()
        until(lambda: bool(said))
        assert "no program reads it" in said[0]
        until(lambda: "/dev/null" not in events.outbox.counts())
        with pipe.open() as reader:
            assert [json.loads(reader.readline())["id"] for _ in range(2)] == ids[:2]
            until(lambda: any("taken again" in one for one in said))
        events.add(ids[2:])
        events.wake()
        until(lambda: sum("no program reads it" in one for one in said) == 2)
        with pipe.open() as reader:
            assert [json.loads(reader.readline())["id"] for _ in range(2)] == ids[2:]
            assert events.close() == {}
            assert reader.readline() == ""


def test_a_pipe_that_is_full_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resight.watch.events.pipe.TIMEOUT", 0.01)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    fd = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    with opened(tmp_path) as gallery:
        id = track(gallery, "door", NOON)
        gallery.enrol("Bea", [id])
        seen = seen_event(gallery, gallery.get([id])[0])
    assert seen is not None
    sink, sent = Pipe(str(pipe)), 0
    with pytest.raises(Undelivered, match="its reader takes nothing"):
        for sent in range(100_000):  # noqa: B007 # how many were taken is what counts
            sink.send(seen)
    assert os.read(fd, 1 << 20) == (seen.line() + "\n").encode() * sent
    os.close(fd)


def test_a_dead_broker_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens while five tracks are found; the next program sends them all, to a broker that wants a login."""
    paho = pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt: pip install 'resight[mqtt]'")
    monkeypatch.setattr(module, "PAUSE", 0.05)
    write(tmp_path, "door", DOOR), write(tmp_path, "yard", YARD)
    port, said = free_port(), []
    address = f"mqtt://watcher:s3cret@127.0.0.1:{port}/resight/seen"
    with opened(tmp_path) as gallery:
        events = Delivery(gallery, [address], say=said.append)
        look(tmp_path, gallery, "door", "yard", events=events)
        assert events.close(grace=0) == {f"mqtt://127.0.0.1:{port}/resight/seen": 5}
    assert len(said) == 1 and f"events to mqtt://127.0.0.1:{port}/resight/seen wait in" in said[0]
    with broker(tmp_path, port, "watcher", "s3cret"), opened(tmp_path) as gallery:
        got: list[dict[str, Any]] = []
        ready = threading.Event()
        reader = paho.Client(paho.CallbackAPIVersion.VERSION2)
        reader.username_pw_set("watcher", "s3cret")
        reader.on_message = lambda client, data, message: got.append(json.loads(message.payload))
        reader.on_subscribe = lambda *_: ready.set()
        reader.connect("127.0.0.1", port)
        reader.subscribe("resight/#", qos=1)
        reader.loop_start()
        try:
            assert ready.wait(5)
            wrong = Delivery(gallery, [address.replace("s3cret", "wrong")], say=said.append)
            assert sum(wrong.close(grace=0).values()) == 5 and "Not authorized" in said[-1]
            events = Delivery(gallery, [address])
            assert events.close() == {}
            until(lambda: len(got) >= 5)
            assert sorted(one["id"] for one in got) == sorted(one.id for one in gallery.records())
        finally:
            reader.disconnect()
            reader.loop_stop()


def test_a_broker_that_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt: pip install 'resight[mqtt]'")
    monkeypatch.setattr(module, "PAUSE", 0.05)
    port, said = free_port(), []
    with opened(tmp_path) as gallery:
        ids = [track(gallery, "door", NOON + 10 * at, at) for at in range(2)]
        gallery.enrol("Bea", ids)
        events = Delivery(gallery, [f"mqtt://127.0.0.1:{port}/seen"], say=said.append)
        for id in ids:
            with broker(tmp_path, port):
                events.add([id])
                events.wake()
                until(lambda: not events.outbox.counts())
        assert events.close() == {}


def test_who_is_erased_is_told_to_nobody(tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    with opened(tmp_path) as gallery:
        ids = [track(gallery, "door", NOON + 10 * at, at) for at in range(3)]
        events = Delivery(gallery, [str(lines)])
        events.add(ids)
        gallery.erase(ids=[ids[0]])
        gallery.enrol("Bea", [ids[2]])  # the second has no name yet, and goes on waiting
        assert events.close() == {str(lines): 1}
        assert [one["id"] for one in messages(lines)] == [ids[2]]
        gallery.enrol("Cy", [ids[1]])
        assert Delivery(gallery, [str(lines)]).close() == {}
        assert [one["id"] for one in messages(lines)] == [ids[2], ids[1]]


def test_what_waits_survives_the_program(tmp_path: Path) -> None:
    path = tmp_path / "waiting.db"
    box = Outbox(path)
    box.put(["a", "b"], ["1", "2"])
    box.put(["a"], ["2", "3"])  # once only
    again = Outbox(path)  # the first one never closed
    assert [record for _, record in again.waiting("a")] == ["1", "2", "3"] and again.counts() == {"a": 3, "b": 2}
    again.done(again.waiting("a")[0][0])
    assert [record for _, record in box.waiting("a", limit=1)] == ["2"] and box.counts() == {"a": 2, "b": 2}
    box.close(), again.close()


def test_what_is_sent_after_an_interrupt_is_not_undone_with_it(tmp_path: Path) -> None:
    class Interrupted:
        def __conform__(self, _: object) -> str:
            raise KeyboardInterrupt

    box = Outbox(tmp_path / "waiting.db")
    box.put(["a"], ["1", "2"])
    with pytest.raises(KeyboardInterrupt):
        box.put(["a"], ["3", Interrupted()])  # type: ignore[list-item]
    box.done(box.waiting("a")[0][0])
    box.close()
    again = Outbox(tmp_path / "waiting.db")
    assert [record for _, record in again.waiting("a")] == ["2"]
    again.close()


def test_the_path_of_a_webhook_is_a_secret(tmp_path: Path) -> None:
    """Slack, Discord and Teams have a token in it; what an earlier version kept under it is sent and forgotten."""
    first, second = "https://hooks.slack.com/services/T0/B0/t0ken", "https://hooks.slack.com/services/T0/B0/t1ken"
    names = [Webhook(address).name for address in (first, second)]
    assert all(name.startswith("https://hooks.slack.com (") and "ken" not in name for name in names)
    assert names[0] != names[1] and [*map(webhook_name, names)] == names
    box = Outbox(tmp_path / "outbox.db")
    box.put([first, "seen.jsonl"], ["1"])
    box.close()
    box = Outbox(tmp_path / "outbox.db")
    assert box.counts() == {names[0]: 1, "seen.jsonl": 1}
    box.close()
    assert not any(b"t0ken" in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("addresses", "kind", "message"),
    [
        (["amqp://bea:pw@host/1"], DataError, "--events amqp://host is no sink: write -, FILE"),
        (["mqtt://bea:pw@host"], DataError, "mqtt://host needs a host and a topic"),
        (["mqtt://host/a/#"], DataError, "without"),
        (["htps://host/pw"], DataError, "--events htps://host is no sink"),
        (["http://host:x/pw"], DataError, "http://host:x cannot be read"),
        (["http:///pw"], DataError, "has no host"),
        (["http://bea:p/pw@host/1"], DataError, "http://host cannot be read as an address"),
        (["seen.db"], DataError, "seen.db is there and is no text"),
        (["nowhere/lines"], DataError, "cannot be written .No such file or directory.: choose another file"),
        (["lines", "./lines"], RecipeError, "the same sink twice"),
    ],
)
def test_no_such_sink(
    tmp_path: Path, addresses: list[str], kind: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt: pip install 'resight[mqtt]'")
    with opened(tmp_path) as gallery, pytest.raises(kind, match=message) as error:
        Delivery(gallery, addresses)
    assert "pw" not in str(error.value)


def test_an_address_with_other_letters_is_one(tmp_path: Path) -> None:
    with opened(tmp_path) as gallery:
        gallery.enrol("Ann", [id := track(gallery, "door", NOON)])
        seen = seen_event(gallery, gallery.get([id])[0])
    assert seen is not None
    with pytest.raises(Undelivered, match="refused"):
        Webhook(f"http://127.0.0.1:{free_port()}/tür?ä=1").send(seen)


@pytest.mark.parametrize("killed_before", ["add", "expect"])
def test_a_watch_killed_as_it_stores_a_track_loses_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_before: str
) -> None:
    """Between the gallery and the outbox, or before both: the next watch of the film sends each message once."""
    write(tmp_path, "door", [Walk("red", 0, 14), Walk("blue", 20, 39)])
    lines = tmp_path / "lines.jsonl"
    with opened(tmp_path) as gallery:
        events = Delivery(gallery, [str(lines)])
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(events, killed_before, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            look(tmp_path, gallery, "door", events=events)
        assert len(gallery) == (killed_before == "add")
        assert events.close() == {} and not lines.read_text()
        events = Delivery(gallery, [str(lines)])
        look(tmp_path, gallery, "door", events=events)
        assert events.close() == {} and events.outbox.path.exists()
        again = Outbox(events.outbox.path)
        assert again.expected() == []
        again.close()
    assert [one["begin"] for one in messages(lines)] == ["2025-10-09T08:53:20Z", "2025-10-09T08:53:22Z"]


def test_a_watch_that_was_killed_is_told_of_later(tmp_path: Path) -> None:
    """The track was stored and has no name: its message is sent once it has one."""
    write(tmp_path, "door", [Walk("red", 0, 14), Walk("blue", 20, 39)])
    lines = tmp_path / "lines.jsonl"

    def dies(now: int, total: int) -> None:
        if now >= 32:
            raise KeyboardInterrupt

    with opened(tmp_path) as gallery:
        events = Delivery(gallery, [str(lines)])
        with pytest.raises(KeyboardInterrupt):
            look(tmp_path, gallery, "door", progress=dies, events=events)
        assert events.close() == {str(lines): 1} and not lines.read_text()
        events = Delivery(gallery, [str(lines)])
        look(tmp_path, gallery, "door", events=events)
        assert events.close() == {}
    assert [one["begin"] for one in messages(lines)] == ["2025-10-09T08:53:20Z", "2025-10-09T08:53:22Z"]
    assert START == 1_760_000_000.0
