"""``resight calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from resight.cli.console import Json, bar, err, out, print_json
from resight.cli.options import (
    BatchSize,
    Coverage,
    DataName,
    DataOptions,
    FalseMatchRate,
    Height,
    Model,
    Pairs,
    Weights,
    Width,
    load_several,
)
from resight.errors import RecipeError

if TYPE_CHECKING:
    from resight.decisions.decide import Decision
    from resight.retrieval.evaluation.compare import Interval


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("calibrate")(calibrate)


def calibrate(
    model: Model,
    data: Annotated[
        list[Path] | None,
        typer.Argument(metavar="DATA...", help="Data sets of identities the model was not trained on."),
    ] = None,
    pairs: Pairs = None,
    weights: Weights = None,
    name: DataName = "",
    options: DataOptions = None,
    false_match_rate: FalseMatchRate = 1e-3,
    coverage: Coverage = 0.95,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write weights and card here (default: update the card of MODEL)."
        ),
    ] = None,
    height: Height = None,
    width: Width = None,
    batch_size: BatchSize = 64,
    json: Annotated[bool, Json] = False,
) -> None:
    """Calibrate a model's decisions on labelled images and save them in its card.

    A calibrated model answers match, unsure or no match, gives the probability that two images show the same identity,
    and knows the distance within which a true match is. Use identities the model was not trained on, for example
    --set fold=validation. With several data sets, each of another place, the threshold is that of the worst, and each
    is left out once to see whether the promised rate holds in a new place. The weights do not change.
    """
    from resight.decisions.answered import read_answers
    from resight.decisions.model import calibrate as learn
    from resight.models.card import card_path
    from resight.models.loading import load

    if bool(data) == bool(pairs):
        raise RecipeError("A calibration needs labelled images: pass one or more DATA, or --pairs FILE.")
    file = _file(model, weights, output)
    data_sets = load_several(data or [], name, options)
    given: Any = read_answers(pairs) if pairs else data_sets
    if len(data_sets) == 1:
        (given,) = data_sets.values()
    loaded = load(model, weights, height=height, width=width)
    with bar("embedding", json) as progress:
        calibrated, decision = learn(
            loaded,
            given,
            false_match_rate=false_match_rate,
            coverage=coverage,
            batch_size=batch_size,
            progress=progress,
        )
    if output:
        calibrated.save(output)
    else:
        calibrated.card.save(file)
    shown = given.name if len(data_sets) == 1 else ", ".join(data_sets) or str(pairs)
    if json:
        print_json({"data": shown, "card": card_path(file), "decision": decision.plain()})
        return
    show_decision(shown, decision)
    err.print(f"written: {card_path(file)}")


def _file(model: str, weights: Path | None, output: Path | None) -> Path:
    """The weight file whose card is to be written; refused before anything is computed where there is none."""
    from resight.models.card import card_path
    from resight.models.loading import is_named

    if output:
        if output.suffix != ".safetensors":
            raise RecipeError(f"{output} must be a safetensors file: give it a name that ends in .safetensors.")
        return output
    if weights is None and is_named(model):
        raise RecipeError(
            f"{model} is not a model of yours to change: add -o mine.safetensors, a copy with its decision."
        )
    file = weights or (Path(model) / "model.safetensors" if Path(model).is_dir() else Path(model))
    if file.exists() and not card_path(file).exists():
        raise RecipeError(f"{file} has no card to store the decision in: add -o model.safetensors.")
    if not file.exists() and weights is None and not file.suffix and not Path(model).is_dir():
        raise RecipeError(f"{model} has no weights to calibrate: add --weights FILE and -o model.safetensors.")
    return file


def show_decision(data: str, decision: Decision) -> None:
    """Print what a decision does, and on which data it was learnt."""
    from resight.decisions.report import rate_text

    facts = decision.facts

    def text(rate: Interval | None) -> str:
        return "-" if rate is None else rate_text(rate)

    table = Table("false-match rate", title=f"{data}, {decision.metric} distance", caption="[95% intervals]")
    for column in ("up to", "attained", "missed matches"):
        table.add_column(column, justify="right")
    table.add_row("equal errors", f"{facts.errors.eer_threshold:.4g}", text(facts.errors.eer), text(facts.errors.eer))
    for point in facts.errors.points:
        if point.threshold is None:
            table.add_row(rate_text(point.wanted), "-", f"needs {point.needed:,} pairs", "-")
        else:
            table.add_row(rate_text(point.wanted), f"{point.threshold:.4g}", text(point.fmr), text(point.fnmr))
    out.print(table)
    searches = Table("strangers found", caption="[95% intervals]")
    for column in ("up to", "attained", "found first and within"):
        searches.add_column(column, justify="right")
    for search in facts.errors.searches:
        if search.threshold is None:
            searches.add_row(rate_text(search.wanted), "-", f"needs {search.needed:,} searches", "-")
        else:
            searches.add_row(rate_text(search.wanted), f"{search.threshold:.4g}", text(search.fpir), text(search.tpir))
    out.print(searches)
    if decision.domains:
        out.print(_domains(decision))
    zone = (
        f"unsure up to {decision.no_match_beyond:.4g}, no match beyond"
        if decision.no_match_beyond > decision.threshold
        else "no match beyond"
    )
    out.print(f"match up to {decision.threshold:.4g} (false-match rate {decision.false_match_rate:g}), {zone}")
    size = f": {decision.set_size:,.1f} images a query" if decision.set_size else ""
    out.print(
        f"all images within {decision.set_distance:.4g} hold a true match with probability {decision.coverage:g}{size}"
    )
    out.print(f"from {facts.impostors:,} impostor and {facts.genuine:,} genuine pairs, {facts.identities:,} identities")


def _domains(decision: Decision) -> Table:
    """What the decision does in each domain, and what the others' threshold would have done there."""
    from resight.decisions.report import rate_text

    noticed = "[95% intervals] unlike: its images are unlike the others', whose decision would give no match there"
    table = Table("domain", title="false matches in each domain", caption=noticed)
    for column in ("of one camera", "of two cameras", "at the others' threshold", "unlike", "missed matches"):
        table.add_column(column, justify="right")
    for one in decision.domains:
        first, second, third, last = (
            "-" if rate is None else rate_text(rate)
            for rate in (one.same_camera, one.cross_camera, one.left_out, one.fnmr)
        )
        table.add_row(one.name, first, second, third, "yes" if one.unlike else "no", last)
    return table
