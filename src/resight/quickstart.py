"""What a folder of pictures or a film holds, and the commands that make a searchable gallery of it."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

import numpy as np

from resight.counted import counted
from resight.datasets.detect import detect
from resight.errors import DataError, ResightError
from resight.files import VIDEO_SUFFIXES, left_out, list_images
from resight.gallery.adding.dating import times_of
from resight.gallery.adding.incoming import MARKET
from resight.images.decode import decode, is_image_file
from resight.models.loading import load

Folders = Literal["cameras", "people", "nothing"]
LOOKED_AT = 100  # pictures whose sizes are read
PERSON = r"(?P<identity>[^/]+)/[^/]+$"
CAMERA = r"(?<![a-zA-Z\d])(?P<camera>(?i:camera|cam|c)[_-]?\d{1,4})[_. -][^/]*$"


@dataclass(frozen=True)
class Step:
    """One command: what it is for, and its words after ``resight``."""

    purpose: str
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        """As it is typed."""
        return shlex.join(["resight", *self.words])


@dataclass(frozen=True)
class Plan:
    """What is there, in sentences, and what to do, in order."""

    findings: tuple[str, ...]
    steps: tuple[Step, ...]


def plan(
    source: str, output: Path, *, folders: Folders | None = None, detector: str = "", model: str = "person"
) -> Plan:
    """Look at a place and choose the commands.

    Args:
        source: a folder or zip archive of pictures with one person on each, or a film.
        output: the folder in which the commands write.
        folders: what the folders of the pictures stand for: ``cameras`` by default where there are several.
        detector: for a film, as ``resight watch --detector`` takes it.
        model: of the gallery.

    Raises:
        DataError: nothing there that can be used, or a film without a detector.
        ModelError: a model that is none.
    """
    if not Path(source).exists():
        raise DataError(f"{source} does not exist: pass a folder, zip archive or film.")
    gallery = str(output / "seen")
    made = Path(f"{gallery}.db").exists()
    create = () if made else (Step("Make a gallery", ("gallery", "create", gallery, "--model", model)),)
    show = Step("Look at it in the browser", ("serve", gallery, "--open"))
    if Path(source).suffix.lower() in VIDEO_SUFFIXES and Path(source).is_file():
        found = _film(source)
        if not detector:
            raise DataError(
                f"{found} Finding people in it needs a detector: add --detector FILE, an OpenVINO SSD (.xml) or a "
                "YOLOX (.onnx), or boxes of another program as a CSV file."
            )
        watch = ("watch", source, "--gallery", gallery, "--model", model, "--detector", detector)
        return Plan((found,), (Step("Follow everybody and keep one record per track", watch), show))
    findings, more = _pictures(source, folders)
    skip = ("--on-error", "skip")
    if made:
        findings += (
            f"{gallery} is there already, so they are added to it: --output FOLDER for a gallery of their own.",
        )
        more += ("--model", model)  # refused where the gallery is of another
    calibrated = load(model).card.threshold is not None
    if not calibrated:
        findings += (
            f"{model} is not calibrated, so they are not grouped by person: run resight calibrate {model} DATA.",
        )
    group = ("--model", model, *skip, "--output", str(output / "groups.csv"), "--sheet", str(output / "groups.html"))
    return Plan(
        findings,
        (
            *create,
            Step("Embed every picture and keep it", ("gallery", "add", gallery, source, *more, *skip)),
            *((Step("Group the pictures by person", ("group", source, *group)),) if calibrated else ()),
            show,
        ),
    )


def _film(source: str) -> str:
    import av

    try:
        with av.open(source) as film:
            stream = film.streams.video[0]
            seconds = float(film.duration or 0) / av.time_base
            rate = float(stream.average_rate or 0)
            size = f"{stream.codec_context.width}x{stream.codec_context.height}"
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{source} is no film that can be read ({error}): convert it to MP4.") from None
    return f"{source} is a film of {seconds:.0f} s, {size} pixels, {rate:.3g} frames a second."


def _pictures(source: str, folders: Folders | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is there, and the options of ``gallery add`` that read cameras, people and times."""
    single = is_image_file(source) and not Path(source).is_dir()
    paths, others = ([source], []) if single else list_images(source)
    films = [path for path in others if PurePath(path).suffix.lower() in VIDEO_SUFFIXES]
    advice = ""
    if films:
        these = "1 of them is a film" if len(films) == 1 else f"{len(films):,} of them are films"
        advice = f"{these}: for one, run {shlex.join(['resight', 'quickstart', films[0]])}."
    if not paths:
        raise DataError(" ".join(filter(None, (f"{source} holds no images.", left_out(others), advice))))
    findings = [f"{source} holds {counted(len(paths), 'picture')}{_sizes(paths)}."]
    findings += filter(None, (left_out(others), advice))
    if folders is None and (kind := "folder" if single else detect(source)) != "folder":
        findings.append(
            f"It is laid out like the data set {kind}, which tells the cameras: --folders nothing ignores that."
        )
        return tuple(findings), ()
    if folders is None and all(re.search(MARKET, path) for path in paths):
        findings.append("Their names are like Market-1501's, which tell the cameras.")
        return tuple(findings), ()
    timed: tuple[str, ...] = ()
    if folders != "nothing" and None not in times_of(paths, "name")[0]:
        timed = ("--time", "name")
        findings.append("Their names tell when they were taken.")
    sentence, options = _labels(source, paths, folders)
    return (*findings, *filter(None, (sentence,))), (*options, *timed)


def _labels(source: str, paths: Sequence[str], folders: Folders | None) -> tuple[str, tuple[str, ...]]:
    """What folders or names stand for, as a sentence and options."""
    names = Counter(PurePath(path).parent.name for path in paths if PurePath(path).parent != PurePath(source))
    if len(names) < 2:
        found = [re.search(CAMERA, path) for path in paths] if folders is None else []
        cameras = sorted({one["camera"] for one in found if one})
        if len(cameras) < 2 or None in found:
            return "", ()
        return f"Their names tell the camera ({_few(cameras)}): --folders nothing ignores that.", ("--pattern", CAMERA)
    kind = folders or "cameras"
    meaning = {"cameras": "taken as cameras", "people": "taken as people", "nothing": "not used"}[kind]
    options = {"cameras": ("--camera-from-folder",), "people": ("--pattern", PERSON, "--identities"), "nothing": ()}
    end = ": --folders people if they are people." if folders is None else "."
    return f"They lie in {len(names):,} folders ({_few(sorted(names))}), which are {meaning}{end}", options[kind]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _sizes(paths: Sequence[str]) -> str:
    """The usual size, and what is odd about it."""
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(len(paths), LOOKED_AT)).round().astype(int))
    sizes, broken = [], 0
    for at in chosen.tolist():
        try:
            sizes.append(decode(paths[at]).shape[:2])
        except ResightError:
            broken += 1
    if not sizes:
        raise DataError(f"{paths[0]} and the other pictures cannot be read: open one of them in an image viewer.")
    shapes = np.array(sizes, np.int64)
    height, width = np.median(shapes, axis=0)
    said = f", usually {width:.0f}x{height:.0f} pixels"
    if broken:
        said += f"; {broken} of {len(chosen)} that were looked at cannot be read and will be left out"
    wide = (shapes[:, 1] >= 1.2 * shapes[:, 0]) & (shapes[:, 1] >= 300)
    if wide.mean() > 0.5:
        said += (
            "; they are wide, like whole scenes: cut out one person per picture first, or results will be about the "
            "background"
        )
    elif wide.any():
        are = "is" if wide.sum() == 1 else "are"
        said += f"; {wide.sum()} of {len(shapes)} {are} wide, like whole scenes, about which results say nothing"
    return said
