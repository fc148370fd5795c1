"""``resight quickstart``: what it says of three kinds of places, and that the printed commands are what it does."""

from __future__ import annotations

import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from cli.conftest import Shell, told
from resight.datasets import synthetic
from resight.errors import DataError
from resight.quickstart import Plan, Step, plan


def draw(path: Path, person: int, camera: int, which: int = 0, size: tuple[int, int] = (128, 64)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = synthetic.draw("person", person, camera, which, size=size)
    path.write_bytes(cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes())


def test_folders_of_cameras(shell: Shell) -> None:
    for person in (1, 2):
        for camera in (1, 2):
            draw(Path(f"shots/cam{camera}/{person}.jpg"), person, camera)
    Path("shots/cam2/9.jpg").write_bytes(b"broken")
    code, out, err = shell("quickstart", "shots", "--no-serve")
    assert code == 0, err
    assert "shots holds 5 pictures, usually 64x128 pixels; 1 of 5 that were looked at cannot be read" in err
    assert "2 folders (cam1, cam2), which are taken as cameras: --folders people if they are people." in err
    assert (
        "4 added to quickstart/seen." in out and "4 images in" in out and err.count("left out: shots/cam2/9.jpg") == 2
    )
    assert "resight serve quickstart/seen --open" in err and "listening" not in out
    assert told(shell("gallery", "stats", "quickstart/seen", "--json"))["cameras"] == {"cam1": 2, "cam2": 2}
    assert Path("quickstart/groups.html").is_file() and Path("quickstart/groups.csv").is_file()
    code, out, err = shell("quickstart", "shots", "--no-serve")  # again: the gallery is there, and grows no more
    assert code == 0 and "gallery create" not in err and "4 were there already" in out
    commands = [shlex.split(line)[1:] for line in err.splitlines() if line.startswith("  resight ")]
    assert [words[0] for words in commands] == ["gallery", "group", "serve"]
    assert shell(*commands[0])[0] == 0  # each does its step alone


def test_folders_of_people_and_a_flat_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw(Path("people/anna/1.jpg"), 1, 1)
    draw(Path("people/ben/1.jpg"), 2, 1)
    chosen = plan("people", Path("out"), folders="people")
    add = next(step for step in chosen.steps if "add" in step.words)
    assert "--identities" in add.words and "taken as people." in chosen.findings[1]
    draw(Path("flat/a.jpg"), 1, 1, size=(300, 400))
    Path("flat/b.jpg").write_bytes(b"broken")
    Path("flat/notes.txt").touch()
    chosen = plan("flat", Path("out"))
    assert len(chosen.findings) == 2 and "wide, like whole scenes" in chosen.findings[0]
    assert "1 of 2 that were looked at cannot be read" in chosen.findings[0] and ".txt" in chosen.findings[1]
    assert not any("--camera-from-folder" in step.words for step in chosen.steps)
    for wrong, said in (
        ("nowhere", "does not exist"),
        ("flat/notes.txt", "not read as an image, but a folder or a zip"),
    ):
        with pytest.raises(DataError, match=said):
            plan(wrong, Path("out"))


def test_a_gallery_that_is_there_gets_more_pictures_but_none_of_another_model(shell: Shell) -> None:
    draw(Path("monday/1.jpg"), 1, 1)
    draw(Path("tuesday/1.jpg"), 2, 1)
    code, _, err = shell("quickstart", "monday", "--no-serve")
    assert code == 0 and "there already" not in err
    code, out, err = shell("quickstart", "tuesday", "--no-serve")
    assert code == 0 and "1 added" in out
    assert "quickstart/seen is there already, so they are added to it: --output FOLDER" in err
    code, _, err = shell("quickstart", "tuesday", "--no-serve", "--model", "vehicle")
    assert code == 2 and "embeddings of osnet_lct_x0_5 (" in err and "this model is osnet_x0_25 (" in err


def test_a_model_without_a_threshold_does_all_but_group(shell: Shell) -> None:
    draw(Path("cars/1.jpg"), 1, 1)
    code, out, err = shell("quickstart", "cars", "--no-serve", "--model", "vehicle")
    assert code == 0 and "1 added" in out and "resight serve quickstart/seen" in err
    assert "not grouped by person: run resight calibrate vehicle DATA." in err and "resight group" not in err


def test_names_tell_cameras_and_times(shell: Shell) -> None:
    for camera in (1, 2):
        draw(Path(f"crops/Cam{camera}_2026-11-21_10-0{camera}-00.jpg"), 1, camera)
    draw(Path("crops/cam2_2026-11-21_10-05-00.jpg"), 2, 2, size=(300, 400))
    code, _, err = shell("quickstart", "crops", "--no-serve")
    assert code == 0, err
    assert "1 of 3 is wide, like whole scenes" in err and "Their names tell when they were taken." in err
    assert "Their names tell the camera (Cam1, Cam2, cam2): --folders nothing ignores that." in err
    seen = told(shell("gallery", "stats", "quickstart/seen", "--json"))
    assert seen["cameras"] == {"Cam1": 1, "Cam2": 1, "cam2": 1} and seen["first"] == 1_795_255_260
    words = [step.words for step in plan("crops", Path("out"), folders="nothing").steps]
    assert not any("--pattern" in one or "--time" in one for one in words)
    Path("crops/another.jpg").write_bytes(Path("crops/Cam1_2026-11-21_10-01-00.jpg").read_bytes())
    words = [step.words for step in plan("crops", Path("out")).steps]
    assert not any("--pattern" in one or "--time" in one for one in words)  # not all names tell


def test_a_data_set_tells_its_cameras_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for at, folder in enumerate(("bounding_box_train", "bounding_box_test", "query")):
        draw(Path(f"people/{folder}/000{at}_c{at}s1_000001_00.jpg"), 1, at + 1)
    for source in ("people", "people/query"):
        chosen = plan(source, Path("out"))
        assert any("tell" in finding and "cameras" in finding for finding in chosen.findings)
        assert not any("--camera-from-folder" in step.words or "--pattern" in step.words for step in chosen.steps)


def test_films_among_pictures_are_pointed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a folder").mkdir()
    Path("a folder/clip 1.mp4").touch()
    with pytest.raises(
        DataError, match=r"holds no images.*1 of them is a film.*resight quickstart 'a folder/clip 1.mp4'"
    ):
        plan("a folder", Path("out"))


def test_a_film(shell: Shell, tmp_path: Path) -> None:
    film = cv2.VideoWriter("shop.avi", cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 160))
    person = synthetic.draw("person", 1, 1, 0, size=(128, 64))[..., ::-1]
    with Path("boxes.csv").open("w") as table:
        table.write("frame,x,y,width,height\n")
        for at in range(12):
            frame = np.full((160, 96, 3), 60, np.uint8)
            frame[16:144, at : at + 64] = person
            film.write(frame)
            table.write(f"{at},{at},16,64,128\n")
    film.release()
    code, _, err = shell("quickstart", "shop.avi")
    assert code == 2 and "shop.avi is a film of 1 s, 96x160 pixels, 10 frames a second." in err
    assert "add --detector FILE" in err
    code, _, err = shell("quickstart", "shop.avi", "--detector", "boxes.csv", "--no-serve")
    assert code == 0, err
    assert "resight watch shop.avi --gallery quickstart/seen" in err
    assert told(shell("gallery", "stats", "quickstart/seen", "--json"))["records"] >= 1
    Path("bad.mp4").write_bytes(b"no film")
    code, _, err = shell("quickstart", "bad.mp4")
    assert code == 2 and "bad.mp4 is no film that can be read" in err


def test_a_step_that_finds_something_wrong_gives_its_exit_code(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps after it run all the same, as after a video that could not be read to its end."""
    draw(Path("alone/anna/1.jpg"), 1, 1)
    steps = (Step("Look", ("data", "check", "alone")), Step("List", ("engines",)))
    monkeypatch.setattr("resight.quickstart.plan", lambda *_, **__: Plan((), steps))
    assert shell("data", "check", "alone")[0] == 1
    code, out, err = shell("quickstart", "alone", "--no-serve")
    assert code == 1 and "torch" in out and err.rstrip().endswith("resight engines")
