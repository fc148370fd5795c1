"""Pictures as objects of an S3-compatible store, by boto3, which finds keys and the address of the store itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from resight.errors import ResightError, first_line
from resight.pools import OfProcess
from resight.secrets import without_secrets

_TOGETHER = 16  # requests under way
_MOST = 1000  # objects that S3 removes or lists at once
_MISSING = ("NoSuchKey", "404")


class Bucket:
    """See :class:`resight.gallery.postgres.objects.Objects`.

    Args:
        bucket: its name.
        prefix: what the keys begin with, without the slash after it.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix
        self._client = OfProcess(_client)

    def make(self) -> None:
        """See that the bucket is there."""
        with self._in_words():
            self._client().head_bucket(Bucket=self._bucket)

    def put(self, contents: Mapping[str, bytes]) -> None:
        """Write objects."""
        client = self._client()

        def write(one: tuple[str, bytes]) -> None:
            name, content = one
            client.put_object(Bucket=self._bucket, Key=self._key(name), Body=content, ContentType="image/jpeg")

        with self._in_words(), ThreadPoolExecutor(_TOGETHER) as pool:
            list(pool.map(write, contents.items()))

    def get(self, names: Sequence[str]) -> dict[str, bytes]:
        """The objects that are there."""
        client = self._client()

        def read(name: str) -> bytes | None:
            try:
                return bytes(client.get_object(Bucket=self._bucket, Key=self._key(name))["Body"].read())
            except ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    return None
                raise

        with self._in_words(), ThreadPoolExecutor(min(_TOGETHER, max(len(names), 1))) as pool:
            found = zip(names, pool.map(read, names), strict=True)
            return {name: content for name, content in found if content is not None}

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; the store keeps none of them if it keeps no versions."""
        for start in range(0, len(names), _MOST):
            keys = [{"Key": self._key(name)} for name in names[start : start + _MOST]]
            with self._in_words():
                done = self._client().delete_objects(Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True})
            for error in done.get("Errors", ()):
                raise self._failed(error.get("Message") or error.get("Code") or "not removed")

    def names(self) -> Iterator[list[str]]:
        """The names of all objects, some at a time."""
        skipped = len(self._key(""))
        with self._in_words():
            pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._key(""))
            for page in pages:
                yield [found["Key"][skipped:] for found in page.get("Contents", ())]

    def remains(self) -> str:
        """Where else the bytes of removed objects may be."""
        return (
            f"Versions, replicas and backups of the bucket {self._bucket}: they keep pictures as long as its rules say."
        )

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise self._failed(first_line(error)) from None

    def _failed(self, why: str) -> ResightError:
        return ResightError(
            f"The thumbnails in s3://{self._bucket}/{self._prefix} cannot be read or written ({without_secrets(why)}): "
            "check the bucket, its rights and your keys, as the AWS command line reads them."
        )


def _client() -> Any:
    settings = Config(
        max_pool_connections=_TOGETHER, retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=10
    )
    return boto3.session.Session().client("s3", config=settings)
