"""The application: routes on a gallery, and around them what keeps them safe and seen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

import resight
from resight.embedding.embedder import Embedder
from resight.errors import DataError, ResightError
from resight.gallery.gallery import Gallery
from resight.gallery.record import Conflict, Missing
from resight.server.guard import Guard
from resight.server.logs import LOG
from resight.server.observe import Observe
from resight.server.refusals import Refused, respond, wrong
from resight.server.routes.about import about_routes
from resight.server.routes.access import only_known
from resight.server.routes.calibrating import calibrating_routes
from resight.server.routes.health import health_routes
from resight.server.routes.identities import identity_routes
from resight.server.routes.records import record_routes
from resight.server.routes.search import search_routes
from resight.server.routes.watching import watching_routes
from resight.server.service import Service
from resight.server.settings import Settings

STATIC = Path(__file__).parent / "static"


def make_app(gallery: Gallery, embedder: Embedder, settings: Settings) -> FastAPI:
    """The service as an ASGI application; when it shuts down it closes the gallery.

    Args:
        gallery: what is served.
        embedder: of the gallery's model.
        settings: keys and limits; host and port are for the program that runs it.
    """
    service = Service(gallery, embedder, settings)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.queue + 8
        await anyio.to_thread.run_sync(service.warm_up)
        async with anyio.create_task_group() as tasks:
            if settings.expire_every:
                tasks.start_soon(_expire, service, settings.expire_every)
            yield
            tasks.cancel_scope.cancel()
        await anyio.to_thread.run_sync(service.close)

    app = FastAPI(
        title="resight",
        version=resight.__version__,
        description="Have we seen this one before? Times are seconds since 1970, UTC; errors are one sentence.",
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    every = [Depends(only_known)]
    if settings.keys:
        every.append(Depends(HTTPBearer(auto_error=False, description="An API key.")))
    for routes in (search_routes, record_routes, identity_routes, watching_routes, calibrating_routes, about_routes):
        app.include_router(routes(service), dependencies=every)
    app.include_router(health_routes(service))
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ResightError, _failed)

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(STATIC / "index.html")

    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False))
    app.state.service = service
    app.openapi = partial(_described, app, app.openapi)  # type: ignore[method-assign] # FastAPI's own way
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Observe, metrics=service.metrics)
    return app


async def _expire(service: Service, every: float) -> None:
    while True:
        await anyio.to_thread.run_sync(service.expire)
        await anyio.sleep(every)


def _described(app: FastAPI, described: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """FastAPI's description, with a box as a list of four numbers: more tools know that than JSON Schema's tuples."""
    if app.openapi_schema is None:
        box = described()["components"]["schemas"]["Record"]["properties"]["box"]["anyOf"][0]
        box["items"] = box.pop("prefixItems")[0]
    assert app.openapi_schema is not None
    return app.openapi_schema


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, OSError):  # while the body passed through a temporary file
        fields = {"request": request.state.number, "reason": str(error.__cause__)}
        LOG.error("temporary folder", extra={"fields": fields})
        return respond(Refused(507, "The service has no room for what was sent: try later, or send a smaller file."))
    if error.status_code == 405:  # the framework knows the methods of one route, but an address may have two
        address = getattr(request.scope.get("route"), "path", "")
        methods = request.app.openapi()["paths"].get(address, {"get": {}})
        error = HTTPException(405, headers={"Allow": ", ".join(sorted(method.upper() for method in methods))})
    return respond(error)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return respond(wrong(error.errors()))


async def _failed(request: Request, error: Exception) -> Response:
    """What the gallery refuses: a wrong request, or something that only the operator can correct."""
    for kind, status in ((Missing, 404), (Conflict, 409), (DataError, 422)):
        if isinstance(error, kind):
            return respond(Refused(status, str(error)))
    LOG.error("gallery", extra={"fields": {"request": request.state.number, "sentence": str(error)}})
    reason = f"look for request {request.state.number} in the service's log"
    return respond(Refused(503, f"The gallery could not do this to the end: {reason}."))
