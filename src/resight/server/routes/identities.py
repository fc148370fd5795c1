"""Identities: their names, and when they were seen."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from resight.gallery.record import LONGEST_NAME, Filter
from resight.server.routes.access import PROBLEMS, Reader, Writer
from resight.server.schema import ID_OR_NONE, Changed, Enrol, Merge, Name, People, Records, Rename, Split, Wanted
from resight.server.service import Service


def identity_routes(service: Service) -> APIRouter:
    """The routes about identities."""
    routes = APIRouter(prefix="/api", tags=["identities"], responses=PROBLEMS)
    gallery = service.gallery

    @routes.get("/identities", summary="List identities")
    def identities(
        _: Reader, after: Annotated[str, Query(max_length=LONGEST_NAME)] = "", limit: Wanted = 1000
    ) -> People:
        found = gallery.identities(limit=limit + 1, after=after)
        return People(identities=found[:limit], next=found[limit - 1].name if len(found) > limit else None)

    @routes.get("/timeline", summary="The records of an identity, by time")
    def timeline(
        _: Reader,
        identity: Annotated[Name, Query()],
        after_id: Annotated[str, Query(pattern=ID_OR_NONE)] = "",
        limit: Wanted = 1000,
    ) -> Records:
        found = gallery.timeline(identity, limit=limit + 1, after_id=after_id)
        return Records(records=found[:limit], next=found[limit - 1].id if len(found) > limit else None)

    @routes.post("/identities/enrol", summary="Give records a name")
    def enrol(caller: Writer, what: Enrol) -> Changed:
        service.acting(caller).enrol(what.name, what.ids)
        return Changed(records=len(set(what.ids)))

    @routes.post("/identities/merge", summary="Give several identities one name")
    def merge(caller: Writer, what: Merge) -> Changed:
        return Changed(records=service.acting(caller).merge(what.into, what.others))

    @routes.post("/identities/split", summary="Take records out of an identity")
    def split(caller: Writer, what: Split) -> Changed:
        service.acting(caller).split(what.name, what.ids, what.new_name)
        return Changed(records=len(set(what.ids)))

    @routes.post("/identities/rename", summary="Give an identity another name")
    def rename(caller: Writer, what: Rename) -> Changed:
        service.acting(caller).rename(what.name, what.new_name)
        return Changed(records=gallery.count(Filter(identities=(what.new_name,))))

    return routes
