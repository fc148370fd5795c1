"""Folders that resight writes to on its own account."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from resight.doctor.finding import Finding
from resight.files import cache_root
from resight.images.cache import cache_folder

LITTLE_SPACE = 1e9


def facts() -> dict[str, str]:
    """The cache folder with its size and the free space, and the folder for temporary files."""
    where = cache_root()
    parts = [f"{part.name} {_size(part) / 1e6:,.0f} MB" for part in sorted(where.glob("*")) if part.is_dir()]
    temporary = Path(tempfile.gettempdir())
    return {
        "cache": f"{where} ({', '.join([*parts, _free(where)])})",
        "temporary files": f"{temporary} ({_free(temporary)})",
    }


def findings() -> list[Finding]:
    """A cache that cannot be written, or a disk that is almost full."""
    where = cache_root()
    existing = _existing(where)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return [
            Finding(
                "slow",
                f"{where} cannot be written, so images are decoded and engines measured again in every run: set the "
                "environment variable RESIGHT_CACHE to a folder that can.",
            )
        ]
    free = shutil.disk_usage(existing).free
    if free < LITTLE_SPACE:
        return [
            Finding(
                "slow",
                f"The disk of {where} has only {free / 1e9:.1f} GB left, so decoded images are not kept for the next "
                f"epoch and run: free some space, delete {cache_folder()}, or set RESIGHT_CACHE to another disk.",
            )
        ]
    return []


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def _free(path: Path) -> str:
    return f"{shutil.disk_usage(_existing(path)).free / 1e9:,.1f} GB free"


def _size(folder: Path) -> int:
    """Bytes of all files below a folder; those that vanish meanwhile or cannot be seen do not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(place, name).stat().st_size
            except OSError:
                continue
    return total
