"""Around everything: each request gets a number, a line in the log, its place in the metrics, and safe headers."""

from __future__ import annotations

import secrets
from time import perf_counter

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resight.server.logs import LOG
from resight.server.metrics import Metrics
from resight.server.refusals import Refused, respond

QUIET = {"/healthz", "/readyz", "/metrics", "/api/records/{id}/thumbnail"}
"""Routes that are asked by the dozen; those that are answered well are counted in the metrics, not logged."""
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Observe:
    """Around an application; what goes wrong inside becomes one sentence (500) and a line in the log."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        number, began, status = secrets.token_hex(8), perf_counter(), 0
        scope.setdefault("state", {})["number"] = number

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = number
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                files_of_page = "etag" in headers  # all else is about people: what is erased must not live in a browser
                headers.setdefault("Cache-Control", "no-cache" if files_of_page else "no-store")
            await send(message)

        self._metrics.under_way.inc()
        try:
            await self._app(scope, receive, answer)
        except Exception:
            LOG.error("failed", exc_info=True, extra={"fields": {"request": number}})
            if not status:
                failed = Refused(500, f"Internal error: see request {number} in the service's log.")
                await respond(failed)(scope, receive, answer)
        finally:
            self._metrics.under_way.dec()
            self._tell(scope, number, status, perf_counter() - began)

    def _tell(self, scope: Scope, number: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "")  # never the address itself, which may hold names
        caller = scope.get("state", {}).get("caller")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(route, method, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        fields = {
            "request": number,
            "method": method,
            "route": route,
            "status": status,
            "ms": round(1000 * seconds, 2),
            "key": caller.name if caller else "",
        }
        of_page = scope["path"].startswith("/static/") or route in QUIET
        if not (of_page and method in ("GET", "HEAD") and status < 400):
            LOG.info("request", extra={"fields": fields})
