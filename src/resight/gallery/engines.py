"""Which engine keeps a gallery, by its URI."""

from __future__ import annotations

from importlib import import_module

from resight.errors import DataError
from resight.gallery.store import About, Store
from resight.secrets import without_secrets

_MODULES = {"sqlite": "resight.gallery.sqlite.store", "postgresql": "resight.gallery.postgres.store"}


def open_store(uri: str, new: About | None, *, read_only: bool, actor: str) -> Store:
    """Open a gallery, or make it where there is none.

    Each engine's module has this function with the same arguments.

    Args:
        uri: ``"seen"`` or ``"seen.db"`` or ``"sqlite:///seen.db"`` (``"sqlite:////home/me/seen.db"``), or
            ``"postgresql://user@host/database?gallery=NAME"``.
        new: what a gallery that is not there yet is bound to; ignored where there is one.
        read_only: write nothing anywhere.
        actor: the name in the log.

    Raises:
        DataError: an unknown scheme, or no gallery there and nothing to bind a new one to.
    """
    scheme = uri.partition("://")[0] if "://" in uri else "sqlite"
    if scheme not in _MODULES:
        raise DataError(
            f"{without_secrets(uri)} begins with {scheme}://, which no engine answers to: use a path, sqlite:///PATH "
            "or postgresql://USER@HOST/DATABASE?gallery=NAME."
        )
    try:
        engine = import_module(_MODULES[scheme])
    except ModuleNotFoundError as error:
        raise DataError(f"A gallery in PostgreSQL needs {error.name}: pip install 'resight[postgres]'.") from None
    store: Store = engine.open_store(uri, new, read_only=read_only, actor=actor)
    return store
