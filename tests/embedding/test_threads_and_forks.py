"""One embedder in many threads, in forked processes, pickled and copied: the numbers of one thread, and no hang."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import resight
from resight.embedding.embedder import Embedder
from resight.embedding.engines import auto
from resight.embedding.engines.make import installed
from resight.models import runtimes
from resight.models.model import Model

fork = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
ENGINES = ["auto", "torch", "onnx", "openvino"]
IMAGES = list(np.random.default_rng(0).integers(0, 256, (6, 64, 32, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    return resight.load("osnet_x0_25", height=64, width=32)


@pytest.fixture(scope="module")
def right(model: Model) -> np.ndarray:
    return Embedder(model, "torch").__call__(IMAGES).vectors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESIGHT_CACHE", str(folder))


def of(model: Model, engine: str) -> Embedder:
    if engine not in ("auto", *installed()):
        pytest.skip(f"engine {engine} is not installed")
    return Embedder(model, engine, 4)  # type: ignore[arg-type]


def in_threads(*work: Callable[[], object]) -> list[object]:
    """What each returns or raises, all at the same time."""
    found: list[object] = [None] * len(work)
    together = threading.Barrier(len(work))

    def run(at: int) -> None:
        together.wait()
        try:
            found[at] = work[at]()
        except Exception as error:
            found[at] = error

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return found


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_many_threads_get_the_numbers_of_one(
    model: Model, right: np.ndarray, engine: str, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if half and engine != "torch":
        pytest.skip("one engine in 16 bits shows it")
    monkeypatch.setattr(auto, "PATIENCE", 40)  # the engine changes in the middle
    monkeypatch.setattr(auto, "known", lambda *_: {})
    embedder = of(model, engine)
    embedder.half = half
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    wanted = Embedder(model, "torch", 4, half=True)(IMAGES).vectors if half else right
    every = in_threads(*[lambda: [embedder(IMAGES).vectors for _ in range(4)]] * 4)
    for found in every:
        assert isinstance(found, list), found
        for vectors in found:
            np.testing.assert_allclose(vectors, wanted, rtol=0, atol=1e-6 if not half else 1e-12)
    assert all(torch.equal(value, before[key]) for key, value in model.network.state_dict().items())


def test_making_an_embedder_ready_disturbs_no_other_network(model: Model) -> None:
    own, stop = nn.Sequential(*[nn.Linear(8, 8) for _ in range(50)]), threading.Event()

    def compute() -> int:
        calls = 0
        while not stop.is_set():
            own(torch.zeros(1, 8))
            calls += 1
        return calls

    def make() -> None:
        try:
            for engine in installed():
                Embedder(model, engine)(IMAGES[0])
        finally:
            stop.set()

    calls, made = in_threads(compute, make)
    assert isinstance(calls, int) and calls > 10 and made is None


def test_the_same_one_in_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = in_threads(*[lambda: [resight.same(IMAGES[0], image) for image in IMAGES]] * 3)
    assert answers[0] == answers[1] == answers[2] and isinstance(answers[0], list)


FORKS = """
import multiprocessing, sys, numpy as np, resight, torch
from resight.embedding.engines import auto
torch.set_num_threads(2); torch.manual_seed(0); auto.PATIENCE = 4
images = list(np.random.default_rng(0).integers(0, 256, (6, 64, 32, 3), dtype=np.uint8))
model = resight.load("osnet_x0_25", height=64, width=32)
for engine in sys.argv[1:]:
    embedder = resight.Embedder(model, engine, 4)
    right = embedder(images).vectors
    if engine == "auto" and "openvino" in sys.argv:  # the engine that does not work in the child
        network, other = embedder._network, resight.Embedder(embedder.model, "openvino")
        network.engine, network.chosen = "openvino", other._network
        right = embedder(images).vectors
    def child():
        try:
            assert abs(embedder(images).vectors - right).max() < 1e-6
        except resight.ModelError as error:
            assert engine == "openvino" and "start processes with the method 'spawn'" in str(error)
        else:
            assert engine != "openvino"
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start(); process.join(240); process.kill(); print(engine, process.exitcode, flush=True)
"""


@pytest.fixture(scope="module")
def forked() -> tuple[list[str], str]:
    """What a process says that uses one engine after the other and forks after each, and its errors.

    A process of its own, since a fork keeps what other tests have left; torch has two threads there.
    """
    engines = [engine for engine in ("torch", "onnx", "openvino", "auto") if engine in ("auto", *installed())]
    done = subprocess.run([sys.executable, "-c", FORKS, *engines], capture_output=True, text=True, timeout=900)
    return done.stdout.splitlines(), done.stderr


@fork
@pytest.mark.parametrize("engine", ENGINES)
def test_a_forked_process_embeds_or_says_why_not(forked: tuple[list[str], str], engine: str) -> None:
    if engine not in installed() and (engine != "auto" or "openvino" not in installed()):
        pytest.skip(f"engine {engine} is not installed")
    said, errors = forked
    assert f"{engine} 0" in said, errors


@pytest.mark.parametrize("engine", ENGINES)
def test_a_used_embedder_can_be_pickled_and_copied(model: Model, right: np.ndarray, engine: str) -> None:
    embedder = of(model, engine)
    embedder(IMAGES)
    for other in (pickle.loads(pickle.dumps(embedder)), copy.deepcopy(embedder)):
        np.testing.assert_allclose(other(IMAGES).vectors, right, rtol=0, atol=1e-6)
        assert other.settings == embedder.settings


def test_openvinos_table_is_filled_before_threads_can_meet_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first inference of two threads at once hung for ever: the table is filled under the lock of the core."""
    openvino = pytest.importorskip("openvino")
    order: list[str] = []

    class Type:
        class f32:  # noqa: N801
            @staticmethod
            def to_dtype() -> None:
                order.append("table")

    monkeypatch.setattr(runtimes, "_openvino", [])
    monkeypatch.setattr(openvino, "Type", Type)
    monkeypatch.setattr(openvino, "Core", lambda: order.append("core"))
    in_threads(*[runtimes.openvino_core] * 4)
    assert order == ["table", "core"]
