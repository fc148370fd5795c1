"""The report of a training run: its model, measured again on its own data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from resight import datasets
from resight.attributes.run import Recognition, attribute_count, attribute_outputs, recognise
from resight.datasets.best_known import best_known
from resight.embedding.measure import measure
from resight.errors import DataError
from resight.images.cache import cache_folder
from resight.models.loading import load
from resight.models.model import Model
from resight.records import Embeddings, Report
from resight.report import html
from resight.report.inside import look_inside
from resight.retrieval.evaluation.domains import Domains
from resight.retrieval.ranking import protocols
from resight.training import recipe as recipes
from resight.training.recipe import Recipe
from resight.training.run import Run


def report_run(
    folder: str | Path,
    output: str | Path | None = None,
    *,
    root: str | Path | None = None,
    title: str | None = None,
    measured: tuple[Embeddings, Embeddings, Report] | None = None,
    baseline: Report | None = None,
    others: Mapping[str, datasets.Dataset] | None = None,
    pictures: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Report]:
    """Write the HTML report of a run folder (``report.html`` in it, unless ``output``).

    Args:
        root: where the data set is now, if not where the recipe says.
        title: the page's, unless recipe and data name it well enough.
        measured: query, gallery and report where they are at hand already; else the model is measured again.
        baseline: another evaluation of the same queries, shown beside.
        others: other data sets by name, on which the model is measured as well.
        pictures: whether the file may hold pictures.

    Raises:
        ResightError: the run is not finished, or its data is gone.
    """
    run = Run(folder)
    model = load(run.folder)
    recipe = recipes.read(run.recipe)
    data = _measured_on(recipe, root)
    rules = protocols.get(data.protocol)
    if rules.tracklets or rules.reassociates:
        raise DataError(
            f"A report shows images, but {data.name} is measured by {data.protocol}: use resight evaluate instead."
        )
    query, gallery, report = measured or measure(model, data, cache=cache_folder(), progress=progress)
    path = html.write(
        Path(output) if output else run.folder / "report.html",
        title=title or f"{recipe.name} on {data.name}",
        report=report,
        baseline=baseline,
        query=query,
        gallery=gallery,
        protocol=data.protocol,
        metric=model.card.metric,
        history=run.history(),
        recipe=run.recipe.read_text(encoding="utf-8"),
        card=model.card.model_dump(mode="json"),
        attributes=_attributes(model, data),
        inside=look_inside(model, data.query, pictures=pictures),
        domains=_domains(model, others, progress) if others else None,
        pictures=pictures,
    )
    return path, report


def _domains(
    model: Model, others: Mapping[str, datasets.Dataset], progress: Callable[[int, int], None] | None
) -> Domains:
    """The model on other data sets."""
    reports = {name: measure(model, one, cache=cache_folder(), progress=progress)[2] for name, one in others.items()}
    return Domains(reports, {name: best.mAP for name, one in others.items() if (best := best_known(one))})


def _measured_on(recipe: Recipe, root: str | Path | None) -> datasets.Dataset:
    """The data that a recipe measures on; of several sets the first that has queries."""
    sets = tuple(recipe.evaluation.data.values()) or recipe.sources
    if root is not None and len(sets) > 1:
        raise DataError(f"The run has {len(sets)} data sets, not one that {root} could replace: leave it out.")
    loaded = (datasets.load(one.name, root or one.root or None, **one.options) for one in sets)
    found = [data for data in loaded if len(data.query) or len(sets) == 1]
    if not found:
        raise DataError("None of the run's sources has queries: nothing can be measured on them.")
    return found[0]


def _attributes(model: Model, data: datasets.Dataset) -> Recognition | None:
    """How right the attributes of the gallery are, where the data has the attributes that the model predicts."""
    if not data.attributes or attribute_count(model) != len(data.attributes):
        return None
    (outputs,) = attribute_outputs(model, [data.gallery], cache=cache_folder())
    return recognise(outputs, data)
