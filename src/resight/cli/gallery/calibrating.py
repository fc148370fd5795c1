"""``resight gallery calibrate``: what distances mean in a gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from resight.cli.calibrate import show_decision
from resight.cli.console import Json, bar, out, print_json
from resight.cli.gallery.options import Where, open_gallery
from resight.cli.options import Coverage, DataName, DataOptions, FalseMatchRate, Pairs, load_several
from resight.errors import RecipeError


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command()(calibrate)


def calibrate(
    where: Where,
    data: Annotated[
        list[Path] | None, typer.Argument(metavar="[DATA...]", help="Labelled images of the gallery's cameras.")
    ] = None,
    pairs: Pairs = None,
    answers: Annotated[
        bool, typer.Option("--answers", help="Learn from the answers about pairs of its records, given on the page.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="MODEL", help="Take the decision of its card."),
    ] = None,
    name: DataName = "",
    options: DataOptions = None,
    false_match_rate: FalseMatchRate = 1e-3,
    coverage: Coverage = 0.95,
    json: Annotated[bool, Json] = False,
) -> None:
    """Change a gallery's decision: match, unsure or no match by which distances.

    Learns from labelled images, pairs of images, or the answers in the gallery; or takes the decision from the card of
    its model, which may have been calibrated since. The log keeps the thresholds before and after. Services that are
    running continue with the former decision until they are restarted.
    """
    from resight.decisions.answered import read_answers
    from resight.decisions.decide import Decision
    from resight.decisions.model import calibrate as learn
    from resight.gallery.deciding.applying import adopt
    from resight.gallery.deciding.asking import Asking
    from resight.models.loading import load

    if bool(data) + bool(pairs) + answers + bool(model) != 1:
        raise RecipeError("A gallery is calibrated by one of four: DATA, --pairs FILE, --answers, or --model MODEL.")
    count = 0
    with open_gallery(where) as gallery:
        if model:
            decision = Decision.from_card(load(model).card)
        elif answers:
            learnt = Asking(gallery, false_match_rate, coverage).learn()
            decision, count = learnt.decision, learnt.same + learnt.different
        else:
            sets = load_several(data or [], name, options)
            given: Any = read_answers(pairs) if pairs else sets
            if len(sets) == 1:
                (given,) = sets.values()
            with bar("embedding", json) as progress:
                _, decision = learn(
                    gallery.embedder.model,
                    given,
                    false_match_rate=false_match_rate,
                    coverage=coverage,
                    progress=progress,
                )
        before = gallery.decision
        adopt(gallery.store, decision, gallery.actor, count)
        uri = gallery.uri
    if json:
        print_json({"gallery": uri, "before": before and before.plain(), "decision": decision.plain()})
        return
    if not model:
        what = "answers about pairs" if answers else str(pairs)
        show_decision(", ".join(map(str, data or ())) or what, decision)
    former = f"before, it was {before.threshold:.4g}" if before else "before, there was none"
    out.print(f"{uri}: match up to {decision.metric} distance {decision.threshold:.4g}; {former}.")
