"""Who comes in: pages of other sites stay out, keys are looked at and requests counted before a body is read.

Without keys the service listens on this machine alone, but the machine's own browser reaches it too, on behalf of any
page that it shows. Such a request is known by its headers, which pages cannot forge:

- ``Host`` must name this machine. A page whose name was made to point here (DNS rebinding) sends its own name.
- ``Origin`` and ``Sec-Fetch-Site``, which browsers add, must say that the page is ours. Other sites' forms and scripts
  say otherwise. Programs that are no browsers send neither.

With keys neither is needed: a browser never adds the key by itself.

A proxy with TLS in front says in ``X-Forwarded-Proto``, ``-Host`` and ``-For`` what it was asked; anybody can send
these headers, so that they count from declared addresses only. Which names lead to the proxy is its own business.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from resight.server.keys import SCOPES, Caller
from resight.server.limits import Body, Rate
from resight.server.refusals import Refused, respond
from resight.server.settings import Settings, is_local

GUARDED = ("/api/", "/metrics")
OPEN = "/api/me"  # a page asks here whether it needs a key


class Asked(NamedTuple):
    """How the service was reached: the origin of its own page, and the caller's address, as a proxy saw them or we."""

    origin: str
    address: str
    proxied: bool


class Guard:
    """In front of an application: what it lets through has ``scope["state"]["caller"]``."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._rate, self._under_way = Rate(settings.rate), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        try:
            await self._let_in(scope, receive, send)
        except Refused as refused:
            await respond(refused)(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        guarded = scope["path"].startswith(GUARDED)
        asked = self._asked(scope, headers)
        if not self._settings.keys:
            if not asked.proxied:
                check_address(asked.address, self._settings.host)
                check_host(headers, self._settings.host)
            if guarded:  # the page itself may be opened by a link from anywhere
                check_origin(headers, asked.origin)
        secret = secret_in(headers)
        caller = self._settings.keys.caller(secret) if self._settings.keys else Caller("", SCOPES)
        scope.setdefault("state", {})["caller"] = caller or Caller("", ())
        if caller is None and guarded and scope["path"] != OPEN:
            unknown = "This key is not known here: check it, or ask for a new one."
            missing = "A key is needed: send it as Authorization: Bearer KEY, or as X-API-Key: KEY."
            raise Refused(401, unknown if secret else missing)
        if not scope["path"].startswith("/api/"):  # operators are never refused because of others
            await self._app(scope, self._body(scope, receive), send)
            return
        self._rate.take(caller.name if caller and caller.name else asked.address)
        if self._under_way >= self._settings.queue:
            raise Refused(503, "Too many requests are under way: try again in a moment.", 1)
        self._under_way += 1
        try:
            await self._app(scope, self._body(scope, receive), send)
        finally:
            self._under_way -= 1

    def _asked(self, scope: Scope, headers: Headers) -> Asked:
        address = scope["client"][0] if scope.get("client") else ""
        scheme = headers.get("x-forwarded-proto", "")
        if not (scheme and self._settings.is_proxy(address)):
            return Asked(f"http://{headers.get('host', '')}".lower(), address, proxied=False)
        host = headers.get("x-forwarded-host") or headers.get("host", "")
        scheme, host = (value.partition(",")[0].strip() for value in (scheme, host))
        client = headers.get("x-forwarded-for", address).rpartition(",")[2].strip()
        return Asked(f"{scheme}://{host}".lower(), client, proxied=True)

    def _body(self, scope: Scope, receive: Receive) -> Body:
        return Body(scope, receive, self._settings.upload_bytes, self._settings.patience)


def secret_in(headers: Headers) -> str:
    """The key that was sent, "" without one."""
    kind, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")


def check_address(address: str, host: str) -> None:
    """Refuse callers other than this machine and the proxies, where the service listens on an outside address."""
    if not is_local(host) and not is_local(address):
        raise Refused(403, "This service answers its own machine and the proxies that were declared to it.")


def check_host(headers: Headers, host: str) -> None:
    """Refuse requests to a name that is neither this machine's nor the one that the service listens on (403)."""
    name = _name(f"//{headers.get('host', '')}")
    if not (is_local(name) or name == host.lower()):
        raise Refused(403, "The host name of the request is not allowed: use http://localhost, or create keys.")


def check_origin(headers: Headers, own: str) -> None:
    """Refuse what a browser sends on behalf of a page whose origin is not our ``own`` (403)."""
    if headers.get("origin", own).lower() != own or headers.get("sec-fetch-site", "none") not in (
        "same-origin",
        "none",
    ):
        raise Refused(
            403, "A page of another site sent this: use this service's own page, name its --proxy, or create keys."
        )


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:  # brackets that do not close
        return ""
