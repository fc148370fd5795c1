"""Prefetching changes when things are read, never what comes out."""

import threading
import time
from collections.abc import Iterator

import pytest

from resight.images.batches import prefetch


def running() -> int:
    return sum(thread.name == "resight-prefetch" for thread in threading.enumerate())


def wait_until_none_runs() -> None:
    deadline = time.monotonic() + 5
    while running() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert running() == 0


def test_everything_in_order() -> None:
    assert list(prefetch(range(100))) == list(range(100))
    assert list(prefetch([])) == []
    assert list(prefetch([None, None])) == [None, None]
    wait_until_none_runs()


def test_no_further_ahead_than_asked() -> None:
    produced: list[int] = []

    def source() -> Iterator[int]:
        for i in range(20):
            produced.append(i)
            yield i

    items = prefetch(source(), depth=2)
    for wanted in range(5):
        assert next(items) == wanted
        time.sleep(0.02)
        assert len(produced) <= wanted + 1 + 2 + 1  # taken, waiting in the queue, in hand
    items.close()  # type: ignore[attr-defined]


def test_it_reads_while_the_consumer_works() -> None:
    second = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        second.set()
        yield 2

    items = prefetch(source())
    assert next(items) == 1
    assert second.wait(5)  # without anyone asking for it
    assert list(items) == [2]


def test_an_error_comes_after_what_came_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("the third")

    got = []
    with pytest.raises(ValueError, match="the third"):
        for item in prefetch(source()):
            got.append(item)
    assert got == [1, 2]
    wait_until_none_runs()


@pytest.mark.parametrize("how", ["close", "break", "error"])
def test_leaving_early_ends_the_thread(how: str) -> None:
    items = prefetch(iter(range(10**9)))
    next(items)
    assert running() == 1
    if how == "close":
        items.close()  # type: ignore[attr-defined]
    elif how == "break":
        for _ in items:
            break
        del items
    else:
        with pytest.raises(KeyError):
            items.throw(KeyError())  # type: ignore[attr-defined]
    wait_until_none_runs()
