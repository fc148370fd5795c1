"""``resight evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from resight.cli.console import EngineName, Json, bar, out, print_json


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("evaluate")(evaluate)


def evaluate(
    model: Annotated[str, typer.Argument(help="A run folder, a weight file with its card, or an architecture's name.")],
    data: Annotated[Path, typer.Argument(help="A data set: folder or zip archive.")],
    weights: Annotated[Path | None, typer.Option(help="Weights for an architecture given by name.")] = None,
    name: Annotated[str, typer.Option("--as", help="Which data set it is; found out when not given.")] = "",
    metric: Annotated[
        list[str] | None, typer.Option(help="euclidean or cosine, can be repeated; the card's when not given.")
    ] = None,
    height: Annotated[int | None, typer.Option(min=16, help="Input height, for a model without a card.")] = None,
    width: Annotated[int | None, typer.Option(min=16, help="Input width, for a model without a card.")] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Average each embedding with that of the mirrored image.")
    ] = False,
    half: Annotated[
        bool, typer.Option("--half", help="Compute in 16 bits: faster where the processor can, and less exact.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    engine: Annotated[EngineName, typer.Option(help="What computes.")] = EngineName.auto,
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the data set: --set size=1600")
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, help="Average this many draws of query and gallery (VehicleID's protocol: 10).")
    ] = 1,
    rerank: Annotated[bool, typer.Option("--rerank", help="Measure with k-reciprocal re-ranking as well.")] = False,
    k1: Annotated[int | None, typer.Option(help="Re-ranking: how many neighbours may be reciprocal (20).")] = None,
    k2: Annotated[int | None, typer.Option(help="Re-ranking: how many neighbours are averaged (6).")] = None,
    lambda_value: Annotated[
        float | None, typer.Option("--lambda", help="Re-ranking: the share of the original distance (0.3).")
    ] = None,
    sure: Annotated[
        bool, typer.Option("--intervals", help="Also 95% intervals of mAP, R1, R5 and R10, by resampling people.")
    ] = False,
    decide: Annotated[
        bool, typer.Option("--decide", help="Also what the calibrated decision in the model's card does here.")
    ] = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """Embed query and gallery and measure CMC, mAP and mINP by the data set's own protocol."""
    from dataclasses import asdict

    from resight import datasets
    from resight.cli.decision_table import show
    from resight.decisions.model import decision_of
    from resight.decisions.report import measure_decisions
    from resight.embedding.measure import measure, measure_repeats
    from resight.errors import RecipeError
    from resight.models.load import load
    from resight.retrieval.evaluation.compare import intervals
    from resight.retrieval.evaluation.evaluate import evaluate as rank
    from resight.retrieval.evaluation.repeats import summarise
    from resight.retrieval.reranking.rerank import KReciprocal
    from resight.training.recipe import assign

    given = {"k1": k1, "k2": k2, "lambda_value": lambda_value}
    parameters: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if parameters and not rerank:
        raise RecipeError("--k1, --k2 and --lambda are parameters of re-ranking: add --rerank.")
    if rerank and repeats > 1:
        raise RecipeError("--rerank measures one draw of query and gallery: leave out --repeats or --rerank.")
    if repeats > 1 and (decide or sure):
        raise RecipeError("--decide and --intervals are about one draw of query and gallery: leave out --repeats.")
    if decide and flip:
        raise RecipeError("The decision was calibrated on embeddings without mirrored images: leave out --flip.")
    ways: list[KReciprocal | None] = [None, KReciprocal(**parameters)] if rerank else [None]
    chosen: dict[str, Any] = {}
    for option in options or ():
        assign(chosen, option)
    kind = name or datasets.detect(data)
    loaded = load(model, weights, height=height, width=width)
    decision = decision_of(loaded) if decide else None
    if decision and metric and decision.metric not in metric:
        raise RecipeError(f"The decision is about {decision.metric} distances: add --metric {decision.metric}.")
    if repeats > 1:
        draws = [datasets.load(kind, data, **chosen, repeat=at) for at in range(repeats)]
        with bar("embedding", json) as progress:
            found = measure_repeats(
                loaded, draws, engine=engine.value, batch_size=batch_size, flip=flip, half=half, progress=progress
            )
        spread = summarise(found)
        if json:
            print_json({"data": draws[0].name, "repeats": [one.numbers() for one in found], "spread": spread})
        else:
            each = "  ".join(f"{key} {mean:.2%} ± {apart:.2%}" for key, (mean, apart) in spread.items())
            out.print(f"{draws[0].name}, {repeats} draws: {each}", markup=False)
        return
    data_set = datasets.load(kind, data, **chosen)
    with bar("embedding", json) as progress:
        query, gallery, report = measure(
            loaded, data_set, engine=engine.value, batch_size=batch_size, flip=flip, half=half, progress=progress
        )
    reports = [
        report
        if (wanted, way) == (report.metric, None)
        else rank(query, gallery, protocol=data_set.protocol, metric=wanted, rerank=way)
        for wanted in metric or [report.metric]
        for way in ways
    ]
    between = [intervals(one) if sure else {} for one in reports]
    decided = measure_decisions(decision, query, gallery, data_set.protocol) if decision else None
    if json:
        plain = [one.numbers() | {"data": data_set.name} for one in reports]
        for entry, ranges in zip(plain, between, strict=True):
            entry |= {"intervals": {name: asdict(value) for name, value in ranges.items()}} if sure else {}
            if decided and (entry["metric"], entry["rerank"]) == (decided.metric, ""):
                entry |= {"decision": decided.numbers()}
        print_json(plain)
        return
    for one, ranges in zip(reports, between, strict=True):
        out.print(f"{data_set.name}: {one}", markup=False)
        if sure:
            each = "  ".join(f"{name} {value}" for name, value in ranges.items())
            out.print(f"95% intervals over people: {each}", markup=False)
    if decided:
        show(data_set.name, decided)
