"""The packages that resight needs: which are there, in which versions, and which do not fit."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from resight.doctor.finding import Finding

NOT_FOR_USERS = {"dev", "docs"}
SAME_FOLDER = (  # packages that write their files over each other's
    ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    ("faiss-cpu", "faiss-gpu"),
    ("onnxruntime", "onnxruntime-gpu"),
)


def findings() -> list[Finding]:
    """Required packages that are missing, too old or too new, and packages that overwrite each other."""
    found = [
        f"{what}, which resight needs: pip install '{needed.name}{needed.specifier}'."
        for needed in _required("")
        if (what := _misfit(needed))
    ]
    for group in SAME_FOLDER:
        there = [name for name in group if _version(name)]
        if len(there) > 1:
            found.append(
                f"{' and '.join(there)} are both installed and overwrite each other's files: pip uninstall "
                f"{' '.join(there)}, then install only one of them again."
            )
    return [Finding("broken", sentence) for sentence in found]


def extras() -> dict[str, str]:
    """Each extra of resight that is for users, with ``""`` if it can be used, else what does not fit."""
    return {
        extra: ", ".join(filter(None, (_misfit(needed) for needed in _required(extra))))
        for extra in metadata("resight").get_all("Provides-Extra") or ()
        if extra not in NOT_FOR_USERS
    }


def _required(extra: str) -> Iterable[Requirement]:
    """What an extra needs besides resight itself; of ``""`` what resight always needs."""
    for text in requires("resight") or ():
        needed = Requirement(text)
        if needed.marker is None or needed.marker.evaluate({"extra": extra}):
            if canonicalize_name(needed.name) == "resight":  # an extra that contains others
                for inner in sorted(needed.extras):
                    yield from (one for one in _required(inner) if one.marker is not None)
            elif needed.marker is not None or not extra:
                yield needed


def _misfit(needed: Requirement) -> str:
    """What is wrong with the installed version; "" if it fits."""
    there = _version(needed.name)
    if not there:
        return f"{needed.name} is not installed"
    if not needed.specifier.contains(there, prereleases=True):
        return f"{needed.name} {there} is installed instead of {needed.name}{needed.specifier}"
    return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
