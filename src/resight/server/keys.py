"""API keys: who may read, write and erase. Only their digests are kept, so that the file opens nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resight.errors import RecipeError
from resight.files import write_text
from resight.server.logs import LOG

SCOPES = ("read", "write", "erase")


@dataclass(frozen=True)
class Caller:
    """The caller: the name of its key, "" without keys, and its scopes."""

    name: str
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Key:
    """A key as it is kept.

    Attributes:
        name: whose it is; what the gallery's log calls them.
        scopes: some of ``read``, ``write`` and ``erase``; none includes another.
        digest: SHA-256 of the key in hex. The key has 256 random bits, so that no slow digest is needed.
    """

    name: str
    scopes: tuple[str, ...]
    digest: str


class Keys:
    """All keys of a service; without any, everybody may do everything.

    Those of a file are those in it now: a key that was added opens at once, one that was taken out no longer
    does. While the file is gone or damaged all requests are refused.

    Args:
        keys: what there is to begin with.
        path: the file they were read from.
    """

    def __init__(self, keys: Sequence[Key] = (), path: Path | None = None) -> None:
        self._keys, self._path = tuple(keys), path
        self._seen: tuple[int, ...] | None = None

    def __bool__(self) -> bool:
        return self._path is not None or bool(self._keys)

    def caller(self, secret: str) -> Caller | None:
        """Whose key this is; every key is compared, in the same time, whether or not it is the right one."""
        digest, found = _digest(secret), None
        for key in self._now():
            if hmac.compare_digest(key.digest, digest):
                found = Caller(key.name, key.scopes)
        return found

    def _now(self) -> tuple[Key, ...]:
        if self._path is None:
            return self._keys
        stamp = _stamp(self._path)
        if stamp != self._seen:
            try:
                self._keys = _read(self._path)
            except RecipeError as error:
                self._keys = ()
                LOG.error("keys", extra={"fields": {"sentence": f"All requests are refused: {error}"}})
            self._seen = stamp
        return self._keys


NO_KEYS = Keys()


def _stamp(path: Path) -> tuple[int, ...]:
    """What is different once a file was written again."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_keys(path: str | os.PathLike[str]) -> Keys:
    """The keys in a file that :func:`new_key` wrote.

    Raises:
        RecipeError: there is no such file, it is no file of keys, or it has none.
    """
    file = Path(path)
    return Keys(_read(file), file)


def _read(path: Path) -> tuple[Key, ...]:
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        keys = tuple(Key(str(one["name"]), _scopes(one["scopes"]), str(one["sha256"])) for one in listed)
    except OSError as error:
        raise RecipeError(
            f"{path} cannot be read ({error.strerror or error}): make it with resight serve --new-key NAME --keys FILE."
        ) from None
    except (ValueError, TypeError, KeyError):
        raise RecipeError(
            f"{path} is no file of keys: make one with resight serve --new-key NAME --keys ANOTHER.json."
        ) from None
    if not keys:
        raise RecipeError(f"{path} has no keys: add one with resight serve --new-key NAME --keys {path}.")
    return keys


def new_key(path: str | os.PathLike[str], name: str, scopes: Sequence[str]) -> str:
    """Add a key to a file, which is made if need be, and return it: this is the only time that it can be seen.

    Raises:
        RecipeError: a name that is empty, too long or taken, an unknown scope, or a file that is no file of keys.
    """
    before = _read(Path(path)) if Path(path).exists() else ()
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise RecipeError("The name of a key must be text of 1 to 100 characters: name its owner.")
    if name in {key.name for key in before}:
        raise RecipeError(f"{path} has a key named {name!r} already: choose another name, or take that key out of it.")
    secret = f"resight_{secrets.token_urlsafe(32)}"
    listed = [*before, Key(name, _scopes(scopes), _digest(secret))]
    plain = [{"name": key.name, "scopes": key.scopes, "sha256": key.digest} for key in listed]
    write_text(path, json.dumps(plain, indent=2) + "\n")
    Path(path).chmod(0o600)
    return secret


def _scopes(scopes: Sequence[str]) -> tuple[str, ...]:
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes or isinstance(scopes, str):
        raise RecipeError(f"The scopes of a key are some of {', '.join(SCOPES)}, not {', '.join(scopes) or 'none'}.")
    return tuple(scope for scope in SCOPES if scope in scopes)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
