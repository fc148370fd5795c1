"""What published data sets share: folders to find, names and lists to read, numbers to check."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from resight.datasets.catalog import Dataset
from resight.errors import DataError, RecipeError
from resight.files import is_image_name, left_out, read_bytes

Counts = Mapping[str, Mapping[str, tuple[int, ...]]]  # split -> what -> the numbers that circulate


def check_fold(name: str, fold: str) -> None:
    """Raise RecipeError unless ``fold`` is "test" or "validation"."""
    if fold not in ("test", "validation"):
        raise RecipeError(f"{name} has no fold {fold!r}: choose 'test' or 'validation'.")


def find_base(root: str, paths: Iterable[str], wanted: Sequence[str], title: str) -> str:
    """The folder, at or below ``root``, that holds all folders in ``wanted``, such as ``"images/train"``.

    Args:
        root: a folder or a zip archive.
        paths: every file below ``root``.
        wanted: two folders or more.
        title: what the data set is called.

    Raises:
        DataError: none of the folders is there, or not all of them, or all of them twice.
    """
    root = root.rstrip("/")
    found: dict[str, set[str]] = {}
    for path in paths:
        below = path[len(root) :]
        for name in wanted:
            at = below.find(f"/{name}/")
            if at >= 0:
                found.setdefault(root + below[:at], set()).add(name)
    whole = sorted(base for base, names in found.items() if len(names) == len(wanted))
    if len(whole) > 1:
        raise DataError(f"{root} holds {title} {len(whole)} times: pass {whole[0]} or {whole[1]}.")
    if whole:
        return whole[0]
    if not found:
        listed = f"{', '.join(wanted[:-1])} and {wanted[-1]}"
        raise DataError(
            f"{root or '/'} is not {title}, for there is no {wanted[0]} in it: "
            f"pass the folder or zip that holds {listed}."
        )
    base = max(sorted(found), key=lambda folder: len(found[folder]))
    missing = " and ".join(name for name in wanted if name not in found[base])
    raise DataError(f"{base} has no files in {missing}: download or unpack {title} again.")


def read_names(
    prefix: str,
    paths: Iterable[str],
    name: re.Pattern[str],
    kind: str,
    strays: list[str],
    cure: str = "rename it or take it out of the folder",
) -> tuple[list[str], list[tuple[str, ...]]]:
    """The images whose path begins with ``prefix``, and what the groups of ``name`` find in the rest of each.

    Files that are not images are added to ``strays``.

    Args:
        kind: what a name should be, for the error: ``such as 0002_c002_00030600_0.jpg (identity, ...)``.
        cure: what to do about another name.

    Raises:
        DataError: an image has another name.
    """
    images: list[str] = []
    labels: list[tuple[str, ...]] = []
    for path in paths:
        if not path.startswith(prefix):
            continue
        if not is_image_name(path):
            strays.append(path)
            continue
        match = name.fullmatch(path[len(prefix) :])
        if match is None:
            raise DataError(f"{path} has no name {kind}: {cure}.")
        images.append(path)
        labels.append(match.groups())
    return images, labels


def note_strays(strays: Sequence[str]) -> tuple[str, ...]:
    """A note on files that were left out, or none."""
    return (left_out(strays),) if strays else ()


def read_lines(path: str) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, each after its number.

    The text is UTF-8 or, as in some Chinese data sets, GB 18030.

    Raises:
        DataError: the file is missing or cannot be read.
    """
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("gb18030", errors="replace")
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def check_images(images: Sequence[str], there: Collection[str], listed_in: str, title: str) -> None:
    """Raise DataError unless every one of ``images``, which the file ``listed_in`` lists, is ``there``."""
    missing = [image for image in images if image not in there]
    if missing:
        raise DataError(
            f"{listed_in} lists {len(images):,} images but {len(missing):,} of them are not there, "
            f"first {missing[0]}: download or unpack {title} again."
        )


def wrong_counts(data: Dataset, official: Counts) -> list[str]:
    """What differs from the published numbers, each like ``"train has 12,935 images instead of 12,936"``."""
    facts = data.facts()
    return [
        f"{split} has {facts[split][what]:,} {what} instead of {' or '.join(f'{number:,}' for number in numbers)}"
        for split, counts in official.items()
        for what, numbers in counts.items()
        if facts[split][what] not in numbers
    ]


def check_counts(data: Dataset, official: Counts, root: str, title: str, *, strict: bool) -> Dataset:
    """``data`` where its numbers are the ``official`` ones; else, unless ``strict``, ``data`` with a note.

    Raises:
        DataError: another number, with ``strict``; the message names the first.
    """
    wrong = wrong_counts(data, official)
    if wrong and strict:
        raise DataError(
            f"{root} does not hold all of {title}, for {wrong[0]}: download or unpack it again, "
            "or pass strict=False (--set strict=false) if this is a subset."
        )
    return replace(data, notes=(*data.notes, f"The numbers of images are not {title}'s own.")) if wrong else data
