"""Files through folders and zips alike; what is written is whole or not there."""

import errno
import os
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limits import files_no_larger_than
from resight.errors import DataError, ResightError
from resight.files import atomic_path, is_image_name, list_files, read_bytes, split_archive, write_text


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
    assert all(map(is_image_name, ("a.jpg", "b.PNG", "c.gif", "d.JFIF", "e.heic", "f.x.avif")))
    assert not any(map(is_image_name, ("c.txt", "jpg", "d.jpg.txt", "film.mp4", "")))


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
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(DataError, match="is a file, but a folder"):
        list_files(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"has no file set/query/z\.jpg"):
        read_bytes(archive / "set/query/z.jpg")
    with pytest.raises(DataError, match=r"z\.jpg cannot be read \(No such file"):
        read_bytes(tmp_path / "z.jpg")
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory"):
        read_bytes(tmp_path)


def test_a_dangling_link_is_listed_so_that_its_reader_can_complain(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert list_files(tmp_path) == [(str(tmp_path / "gone.jpg"), 0)]


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


def test_a_written_file_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    """Checked under another umask, in a process of its own, which finds that umask again afterwards."""
    script = (
        "import os, sys; from resight.files import write_text; os.umask(0o027); write_text(sys.argv[1], 'a'); "
        "assert os.umask(0) == 0o027; assert os.stat(sys.argv[1]).st_mode & 0o777 == 0o640"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.txt")], check=True)


def test_writing_never_changes_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for a moment: another thread's new files would get the rights of that moment."""
    monkeypatch.setattr("os.umask", lambda _: pytest.fail("the umask belongs to the whole process"))
    write_text(tmp_path / "a.txt", "a")
