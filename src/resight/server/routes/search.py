"""Have we seen this one before? By picture, by embedding, by record."""

from __future__ import annotations

from time import perf_counter
from typing import Annotated

import numpy as np
from fastapi import APIRouter, File, Form, UploadFile
from starlette.responses import Response

from resight.gallery.record import Hit
from resight.gallery.searching import elsewhere
from resight.server.routes.access import PROBLEMS, Reader
from resight.server.schema import ByEmbedding, ByRecord, Camera, Found, How, Moment, Name, Wanted, Where
from resight.server.service import Search, Service, Vector

FORM = How()
MOST = 20  # pictures of one query


def search_routes(service: Service) -> APIRouter:
    """The routes that search."""
    routes = APIRouter(prefix="/api/search", tags=["search"], responses=PROBLEMS)

    def search(vector: Vector, how: How) -> list[Hit]:
        return service.search(vector, Search(how.k, how.where.filter(), how.rerank, how.approximate))

    def found(hits: list[Hit], began: float) -> Response:
        """The answer as text, made in the thread that searched: FastAPI would hand it to another one for that."""
        took = round(1000 * (perf_counter() - began), 3)
        answer = Found(hits=hits, threshold=service.threshold, took_ms=took)
        return Response(answer.model_dump_json(), media_type="application/json")

    @routes.post("", response_model=Found, summary="Search with a picture, or several of one individual")
    def by_picture(
        _: Reader,
        image: Annotated[
            list[UploadFile],
            File(
                min_length=1,
                max_length=MOST,
                description="BMP, GIF, JPEG, PNG, PPM, TIFF or WebP; several show one individual: their mean is used.",
            ),
        ],
        k: Annotated[Wanted, Form()] = FORM.k,
        camera: Annotated[list[Camera], Form(max_length=1000)] = FORM.where.camera,
        exclude_camera: Annotated[list[Camera], Form(max_length=1000)] = FORM.where.exclude_camera,
        after: Annotated[Moment | None, Form()] = None,
        before: Annotated[Moment | None, Form()] = None,
        identity: Annotated[list[Name], Form(max_length=1000)] = FORM.where.identity,
        unknown: Annotated[bool | None, Form()] = None,
        rerank: Annotated[bool, Form()] = False,
        approximate: Annotated[bool, Form()] = False,
    ) -> Response:
        began = perf_counter()
        where = Where(
            camera=camera,
            exclude_camera=exclude_camera,
            after=after,
            before=before,
            identity=identity,
            unknown=unknown,
        )
        vector = service.vector([one.file.read() for one in image])
        return found(search(vector, How(k=k, where=where, rerank=rerank, approximate=approximate)), began)

    @routes.post("/embedding", response_model=Found, summary="Search with an embedding")
    def by_embedding(_: Reader, query: ByEmbedding) -> Response:
        began = perf_counter()
        with np.errstate(over="ignore"):  # infinity is refused by the gallery
            vector = np.array(query.embedding, np.float32)
        return found(search(vector, query), began)

    @routes.post("/record", response_model=Found, summary="Search for more like a record")
    def by_record(_: Reader, query: ByRecord) -> Response:
        began = perf_counter()
        vector, where = service.gallery.vectors([query.id])[0], query.where.filter()
        if query.other_cameras:
            where = elsewhere(where, *service.gallery.get([query.id]))
        hits = service.search(vector, Search(query.k + 1, where, query.rerank, query.approximate))
        return found([hit for hit in hits if hit.record.id != query.id][: query.k], began)

    return routes
