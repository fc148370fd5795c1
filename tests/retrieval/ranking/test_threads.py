"""The limit of one BLAS thread ends with its last user, and ranks are counted in a forked process as well."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

import resight
from resight.retrieval.ranking import threads
from resight.retrieval.ranking.threads import one_blas_thread, spread

fork = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")


def blas_threads() -> list[int]:
    """Of the library behind numpy's products; scipy has another one, which may be loaded at any time."""
    return [library.get_num_threads() for library in threads._blas]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Two threads to begin with, however many cores there are; then as before."""
    with ThreadpoolController().select(user_api="blas").limit(limits=2):
        yield


@pytest.mark.parametrize(("count", "step"), [(0, 4), (1, 4), (63, 64), (64, 64), (1000, 1), (99_999, 7)])
def test_every_row_is_worked_on_once_in_few_pieces_of_work(
    count: int, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(threads.Pool):
        handed = 0

        def map(self, work, *items):  # type: ignore[no-untyped-def]
            (pieces,) = items
            Counting.handed += len(pieces)
            return super().map(work, pieces)

    monkeypatch.setattr(threads, "_pool", Counting(2, "counted", lambda: setattr(threads._here, "busy", True)))
    seen = np.zeros(count, np.int64)
    starts: list[int] = []

    def work(rows: slice) -> None:
        starts.append(rows.start)
        assert 0 < rows.stop - rows.start <= step
        seen[rows] += 1

    spread(work, count, step)
    assert (seen == 1).all() and sorted(starts) == list(range(0, count, step))
    assert Counting.handed <= 16 * threads.THREADS


def test_overlapping_uses_leave_the_number_of_threads_as_it_was() -> None:
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with one_blas_thread():
            first_in.set()
            second_in.wait()
        first_out.set()

    def second() -> None:
        first_in.wait()
        with one_blas_thread():
            second_in.set()
            first_out.wait()
            within.extend(blas_threads())  # the first has left, the second is still in

    within: list[int] = []
    before = blas_threads()
    both = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert set(within) == {1} and blas_threads() == before and set(before) == {2}


def test_overlapping_evaluations_agree_and_change_nothing() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(1200, 16)).astype(np.float32)
    gallery = resight.Embeddings(vectors, np.arange(1200) % 100 + 1, np.arange(1200) % 7)
    query, before = gallery.take(np.arange(200)), blas_threads()
    right = resight.evaluate(query, gallery).mAP
    found: list[float] = []

    def work() -> None:
        for _ in range(5):
            found.append(resight.evaluate(query, gallery).mAP)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [right] * 20 and blas_threads() == before


@fork
def test_a_process_forked_after_an_evaluation_evaluates() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(3000, 16)).astype(np.float32)
    gallery = resight.Embeddings(vectors, np.arange(3000) % 100 + 1, np.arange(3000) % 7)
    query = gallery.take(np.arange(200))
    right = resight.evaluate(query, gallery).mAP

    def child() -> None:
        assert resight.evaluate(query, gallery).mAP == right

    with one_blas_thread():  # a fork in the middle of another thread's evaluation
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join(60)
    assert process.exitcode == 0
