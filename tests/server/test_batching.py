"""Threads that call with a few items each get their own results, from few and full batches."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from resight.server.batching import Batcher
from resight.server.refusals import Refused


class Held:
    """Work that waits until it is let go; doubles numbers, and fails on negative ones."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began, self.go = threading.Semaphore(0), threading.Event()

    def __call__(self, items: list[int]) -> list[int | Exception]:
        self.batches.append(items)
        self.began.release()
        assert self.go.wait(10)
        if 99 in items:
            raise ZeroDivisionError
        return [2 * item if item >= 0 else ValueError(item) for item in items]


def test_what_comes_during_a_batch_makes_the_next_one() -> None:
    work = Held()
    batcher = Batcher(work, 4, 100, "test")
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher, [0])
        assert work.began.acquire(timeout=10)
        rest = [pool.submit(batcher, [n]) for n in range(1, 7)]
        while len(batcher._waiting) < 6:
            pass
        work.go.set()
        assert first.result(10) == [0]
        assert [one.result(10) for one in rest] == [[2 * n] for n in range(1, 7)]
    assert [len(batch) for batch in work.batches] == [1, 4, 2]
    assert sorted(item for batch in work.batches for item in batch) == list(range(7))
    batcher.close()


def test_each_gets_its_own_results_however_many_call() -> None:
    batcher = Batcher(lambda items: [-n for n in items], 5, 10_000, "test")
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(batcher, [list(range(n, n + n % 7)) for n in range(500)]))
    assert found == [[-m for m in range(n, n + n % 7)] for n in range(500)]
    batcher.close()


def test_an_error_reaches_those_whose_it_is() -> None:
    work = Held()
    work.go.set()
    batcher = Batcher(work, 4, 100, "test")
    with pytest.raises(ValueError, match="-3"):
        batcher([1, -3])
    with pytest.raises(ZeroDivisionError):
        batcher([99])
    assert batcher([5]) == [10]  # the thread goes on
    batcher.close()


def test_too_many_are_refused_and_those_accepted_are_finished() -> None:
    work = Held()
    batcher = Batcher(work, 2, 3, "test")
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(batcher, [0])
        assert work.began.acquire(timeout=10)
        rest = pool.submit(batcher, [1, 2])
        while len(batcher._waiting) < 2:
            pass
        with pytest.raises(Refused) as refused:
            batcher([3, 4])
        assert refused.value.status_code == 503 and refused.value.headers == {"Retry-After": "1"}
        closing = pool.submit(batcher.close)
        work.go.set()
        assert first.result(10) == [0] and rest.result(10) == [2, 4]
        closing.result(10)
    with pytest.raises(Refused, match="is stopping"):
        batcher([5])
