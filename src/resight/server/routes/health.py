"""For operators: is the service alive, is it ready, what does it count?"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from resight.errors import ResightError
from resight.server.metrics import CONTENT_TYPE
from resight.server.refusals import Refused
from resight.server.routes.access import PROBLEMS, Reader
from resight.server.schema import Health
from resight.server.service import Service


def health_routes(service: Service) -> APIRouter:
    """The routes for operators; the first two need no key."""
    routes = APIRouter(tags=["operation"])

    @routes.head("/healthz", include_in_schema=False)
    @routes.get("/healthz", summary="Alive")
    async def healthz() -> Health:
        return Health(status="ok")

    @routes.head("/readyz", include_in_schema=False)
    @routes.get("/readyz", summary="Ready", responses={503: PROBLEMS[503]})
    def readyz() -> Health:
        try:
            len(service.gallery)
        except ResightError:
            raise Refused(503, "The gallery does not answer: see the service's log.", 5) from None
        return Health(status="ready")

    @routes.get("/metrics", summary="For Prometheus", response_class=Response)
    def metrics(_: Reader) -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    return routes
