"""Pools and locks work in a forked process, where the parent's threads do not exist, and after pickling."""

from __future__ import annotations

import multiprocessing
import pickle
import threading

import pytest

from resight.pools import Lock, Pool


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_a_forked_process_has_threads_and_locks_of_its_own() -> None:
    pool, lock, held, done = Pool(2, "test"), Lock(), threading.Event(), threading.Event()
    assert list(pool.map(abs, [-1, 2])) == [1, 2]

    def hold() -> None:
        with lock:
            held.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()

    def child() -> None:
        with lock:
            assert list(pool.map(abs, [-3])) == [3]

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(20)
    done.set()
    holder.join()
    assert process.exitcode == 0


def test_both_can_be_pickled() -> None:
    pool, lock = Pool(2, "test"), Lock()
    assert list(pool.map(abs, [-1])) == [1]
    with lock:
        other_pool, other_lock = pickle.loads(pickle.dumps((pool, lock)))
    assert list(other_pool.map(abs, [-1])) == [1] and other_pool.threads == 2
    with other_lock, other_lock:
        pass


def test_a_lock_lets_one_thread_in() -> None:
    lock, inside, most = Lock(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with lock:
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
