"""How many of something, in words: one picture, two pictures."""

from __future__ import annotations


def counted(number: int, one: str, several: str = "") -> str:
    """``1 picture``, ``1,200 pictures``; ``several`` is the plural where it is not the singular with an s."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
