"""Messages as HTTP POSTs of JSON."""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlunsplit

from resight.addresses import host_only, split_address
from resight.errors import DataError
from resight.secrets import without_secrets
from resight.watch.events.event import Seen
from resight.watch.events.sink import TIMEOUT, Undelivered

_SIGNS = "/%:@!$&'()*+,;=?[]"  # what an address may hold as it is
_NAME = re.compile(r"https?://[^/?#]* \([0-9a-f]{8}\)", re.IGNORECASE)


def webhook_name(address: str) -> str:
    """What a webhook is called where it is kept or printed: scheme and host, for its path is often a secret.

    Eight hex digits of a digest tell several of one host apart. A name stays as it is.
    """
    if _NAME.fullmatch(address):
        return address
    digest = hashlib.sha256(without_secrets(address).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{host_only(address)} ({digest[:8]})"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """urllib follows a redirected POST by a GET without the message, and takes the login along to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Webhook:
    """A POST of JSON for each message. What is not answered with 2xx, such as a redirect, counts as not taken.

    ``Idempotency-Key`` is the message's id, so that a server may leave out what it has already.
    """

    def __init__(self, address: str) -> None:
        parts = split_address(address)
        if not parts.hostname:
            raise DataError(f"--events {host_only(address)} has no host: write http://HOST/PATH.")
        self.name = webhook_name(address)
        host = parts.netloc.rpartition("@")[2]
        path, query = (quote(text, safe=_SIGNS) for text in (parts.path or "/", parts.query))
        self._url = urlunsplit((parts.scheme, host, path, query, ""))
        self._open = urllib.request.build_opener(_NoRedirects).open
        self._headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "resight"}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"

    def send(self, seen: Seen) -> None:
        """See :class:`~resight.watch.events.sink.Sink`."""
        headers = self._headers | {"Idempotency-Key": seen.id}
        request = urllib.request.Request(self._url, seen.line().encode(), headers, method="POST")
        try:
            with self._open(request, timeout=TIMEOUT) as answer:
                answer.read(1 << 16)
        except urllib.error.HTTPError as error:
            error.close()
            place = error.headers.get("Location") if 300 <= error.code < 400 else None
            moved = f", which leads to {host_only(urljoin(self._url, place))}: pass its new address" if place else ""
            raise Undelivered(f"it answered {error.code} {error.reason}{moved}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Undelivered(without_secrets(str(reason)) or type(error).__name__) from None

    def close(self) -> None:
        """Nothing is held between two messages."""
