"""A gallery of each engine, for the tests that all engines pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from postgres_server import PostgresServer

NewUri = Callable[[], str]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this process; each test has galleries of its own in it."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'resight[postgres]'")
    try:
        server = PostgresServer(wal_recycle="off")  # so that old bytes can be looked for
    except (OSError, RuntimeError) as error:
        pytest.skip(f"PostgreSQL does not start here: {error}")
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_uri(request: pytest.FixtureRequest, tmp_path: Path) -> NewUri:
    """Gives the URI of a gallery that is not there yet, another one each time."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.uri
    numbers = count(1)
    return lambda: str(tmp_path / f"seen{next(numbers)}")


@pytest.fixture
def gallery_uri(new_uri: NewUri) -> str:
    """The URI of a gallery that is not there yet."""
    return new_uri()
