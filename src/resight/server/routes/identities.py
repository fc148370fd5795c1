"""Identities: who there is, when they were seen, and what they are called."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from resight.server.routes.access import PROBLEMS, Reader, Writer
from resight.server.schema import Changed, Enrol, Merge, Name, People, Records, Rename, Split
from resight.server.service import Service


def identity_routes(service: Service) -> APIRouter:
    """The routes about identities."""
    routes = APIRouter(prefix="/api", tags=["identities"], responses=PROBLEMS)
    gallery = service.gallery

    @routes.get("/identities", summary="All identities")
    def identities(_: Reader) -> People:
        return People(identities=gallery.identities())

    @routes.get("/timeline", summary="All records of an identity, by time")
    def timeline(_: Reader, identity: Annotated[Name, Query()]) -> Records:
        return Records(records=gallery.timeline(identity))

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
        return Changed(records=len(gallery.timeline(what.new_name)))

    return routes
