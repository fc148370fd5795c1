"""A gallery in numbers, and what is wrong with its tables."""

from __future__ import annotations

from collections.abc import Iterator

from resight.counted import counted
from resight.gallery.postgres import slots
from resight.gallery.postgres.connections import Connections
from resight.gallery.postgres.searching import INDEX
from resight.gallery.record import SOON, Stats
from resight.models.card import Card

_TABLES = ["records", "slots", "labels", "identities", "events", "meta"]  # galleries of an older format lack one


def stats(connections: Connections, card: Card, now: float, elsewhere: int) -> Stats:
    """See :meth:`resight.gallery.store.Store.stats`; ``elsewhere``: bytes of thumbnails outside the database."""
    ((cameras, first, last, expiring, named, people, *sizes),) = connections.rows(
        "SELECT (SELECT coalesce(json_object_agg(camera, count), '{}') FROM "
        "(SELECT camera, count(*) FROM records GROUP BY camera ORDER BY camera) c), min(time), max(time), "
        "count(*) FILTER (WHERE expires <= %s), (SELECT count(*) FROM labels), (SELECT count(*) FROM identities), "
        "(SELECT sum(pg_table_size(to_regclass(c))) FROM unnest(%s::text[]) c)::bigint, "
        "pg_total_relation_size('thumbnails') + %s, "
        "(SELECT sum(pg_indexes_size(to_regclass(c))) FROM unnest(%s::text[]) c)::bigint "
        "FROM records",
        (now + SOON, _TABLES, elsewhere, _TABLES),
    )
    total = sum(cameras.values())
    return Stats(
        records=total,
        identities=people,
        unknown=total - named,
        cameras=dict(sorted(cameras.items())),
        first=first,
        last=last,
        expiring=expiring,
        bytes=dict(zip(("tables", "thumbnails", "indexes"), sizes, strict=True)),
        engine="postgresql",
        model=card.fingerprint,
        dim=card.dim,
        metric=card.metric,
    )


def problems(connections: Connections) -> Iterator[str]:
    """What is wrong with the tables, one sentence each; the server checks its own pages and keys."""
    ((events, last, nameless, broken),) = connections.rows(
        "SELECT (SELECT count(*) FROM events), (SELECT coalesce(max(number), 0) FROM events), (SELECT count(*) FROM "
        "identities i WHERE NOT EXISTS (SELECT 1 FROM labels WHERE identity = i.number)), "
        "EXISTS (SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid)",
        (INDEX,),
    )
    uri = connections.place.uri
    if events != last:
        yield f"{uri} lacks {counted(last - events, 'event')} of its log: restore it from a backup."
    if nameless:
        yield f"{uri} keeps {counted(nameless, 'name')} that no record has: deleted by other means than resight."
    unplaced = connections.read(slots.missing)
    if unplaced:
        yield f"{uri} has {counted(unplaced, 'record')} without a slot: added by other means than resight."
    if broken:
        yield f"The approximate index of {uri} is incomplete: build it again with resight gallery index."
