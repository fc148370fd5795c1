"""Files through folders and zips alike; what is written is whole or not there."""

import errno
import os
import stat
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limits import files_no_larger_than
from resight import Gallery
from resight.datasets.detect import detect
from resight.errors import DataError, ResightError
from resight.files import (
    atomic_folder,
    atomic_path,
    cache_root,
    is_image_name,
    left_out,
    list_files,
    list_images,
    read_bytes,
    repeated_members,
    same_file_keys,
    split_archive,
    write_csv,
    write_text,
)
from resight.images.check import check
from resight.paths import expanded


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "set.ZIP"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("set/query/b.jpg", b"bb" * 500)
        file.writestr("set/query/a.jpg", b"a")
        file.writestr("set/.hidden/c.jpg", b"c")
        file.writestr("__MACOSX/set/query/._a.jpg", b"junk")
        file.mkdir("set/empty")
    return path


def test_names_of_images() -> None:
    assert all(map(is_image_name, ("a.jpg", "b.PNG", "c.gif", "d.JFIF", "e.heic", "f.x.avif", "g.jp2", "h.ppm")))
    assert not any(map(is_image_name, ("c.txt", "jpg", "d.jpg.txt", "film.mp4", "x.svg", "")))


def test_a_path_through_an_archive(archive: Path) -> None:
    assert split_archive(f"{archive}/set/query/a.jpg") == (str(archive), "set/query/a.jpg")
    assert split_archive(str(archive)) == (str(archive), "")
    assert split_archive("/nowhere/x.zip/a.jpg") == ("/nowhere/x.zip/a.jpg", "")
    assert read_bytes(f"{archive}/set/query/b.jpg") == b"bb" * 500


def test_a_folder_may_be_called_zip(tmp_path: Path) -> None:
    inner = tmp_path / "old.zip" / "new.zip"
    inner.parent.mkdir()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("a.jpg", b"a")
    assert read_bytes(inner / "a.jpg") == b"a"
    assert list_files(inner.parent) == [(str(inner), inner.stat().st_size)]


def test_folder_and_zip_list_the_same(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    zipfile.ZipFile(archive).extractall(folder)
    in_zip = [(path.removeprefix(f"{archive}/"), size) for path, size in list_files(archive)]
    in_folder = [(path.removeprefix(f"{folder}/"), size) for path, size in list_files(f"{folder}/")]
    assert in_zip == in_folder == [("set/query/a.jpg", 1), ("set/query/b.jpg", 1000)]
    assert [path for path, _ in list_files(f"{archive}/set/query")] == [
        f"{archive}/set/query/a.jpg",
        f"{archive}/set/query/b.jpg",
    ]


def test_what_is_not_there(archive: Path, tmp_path: Path) -> None:
    for path in ("nothing", "nothing.zip", f"{archive.name}/nothing"):
        with pytest.raises(DataError, match=r"does not exist|has no folder nothing"):
            list_files(tmp_path / path)
    kinds = {"a.MP4": "video: .*resight watch", "a.ico": "file that is not read as an image, but", "a.jpg": "file, but"}
    for name, said in kinds.items():
        (tmp_path / name).write_text("a")
        with pytest.raises(DataError, match=f"is a {said}"):
            list_files(tmp_path / name)
    with pytest.raises(DataError, match=r"has no file set/query/z\.jpg"):
        read_bytes(archive / "set/query/z.jpg")
    with pytest.raises(DataError, match=r"z\.jpg cannot be read \(No such file"):
        read_bytes(tmp_path / "z.jpg")
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory"):
        read_bytes(tmp_path)


def test_a_dangling_link_is_listed_so_that_its_reader_can_complain(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert list_files(tmp_path) == [(str(tmp_path / "gone.jpg"), 0)]
    (tmp_path / "itself.jpg").symlink_to(tmp_path / "itself.jpg")
    assert list_files(tmp_path)[1] == (str(tmp_path / "itself.jpg"), 0)
    assert detect(tmp_path) == "folder"


def test_a_damaged_archive(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole[: len(whole) // 2])
    for attempt in (lambda: list_files(cut), lambda: read_bytes(cut / "set/query/a.jpg")):
        with pytest.raises(DataError, match=r"cut\.zip is not a readable zip archive"):
            attempt()
    with zipfile.ZipFile(archive) as file:
        start = file.getinfo("set/query/b.jpg").header_offset + 30 + len("set/query/b.jpg")
    for wrong in (b"\xff\xff", b"\x00\x00"):  # an unknown block type, a stored block of the wrong length
        bad = tmp_path / f"bad{wrong[0]}.zip"
        bad.write_bytes(whole[:start] + wrong + whole[start + 2 :])
        with pytest.raises(DataError, match=r"b\.jpg is damaged in its archive"):
            read_bytes(bad / "set/query/b.jpg")
        assert read_bytes(bad / "set/query/a.jpg") == b"a"


def test_an_encrypted_archive(archive: Path, tmp_path: Path) -> None:
    data = bytearray(archive.read_bytes())
    at = 0
    while (at := data.find(b"PK\x01\x02", at)) >= 0:  # set the flag in the directory, then in the file's own header
        data[at + 8] |= 1
        at += 4
    at = 0
    while (at := data.find(b"PK\x03\x04", at)) >= 0:
        data[at + 6] |= 1
        at += 4
    locked = tmp_path / "locked.zip"
    locked.write_bytes(data)
    with pytest.raises(DataError, match="encrypted"):
        read_bytes(locked / "set/query/a.jpg")


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"a")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)  # a mode of 000 would not keep root out
    with pytest.raises(DataError, match=r"a\.jpg cannot be read \(Permission denied\)"):
        read_bytes(path)


def test_an_archive_is_read_by_many_threads_and_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for i in range(50):
            file.writestr(f"{i}", f"{i}" * 1000)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: read_bytes(path / f"{i % 50}"), range(400)))
    assert found == [(f"{i % 50}" * 1000).encode() for i in range(400)]
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("0", "new")
    os.utime(path, ns=(1, 1))
    assert read_bytes(path / "0") == b"new"


def test_a_new_file_appears_whole_with_ordinary_rights(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent and not path.exists()
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert path.read_text() == "new" and names(path.parent) == ["a.txt"]
    assert path.stat().st_mode == ordinary.stat().st_mode


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), DataError("mine")])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_a_full_disk_leaves_the_old_file_and_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ResightError, match=r"a\.txt cannot be written"), files_no_larger_than(4096):
        write_text(path, "x" * 10_000)
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)  # some file systems say so only now
    with pytest.raises(ResightError, match=r"a\.txt cannot be written \(No space left on device\): free some space"):
        write_text(path, "new")
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResightError, match="cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "new")


def test_two_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    texts = [str(i) * 50_000 for i in range(8)]
    threads = [threading.Thread(target=write_text, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts and names(tmp_path) == ["a.txt"]


def test_writing_never_changes_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for a moment: another thread's new files would get the rights of that moment."""
    monkeypatch.setattr("os.umask", lambda _: pytest.fail("the umask belongs to the whole process"))
    write_text(tmp_path / "a.txt", "a")
    with atomic_folder(tmp_path / "folder") as inside:
        (inside / "b").touch()


def test_what_is_written_has_the_rights_of_anything_new(tmp_path: Path) -> None:
    """Under another umask than that of the tests, in a process of its own."""
    script = (
        "import os, sys; from resight.files import atomic_folder, write_text; os.umask(0o027); "
        "write_text('a.txt', 'a'); folder = atomic_folder('b'); "
        "folder.__enter__(); folder.__exit__(None, None, None); "
        "modes = [os.stat(name).st_mode & 0o777 for name in ('a.txt', 'b')]; assert modes == [0o640, 0o750], modes; "
        "assert os.umask(0) == 0o027"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


def test_an_existing_file_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.touch(mode=0o600)
    write_text(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.read_text() == "new"


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old")
    for name, to in (("link.csv", "real.csv"), ("twice.csv", "link.csv"), ("new.csv", "there.csv")):
        (tmp_path / name).symlink_to(to)
        write_text(tmp_path / name, name)
        assert (tmp_path / name).is_symlink() and (tmp_path / name).read_text() == name
    assert (tmp_path / "real.csv").read_text() == "twice.csv" and (tmp_path / "there.csv").read_text() == "new.csv"


def test_text_never_replaces_a_picture_or_a_database(tmp_path: Path) -> None:
    path = tmp_path / "seen.db"
    for there in (b"SQLite format 3\0rest", b"\xff\xd8\xff\xe0\0\x10JFIF\0"):
        path.write_bytes(there)
        with pytest.raises(ResightError, match=r"seen\.db is there and is no text, so it is kept: choose another"):
            write_text(path, "<html>")
        assert path.read_bytes() == there


def test_a_pipe_gets_the_bytes_and_stays(tmp_path: Path) -> None:
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    with pytest.raises(ResightError, match="pipe cannot be written"):
        write_text(pipe, "nobody reads")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    thread = threading.Thread(target=lambda: found.append(write_text(pipe, "hello" * 1000)))
    thread.start()
    thread.join()
    assert os.read(reader, 10_000) == b"hello" * 1000 and stat.S_ISFIFO(os.lstat(pipe).st_mode)
    os.close(reader)
    assert names(tmp_path) == ["pipe"]


def test_a_device_stays_a_device() -> None:
    before = os.lstat("/dev/null")
    write_text("/dev/null", "x")
    assert os.lstat("/dev/null").st_rdev == before.st_rdev
    with pytest.raises(ResightError, match="full cannot be written"):
        write_text("/dev/full", "x")


def test_standard_output_is_written_even_where_it_goes_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    with (tmp_path / "log").open("a") as log:
        script = "from resight.files import write_text; write_text('/dev/stdout', 'result\\n'); print('after')"
        subprocess.run([sys.executable, "-c", script], stdout=log, check=True)
    assert (tmp_path / "log").read_text() == "before\nresult\nafter\n"


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(ResightError, match=r"cannot be written \(Is a directory"):
        write_text(tmp_path, "x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(ResightError, match="full cannot be written"), atomic_folder(tmp_path / "full") as inside:
        (inside / "b").touch()
    assert names(tmp_path) == ["full"] and names(tmp_path / "full") == ["a"]


def test_a_pipe_among_files_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert [path for path, _ in list_files(tmp_path)] == [str(tmp_path / "pipe.jpg")]
    with pytest.raises(DataError, match=r"pipe\.jpg is a named pipe, not a file"):
        read_bytes(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match="/dev/null is a device"):
        read_bytes("/dev/null")


@pytest.mark.parametrize(
    "links", [{"up": "."}, {"a/up": ".."}, {"a/up": "..", "a/again": "..", "all": "."}, {"b": "a"}]
)
def test_a_link_back_into_the_folder_adds_nothing(tmp_path: Path, links: dict[str, str]) -> None:
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "1.jpg").touch()
    for name, to in links.items():
        (tmp_path / "set" / name).symlink_to(to)
    assert [path for path, _ in list_files(tmp_path / "set")] == [str(tmp_path / "set/a/1.jpg")]


def test_links_out_of_the_folder_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    for folder in ("set", "far/deep"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "far/deep/1.jpg").touch()
    (tmp_path / "far/back").symlink_to("../set")
    (tmp_path / "far/deep/up").symlink_to("..")
    (tmp_path / "set/query").symlink_to("../far")
    (tmp_path / "set/gallery").symlink_to(tmp_path / "far")
    (tmp_path / "via").symlink_to("set")
    for root in ("set", "via"):
        found = [path.removeprefix(f"{tmp_path}/{root}/") for path, _ in list_files(tmp_path / root)]
        assert found == ["gallery/deep/1.jpg", "query/deep/1.jpg"]


def test_folders_of_systems_are_left_out(tmp_path: Path) -> None:
    for name in (
        "a.jpg",
        "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
        "#recycle/b.jpg",
        "$RECYCLE.BIN/c.jpg",
        ".thumbnails/d.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path for path, _ in list_files(tmp_path)] == [str(tmp_path / "a.jpg")]
    assert list_files(tmp_path / "@eaDir")  # asked for by name


def test_what_is_no_image_is_counted(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.GIF", "c.svg", "d.svg", "notes.txt"):
        (tmp_path / name).touch()
    images, others = list_images(tmp_path)
    assert images == [str(tmp_path / "a.jpg"), str(tmp_path / "b.GIF")]
    assert left_out(others) == (
        f"3 files that are not readable images were left out (2 .svg, 1 .txt; first {tmp_path}/c.svg)."
    )
    assert left_out([]) == "" and left_out(["a/b"]).startswith("1 file that is not a readable image was left out (1 no")


@pytest.mark.parametrize(
    "packed", [r"set\query\a.jpg", "./set/query/a.jpg", "/set/query/a.jpg", "../set//query/./a.jpg"]
)
def test_names_in_an_archive_are_read_however_they_are_packed(tmp_path: Path, packed: str) -> None:
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(path, "w") as file:
        info = zipfile.ZipInfo("x")
        info.filename = packed
        file.writestr(info, b"content")
    assert list_files(path) == [(f"{path}/set/query/a.jpg", 7)] and list_files(f"{path}/set") == list_files(path)
    assert read_bytes(f"{path}/set/query/a.jpg") == b"content"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_packed_twice_is_one(tmp_path: Path) -> None:
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.jpg", b"old")
        file.writestr("a.jpg", b"newer")
    assert list_files(path) == [(f"{path}/a.jpg", 5)] and read_bytes(f"{path}/a.jpg") == b"newer"
    assert repeated_members(path) == [f"{path}/a.jpg"] and repeated_members(tmp_path) == []


def test_one_file_under_many_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_text("1")
    (tmp_path / "a" / "2.jpg").write_text("1")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "b" / "link.jpg").symlink_to("1.jpg")
    os.link(tmp_path / "a" / "1.jpg", tmp_path / "hard.jpg")
    monkeypatch.chdir(tmp_path / "a")
    same = ["1.jpg", "./1.jpg", f"{tmp_path}/a/1.jpg", "../b/1.jpg", "link.jpg", "../hard.jpg"]
    assert len(set(same_file_keys(same))) == 1
    assert len(set(same_file_keys(["1.jpg", "2.jpg", "3.jpg", "image 3"]))) == 4
    inside = [f"{archive}/set/query/a.jpg", f"../{archive.name}/set/query/a.jpg", f"{archive}/set/query/b.jpg"]
    one, again, other = same_file_keys(inside)
    assert one == again != other
    assert same_file_keys(["gone.jpg"]) == same_file_keys([f"{tmp_path}/a/gone.jpg"])


def test_names_that_are_no_utf8_are_written_as_they_are(tmp_path: Path) -> None:
    name = os.fsdecode(b"Jos\xe9,1.jpg")
    write_csv(tmp_path / "a.csv", ("image", "group"), [(name, 1)])
    assert (tmp_path / "a.csv").read_bytes() == b'image,group\n"Jos\xe9,1.jpg",1\n'


@pytest.mark.parametrize("before", [None, 0o640])
def test_rights_of_a_file_that_its_writer_replaces(tmp_path: Path, before: int | None) -> None:
    """As safetensors does: the temporary file is another one, of narrower rights, when the block ends."""
    path, plain = tmp_path / "a", tmp_path / "plain"
    plain.touch()
    if before is not None:
        path.touch()
        path.chmod(before)
    with atomic_path(path) as temporary:
        other = tmp_path / "other"
        other.write_text("whole")
        other.chmod(0o600)
        other.replace(temporary)
    expected = plain.stat().st_mode & 0o777 if before is None else before
    assert path.stat().st_mode & 0o777 == expected and path.read_text() == "whole"


def test_a_user_without_a_home_and_names_like_a_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RESIGHT_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # whom the system does not know
    assert cache_root() == Path("/dev/null/.cache/resight")
    assert expanded("~nobody_here.csv") == "~nobody_here.csv"
    with pytest.raises(ResightError, match=r"There is no gallery at .*~draft"):
        Gallery.open("~draft")
    assert check("~draft")[0].what.startswith("It cannot be loaded: ~draft does not exist")
