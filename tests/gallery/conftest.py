"""A gallery of each engine, for the tests that all engines pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from milvus_server import Collections, milvus_server

NewUri = Callable[[], str]


@pytest.fixture(scope="package")
def milvus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collections]:
    """Collections of one Milvus server that runs until the tests of this folder are done."""
    pytest.importorskip("milvus", reason="the Milvus server is not installed: pip install milvus==2.3.5")
    pytest.importorskip("pymilvus", reason="pymilvus is not installed: pip install 'resight[cluster]'")
    assert request.config.cache is not None
    programs = request.config.cache.mkdir("milvus")
    with ExitStack() as stack:
        try:
            address = stack.enter_context(milvus_server(tmp_path_factory.mktemp("milvus"), programs))
        except (OSError, RuntimeError) as error:
            pytest.skip(f"the Milvus server does not start here: {error}")
        collections = Collections(address)
        stack.callback(collections.close)
        yield collections


@pytest.fixture(params=["sqlite", "milvus"])
def new_uri(request: pytest.FixtureRequest, tmp_path: Path) -> NewUri:
    """Gives the URI of a gallery that is not there yet, another one each time."""
    if request.param == "milvus":
        collections: Collections = request.getfixturevalue("milvus")
        return lambda: collections.uri(tmp_path / f"objects{uuid4().hex[:8]}")
    count = 0

    def uri() -> str:
        nonlocal count
        count += 1
        return str(tmp_path / f"seen{count}")

    return uri


@pytest.fixture
def gallery_uri(new_uri: NewUri) -> str:
    """The URI of a gallery that is not there yet."""
    return new_uri()
