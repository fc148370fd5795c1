"""For those who operate the server: who may do what, and the bytes that erased records leave in its files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import errors, sql

from resight.errors import DataError
from resight.gallery.postgres.connections import Action, Connections, Session
from resight.gallery.record import Right

_PERSONAL = ("answers", "thumbnails", "labels", "identities", "slots", "records")
_RIGHTS: dict[Right, tuple[str, ...]] = {
    "none": (),
    "read": ("SELECT ON ALL TABLES IN SCHEMA {schema}", "USAGE ON SCHEMA {schema}"),
    "write": (
        "INSERT ON records, thumbnails, events",
        "INSERT, UPDATE, DELETE ON labels, identities, answers",
        "INSERT, UPDATE ON meta, slots",  # a newer card of the same model
        "DELETE ON erased",  # marks of pictures that come back by request
    ),
    "erase": ("DELETE ON records, leaving", "INSERT ON erased"),  # what belongs to a record goes with it
}


def grant(action: Action, gallery: str, role: str, right: Right, actor: str) -> None:
    """Give a role exactly this right.

    Raises:
        DataError: you are not the gallery's owner (PostgreSQL itself would only warn), no such role, or one that may do
            more by what it is: the owner, a superuser, or a member of a role with more rights.
    """
    refuse_others(action, gallery, "grant rights")
    if role != "public":  # PostgreSQL's word for all roles
        owns = "SELECT pg_has_role(rolname, nspowner, 'USAGE') FROM pg_roles, pg_namespace WHERE rolname = %s"
        found = action.rows(f"{owns} AND nspname = %s", (role, gallery))
        if not found:
            raise DataError(f"There is no role {role!r}: make it with CREATE ROLE, or correct its name.")
        if found[0][0]:
            raise DataError(
                f"The role {role} owns the gallery {gallery} or is a superuser, and may do all: choose another."
            )
    who, schema = sql.Identifier(role).as_string(None), sql.Identifier(gallery).as_string(None)
    for kind in ("ALL TABLES IN SCHEMA", "SCHEMA"):
        action.run(f"REVOKE ALL ON {kind} {schema} FROM {who}")
    rights = list(_RIGHTS)
    level = rights.index(right)
    for each in rights[: level + 1]:
        for some in _RIGHTS[each]:
            action.run(f"GRANT {some.format(schema=schema)} TO {who}")
    asks = "SELECT has_table_privilege(%s::name, %s::text, %s::text)"
    for word in ("SELECT", "INSERT", "DELETE")[level:]:
        ((may,),) = action.rows(asks, (role, f"{schema}.records", word))
        if may:
            raise DataError(
                f"The role {role} has more rights to the gallery {gallery} from public or from a role that it is a "
                "member of: take them from that one first."
            )
    action.note(actor, "grant", {"role": role, "right": right})


def refuse_others(session: Session, gallery: str, what: str) -> None:
    """Refuse what only the gallery's owner may do, such as to ``purge``.

    Raises:
        DataError: you are not the owner.
    """
    owns = "SELECT pg_has_role(nspowner, 'USAGE'), nspowner::regrole::text FROM pg_namespace WHERE nspname = %s"
    ((mine, owner),) = session.rows(owns, (gallery,))
    if not mine:
        raise DataError(f"The gallery {gallery} belongs to the role {owner}: {what} as that role.")


def purge(connections: Connections) -> list[str]:
    """Have erased bytes gone from tables, indexes and the server's log of writes, and say where some may remain.

    A deleted row stays in its page until others overwrite it, so the tables are written anew. PostgreSQL skips, with a
    warning, tables of another owner: see :func:`refuse_others`.
    """
    with connections.alone() as db:
        db.execute("SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)")
        for table in _PERSONAL:
            db.execute(f"VACUUM (FULL, ANALYZE) {table}".encode())
        try:
            for statement in ("CHECKPOINT", "SELECT pg_switch_wal()", "CHECKPOINT"):
                db.execute(statement.encode())
        except errors.InsufficientPrivilege:
            written = False
        else:
            written = True
        return list(_left(db, written))


def _left(db: psycopg.Connection[Any], written: bool) -> Iterator[str]:
    recycle, archive, others, replicas, slots = db.execute(
        "SELECT current_setting('wal_recycle'), current_setting('archive_mode'), (SELECT count(*) FROM "
        "pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'), "
        "(SELECT count(*) FROM pg_stat_replication), (SELECT count(*) FROM pg_replication_slots)"
    ).fetchone() or ("on", "on", 0, 0, 0)
    if others:
        yield f"Tables: {others} other transactions were open, and rows that they could see were kept: purge again."
    if not written:
        yield (
            "Write-ahead log: only a superuser may end its current file; have one run CHECKPOINT; SELECT "
            "pg_switch_wal(); CHECKPOINT."
        )
    if recycle == "on":
        yield (
            "Write-ahead log: files in pg_wal are used again, and keep old bytes until they are overwritten; set "
            "wal_recycle = off to have them removed."
        )
    if archive != "off":
        yield "Archive of the write-ahead log: it keeps what was written for as long as your archive does."
    if replicas or slots:
        yield (
            f"Replicas: {replicas} connected, {slots} replication slots; each has purged when it has replayed this and "
            "made a restart point, and a slot without a reader keeps the log."
        )
    yield "Backups, dumps and file-system snapshots made before this: delete them or let them expire."
    yield "Disks: files that were removed leave their blocks to the file system; encrypt the disk or trim it."
