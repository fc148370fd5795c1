"""Where thumbnails are if they are not in the database: a folder or a bucket, given as an address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from resight.errors import DataError
from resight.secrets import without_secrets


class Objects(Protocol):
    """Contents by name, such as ``"0f/0f3c...jpg"``. Every method raises ResightError where the place fails."""

    def make(self) -> None:
        """Prepare the place for a new gallery."""

    def put(self, contents: Mapping[str, bytes]) -> None:
        """Store contents under names that were never used; durable when this returns."""

    def get(self, names: Sequence[str]) -> dict[str, bytes]:
        """The contents of those names that are there."""

    def remove(self, names: Sequence[str]) -> None:
        """Remove contents for good; names that are not there do not count."""

    def names(self) -> Iterator[list[str]]:
        """All names, some at a time."""

    def remains(self) -> str:
        """Where else removed contents may still be, in a sentence; "" for nowhere."""


def objects_at(address: str) -> Objects:
    """The folder of ``file:///FOLDER`` or the bucket of ``s3://BUCKET/PREFIX``.

    Raises:
        DataError: it is neither, or boto3 is not installed.
    """
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.path.strip("/") and not parts.netloc:
        from resight.gallery.postgres.folder import Folder

        return Folder(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc:
        try:
            from resight.gallery.postgres.bucket import Bucket
        except ModuleNotFoundError as error:
            raise DataError(f"Thumbnails in S3 need {error.name}: pip install 'resight[s3]'.") from None
        return Bucket(parts.netloc, parts.path.strip("/"))
    raise DataError(
        f"thumbnails={without_secrets(address)} is no place for thumbnails: write file:///FOLDER, or "
        "s3://BUCKET/PREFIX without keys, which boto3 finds as the AWS command line does."
    )
