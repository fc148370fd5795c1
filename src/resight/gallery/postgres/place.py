"""Where a gallery is: ``postgresql://user@host/database?gallery=NAME``, which libpq reads but for the last part."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote

from resight.addresses import split_address
from resight.errors import DataError
from resight.secrets import without_secrets

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,59}")
_SECRET = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")


@dataclass(frozen=True)
class Place:
    """A gallery's place.

    Attributes:
        gallery: its name, which is that of the schema with its tables.
        address: what libpq connects to; it may hold a password.
        uri: the whole URI without passwords. libpq finds them in ``PGPASSWORD`` or a password file as well.
        thumbnails: where a new gallery keeps its thumbnails, see :func:`resight.gallery.postgres.objects.objects_at`;
            "" for the database, and for a gallery that knows.
    """

    gallery: str
    address: str = field(repr=False)
    uri: str
    thumbnails: str = ""

    @classmethod
    def of(cls, uri: str) -> Place:
        """The parts of a URI.

        Raises:
            DataError: it cannot be taken apart, names no gallery, or several places of thumbnails.
        """
        start, _, query = uri.partition("?")
        parts = split_address(uri)
        given = parse_qsl(query, keep_blank_values=True)
        names = [value for key, value in given if key == "gallery"]
        if len(names) != 1 or not _NAME.fullmatch(names[0]) or names[0].startswith("pg_"):
            raise DataError(
                f"{without_secrets(uri)} names no gallery: write postgresql://USER@HOST/DATABASE?gallery=NAME, "
                "NAME of lower-case letters, digits and _."
            )
        apart = [value.rstrip("/") for key, value in given if key == "thumbnails"]
        if len(apart) > 1:
            raise DataError(f"{without_secrets(uri)} has thumbnails= several times: write it once.")
        others = [(key, value) for key, value in given if key not in ("gallery", "thumbnails")]
        open_ones = [("gallery", names[0]), *((key, value) for key, value in others if key not in _SECRET)]
        login, at, hosts = parts.netloc.rpartition("@")
        shown = f"postgresql://{login.partition(':')[0]}{at}{hosts}{parts.path}"
        return cls(names[0], _joined(start, others), _joined(shown, open_ones), "".join(apart))


def _joined(start: str, query: list[tuple[str, str]]) -> str:
    return start + "?" * bool(query) + "&".join(f"{key}={quote(value, safe='/,:')}" for key, value in query)
