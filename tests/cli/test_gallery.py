"""``resight gallery`` on synthetic people: every command, what it prints, what it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import resight
from cli.conftest import Shell, told
from conftest import write_noise
from resight.embedding import files
from resight.gallery.adding.incoming import incoming

PEOPLE, CAMERAS, EACH = 5, 2, 2


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic people, names like Market-1501's; random weights; and the gallery ``seen`` with all of them."""
    folder = tmp_path_factory.mktemp("filled")
    options = {"identities": PEOPLE, "cameras": CAMERAS, "images_per_camera": EACH}
    resight.datasets.load("synthetic", folder / "people", **options)
    resight.load("osnet_x0_25", height=32, width=16).save(folder / "model.safetensors")
    with resight.Gallery.open(folder / "seen", folder / "model.safetensors") as gallery:
        found = incoming(folder / "people")
        gallery.add(found.images, cameras=found.cameras, identities=found.identities, basis="drawn")
    return folder


@pytest.fixture
def seen(filled: Path, tmp_path: Path, shell: Shell) -> Shell:
    """A shell in a folder with a copy of the gallery ``seen``, the pictures and the model."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return shell


def test_create_says_what_it_is_and_never_twice(seen: Shell) -> None:
    code, out, err = seen("gallery", "create", "new", "--model", "model.safetensors", "--keep-days", 30)
    assert code == 0 and "an empty gallery of osnet_x0_25" in out and "is not calibrated" in err
    code, _, err = seen("gallery", "create", "seen", "--model", "model.safetensors")
    assert code == 2 and "is a gallery already" in err
    code, _, err = seen("gallery", "add", "nowhere", "people", "--model", "model.safetensors")
    assert code == 2 and "nowhere" in err and not list(Path.cwd().glob("nowhere*"))
    arguments = "--identities", "--basis", "drawn", "--time", "2026-11-21T12:00"
    assert told(seen("gallery", "add", "new", "people/query", *arguments, "--json"))["new"]
    (record,) = told(seen("gallery", "records", "new", "--limit", 1, "--json"))
    assert record["expires"] == record["time"] + 30 * 86_400
    assert record["identity"].isdecimal() and record["basis"] == "drawn"
    code, _, err = seen("gallery", "add", "new", "people/query", "--time", "2019-11-21")
    assert code == 0 and "have expired already, and the next resight gallery expire or resight serve" in err


def test_erased_images_are_refused_unless_asked(seen: Shell) -> None:
    ids = [record["id"] for record in told(seen("gallery", "records", "seen", "--limit", 2, "--json"))]
    assert seen("gallery", "erase", "seen", *ids, "--yes")[0] == 0
    code, out, err = seen("gallery", "add", "seen", "people", "--camera", "another")
    assert code == 0 and f"{PEOPLE * CAMERAS * EACH - 2} added" in out
    assert "2 were erased from this gallery before and not added again: pass --add-erased to add all." in err
    assert told(seen("gallery", "add", "seen", "people", "--json"))["refused"]
    assert "2 added" in seen("gallery", "add", "seen", "people", "--add-erased")[1]
    assert told(seen("gallery", "add", "seen", "people", "--json"))["refused"] == []


def test_adding_twice_is_adding_once(seen: Shell) -> None:
    code, out, _ = seen("gallery", "add", "seen", "people")
    total = PEOPLE * CAMERAS * EACH
    assert code == 0 and f"0 added to seen, {total} were there already." in out
    code, _, err = seen("gallery", "add", "seen", "people", "--basis", "consent")
    assert code == 0 and f"{total} were there already with another identity, basis or expiry than given now" in err
    stats = told(seen("gallery", "stats", "seen", "--json"))
    assert (stats["records"], stats["identities"], stats["unknown"]) == (total, PEOPLE, 0)
    assert stats["cameras"] == {"1": total // 2, "2": total // 2}
    shown = seen("gallery", "stats", "seen")[1]
    assert f"{total} (0 without identity)" in shown and f"osnet_x0_25 ({stats['model']})" in shown


def test_copies_in_the_source_are_told_from_what_was_there(seen: Shell) -> None:
    for seed, name in enumerate(["20261121_133005.jpg", "20261121_133105.jpg", "c.jpg"]):
        write_noise(Path("more") / "yard" / name, 40, 20, seed)
    shutil.copy("more/yard/c.jpg", "more/yard/d.jpg")
    arguments = "gallery", "add", "seen", "more", "--camera-from-folder", "--time", "name"
    code, out, err = seen(*arguments)
    assert code == 0 and out == "3 added to seen, 1 is in the source more than once.\n"
    assert "2 of 4 images have no time in their name: their times are unknown." in err
    found = told(seen("gallery", "records", "seen", "--camera", "yard", "--json"))
    assert sorted(record["time"] or 0 for record in found) == [0, 1795267805, 1795267865]
    code, out, _ = seen(*arguments)
    assert "0 added to seen, 3 were there already, 1 is in the source more than once." in out
    assert told(seen(*arguments, "--json"))["twice"] == 1
    code, _, err = seen(*arguments, "--camera", "door")
    assert code == 2 and "--camera and --camera-from-folder both give cameras" in err
    code, _, err = seen(*arguments, "--frame-rate", "25")
    assert code == 2 and "--time name gives each image its own" in err


def test_a_bad_picture_stops_or_is_left_out(seen: Shell) -> None:
    Path("more").mkdir()
    Path("more/bad.jpg").write_bytes(b"no picture")
    for seed in range(4):
        write_noise(Path(f"more/people/{seed}.jpg"), seed=seed)
    code, _, err = seen("gallery", "add", "seen", "more/bad.jpg")
    assert code == 2 and "bad.jpg" in err
    code, out, err = seen("gallery", "add", "seen", "more", "--camera", "gate", "--on-error", "skip")
    assert code == 0 and "4 added" in out and "left out" in err and "bad.jpg" in err
    found = told(seen("gallery", "records", "seen", "--camera", "gate", "--json"))
    assert len(found) == 4 and all(Path(record["source"]).is_absolute() for record in found)


def test_embeddings_and_a_list(seen: Shell) -> None:
    dim = told(seen("gallery", "stats", "seen", "--json"))["dim"]
    vectors = np.random.default_rng(0).normal(size=(6, dim)).astype(np.float32)
    files.save("mine.npz", resight.Embeddings(vectors, cameras=np.array([7, 7, 7, 8, 8, 8])))
    assert told(seen("gallery", "add", "seen", "mine.npz", "--json"))["new"] == 6
    assert len(told(seen("gallery", "records", "seen", "--camera", "7", "--json"))) == 3
    picture = next(Path("people/query").glob("*.jpg"))
    Path("list.csv").write_text(f"path,camera,time,identity\n{picture},door,2026-11-21T12:00Z,Zoë\n", encoding="utf-8")
    assert told(seen("gallery", "add", "seen", "list.csv", "--identities", "--json"))["new"] == 1
    (record,) = told(seen("gallery", "timeline", "seen", "Zoë", "--json"))
    assert (record["camera"], record["time"]) == ("door", 1_795_262_400.0)
    assert "2026-11-21 12:00:00Z" in seen("gallery", "timeline", "seen", "Zoë")[1]
    frames = "--pattern", r"_(?P<frame>\d+)_\d+\.jpg$", "--frame-rate", 25, "--time", "2026-11-21"
    assert told(seen("gallery", "add", "seen", "people/query", *frames, "--json"))["new"]
    assert len(told(seen("gallery", "records", "seen", "--after", "2026-11-21", "--json"))) > 1


def test_who_is_who(seen: Shell) -> None:
    names = [person["name"] for person in told(seen("gallery", "identities", "seen", "--json"))]
    assert len(names) == PEOPLE
    first, second, third, *_ = names
    own = [record["id"] for record in told(seen("gallery", "timeline", "seen", first, "--json"))]
    code, _, err = seen("gallery", "enrol", "seen", "Anna", own[0][:12])
    assert code == 2 and first in err  # it bears another name
    assert seen("gallery", "split", "seen", first, own[0][:12])[0] == 0
    assert seen("gallery", "enrol", "seen", "Anna", own[0][:12])[0] == 0
    assert seen("gallery", "rename", "seen", first, "Ben")[1] == f"renamed {first} to Ben.\n"
    code, _, err = seen("gallery", "merge", "seen", "Anna", second, third)
    assert code == 2 and "add --yes" in err and f"{second}: {CAMERAS * EACH} records" in err
    assert seen("gallery", "merge", "seen", " Anna ", second, third)[0] == 2  # the same name, so it is asked as well
    assert told(seen("gallery", "merge", "seen", "Anna", second, third, "--yes", "--json"))["records"] == 8
    people = {person["name"]: person["records"] for person in told(seen("gallery", "identities", "seen", "--json"))}
    assert people["Anna"] == 9 and people["Ben"] == 3 and len(people) == PEOPLE - 1
    table = seen("gallery", "identities", "seen")[1]
    assert "Anna" in table and "1, 2" in table
    assert seen("gallery", "split", "seen", "Anna", own[0], "--to", "Cleo")[0] == 0
    assert len(told(seen("gallery", "records", "seen", "--identity", "Cleo", "--json"))) == 1


def test_erase_shows_and_asks(seen: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    total = PEOPLE * CAMERAS * EACH
    ids = [record["id"] for record in told(seen("gallery", "records", "seen", "--json"))]
    code, _, err = seen("gallery", "erase", "seen", ids[0][:12])
    assert code == 2 and ids[0][:12] in err and "1 record of seen will be erased" in err and "add --yes" in err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, code in ((False, 1), (True, 0)):
        monkeypatch.setattr("typer.confirm", lambda *_, answer=answer, **__: answer)
        assert seen("gallery", "erase", "seen", ids[0][:12])[0] == code
        assert len(told(seen("gallery", "records", "seen", "--json"))) == total - answer
    name = told(seen("gallery", "identities", "seen", "--json"))[0]
    gone = told(seen("gallery", "erase", "seen", "--identity", name["name"], "--yes", "--json"))["erased"]
    assert gone == name["records"]
    assert told(seen("gallery", "add", "seen", "people/query", "--time", "2020-01-01", "--json"))["new"]
    code, out, err = seen("gallery", "erase", "seen", "--before", "2020-01-02", "--yes")
    assert code == 0 and "records erased" in out
    left = told(seen("gallery", "records", "seen", "--json"))
    assert len(left) == total - 1 - gone and all(record["time"] is None for record in left)
    for wrong in ((), (ids[1], "--before", "2020-01-01"), ("--identity", "Nobody", "--yes"), ("xyz",), ("",)):
        code, _, err = seen("gallery", "erase", "seen", *wrong)
        assert code == 2 and err.startswith("Error:"), wrong


def test_ids_from_standard_input(seen: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ids = [record["id"] for record in told(seen("gallery", "records", "seen", "--json"))]
    Path("ids.txt").write_text("\n".join(ids[:3]))
    with Path("ids.txt").open() as words:
        monkeypatch.setattr("sys.stdin", words)
        assert told(seen("gallery", "erase", "seen", "-", "--yes", "--json"))["erased"] == 3
    code, _, err = seen("gallery", "erase", "seen", ids[0], "--yes")
    assert code == 2 and "has no record" in err


def test_expiry(seen: Shell) -> None:
    query = len(list(Path("people/query").glob("*.jpg")))
    arguments = "--camera", "gate", "--expires", "2001-01-01"
    assert told(seen("gallery", "add", "seen", "people/query", *arguments, "--json"))["new"] == query
    assert told(seen("gallery", "expire", "seen", "--json"))["erased"] == query
    assert told(seen("gallery", "expire", "seen", "--json"))["erased"] == 0


def test_the_log_holds_and_names_nobody(seen: Shell) -> None:
    name = told(seen("gallery", "identities", "seen", "--json"))[0]["name"]
    assert seen("gallery", "rename", "seen", name, "Anna Secret")[0] == 0
    assert seen("gallery", "erase", "seen", "--identity", "Anna Secret", "--yes")[0] == 0
    events = told(seen("gallery", "log", "seen", "--verify", "--json"))
    assert [event["action"] for event in events] == ["create", "add", "rename", "erase"]
    assert "Secret" not in json.dumps(events)
    assert told(seen("gallery", "log", "seen", "--after", 3, "--json")) == events[3:]
    code, out, _ = seen("gallery", "log", "seen", "--verify")
    assert code == 0 and "erase" in out and "The chain of all events is intact." in out


def test_export_is_one_persons_data(seen: Shell) -> None:
    person = told(seen("gallery", "identities", "seen", "--json"))[0]
    told(seen("gallery", "export", "seen", person["name"], "theirs", "--json"))
    records = json.loads(Path("theirs/records.json").read_text(encoding="utf-8"))["records"]
    assert len(records) == person["records"] and len(list(Path("theirs/thumbnails").glob("*.jpg"))) == len(records)
    assert seen("gallery", "export", "seen", person["name"], "theirs")[0] == 2


def test_check_index_and_another_model(seen: Shell) -> None:
    assert told(seen("gallery", "check", "seen", "--json")) == {"records": 20, "problems": []}
    assert "20 records, 0 problems." in seen("gallery", "check", "seen")[1]
    assert told(seen("gallery", "index", "seen", "--json"))["recall"] == 1.0
    model = resight.load("osnet_x0_25", height=48, width=16)
    model.save("other.safetensors")
    code, _, err = seen("gallery", "add", "seen", "people", "--model", "other.safetensors")
    assert code == 2 and "reembed" in err
    Path("more").mkdir()
    for seed in range(2):
        write_noise(Path(f"more/{seed}.jpg"), seed=seed)
    ids = told(seen("gallery", "add", "seen", "more", "--json"))["ids"]
    Path("more/1.jpg").unlink()
    moved = told(seen("gallery", "reembed", "seen", "newer", "--model", "other.safetensors", "--json"))
    assert (moved["records"], moved["from_thumbnails"], moved["lost"]) == (22, ids[1:], [])
    assert told(seen("gallery", "stats", "newer", "--json"))["model"] == model.card.fingerprint


def test_help_says_what_each_command_does(shell: Shell) -> None:
    page = shell("gallery", "--help")[1]
    commands = "create add search records identities timeline enrol merge split rename erase expire stats log export"
    assert all(command in page for command in f"{commands} check index reembed copy".split())
    assert "asks for confirmation" in shell("gallery", "erase", "--help")[1]
