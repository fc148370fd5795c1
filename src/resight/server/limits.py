"""How much may come in: requests by rate and number, bodies by length and time."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

from starlette.types import Message, Receive, Scope

from resight.server.refusals import Refused

REMEMBERED = 10_000  # callers whose rate is known; the one that was silent longest is forgotten first
BURST = 4.0  # seconds' worth of requests that may come at once


class Rate:
    """Requests a second of each caller, by a bucket of tokens that fills steadily (RFC 2697's, with one colour).

    Args:
        per_second: how many tokens flow into a bucket, which holds :data:`BURST` seconds' worth; 0 limits nothing.
    """

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._full = max(1.0, BURST * per_second)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when there were so many

    def take(self, caller: str, now: float | None = None) -> None:
        """One request of a caller.

        Args:
            caller: the name of a key, or an address.
            now: seconds of a clock that never goes back; the machine's when None.

        Raises:
            Refused: the caller's bucket is empty (429).
        """
        if not self._rate:
            return
        now = time.monotonic() if now is None else now
        tokens, before = self._buckets.pop(caller, (self._full, now))
        tokens = min(self._full, tokens + (now - before) * self._rate)
        enough = tokens >= 1
        self._buckets[caller] = (tokens - enough, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        if not enough:
            wait = (1 - tokens) / self._rate
            raise Refused(429, f"More than {self._rate:g} requests a second came from here: wait a little.", wait)


class Body:
    """A request's body on its way in, counted and timed while it is read.

    Args:
        scope, receive: of the request.
        most: bytes.
        patience: seconds in which all of it must come.

    Raises:
        Refused: by its header it is longer (413).
    """

    def __init__(self, scope: Scope, receive: Receive, most: int, patience: float) -> None:
        self._receive, self._most = receive, most
        self._until = asyncio.get_running_loop().time() + patience
        self._read, self._whole = 0, False
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > most:
            raise self._too_long()

    async def __call__(self) -> Message:
        """The next part of the body; once it is whole, whatever comes.

        Raises:
            Refused: it is longer (413), or has not come in time (408).
        """
        if self._whole:
            return await self._receive()
        left = self._until - asyncio.get_running_loop().time()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, left))
        except asyncio.TimeoutError:
            raise Refused(408, "The body of the request did not arrive in time: send it again.") from None
        self._read += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._read > self._most:
            raise self._too_long()
        return message

    def _too_long(self) -> Refused:
        return Refused(413, f"The request is longer than the {self._most:,} bytes that are taken: send less.")
