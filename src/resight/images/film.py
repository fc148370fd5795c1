"""The frames of a film, one after the other, read by PyAV (FFmpeg): damaged frames are left out and counted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np

from resight.errors import DataError, first_line
from resight.images.decode import Pixels
from resight.secrets import without_secrets

if TYPE_CHECKING:
    from av import VideoFrame

PATIENCE = 16  # errors one after the other, without a packet between them, that end a film in a file
SILENCE = 10.0  # seconds without an answer from the network, or without a picture among what comes, that end a film
NEARBY = 64  # packets after a damaged one, within which frames may still suffer from it
NETWORK = {  # FFmpeg's options for addresses: a film is asked for again where it broke off, streams come whole
    "reconnect": "1",
    "reconnect_on_network_error": "1",
    "reconnect_delay_max": "5",
    "rtsp_flags": "prefer_tcp",
    "fpsprobesize": "0",
}
LATE = 8  # frames that come too late near damage; where more do, the times of the film begin anew
FEW, FASTEST = 10, 300  # frames; a film of more than these a second, from first to last, has impossible times
SAME = 1e-4  # seconds; times that differ by less are one, but for rounding: no camera takes 10,000 frames a second
RATE = 25.0  # frames a second where the film does not say


@dataclass(frozen=True, eq=False)
class Still:
    """One frame of a film.

    Attributes:
        number: from 0; damaged frames count.
        time: seconds since the first frame.
    """

    number: int
    time: float
    _frame: VideoFrame

    def pixels(self) -> Pixels:
        """(H, W, 3) uint8 RGB, upright: turned as the film's display matrix says."""
        pixels = np.asarray(self._frame.to_ndarray(format="rgb24"), np.uint8)
        turns = round(self._frame.rotation / 90)
        return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


class Film:
    """A film in a file or at an address, or a live stream; iterate over it once for its :class:`Still` frames.

    Times are those in the film: a hole of hours between two frames stays one. Where they run backwards, as in joined
    files, the film goes on one frame later.

    Args:
        source: a path; an address: ``file://``, ``http://`` or another one that FFmpeg reads; or the number of a
            camera of this computer.
        options: of FFmpeg, by name.

    Attributes:
        name: the source without passwords.
        count: how many frames the film says it has; 0 where it does not say.
        seconds: how long it says it is; None where it does not say, as live streams.
        rate: frames a second, on average.
        read: how many frames were given so far; ``lost``: how many were damaged or missing between these;
            ``short``: how many are missing at the end, 0 until the end was reached.

    Raises:
        DataError: there is no such film, or FFmpeg cannot read it.
    """

    def __init__(self, source: str | os.PathLike[str], options: dict[str, str] | None = None) -> None:
        self.name = shown_address(os.fspath(source))
        self._container = _opened(os.fspath(source), self.name, options or {})
        if not self._container.streams.video:
            self._container.close()
            raise DataError(f"{self.name} has no pictures, only sound: pass a video.")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.count = int(self._stream.frames)
        self.seconds = _seconds(self._container, self._stream)
        self.rate = float(self._stream.average_rate or self._stream.base_rate or RATE)
        self.read = self.lost = self.short = 0
        self._until = 0.0  # the time of the last frame given
        self._remote = is_remote(os.fspath(source))
        self._patience = 1 if self._remote else PATIENCE
        self._hidden = 0  # frames that the film holds but does not show
        self._nearby = 0  # packets to come that may suffer from a damaged one

    def __iter__(self) -> Iterator[Still]:
        # AVI numbers frames in the order in which they are decoded; where that is another one, frames are counted.
        unordered = self._container.format.name == "avi" and bool(self._stream.codec_context.has_b_frames)
        steady = not unordered and self._stream.average_rate == self._stream.base_rate
        step = 1 / self.rate
        last, errors, late = -1, 0, 0
        origin = shift = 0.0
        time = -step
        for frame, damaged in self._frames():
            if frame is None:
                errors += 1
                continue
            number, at = last + 1 + errors, (last + 1 + errors) * step
            if frame.pts is not None and not unordered:
                at = float(frame.pts * (frame.time_base or 0))
                if last < 0:
                    origin = at - errors * step
                at += shift - origin
                later = at > time + SAME
                if not later and self._nearby and late < LATE:
                    late += 1  # near damage, frames may come after later ones
                    continue
                if not later:
                    number += late  # times begin anew
                    next_time = time + step * (1 + late)
                    shift, at = shift + next_time - at, next_time
                if steady and (self.count or self._nearby):
                    number = max(last + 1, round(at * self.rate))
            last, errors, late, time = number, 0, 0, at
            if not damaged:
                self.read += 1
                self._until = time
                yield Still(number, time, frame)
            self.lost = last + 1 - self.read
        self.lost = last + 1 + errors - self.read
        self.short = self._short(last + 1 + errors, time + step)

    def _frames(self) -> Iterator[tuple[VideoFrame | None, bool]]:
        """Frames, and whether each is damaged; None in the place of one that cannot be decoded."""
        from av.error import FFmpegError

        wanted = [] if self._remote else [self._stream]  # of an address also the sound, to see that pictures stop
        packets = self._container.demux(*wanted)
        damaged: set[int | None] = set()
        failed, came = 0, monotonic()
        while failed < self._patience:
            try:
                packet = next(packets, None)
            except FFmpegError:
                failed += 1
                packets = self._container.demux(*wanted)
                continue
            if packet is None or (self._remote and monotonic() - came > SILENCE):
                return
            failed = 0
            if packet.stream is not self._stream:
                continue
            self._hidden += packet.is_discard
            self._nearby = max(0, self._nearby - 1)
            if packet.is_corrupt and packet.size:
                damaged.add(packet.pts)
                self._nearby = NEARBY
            try:
                frames = packet.decode()
            except FFmpegError:
                self._nearby = NEARBY
                yield None, True
                continue
            for frame in frames:
                yield frame, frame.is_corrupt or (frame.pts is not None and frame.pts in damaged)
                damaged.discard(frame.pts)
                came = monotonic()

    def _short(self, frames: int, seconds: float) -> int:
        if self.count:
            return max(0, self.count - self._hidden - frames)
        missing = (self.seconds or 0.0) - seconds
        return round(missing * self.rate) if missing > max(2.0, 0.05 * seconds) else 0  # sound may be a little longer

    def trouble(self) -> str:
        """A message about times that cannot be, and about frames that were damaged or are missing; "" for neither."""
        return " ".join(filter(None, (self._hasty(), self._incomplete())))

    def _hasty(self) -> str:
        if self._remote or self.read < FEW or self.read <= FASTEST * self._until:
            return ""
        return (
            f"{self.name}: by its own times its {self.read:,} frames took {self._until:.2g} s, as with no camera, and "
            "no track lasts: write it with other times (ffmpeg -r 25 -i FILM NEW.mp4, for 25 frames a second)."
        )

    def _incomplete(self) -> str:
        if not self.lost + self.short:
            return ""
        total = max(self.count, self.read + self.lost + self.short)
        return (
            f"{self.name}: {self.read:,} of {total:,} frames were read (damaged: {self.lost:,}, missing at the end: "
            f"{self.short:,}). Copy the file again, if there is a better one."
        )

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()


def shown_address(source: str) -> str:
    """The source as it may be kept and printed: an address without its secrets, a path as it is."""
    return without_secrets(source) if "://" in source else source


def local_path(source: str) -> str:
    """The path of a ``file://`` address; anything else as it is."""
    return unquote(urlsplit(source).path) if source.lower().startswith("file://") else source


def is_remote(source: str) -> bool:
    """Whether a source is no file of this computer: an address, or the number of a camera."""
    return source.isdecimal() or "://" in local_path(source)


def _opened(source: str, name: str, options: dict[str, str]) -> Any:
    import av
    from av.error import FFmpegError

    path, remote = local_path(source), is_remote(source)
    if not remote and Path(path).is_dir():
        raise DataError(f"{name} is a folder, not a video: join its images into one, for example with ffmpeg.")
    if not remote and not Path(path).is_file():
        raise DataError(f"{name} does not exist: check the path of the video.")
    try:
        if path.isdecimal():
            device, kind = (path, "avfoundation") if sys.platform == "darwin" else (f"/dev/video{path}", "v4l2")
            return av.open(device, format=kind, options=options, timeout=SILENCE)
        if remote:
            return av.open(path, options=NETWORK | options, timeout=SILENCE)
        return av.open(_readable(path), options=options)
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or first_line(error).replace(source, name)
        if remote:
            what = f"The camera {name}" if path.isdecimal() else name
            raise DataError(
                f"{what} does not answer ({reason}): check the address, and that no other program uses the camera."
            ) from None
        raise DataError(f"{name} is not a video that FFmpeg can read ({reason}): convert it to MP4 (H.264).") from None


def _readable(path: str) -> Any:
    """What FFmpeg opens: a name that is never taken for an address, or the file where the name is not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return Path(path).open("rb")
    return f"file:{path}"


def _seconds(container: Any, stream: Any) -> float | None:
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else float(container.duration / 1e6)
