"""Records: added, listed, looked at, erased."""

from __future__ import annotations

import time as clock
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, UploadFile
from starlette.responses import Response

from resight.gallery.record import Box
from resight.server.pictures import picture
from resight.server.refusals import Refused
from resight.server.routes.access import PROBLEMS, Eraser, Reader, Writer
from resight.server.schema import (
    ID_OR_NONE,
    Camera,
    Erase,
    Erased,
    Id,
    Moment,
    Name,
    Note,
    Put,
    Records,
    Shown,
    Wanted,
    Where,
)
from resight.server.service import Service

NONE: list[str] = []
BOX = "^[0-9]{1,6}(,[0-9]{1,6}){3}$"


def parsed(box: str) -> Box:
    """Four whole numbers of a text that :data:`BOX` fits."""
    left, top, right, bottom = map(int, box.split(","))
    return left, top, right, bottom


def record_routes(service: Service) -> APIRouter:
    """The routes about records."""
    routes = APIRouter(prefix="/api", tags=["records"], responses=PROBLEMS)
    gallery = service.gallery

    @routes.post("/records", summary="Add a picture")
    def add(
        caller: Writer,
        image: Annotated[UploadFile, File(description="BMP, GIF, JPEG, PNG, PPM, TIFF or WebP; EXIF is not kept.")],
        camera: Annotated[Camera, Form()] = "",
        time: Annotated[Moment | None, Form()] = None,
        identity: Annotated[Name | None, Form()] = None,
        source: Annotated[Note, Form()] = "upload",
        basis: Annotated[Note, Form(description="Legal basis for keeping it, such as consent.")] = "",
        expires: Annotated[Moment | None, Form()] = None,
        box: Annotated[str | None, Form(pattern=BOX, description="left,top,right,bottom in the source")] = None,
        add_erased: Annotated[bool, Form(description="Also if it was erased from the gallery before.")] = False,
    ) -> Put:
        if expires is not None and expires <= clock.time():
            raise Refused(422, "The picture would be erased at once, for expires is in the past: send a later time.")
        with service.writers:
            data = image.file.read()
            picture(data, service.settings.pixels)  # refuses what is wrong, with the status of HTTP
            added = service.acting(caller).add(
                [data],
                cameras=camera,
                times=time,
                identities=identity,
                sources=[source],
                boxes=None if box is None else [parsed(box)],
                basis=basis,
                expires=expires,
                add_erased=add_erased,
            )
        if added.refused:
            raise Refused(409, "This picture was erased from the gallery before: send add_erased=true to add it again.")
        return Put(id=added.ids[0], new=bool(added.new), different=bool(added.different))

    @routes.get("/records", summary="List records")
    def records(
        _: Reader,
        camera: Annotated[list[Camera], Query(max_length=1000)] = NONE,
        exclude_camera: Annotated[list[Camera], Query(max_length=1000)] = NONE,
        identity: Annotated[list[Name], Query(max_length=1000)] = NONE,
        after: Moment | None = None,
        before: Moment | None = None,
        unknown: bool | None = None,
        limit: Wanted = 100,
        after_id: Annotated[str, Query(pattern=ID_OR_NONE)] = "",
    ) -> Records:
        where = Where(
            camera=camera,
            exclude_camera=exclude_camera,
            after=after,
            before=before,
            identity=identity,
            unknown=unknown,
        )
        found = gallery.records(where.filter(), limit=limit + 1, after_id=after_id)
        return Records(records=found[:limit], next=found[limit - 1].id if len(found) > limit else None)

    @routes.get("/records/{id}", summary="One record")
    def record(_: Reader, id: Id) -> Shown:
        return gallery.get([id])[0]

    @routes.get(
        "/records/{id}/thumbnail",
        summary="The small picture of a record",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}},
    )
    def thumbnail(_: Reader, id: Id) -> Response:
        jpeg = gallery.thumbnail(id)
        if jpeg is None:
            raise Refused(404, "There is no picture of such a record: it was never kept, or erased since.")
        return Response(jpeg, media_type="image/jpeg")

    @routes.post("/erase", summary="Erase for good")
    def erase(caller: Eraser, what: Erase) -> Erased:
        chosen = what.model_dump(exclude_none=True)
        if len(chosen) != 1:
            raise Refused(422, "What is to be erased is not clear: send exactly one of identity, ids and before.")
        return Erased(erased=service.acting(caller).erase(**chosen))

    return routes
