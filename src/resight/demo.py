"""The whole of resight on a synthetic set: data, training, measuring, searching, report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml

from resight import datasets
from resight.counted import counted
from resight.embedding.measure import measure
from resight.models import load
from resight.report.run import report_run
from resight.retrieval.ranking import protocols
from resight.retrieval.ranking.rank import topk
from resight.training import recipe as recipes
from resight.training.loop import train
from resight.training.run import Run


def run(output: Path, *, seed: int = 0, epochs: int = 24, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Draw a multi-camera set in ``output``, train OSNet x0.25 on it, compare before and after, write the report.

    Returns:
        ``before`` and ``after`` (numbers of the two evaluations), ``seconds`` and the path of the ``report``.
    """
    began = time.perf_counter()
    content = yaml.safe_load(files("resight").joinpath("demo.yaml").read_text(encoding="utf-8"))
    (phase,) = content["phases"]
    phase |= {"epochs": epochs, "warmup": min(phase["warmup"], epochs // 4)}
    content["data"]["root"] = str((output / "people").resolve())
    content["data"]["options"]["seed"] = seed
    recipe = recipes.parse(content | {"seed": seed + 1}, "demo.yaml")
    (source,) = recipe.sources
    data = datasets.load(source.name, source.root, **source.options)
    facts = data.facts()
    say(
        f"1. Drew {sum(f['images'] for f in facts.values()):,} pictures of {facts['train']['identities']} people to "
        f"train on and {facts['query']['identities']} others to test with, under {facts['train']['cameras']} cameras."
    )
    folder = Run(output / "run")
    shutil.rmtree(folder.folder, ignore_errors=True)
    say(f"2. Training {recipe.model.name} on the CPU or GPU at hand, {counted(recipe.epochs, 'epoch')}.")
    torch.manual_seed(recipe.seed)
    height, width = recipe.images.height, recipe.images.width
    untrained = load(recipe.model.name, height=height, width=width, **recipe.model.builds_with)
    metric = recipe.evaluation.metric
    untrained = replace(untrained, card=untrained.card.model_copy(update={"metric": metric}))
    _, _, before = measure(untrained, data, engine="torch")  # too few images for choosing among engines
    train(recipe, folder.folder, data=data)
    trained = load(folder.model)
    query, gallery, after = measure(trained, data, engine="torch")
    say(f"3. Before training: {before}")
    say(f"   After training:  {after}")

    first = topk(query, gallery, 5, metric=trained.card.metric, protocol=protocols.get(data.protocol))
    hits = ", ".join(
        f"person {gallery.identities[i]} in camera {gallery.cameras[i]} ({d:.2f})"
        for i, d in zip(first.indices[0], first.distances[0], strict=True)
        if gallery.identities is not None and gallery.cameras is not None
    )
    say(f"4. Who looks most like person {data.query.identities[0]} in camera {data.query.cameras[0]}? {hits}")
    path, _ = report_run(
        folder.folder,
        output / "report.html",
        title="resight demo: synthetic people, before and after training",
        measured=(query, gallery, after),
        baseline=before,
    )
    seconds = time.perf_counter() - began
    say(f"5. Report with ranked lists: {path}   ({seconds:.0f} s in all)")
    return {"before": before.numbers(), "after": after.numbers(), "seconds": seconds, "report": path}
