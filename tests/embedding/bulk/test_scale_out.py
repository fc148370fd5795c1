"""Parts computed on a Ray cluster: the bytes of a single machine, whoever is killed meanwhile, and what is refused."""

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch

import resight
import tiny
from conftest import write_noise
from resight.cli.main import main
from resight.embedding.bulk.cluster import share_of
from resight.embedding.bulk.parts import Part
from resight.embedding.bulk.run import embed_to_file
from resight.embedding.bulk.scale_out import _check_failed, _files_of, _Job, fill_with_ray
from resight.embedding.embedder import Embedder
from resight.embedding.export.run import export
from resight.embedding.versions import versions
from resight.errors import DataError, ModelError, RecipeError, ResightError
from resight.images.stream import BadImage

SIZE = {"height": 32, "width": 16}
IMAGES, PART = 22, 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that only keeps the books, and two nodes of one core each."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'resight[ray]'")
    from ray.cluster_utils import Cluster

    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
    small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": quick, **small})
    try:
        for _ in range(2):
            made.add_node(wait=False, num_cpus=1, **small)
        made.wait_for_nodes()
        yield made
    finally:
        started = [child for node in (made.head_node, *made.worker_nodes) for child in _processes(node)]
        made.shutdown()
        assert not psutil.wait_procs(started, timeout=20)[1], "processes of Ray stayed behind"


def _processes(node: Any) -> list[psutil.Process]:
    own = [process.process.pid for kind in node.all_processes.values() for process in kind]
    there = [psutil.Process(pid) for pid in own if psutil.pid_exists(pid)]
    return there + [child for process in there for child in process.children(recursive=True)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A relative path, which every node must find all the same."""
    monkeypatch.chdir(tmp_path)
    for seed in range(IMAGES):
        write_noise(tmp_path / "images" / f"{seed:02d}.jpg", 40, 20, seed)
    return Path("images")


def embedder() -> Embedder:
    torch.manual_seed(0)
    return Embedder(resight.load("osnet_x0_25", **SIZE), "torch", batch_size=3, device="cpu")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def manifest(file: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(Path(f"{file}.manifest.json").read_text())
    return {key: value for key, value in told.items() if key not in ("file", "manifest")}


def state_of_ray() -> list[Any]:
    """What Ray changes of the whole process."""
    from ray.data import DataContext

    context = DataContext.get_current()
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    return [
        dict(os.environ),
        sys.stdout,
        [(logger.level, logger.propagate, list(logger.handlers)) for logger in (*loggers, logging.root)],
        (context.enable_progress_bars, context.print_on_execution_start),
    ]


def blocked_at(image: Path, folder: Path) -> type[_Job]:
    """What a worker is sent, with a decoder that waits at one image while a folder exists, and notes its process there.

    A class inside a function: Ray sends it as it is, for the workers cannot import this file.
    """

    class Blocked(_Job):
        def embedder(self) -> Embedder:
            from resight.images import pictures

            decode = pictures.decode

            def blocked(path: str) -> Any:
                if Path.cwd() / path == image and folder.is_dir():
                    (folder / str(os.getpid())).touch()
                    while folder.is_dir():
                        time.sleep(0.02)
                return decode(path)

            pictures.decode = blocked  # type: ignore[assignment]
            return super().embedder()

    return Blocked


def process_in(folder: Path, but: int = 0) -> int:
    """Wait until a worker is blocked: its process, another than ``but``."""
    while True:
        for pid in (int(noted.name) for noted in folder.iterdir()):
            if pid != but:
                return pid
        time.sleep(0.02)


def test_a_cluster_writes_the_bytes_of_one_machine_whoever_is_killed(
    cluster: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """A worker and a node are killed in the midst of a part: at one of its images a worker waits until it is."""
    (folder / "05.jpg").write_bytes(b"no image")
    embed_to_file(embedder(), folder, "one.npz", skip=True, part=PART)
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    of, kind = _Job.of, blocked_at(tmp_path / folder / "09.jpg", blocked)
    monkeypatch.setattr(_Job, "of", lambda *known: kind(**vars(of(*known))))
    killed, failures = [], []

    def kill() -> None:
        try:
            worker = process_in(blocked)
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)
            while psutil.pid_exists(worker):
                time.sleep(0.02)
            node = psutil.Process(process_in(blocked, but=worker)).ppid()
            os.kill(node, signal.SIGKILL)
            killed.append(node)
            blocked.rename(tmp_path / "no longer blocked")
        except BaseException as error:
            failures.append(error)
            raise

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    before = state_of_ray()
    told: list[tuple[int, int]] = []
    shown: dict[str, Any] = {"progress": lambda *now: told.append(now)}
    embed_to_file(embedder(), folder, "many.npz", skip=True, part=PART, ray=cluster.address, **shown)
    killer.join(20)
    assert not failures and len(killed) == 2 and killed[0] != killed[1]
    raylets = {node.all_processes["raylet"][0].process.pid for node in cluster.worker_nodes}
    assert killed[1] in raylets
    assert capfd.readouterr().out == "" and state_of_ray() == before
    assert Path("many.npz").read_bytes() == Path("one.npz").read_bytes()
    assert manifest("many.npz") == manifest("one.npz") and manifest("one.npz")["failed"][0]["position"] == 5
    assert len(told) == 6 and told[-1] == (IMAGES, IMAGES) and told == sorted(told)
    assert not Path("many.npz.parts").exists()


def test_on_the_command_line(cluster: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    embedder().model.save("model.safetensors")
    told = ["--engine", "torch", "--batch-size", "3", "-o", "many.npz", "--ray"]
    monkeypatch.setattr(sys, "argv", ["resight", "embed", "model.safetensors", "images", *told, cluster.address])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capfd.readouterr()
    assert not stop.value.code and out == "22 of 22 images embedded, 512 numbers each.\n", err
    assert err.endswith("written: many.npz, many.npz.manifest.json\n") and "Traceback" not in err
    embed_to_file(embedder(), folder, "one.npz")
    assert Path("many.npz").read_bytes() == Path("one.npz").read_bytes()


def answering(reply: bytes) -> int:
    """The port of something that answers, but is no Ray cluster."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listener, listener.accept()[0] as line:
            line.recv(64)
            line.sendall(reply)

    threading.Thread(target=answer, daemon=True).start()
    return int(listener.getsockname()[1])


def test_no_cluster_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'resight[ray]'")
    closed = f"127.0.0.1:{free_port()}"
    for address, message in {
        closed: rf"No Ray cluster answers at {closed} \(.*refused\): check the address",
        f"127.0.0.1:{answering(b'HTTP/1.1 400 Bad Request')}": "is not the head of a Ray cluster",
        f"127.0.0.1:{answering(b'')}": "is not the head of a Ray cluster",
        "localhost": "'localhost' is no address of a Ray cluster: give HOST:PORT of its head, or auto",
        "ray://localhost:10001": "is no address of a Ray cluster",
        "localhost:99999": "is no address of a Ray cluster",
    }.items():
        with pytest.raises(RecipeError, match=message):
            embed_to_file(embedder(), folder, "a.npz", ray=address)
    monkeypatch.setenv("RAY_ADDRESS", closed)
    with pytest.raises(RecipeError, match=f"No Ray cluster answers at {closed}"):
        embed_to_file(embedder(), folder, "a.npz", ray="auto")


def test_without_ray_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RecipeError, match=r"--ray needs Ray, which is not installed: pip install 'resight\[ray\]'"):
        embed_to_file(embedder(), folder, "a.npz", ray="auto")


def test_a_worker_takes_as_many_cores_as_there_are_threads_here() -> None:
    def node(alive: bool = True, **resources: float) -> dict[str, Any]:
        return {"Alive": alive, "Resources": resources}

    here = torch.get_num_threads()
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert share_of([node(CPU=here + 5.0), node()], cpu) == {"num_cpus": here}
    assert share_of([node(CPU=99.0), node(CPU=1.0), node(False, CPU=0.0)], cpu) == {"num_cpus": 1}
    assert share_of([node(CPU=4.0), node(CPU=4.0, GPU=2.0)], gpu) == {"num_cpus": 1, "num_gpus": 1}
    with pytest.raises(RecipeError, match="no node of the Ray cluster has one"):
        share_of([node(CPU=4.0), node(False, GPU=1.0)], gpu)
    with pytest.raises(RecipeError, match="No node of the Ray cluster has a core"):
        share_of([node(GPU=1.0), node(False, CPU=8.0)], cpu)


@pytest.mark.parametrize("runtime", ["torch", "torchscript", "openvino"])
def test_a_worker_makes_the_same_model_from_what_it_is_sent(
    folder: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    tiny.install(monkeypatch)
    model = tiny.model()
    if runtime != "torch":
        if runtime == "openvino":  # two files
            pytest.importorskip("onnx")
            pytest.importorskip("openvino")
        model.save("model.safetensors")
        model = resight.load(export(model, runtime).path)  # type: ignore[arg-type]
    here = Embedder(model, "auto", batch_size=3, device="cpu")
    there = _Job.of(here, torch.get_num_threads()).embedder()
    assert there.model.card.fingerprint == model.card.fingerprint
    np.testing.assert_array_equal(there(folder).vectors, here(folder).vectors)


def test_a_node_that_differs_is_refused(folder: Path) -> None:
    job = _Job.of(embedder(), 1)
    for name, other in {"torch": {"torch": "0.4"}, "pillow": {"pillow": "1.0"}}.items():
        with pytest.raises(ModelError, match=rf"^its {name} is .*, not \d\.\d: install the same versions"):
            replace(job, versions=versions() | other).embedder()
    torch.manual_seed(1)
    weights = _files_of(resight.load("osnet_x0_25", **SIZE))["model.safetensors"]
    with pytest.raises(ModelError, match=r"model\.safetensors does not match its card"):
        replace(job, model=job.model | {"model.safetensors": weights}).embedder()


def test_what_one_node_cannot_read_is_no_bad_image_where_it_can_be_read(folder: Path) -> None:
    (folder / "05.jpg").write_bytes(b"no image")
    bad, missing = (BadImage(at, f"images/{at:02d}.jpg", f"images/{at:02d}.jpg is bad.") for at in (5, 6))
    found = Part(np.empty((0, 0), np.float32), np.empty(0, np.int64), [bad])
    _check_failed(found, embedder(), "10.0.0.2", skip=True)
    with pytest.raises(DataError, match=r"^images/05\.jpg is bad\.$"):
        _check_failed(found, embedder(), "10.0.0.2", skip=False)
    for skip in (False, True):
        with pytest.raises(
            DataError, match=r"^The node 10\.0\.0\.2 cannot read images/06\.jpg, which can be read here"
        ):
            _check_failed(replace(found, failed=[bad, missing]), embedder(), "10.0.0.2", skip=skip)


def test_a_part_that_kills_its_workers_is_given_up(cluster: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = _Job.of
    monkeypatch.setattr(_Job, "of", lambda *known: replace(of(*known), attempts=0))
    message = r"^Stopped by the node \d+\.\d+\.\d+\.\d+: 0 workers died of the 22 images from images/00\.jpg on"
    with pytest.raises(ResightError, match=message):
        embed_to_file(embedder(), folder, "a.npz", part=IMAGES, ray=cluster.address)


def test_a_video_is_not_divided(folder: Path) -> None:
    source = SimpleNamespace(files=False)
    with pytest.raises(DataError, match="A video is read from its beginning"):
        fill_with_ray("auto", folder, embedder(), source, part=4, skip=False, progress=None)  # type: ignore[arg-type]
