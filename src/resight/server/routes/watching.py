"""What watching found: tracks over time, doubtful links to answer, and links made anew."""

from __future__ import annotations

import threading
from typing import Annotated

from fastapi import APIRouter, Query

from resight.errors import DataError
from resight.gallery import answers
from resight.gallery.gallery import Gallery
from resight.server.keys import Caller
from resight.server.routes.access import PROBLEMS, Reader, Writer
from resight.server.schema import (
    Answered,
    Answering,
    Camera,
    Changed,
    Moment,
    Name,
    Question,
    Questions,
    Seen,
    Tracks,
    Wanted,
    Where,
)
from resight.server.service import Service
from resight.watch.origin import sighted
from resight.watch.review import Review, track_records

NONE: list[str] = []


def watching_routes(service: Service) -> APIRouter:
    """The routes about tracks."""
    routes = APIRouter(prefix="/api", tags=["watching"], responses=PROBLEMS)
    linking = threading.Lock()  # linking takes seconds and all of a processor

    def review(caller: Caller) -> Review:
        gallery: Gallery = service.acting(caller)
        if service.threshold is None:
            raise DataError(
                "Links cannot be reviewed, because the model was never calibrated: run resight calibrate MODEL DATA."
            )
        return Review(gallery, service.threshold)

    @routes.get("/tracks", summary="The newest tracks, by time")
    def tracks(
        _: Reader,
        camera: Annotated[list[Camera], Query(max_length=1000)] = NONE,
        identity: Annotated[list[Name], Query(max_length=1000)] = NONE,
        after: Moment | None = None,
        before: Moment | None = None,
        unknown: bool | None = None,
        limit: Wanted = 1000,
    ) -> Tracks:
        where = Where(camera=camera, identity=identity, after=after, before=before, unknown=unknown)
        found = track_records(service.gallery, where.filter(), limit)
        both = [(record, sighted(record)) for record in found]
        return Tracks(tracks=[Seen(record=record, begin=one.begin, end=one.end) for record, one in both])

    @routes.get("/review", summary="The most doubtful links of tracks")
    def questions(caller: Reader, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> Questions:
        asking = review(caller)
        with linking:
            found = asking.questions(limit)
        ids = [id for one in found for id in (one.first, one.second)]
        records = dict(zip(ids, service.gallery.get(ids), strict=True)) if ids else {}
        asked = [
            Question(
                first=records[one.first],
                second=records[one.second],
                linked=one.joined,
                wrong=one.wrong,
                pairs=one.pairs,
            )
            for one in found
        ]
        return Questions(questions=asked, answered=len(answers.of(service.gallery)))

    @routes.post("/review", summary="Answer whether two tracks are of one individual")
    def answer(caller: Writer, what: Answering) -> Answered:
        gallery = service.acting(caller)
        answers.put(gallery, what.first, what.second, what.answer)
        return Answered(answered=len(answers.of(gallery)))

    @routes.post("/review/link", summary="Link all tracks anew with the answers")
    def link(caller: Writer) -> Changed:
        asking = review(caller)
        with linking:
            return Changed(records=asking.link())

    return routes
