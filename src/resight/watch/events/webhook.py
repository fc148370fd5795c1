"""Messages as HTTP POSTs of JSON."""

from __future__ import annotations

import base64
import http.client
import urllib.error
import urllib.request
from urllib.parse import quote, unquote, urlunsplit

from resight.addresses import split_address
from resight.errors import DataError
from resight.secrets import without_secrets
from resight.watch.events.event import Seen
from resight.watch.events.sink import TIMEOUT, Undelivered

_SIGNS = "/%:@!$&'()*+,;=?[]"  # what an address may hold as it is


class Webhook:
    """A POST of JSON for each message. What is not answered with 2xx counts as not taken.

    ``Idempotency-Key`` is the message's id, so that a server may leave out what it has already.
    """

    def __init__(self, address: str) -> None:
        parts = split_address(address)
        if not parts.hostname:
            raise DataError(f"--events {without_secrets(address)} has no host: write http://HOST/PATH.")
        self.name = without_secrets(address)
        host = parts.netloc.rpartition("@")[2]
        path, query = (quote(text, safe=_SIGNS) for text in (parts.path or "/", parts.query))
        self._url = urlunsplit((parts.scheme, host, path, query, ""))
        self._headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "resight"}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"

    def send(self, seen: Seen) -> None:
        """See :class:`~resight.watch.events.sink.Sink`."""
        headers = self._headers | {"Idempotency-Key": seen.id}
        request = urllib.request.Request(self._url, seen.line().encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                answer.read(1 << 16)
        except urllib.error.HTTPError as error:
            error.close()
            raise Undelivered(f"it answered {error.code} {error.reason}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Undelivered(without_secrets(str(reason)) or type(error).__name__) from None

    def close(self) -> None:
        """Nothing is held between two messages."""
