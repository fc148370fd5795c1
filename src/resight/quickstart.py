"""What a folder of pictures or a film holds, and the commands that make a searchable gallery of it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

import numpy as np

from resight.errors import DataError, ResightError
from resight.files import left_out, list_images
from resight.images.decode import decode, is_image_file

Folders = Literal["cameras", "people", "nothing"]
FILMS = {".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".ts", ".mpg", ".mpeg", ".wmv"}
LOOKED_AT = 100  # pictures whose sizes are read
PERSON = r"(?P<identity>[^/]+)/[^/]+$"


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
    """
    if not Path(source).exists():
        raise DataError(f"{source} does not exist: pass a folder, zip archive or film.")
    gallery = str(output / "seen")
    made = Path(f"{gallery}.db").exists()
    create = () if made else (Step("Make a gallery", ("gallery", "create", gallery, "--model", model)),)
    show = Step("Look at it in the browser", ("serve", gallery, "--open"))
    if Path(source).suffix.lower() in FILMS and Path(source).is_file():
        found = _film(source)
        if not detector:
            raise DataError(
                f"{found} Finding people in it needs a detector: add --detector FILE, an OpenVINO SSD (.xml) or a "
                "YOLOX (.onnx), or boxes of another program as a CSV file."
            )
        watch = ("watch", source, "--gallery", gallery, "--model", model, "--detector", detector)
        return Plan((found,), (Step("Follow everybody and keep one record per track", watch), show))
    findings, cameras, people = _pictures(source, folders)
    more = (*(("--camera-from-folder",) if cameras else ()), *(("--pattern", PERSON, "--identities") if people else ()))
    skip = ("--on-error", "skip")
    group = ("--model", model, *skip, "--output", str(output / "groups.csv"), "--sheet", str(output / "groups.html"))
    return Plan(
        findings,
        (
            *create,
            Step("Embed every picture and keep it", ("gallery", "add", gallery, source, *more, *skip)),
            Step("Group the pictures by person", ("group", source, *group)),
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


def _pictures(source: str, folders: Folders | None) -> tuple[tuple[str, ...], bool, bool]:
    """What is there, and whether its folders are cameras or people."""
    paths, others = ([source], []) if is_image_file(source) and not Path(source).is_dir() else list_images(source)
    if not paths:
        raise DataError(f"{source} holds no images. {left_out(others)}".rstrip())
    names = Counter(PurePath(path).parent.name for path in paths if PurePath(path).parent != PurePath(source))
    findings = [f"{source} holds {len(paths):,} pictures{_sizes(paths)}."]
    if others:
        findings.append(left_out(others))
    if len(names) < 2:
        return tuple(findings), False, False
    kind = folders or "cameras"
    shown = ", ".join(sorted(names)[:4]) + (", ..." if len(names) > 4 else "")
    meaning = {"cameras": "taken as cameras", "people": "taken as people", "nothing": "not used"}[kind]
    findings.append(
        f"They lie in {len(names):,} folders ({shown}), which are {meaning}"
        + (": --folders people if they are people." if folders is None else ".")
    )
    return tuple(findings), kind == "cameras", kind == "people"


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
    height, width = np.median(np.array(sizes), axis=0)
    said = f", usually {width:.0f}x{height:.0f} pixels"
    if broken:
        said += f"; {broken} of {len(chosen)} that were looked at cannot be read and will be left out"
    if width >= 1.2 * height and width >= 300:
        said += (
            "; they are wide, like whole scenes: cut out one person per picture first, or results will be about the "
            "background"
        )
    return said
