"""Addresses taken apart, so that no sign of a password ends up in a host or in a message."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from resight.errors import DataError
from resight.secrets import without_secrets

_NOT_ENCODED = re.compile(r"%(?![0-9a-f]{2})|\s", re.IGNORECASE)


def split_address(address: str) -> SplitResult:
    """The parts of an address, such as ``https://me:secret@host/path``; it may have several hosts, with commas between.

    Raises:
        DataError: it cannot be taken apart, or :func:`~resight.secrets.without_secrets` finds the password elsewhere.
    """
    bare = without_secrets(address)
    try:
        parts = urlsplit(address)
        if (
            ("," in parts.netloc or parts.port != 0)
            and parts.hostname == urlsplit(bare).hostname
            and not _NOT_ENCODED.search(parts.netloc)
        ):
            return parts
    except ValueError:  # brackets that are no IPv6 address, or a port that is no number up to 65535
        pass
    raise DataError(
        f"{host_only(address)} cannot be read as an address: write the port as a number, and in a user's name or "
        "password write each / ? # @ [ ] % and space as %XX, such as %2F for /."
    )


def host_only(address: str) -> str:
    """Scheme and host of an address, for one whose path or parameters may be a secret, as a webhook's are."""
    scheme, _, rest = without_secrets(address).partition("://")
    return f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0]}"
