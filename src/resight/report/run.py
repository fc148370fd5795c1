"""The report of a training run: its model, measured again on its own data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from resight import datasets
from resight.datasets import Dataset
from resight.embedding.embedder import Embedder
from resight.errors import DataError
from resight.images.cache import cache_folder
from resight.models.load import Model, load_any
from resight.records import Embeddings, Report
from resight.report import html
from resight.retrieval.evaluate import evaluate
from resight.training import recipe as recipes
from resight.training.run import Run

Progress = Callable[[int, int], None]


def measure(model: Model, data: Dataset, progress: Progress | None = None) -> tuple[Embeddings, Embeddings, Report]:
    """Embeddings of query and gallery, and what the data's protocol makes of them.

    Raises:
        DataError: the data has no queries.
    """
    if not len(data.query):
        raise DataError(f"{data.name} has no queries: nothing can be measured on it.")
    embedder = Embedder(model, cache=cache_folder())
    query, gallery = embedder(data.query, progress=progress), embedder(data.gallery, progress=progress)
    return query, gallery, evaluate(query, gallery, protocol=data.protocol, metric=model.card.metric)


def report_run(
    folder: str | Path,
    output: str | Path | None = None,
    *,
    root: str | Path | None = None,
    pictures: bool = True,
    progress: Progress | None = None,
) -> tuple[Path, Report]:
    """Write the HTML report of a run folder (``report.html`` in it, unless ``output``).

    Args:
        root: where the data set is now, if not where the recipe says.
        pictures: whether the file may hold pictures.

    Raises:
        ResightError: the run is not finished, or its data is gone.
    """
    run = Run(folder)
    model = load_any(run.folder)
    recipe = recipes.read(run.recipe)
    data = datasets.load(recipe.data.name, root or recipe.data.root or None, **recipe.data.options)
    query, gallery, report = measure(model, data, progress)
    path = html.write(
        Path(output) if output else run.folder / "report.html",
        title=f"{recipe.name} on {data.name}",
        report=report,
        query=query,
        gallery=gallery,
        protocol=data.protocol,
        metric=model.card.metric,
        history=run.history(),
        recipe=run.recipe.read_text(encoding="utf-8"),
        card=model.card.model_dump(mode="json"),
        pictures=pictures,
    )
    return path, report
