"""How a gallery in a database is made, brought up to date, and what it is bound to."""

from __future__ import annotations

import json
from dataclasses import asdict
from uuid import uuid4

from resight.errors import DataError
from resight.gallery.postgres.connections import Action, Connections
from resight.gallery.postgres.erased import make_key
from resight.gallery.postgres.objects import Objects, objects_at
from resight.gallery.postgres.schema import FORMAT, MIGRATIONS
from resight.gallery.record import Policy
from resight.gallery.store import About
from resight.models.card import parse_card


def create(connections: Connections, about: About, actor: str) -> None:
    """Make schema and tables, if no other program was first.

    Raises:
        DataError: a schema of the name is there, and is no gallery; or the place of thumbnails is none.
        ResightError: the place of thumbnails cannot be reached.
    """
    gallery, apart, uuid = connections.place.gallery, connections.place.thumbnails, uuid4().hex
    objects = objects_at(f"{apart}/{uuid}") if apart else None
    with connections.alone() as db, db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(0)")  # of two programs that make an extension, one would fail
        db.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        if db.execute("SELECT to_regnamespace(%s) IS NOT NULL", (gallery,)).fetchone() == (True,):
            if about_of(connections) is None:
                raise DataError(
                    f"{connections.place.uri}: the database has a schema {gallery}, which is no gallery: choose "
                    "another name."
                )
            return
        db.execute(f"CREATE SCHEMA {gallery}".encode())
        connections.configure(db)
        action = Action(db, gallery)
        for statements in MIGRATIONS:
            db.execute(statements.format(dim=about.card.dim).encode())
        action.run("INSERT INTO meta VALUES ('format', %s), ('uuid', %s)", (str(FORMAT), uuid))
        make_key(action)
        if objects is not None:
            objects.make()
            action.run("INSERT INTO meta VALUES ('thumbnails', %s)", (apart,))
        keep(action, about)
        action.note(actor, "create", {"model": about.card.fingerprint, "dim": about.card.dim})


def update(connections: Connections, dim: int) -> None:
    """Take the steps that the tables of an older format lack, all or none.

    Raises:
        DataError: there are some, and the gallery belongs to another role.
    """
    before = _meta(connections)["format"]
    if before == str(FORMAT):
        return
    owns = "SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = %s"
    if connections.rows(owns, (connections.place.gallery,)) != [(True,)]:
        raise DataError(
            f"{connections.place.uri} is of format {before}, and {FORMAT} is needed: have its owner run resight "
            "gallery check, which updates it."
        )

    def work(action: Action) -> None:
        action.lock()
        ((found,),) = action.rows("SELECT value FROM meta WHERE key = 'format'")
        for statements in MIGRATIONS[int(found) :]:
            action.run(statements.format(dim=dim))
        make_key(action)
        action.run("UPDATE meta SET value = %s WHERE key = 'format'", (str(FORMAT),))

    connections.write(work)


def about_of(connections: Connections) -> About | None:
    """What a gallery is bound to; None where there is none.

    Raises:
        DataError: its format is not known here.
    """
    if connections.rows("SELECT to_regclass(%s) IS NULL", (f"{connections.place.gallery}.meta",)) == [(True,)]:
        return None
    meta, uri = _meta(connections), connections.place.uri
    if int(meta["format"]) > FORMAT:
        raise DataError(
            f"{uri} is a gallery of format {meta['format']}, but {FORMAT} is known here: install a newer resight."
        )
    return About(parse_card(meta["card"], f"the card in {uri}"), meta["model"], Policy(**json.loads(meta["policy"])))


def objects_of(connections: Connections) -> tuple[str, Objects | None]:
    """The address of the gallery's thumbnails and what is there; "" and None where they are in the database.

    Raises:
        DataError: the gallery was opened with another place than it has.
    """
    meta, given = _meta(connections), connections.place.thumbnails
    kept = meta.get("thumbnails", "")
    if given not in ("", kept):
        raise DataError(
            f"{connections.place.uri} keeps its thumbnails in {kept or 'the database'}, not in {given}: leave "
            "thumbnails= out, or copy the gallery to a new one with it."
        )
    if not kept:
        return "", None
    address = f"{kept}/{meta['uuid']}"  # of this gallery alone
    return address, objects_at(address)


def keep(action: Action, about: About) -> None:
    """Write it there."""
    known = {"card": about.card.model_dump_json(), "model": about.model, "policy": json.dumps(asdict(about.policy))}
    for key, value in known.items():
        action.run(
            "INSERT INTO meta VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
        )


def _meta(connections: Connections) -> dict[str, str]:
    return dict(connections.rows("SELECT key, value FROM meta"))
