"""The gallery in numbers, what its distances mean, and what the caller may do."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request

from resight.gallery.record import LONGEST_NAME, Stats
from resight.server.curve import curve
from resight.server.routes.access import PROBLEMS, Reader
from resight.server.schema import Cameras, Events, Me, Meaning, Wanted
from resight.server.service import Service


def about_routes(service: Service) -> APIRouter:
    """The routes about the gallery as a whole."""
    routes = APIRouter(prefix="/api", tags=["about"], responses=PROBLEMS)

    @routes.get("/cameras", summary="List cameras")
    def cameras(
        _: Reader, after: Annotated[str | None, Query(max_length=LONGEST_NAME)] = None, limit: Wanted = 1000
    ) -> Cameras:
        found = list(service.gallery.cameras(limit=limit + 1, after=after).items())
        return Cameras(cameras=dict(found[:limit]), next=found[limit - 1][0] if len(found) > limit else None)

    @routes.get("/stats", summary="The gallery in numbers")
    def stats(_: Reader) -> Stats:
        return service.gallery.stats()

    @routes.get("/log", summary="What was done, by whom")
    def log(
        _: Reader,
        after: Annotated[int, Query(ge=0, le=2**53, description="The number of an event.")] = 0,
        limit: Wanted = 1000,
    ) -> Events:
        found = service.gallery.log(after, limit + 1)
        return Events(events=found[:limit], next=found[limit - 1].number if len(found) > limit else None)

    @routes.get("/decision", summary="What distances mean")
    def decision(_: Reader) -> Meaning:
        gallery = service.gallery
        applied = gallery.applied()
        if applied is None:
            return Meaning(metric=gallery.card.metric, threshold=service.threshold)
        known = applied.decision
        return Meaning(
            metric=known.metric,
            threshold=known.threshold,
            no_match_beyond=known.no_match_beyond,
            false_match_rate=known.false_match_rate,
            curve=curve(known),
            warning=applied.banner,
        )

    @routes.get("/me", summary="What I may do")
    async def me(request: Request) -> Me:
        return Me(scopes=list(request.state.caller.scopes), keys_needed=bool(service.settings.keys))

    return routes
