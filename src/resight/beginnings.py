"""What lies in the place of a file, by how it begins."""

from __future__ import annotations

import os
from pathlib import Path


def taken_for(data: bytes) -> str:
    """What often lies in the place of a file, with the cure, by how it begins; "" where it is none of these."""
    start = data[:200].lstrip().lower()
    if start.startswith(b"version https://git-lfs.github.com/spec"):
        return "a pointer of Git LFS, not the file itself: fetch it with git lfs pull"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page, which a server sent in place of the file: download it again"
    return ""


def is_binary(path: str | os.PathLike[str]) -> bool:
    """Whether a file is there that is no text, such as a picture, a gallery or weights; not so of a pipe or device."""
    file = Path(path)
    try:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            return b"\0" in opened.read(4096)
    except OSError:  # whoever writes there says what is wrong
        return False
