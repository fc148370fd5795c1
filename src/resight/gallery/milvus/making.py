"""How a gallery in a collection is made, and what it is bound to."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from resight.errors import DataError
from resight.gallery.milvus.objects import Bucket, Objects
from resight.gallery.milvus.table import EXACT, Place, Table
from resight.gallery.record import Damaged, Policy
from resight.gallery.store import About
from resight.models.card import parse_card

_FORMAT = 1


def create(client: Any, place: Place, objects: Objects, about: About) -> None:
    """Make collection and objects, each where it is not there: who stopped half way can begin again."""
    if isinstance(objects, Bucket):
        objects.check()
    table = Table(client, place.address, place.collection, about.card.dim, about.card.metric)
    table.make(EXACT)
    if table.count():
        raise DataError(
            f"The collection {place.collection} holds records, but {objects.uri} is not theirs: name the objects it "
            "was made with, or another collection."
        )
    if not table.fits():  # an interrupted command began a gallery of another model
        table.ask("drop_collection")
        table.make(EXACT)
    objects.create("gallery.json", plain(about, place.collection))


def plain(about: About, collection: str) -> bytes:
    """What is kept in ``gallery.json``."""
    kept = {
        "format": _FORMAT,
        "collection": collection,
        "card": about.card.model_dump(mode="json"),
        "model": about.model,
        "policy": asdict(about.policy),
    }
    return json.dumps(kept, indent=1).encode()


def about_in(objects: Objects, place: Place) -> About | None:
    """What the objects are bound to; None where there is no gallery."""
    (data,) = objects.read(["gallery.json"])
    if data is None:
        return None
    where = f"{objects.uri}/gallery.json"
    try:
        kept = json.loads(data)
        found, collection = kept["format"], kept["collection"]
        about = About(parse_card(json.dumps(kept["card"]), where), kept["model"], Policy(**kept["policy"]))
    except (ValueError, KeyError, TypeError):
        raise Damaged(f"{where} is damaged: restore it from a backup.") from None
    if found != _FORMAT:
        raise DataError(f"{where} was written by another version of resight ({found}): use that version.")
    if collection != place.collection:
        raise DataError(f"{objects.uri} belongs to the collection {collection}, not {place.collection}: name that one.")
    return about
