"""How a gallery in a database is made, brought up to date, and what it is bound to."""

from __future__ import annotations

import json
from dataclasses import asdict
from uuid import uuid4

from resight.errors import DataError
from resight.gallery.postgres.connections import Action, Connections
from resight.gallery.postgres.erased import make_key
from resight.gallery.postgres.schema import FORMAT, MIGRATIONS
from resight.gallery.record import Policy
from resight.gallery.store import About
from resight.models.card import parse_card


def create(connections: Connections, about: About, actor: str) -> None:
    """Make schema and tables, if no other program was first.

    Raises:
        DataError: a schema of the name is there, and is no gallery.
    """
    gallery = connections.place.gallery
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
        action.run("INSERT INTO meta VALUES ('format', %s), ('uuid', %s)", (str(FORMAT), uuid4().hex))
        make_key(action)
        keep(action, about)
        action.note(actor, "create", {"model": about.card.fingerprint, "dim": about.card.dim})


def update(connections: Connections, dim: int) -> None:
    """Take the steps that the tables of an older format lack, all or none."""
    if _meta(connections)["format"] == str(FORMAT):
        return

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


def keep(action: Action, about: About) -> None:
    """Write it there."""
    known = {"card": about.card.model_dump_json(), "model": about.model, "policy": json.dumps(asdict(about.policy))}
    for key, value in known.items():
        action.run(
            "INSERT INTO meta VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
        )


def _meta(connections: Connections) -> dict[str, str]:
    return dict(connections.rows("SELECT key, value FROM meta"))
