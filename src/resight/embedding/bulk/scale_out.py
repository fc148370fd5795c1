"""The parts of a long work computed by the workers of a Ray cluster, to the same bytes as on one machine."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from resight.embedding.bulk.cluster import connected, share_of
from resight.embedding.bulk.parts import Part, embed_part, missing
from resight.embedding.compute import Progress
from resight.embedding.embedder import Embedder
from resight.embedding.source import Source
from resight.embedding.versions import versions
from resight.errors import DataError, ModelError, ResightError, first_line
from resight.images.stream import Item, read
from resight.models.exported import Exported
from resight.models.loading import load
from resight.models.model import Model

ATTEMPTS = 4  # at a part whose workers die


def fill_with_ray(
    address: str,
    folder: Path,
    embedder: Embedder,
    source: Source,
    *,
    part: int,
    skip: bool,
    progress: Progress | None,
) -> None:
    """Write the parts that are missing; each is computed by one worker of the cluster and comes back through Ray.

    A worker that dies is replaced, on another node where its own is gone, and its part is begun again.

    Args:
        address: ``HOST:PORT`` of the cluster's head, or ``auto`` for the cluster that this machine is part of.
        folder, embedder, source, part, skip, progress: as in :func:`resight.embedding.bulk.parts.fill`.

    Raises:
        RecipeError: Ray is not installed, there is no such cluster, or it has nothing to compute with.
        DataError: images that are not files, one that cannot be read, or a node that does not see them.
        ResightError: a node has other versions or cannot compute the model, a part kills its workers, or Ray gave up.
    """
    if not source.files:
        raise DataError("A video is read from its beginning to its end and cannot be divided: leave out --ray.")
    total, starts = len(source), missing(folder, len(source), part)
    if not starts:
        return
    rows = [{"start": start, "paths": json.dumps(source.paths[start : start + part].tolist())} for start in starts]
    done = total - sum(min(part, total - start) for start in starts)
    with connected(address) as ray:
        share = share_of(ray.nodes(), embedder.device)
        job = _Job.of(embedder, int(share["num_cpus"]))
        for row in _results(ray, rows, job, share):
            found = Part.unpack(row["part"])
            if found.failed:
                _check_failed(found, embedder, row["node"], skip=skip)
            found.write(folder, row["start"])
            done += len(found.kept) + len(found.failed)
            if progress:
                progress(done, total)


@dataclass(frozen=True)
class _Job:
    """What a worker must know besides the images: the model's files, the first to be loaded, and the settings here."""

    model: dict[str, bytes]
    settings: dict[str, Any]
    threads: int
    folder: str
    versions: dict[str, str]
    attempts: int = ATTEMPTS

    @staticmethod
    def of(embedder: Embedder, threads: int) -> _Job:
        settings = embedder.settings | {"device": embedder.device.type}
        return _Job(_files_of(embedder.model), settings, threads, str(Path.cwd()), versions())

    def embedder(self) -> Embedder:
        """The embedder made anew, where this is called; loading the model checks its fingerprint."""
        own = versions()
        for name in sorted(own.keys() | self.versions.keys()):
            if own.get(name) != self.versions.get(name):
                raise ModelError(
                    f"its {name} is {own.get(name, 'missing')}, not {self.versions.get(name, 'missing')}: install the "
                    "same versions on every node, or vectors would differ."
                )
        torch.set_num_threads(self.threads)
        with TemporaryDirectory(prefix="resight-", ignore_cleanup_errors=True) as place:
            for name, content in self.model.items():
                (Path(place) / name).write_bytes(content)
            model = load(Path(place) / next(iter(self.model)))
            made = Embedder(model, **self.settings)
            made(np.zeros((8, 8, 3), np.uint8))  # whatever is read from the files has been read now
        with suppress(OSError):
            os.chdir(self.folder)  # for images with relative paths
        return made


def _files_of(model: Model) -> dict[str, bytes]:
    """The files that a model is loaded from, by name, the first being the one to load."""
    with TemporaryDirectory(prefix="resight-") as made:
        file = Path(made) / "model.safetensors"
        if isinstance(model.network, Exported):
            own = model.network.file
            file = file.with_name(own.name)
            for one in (own, own.with_suffix(".bin")) if own.suffix.lower() == ".xml" else (own,):
                shutil.copyfile(one, file.with_name(one.name))
            model.card.save(file)
        else:
            model.save(file)
        others = sorted(path for path in file.parent.iterdir() if path != file)
        return {path.name: path.read_bytes() for path in (file, *others)}


class _Attempts:
    """Counts how often each part was begun: Ray itself would kill workers with one for ever."""

    def __init__(self) -> None:
        self.begun: Counter[int] = Counter()

    def begin(self, start: int) -> int:
        self.begun[start] += 1
        return self.begun[start]


class _Worker:
    """Embeds one part after the other, on whatever node Ray puts it; what it refuses comes back as data."""

    def __init__(self, job: _Job, attempts: Any) -> None:
        self.job, self.attempts = job, attempts

    @cached_property
    def embedder(self) -> Embedder:
        return self.job.embedder()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        import ray

        result = {"start": row["start"], "node": ray.util.get_node_ip_address(), "part": b"", "refused": ""}
        try:
            paths = json.loads(row["paths"])
            if ray.get(self.attempts.begin.remote(row["start"])) > self.job.attempts:
                raise ResightError(
                    f"{self.job.attempts} workers died of the {len(paths):,} images from {paths[0]} on: give nodes "
                    "more memory, pass a smaller batch size, or check whether one of these images crashes a process."
                )
            items = [Item(position, path, path) for position, path in enumerate(paths, row["start"])]
            return result | {"part": embed_part(self.embedder, items).pack()}
        except ResightError as error:
            return result | {"refused": str(error)}


def _results(ray: Any, rows: list[dict[str, Any]], job: _Job, share: dict[str, float]) -> Iterator[dict[str, Any]]:
    """What the workers make of the rows, as they finish them."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), False)
    attempts = ray.remote(num_cpus=0, scheduling_strategy=here)(_Attempts).remote()
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=len(rows), max_tasks_in_flight_per_actor=1)
    work = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        _Worker, fn_constructor_args=(job, attempts), compute=pool, **share
    )
    try:
        for row in work.iter_rows():
            if row["refused"]:
                raise ResightError(f"Stopped by the node {row['node']}: {row['refused']}")
            yield row
    except ResightError:
        raise
    except Exception as error:
        raise ResightError(
            f"Ray gave up ({first_line(error)}): run the command again, with or without --ray; what was done is kept."
        ) from None


def _check_failed(part: Part, embedder: Embedder, node: str, *, skip: bool) -> None:
    """Refuse images that failed, or, where they may, a node that cannot read what can be read here."""
    items = [Item(bad.position, bad.name, bad.name) for bad in part.failed]
    reasons = {bad.name: bad.reason for bad in part.failed}
    for batch in read(items, embedder.model.card.preprocessing, batch_size=embedder.batch_size):
        for name in batch.names:
            raise DataError(
                f"The node {node} cannot read {name}, which can be read here ({reasons[name].rstrip('.')}): give every "
                "node the same files under the same paths."
            )
    if not skip:
        raise DataError(part.failed[0].reason)
