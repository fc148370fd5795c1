"""Files of public models on this disk: downloaded once, checked by their hash before anything reads them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from resight.errors import ModelError, first_line
from resight.files import cache_root
from resight.models.zoo.catalog import PREFIX, Entry, File, entry

Progress = Callable[[int, int], None]
CHUNK = 1 << 18
WAIT = 30.0  # seconds without a byte


def fetch(name: str, progress: Progress | None = None) -> Path:
    """The model ``zoo:NAME`` on this disk, with the files that belong beside it.

    ``RESIGHT_ZOO`` names a folder with files that were brought by hand, in itself or in a subfolder NAME. Everything
    else is in the cache folder, where an interrupted download is resumed.

    Args:
        name: with or without ``zoo:``.
        progress: called with (bytes here, bytes in all) of each file.

    Returns:
        The model's own file.

    Raises:
        ModelError: no such model, no network, a file that is not the published one, or a full disk.
    """
    name = name.removeprefix(PREFIX)
    found = entry(name)
    by_hand = os.environ.get("RESIGHT_ZOO")
    if by_hand:
        for folder in (Path(by_hand) / name, Path(by_hand)):
            if all((folder / file.name).is_file() for file in found.files):
                for file in found.files:
                    _check(folder / file.name, file, f"{folder / file.name} is not the published file")
                return folder / found.files[0].name
    return _cached(name, found, by_hand, progress)


def _cached(name: str, found: Entry, by_hand: str | None, progress: Progress | None) -> Path:
    folder = cache_root() / "zoo" / name
    for file in found.files:
        path = folder / file.name
        try:
            if not path.is_file():
                folder.mkdir(parents=True, exist_ok=True)
                _download(file, path, progress)
        except OSError as error:
            hint = f"; {by_hand} (RESIGHT_ZOO) does not have it either" if by_hand else ""
            raise ModelError(f"{file.name} cannot be kept in {folder} ({first_line(error)}){hint}.") from None
    return folder / found.files[0].name


def _download(file: File, path: Path, progress: Progress | None) -> None:
    """Download to ``path`` + ``.part``, from where an earlier try stopped; only a checked file gets its name."""
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.is_file() else 0
    if have > file.bytes:
        part.unlink()
        have = 0
    if have < file.bytes:
        request = Request(file.url, headers={"Range": f"bytes={have}-"} if have else {})
        try:
            with urlopen(request, timeout=WAIT) as answer:
                resumed = answer.status == 206
                length = answer.headers.get("Content-Length")
                if length is not None and int(length) + (have if resumed else 0) != file.bytes:
                    kind = answer.headers.get_content_type()
                    raise ModelError(
                        f"{file.url} gives {int(length):,} bytes of {kind} from {answer.url}, not the published "
                        f"{file.bytes:,}: {_else(file)}"
                    )
                with part.open("ab" if resumed else "wb") as out:
                    _copy(answer, out, have if resumed else 0, file.bytes, progress)
        except HTTPError as error:
            raise ModelError(f"{file.url} answers {error.code} {error.reason}: {_else(file)}") from None
        except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
            reason = first_line(
                error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
            )
            raise ModelError(f"{file.url} cannot be reached ({reason}): {_else(file)}") from None
        have = part.stat().st_size
    if have < file.bytes:
        raise ModelError(f"{file.url} ended after {have:,} of {file.bytes:,} bytes: run the command again to resume.")
    _check(part, file, f"{file.url} gave another file than the published one", remove=True)
    part.replace(path)


def _copy(source: IO[bytes], out: IO[bytes], have: int, total: int, progress: Progress | None) -> None:
    while chunk := source.read(CHUNK):
        out.write(chunk)
        have += len(chunk)
        if have > total:
            return  # longer than published: its hash will not fit
        if progress:
            progress(have, total)


def _check(path: Path, file: File, wrong: str, *, remove: bool = False) -> None:
    """Compare size and hash with the published ones.

    Raises:
        ModelError: they differ; with ``remove`` the file is gone.
    """
    kind, expected = file.hash
    digest = hashlib.new(kind)
    with path.open("rb") as content:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
    size = path.stat().st_size
    if size == file.bytes and digest.hexdigest() == expected:
        return
    if remove:
        path.unlink()
    raise ModelError(
        f"{wrong} ({size:,} bytes, {kind.upper()} {digest.hexdigest()[:12]}..., published {file.bytes:,} bytes, "
        f"{expected[:12]}...): nothing was kept of it; {_else(file)}"
    )


def _else(file: File) -> str:
    return f"try again, or put {file.name} into a folder that RESIGHT_ZOO names."
