"""What there is to add: data sets, plain folders, lists and files of embeddings."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import resight
from conftest import write_noise
from resight import DataError, RecipeError
from resight.embedding import files
from resight.gallery.adding.incoming import Incoming, incoming


def names(found: Incoming) -> list[str]:
    assert isinstance(found.images, list)
    return [Path(path).name for path in found.images]


def test_a_data_set_brings_cameras_and_identities(tiny_market) -> None:
    found = incoming(tiny_market(train=1, test=2, cameras=2, images=2, junk=1, distractors=1))
    assert len(found.images) == 3 * 2 * 2 + 1 and found.notes == ("1 junk images were left out.",)
    told = dict(zip(names(found), zip(found.cameras, found.identities, strict=True), strict=True))
    assert told["0002_c2s1_000000_01.jpg"] == ("2", "2") and told["0000_c1s1_000000_01.jpg"] == ("1", None)
    assert found.times == [None] * 13
    assert found.frames is not None and found.timed(100.0, 2.0)[:2] == [100 + f / 2 for f in found.frames[:2].tolist()]
    assert len(incoming(tiny_market(name="again"), part="query").images) == 3 * 2


def test_names_like_market1501s_are_read_in_a_plain_folder(tmp_path: Path) -> None:
    for name in ("-1_c3s1_000007_00.jpg", "0000_c3s1_000008_00.jpg", "0042_c6s2_000009_01.jpg"):
        write_noise(tmp_path / "query" / name)
    found = incoming(tmp_path / "query")
    assert names(found) == ["0000_c3s1_000008_00.jpg", "0042_c6s2_000009_01.jpg"]
    assert (found.cameras, found.identities) == (["3", "6"], [None, "42"])
    assert found.frames is not None and found.frames.tolist() == [8, 9]
    assert "1 junk images were left out." in found.notes and any("Market-1501's" in note for note in found.notes)
    write_noise(tmp_path / "query" / "else.jpg")
    other = incoming(tmp_path / "query")
    assert len(other.images) == 4 and other.cameras == [""] * 4 and other.frames is None and not other.notes


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        write_noise(tmp_path / "seen" / name)
    for name in ("day.mp4", "sub/notes.txt", "sub/more.txt"):
        (tmp_path / "seen" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "seen" / name).write_bytes(b"x")
    (note,) = incoming(tmp_path / "seen").notes
    assert note.startswith("3 files ") and "2 .txt" in note and "1 .mp4" in note
    assert incoming(tmp_path / "seen", pattern=r"(?P<identity>\w)\.jpg$").notes == (note,)
    with pytest.raises(DataError, match=r"no images.*2 \.txt"):
        incoming(tmp_path / "seen" / "sub")


def test_an_image_of_any_name(tmp_path: Path) -> None:
    write_noise(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").rename(tmp_path / "upload")
    assert incoming(tmp_path / "upload").images == [str(tmp_path / "upload")]


def test_a_pattern_reads_what_it_names(tmp_path: Path) -> None:
    for name in ("door/anna_20261121T1330.jpg", "yard/ben_20261121T1331.jpg"):
        write_noise(tmp_path / "seen" / name)
    found = incoming(tmp_path / "seen", pattern=r"(?P<camera>\w+)/(?P<identity>[a-z]+)_\w+\.jpg$")
    assert (found.cameras, found.identities, found.times) == (["door", "yard"], ["anna", "ben"], [None, None])
    for pattern, complaint in (
        ("(", "no regular expression"),
        (r"\d+", "names no group"),
        (r"(?P<camera>door)/", "does not fit 1 of 2 images"),
        (r"(?P<frame>anna|ben)", "no number"),
    ):
        with pytest.raises((DataError, RecipeError), match=complaint):
            incoming(tmp_path / "seen", pattern=pattern)
    with pytest.raises(DataError, match="no frame numbers"):
        found.timed(0, 25)
    with pytest.raises(RecipeError, match="leave it out"):
        incoming(tmp_path / "seen", name="folder", pattern="(?P<camera>x)")
    with pytest.raises(RecipeError, match="The pattern reads times, and so does name"):
        incoming(tmp_path / "seen", pattern=r"(?P<time>2026\d+T\d+)", time="name")


def test_cameras_are_the_names_of_folders(tmp_path: Path) -> None:
    for name in ("door/a.jpg", "yard/deep/b.jpg", "c.jpg", "yard/0042_c6s2_000009_01.jpg"):
        write_noise(tmp_path / "seen" / name)
    found = incoming(tmp_path / "seen", by_folder=True)
    assert dict(zip(names(found), found.cameras, strict=True)) == {
        "a.jpg": "door",
        "b.jpg": "deep",
        "c.jpg": "",
        "0042_c6s2_000009_01.jpg": "yard",
    }
    assert found.notes == ("1 image outside of the cameras' folders: of unknown camera.",)
    shutil.make_archive(str(tmp_path / "seen"), "zip", tmp_path / "seen")
    assert sorted(incoming(tmp_path / "seen.zip", by_folder=True).cameras) == ["", "deep", "door", "yard"]
    only = incoming(tmp_path / "seen" / "yard" / "0042_c6s2_000009_01.jpg", by_folder=True)
    assert (only.cameras, only.identities) == ([""], ["42"])
    with pytest.raises(RecipeError, match="A camera by folder is about the names of plain files"):
        incoming(tmp_path / "list.csv", by_folder=True)


def test_times_that_are_no_seconds_since_1970_are_unknown(tmp_path: Path) -> None:
    for times in ([0.0, 2.5, 4.0], [3, 4, 5]):
        vectors = resight.Embeddings(np.eye(3, dtype=np.float32), columns={"times": np.array(times)})
        files.save(tmp_path / "v.npz", vectors)
        found = incoming(tmp_path / "v.npz")
        assert found.times == [None] * 3 and "not seconds since 1970" in found.notes[0]


def test_a_list_has_columns(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("path,time,camera,identity\na.jpg,1970-01-01T00:01,door,Anna\nsub/b.jpg,,,\n", encoding="utf-8")
    found = incoming(table)
    assert found.images == [str(tmp_path / "a.jpg"), str(tmp_path / "sub/b.jpg")]
    assert (found.cameras, found.identities, found.times) == (["door", ""], ["Anna", None], [60.0, None])
    for text, complaint in (
        ("path,who\na.jpg,b\n", "line 1: the columns are path .* but not 'who'"),
        ("Path,camera\na.jpg,b\n", "line 1: the header lacks 'path'"),
        ("path\nhttp://door/a.jpg\n", "line 2: .* address"),
        ("path,camera\n", "no rows"),
        ("path,camera\na.jpg\n", "line 2: the row has"),
        ("path,camera\na.jpg,b,c\n", "line 2: the row has"),
        ("path,time\na.jpg,now\n", "list.csv line 2: the time is 'now'"),
        ('path\n"a', "not CSV"),
    ):
        table.write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=complaint):
            incoming(table)


@pytest.mark.parametrize(
    "content",
    [
        b"path;camera\r\nsub\\b.jpg;door\r\n",
        "\ufeffpath,camera\nsub/b.jpg,door\n".encode(),
        "path\tcamera\nsub/b.jpg\tdoor\n".encode("utf-16"),
        b",path,camera\n0,sub/b.jpg,door\n\n",
    ],
)
def test_a_list_as_spreadsheets_and_pandas_write_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.jpg").touch()
    (tmp_path / "list.csv").write_bytes(content)
    found = incoming(tmp_path / "list.csv")
    assert (found.images, found.cameras) == ([str(tmp_path / "sub/b.jpg")], ["door"])


@pytest.mark.parametrize(
    ("column", "times"),
    [
        (np.array(["0303morning", "0303noon"]), [None, None]),  # MSMT17's
        (np.array([16450, 16455]), [None, None]),  # VeRi-776's: frames
        (np.array([1_795_267_805, 1_795_267_806]), [1_795_267_805.0, 1_795_267_806.0]),
        (np.array([1.795267805e9, np.nan]), [1.795267805e9, None]),
    ],
)
def test_times_of_a_data_set_are_times_only_if_they_can_be(
    column: np.ndarray, times: list[float | None], tmp_path: Path
) -> None:
    files.save(tmp_path / "e.npz", resight.Embeddings(np.ones((2, 4), np.float32), columns={"times": column}))
    found = incoming(tmp_path / "e.npz")
    assert found.times == times
    assert bool(found.notes) == (times[0] is None)


def test_a_video_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"")
    with pytest.raises(DataError, match="resight watch"):
        incoming(tmp_path / "film.mp4")


def test_embeddings_keep_what_is_known_of_them(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    columns = {
        "camera_names": np.array(["a", "b", "a", "b"]),
        "identity_names": np.array(["x", "y", "", ""]),
        "times": np.array([1.7e9 + 1.5, np.nan, 1.7e9, 4]),
    }
    who = resight.Embeddings(vectors, np.array([1, 2, 0, -1]), np.array([1, 2, 1, 2]), columns=columns)
    files.save(tmp_path / "e.npz", who)
    found = incoming(tmp_path / "e.npz")
    assert isinstance(found.images, resight.Embeddings) and np.array_equal(found.images.vectors, vectors[:3])
    assert (found.cameras, found.identities) == (["a", "b", "a"], ["x", "y", None])
    assert found.times == [1.7e9 + 1.5, None, 1.7e9]
    files.save(tmp_path / "plain.npz", resight.Embeddings(vectors))
    assert incoming(tmp_path / "plain.npz").cameras == [""] * 4


def test_a_zip_and_an_image(tmp_path: Path, market_zip: Path) -> None:
    found = incoming(market_zip, part="query")
    assert len(found.images) == 3368 and len(set(found.cameras)) == 6 and len(set(found.identities)) == 750
    assert len(incoming(found.images[0]).images) == 1
    with pytest.raises(DataError, match="does not exist"):
        incoming(tmp_path / "nothing")
