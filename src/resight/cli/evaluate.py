"""``resight evaluate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from resight.cli.console import Json, bar, out, print_json
from resight.cli.options import (
    BatchSize,
    DataName,
    DataOptions,
    DataSets,
    Engine,
    Flip,
    Frames,
    Half,
    Height,
    Model,
    Pooling,
    PoolingName,
    Sampling,
    SamplingName,
    Weights,
    Width,
    load_data,
    load_several,
    print_notes,
)

if TYPE_CHECKING:
    from resight.datasets import Dataset
    from resight.decisions.report import DecisionReport
    from resight.records import Report
    from resight.retrieval.evaluation.domains import Domains


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("evaluate")(evaluate)


def evaluate(
    model: Model,
    data: DataSets,
    weights: Weights = None,
    name: DataName = "",
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC", help="euclidean or cosine; repeatable (default: the card's)."),
    ] = None,
    height: Height = None,
    width: Width = None,
    flip: Flip = False,
    half: Half = False,
    batch_size: BatchSize = 64,
    engine: Engine = "auto",
    options: DataOptions = None,
    repeats: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Average over N query and gallery splits (VehicleID, iLIDS-VID: 10)."),
    ] = 1,
    frames: Frames = 0,
    sampling: Sampling = SamplingName.evenly,
    pooling: Pooling = PoolingName.auto,
    rerank: Annotated[bool, typer.Option("--rerank", help="Also measure with k-reciprocal re-ranking.")] = False,
    k1: Annotated[
        int | None, typer.Option(metavar="N", help="Re-ranking: size of the reciprocal neighbourhood (default: 20).")
    ] = None,
    k2: Annotated[
        int | None, typer.Option(metavar="N", help="Re-ranking: neighbours in query expansion (default: 6).")
    ] = None,
    lambda_value: Annotated[
        float | None,
        typer.Option("--lambda", metavar="WEIGHT", help="Re-ranking: weight of the original distance (default: 0.3)."),
    ] = None,
    sure: Annotated[
        bool, typer.Option("--intervals", help="Also print 95% bootstrap intervals (resampling people).")
    ] = False,
    decide: Annotated[
        bool, typer.Option("--decide", help="Also measure the calibrated decisions of the model's card.")
    ] = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """Measure CMC, mAP and mINP of a model by the data set's own protocol.

    Several data sets give one table with their macro average: how the model does on cameras it has not seen.
    """
    from resight.cli.decision_table import show
    from resight.cli.domain_table import show_domains
    from resight.datasets.best_known import best_known
    from resight.decisions.decide import Decision
    from resight.decisions.report import measure_decisions
    from resight.embedding.bfloat16 import Bfloat16Products
    from resight.embedding.measure import measure, measure_repeats
    from resight.embedding.tracklets import Clips
    from resight.errors import RecipeError
    from resight.models.loading import load
    from resight.retrieval.evaluation.compare import intervals
    from resight.retrieval.evaluation.domains import Domains
    from resight.retrieval.evaluation.evaluate import evaluate as rank
    from resight.retrieval.evaluation.repeats import summarise
    from resight.retrieval.ranking import protocols
    from resight.retrieval.reranking.rerank import KReciprocal

    given = {"k1": k1, "k2": k2, "lambda_value": lambda_value}
    parameters: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if parameters and not rerank:
        raise RecipeError("--k1, --k2 and --lambda are parameters of re-ranking: add --rerank.")
    if rerank and repeats > 1:
        raise RecipeError("--rerank measures one draw of query and gallery: leave out --repeats or --rerank.")
    if repeats > 1 and (decide or sure):
        raise RecipeError("--decide and --intervals are about one draw of query and gallery: leave out --repeats.")
    if repeats > 1 and len(data) > 1:
        raise RecipeError("--repeats draws query and gallery of one data set: pass one, or leave out --repeats.")
    if decide and flip:
        raise RecipeError("The decision was calibrated on embeddings without mirrored images: leave out --flip.")
    clips = Clips(frames, sampling.value, pooling.value)
    ways: list[KReciprocal | None] = (
        [None, KReciprocal(**parameters, products=Bfloat16Products())] if rerank else [None]
    )
    loaded = load(model, weights, height=height, width=width)
    decision = Decision.from_card(loaded.card) if decide else None
    if decision and metric and decision.metric not in metric:
        raise RecipeError(f"The decision is about {decision.metric} distances: add --metric {decision.metric}.")
    embedding: dict[str, Any] = {"engine": engine, "batch_size": batch_size, "flip": flip, "half": half}
    if repeats > 1:
        draws = [load_data(data[0], name, options, repeat=at) for at in range(repeats)]
        print_notes(draws[0])
        with bar("embedding", json) as progress:
            found = measure_repeats(loaded, draws, clips=clips, progress=progress, **embedding)
        spread = summarise(found)
        if json:
            print_json({"data": draws[0].name, "repeats": [one.numbers() for one in found], "spread": spread})
        else:
            each = "  ".join(f"{key} {mean:.2%} ± {apart:.2%}" for key, (mean, apart) in spread.items())
            out.print(f"{draws[0].name}, {repeats} draws: {each}")
        return
    sets = load_several(data, name, options)
    tracked = any(protocols.get(one.protocol).tracklets for one in sets.values())
    if decide and tracked:
        raise RecipeError("The decision was calibrated on single images, not on tracklets: leave out --decide.")
    chosen = [(wanted, way) for wanted in metric or [loaded.card.metric] for way in ways]
    reports: dict[str, list[Report]] = {}
    decided: dict[str, DecisionReport] = {}
    for label, data_set in sets.items():
        with bar(f"embedding {label}" if len(sets) > 1 else "embedding", json) as progress:
            query, gallery, first = measure(loaded, data_set, clips=clips, progress=progress, **embedding)
        reports[label] = [
            first
            if (wanted, way) == (first.metric, None)
            else rank(query, gallery, protocol=data_set.protocol, metric=wanted, rerank=way)
            for wanted, way in chosen
        ]
        if decision:
            decided[label] = measure_decisions(decision, query, gallery, data_set.protocol)
    tables = [
        Domains(
            {label: each[at] for label, each in reports.items()},
            {label: best.mAP for label, one in sets.items() if (best := best_known(one))},
        )
        for at in range(len(chosen))
    ]
    if json:
        plain = [_plain(table, sets, decided, sure=sure) for table in tables]
        print_json(plain if len(sets) > 1 else [entry for one in plain for entry in one["sets"].values()])
        return
    if len(sets) > 1:
        for table in tables:
            show_domains(model, table, sure=sure)
    else:
        ((label, data_set),) = sets.items()
        for one in reports[label]:
            out.print(f"{data_set.name}: {one}")
            if sure:
                each = "  ".join(f"{name} {value}" for name, value in intervals(one).items())
                out.print(f"95% intervals over people: {each}")
    for label, of_it in decided.items():
        show(label if len(sets) > 1 else sets[label].name, of_it)


def _plain(
    table: Domains, sets: dict[str, Dataset], decided: dict[str, DecisionReport], *, sure: bool
) -> dict[str, Any]:
    """The table for JSON; what is known of each data set's decisions and intervals is in its entry."""
    from dataclasses import asdict

    from resight.retrieval.evaluation.compare import intervals

    plain = table.numbers()
    for label, entry in plain["sets"].items():
        entry |= {"data": sets[label].name}
        if sure:
            ranges = intervals(table.reports[label])
            entry |= {"intervals": {name: asdict(value) for name, value in ranges.items()}}
        if label in decided and (entry["metric"], entry["rerank"]) == (decided[label].metric, ""):
            entry |= {"decision": decided[label].numbers()}
    return plain
