"""The gallery in numbers, from the rows of its tables."""

from __future__ import annotations

from collections import Counter

from resight.gallery.milvus.objects import Objects
from resight.gallery.milvus.rows import NEVER
from resight.gallery.milvus.table import Table
from resight.gallery.record import Stats
from resight.models.card import Card

SOON = 7 * 86400.0


def stats(table: Table, card: Card, now: float) -> Stats:
    """See :meth:`resight.gallery.store.Store.stats`."""
    cameras: Counter[str] = Counter()
    names: Counter[str] = Counter()
    times: list[float] = []
    expiring = small = 0
    for rows in table.pages("", ("id", "identity", "camera", "time", "expires", "thumbnail")):
        cameras.update(row["camera"] for row in rows)
        names.update(row["identity"] for row in rows)
        known = [row["time"] for row in rows if row["time"] != NEVER]
        times += [min(known), max(known)] if known else []
        expiring += sum(row["expires"] <= now + SOON for row in rows)
        small += sum(row["thumbnail"] for row in rows)
    records = cameras.total()
    return Stats(
        records=records,
        identities=len(names.keys() - {""}),
        unknown=names[""],
        cameras=dict(sorted(cameras.items())),
        first=min(times, default=None),
        last=max(times, default=None),
        expiring=expiring,
        bytes={"vectors": 4 * card.dim * records, "thumbnails": small},
        engine="milvus",
        model=card.fingerprint,
        dim=card.dim,
        metric=card.metric,
    )


def thumbnails_amiss(table: Table, objects: Objects) -> list[str]:
    """Thumbnails that are missing, and those that belong to no record, one sentence each."""
    small = set(table.ids("thumbnail > 0"))
    there = {name.rpartition("/")[2].removesuffix(".jpg") for name in objects.names("thumbnails")}
    missing = [f"The thumbnail of record {id} is missing: add it again." for id in sorted(small - there)]
    return missing + [f"There is a thumbnail of {id}, which is no record: remove it." for id in sorted(there - small)]


def differ(one: Table, other: Table) -> bool:
    """Whether two tables hold other records, or other identities of them."""
    main, side = (
        [(row["id"], row["person"]) for rows in table.pages("", ("id", "person")) for row in rows]
        for table in (one, other)
    )
    return main != side
