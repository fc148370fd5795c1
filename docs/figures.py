"""Draws the figures of the documentation: python docs/figures.py [NAME ...]. Nobody's picture is in them.

``promises`` needs Market-1501 and weights beside the repository and takes half an hour, so it is drawn only by name.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import resight
from resight.decisions.report import DecisionReport, measure_decisions
from resight.embedding.measure import measure
from resight.images.cache import Images
from resight.models.layers.pooling import GeM
from resight.report import plots
from resight.report.inside import look_inside, steps
from resight.retrieval.evaluation.compare import Interval
from resight.training import recipe as recipes
from resight.training.loop import train
from resight.training.losses.elastic import elastic_weight

FOLDER = Path(__file__).parent / "figures"
SHARED = Path(__file__).parents[2] / "shared"
STYLE = (
    "<style>svg{font:13px system-ui,sans-serif;background:#fff}text{fill:#60666e}.grid{stroke:#e2e3e0}"
    ".axis{stroke:#60666e}.line{fill:none;stroke-width:2.2}.s0{stroke:#2557a7}.s1{stroke:#d9742b}.s2{stroke:#12844f}"
    ".s3{stroke:#8a4fb0}.dashed{stroke-dasharray:6 5}.dot{stroke:none}.dot.s0{fill:#2557a7}.dot.s1{fill:#d9742b}"
    ".dot.s2{fill:#12844f}.dot.s3{fill:#8a4fb0}</style>"
)


def chart(name: str, drawn: plots.Chart) -> None:
    """Write a chart with colours of its own and its legend, so that it can stand outside a report."""
    colours = {"s0": "#2557a7", "s1": "#d9742b", "s2": "#12844f", "s3": "#8a4fb0"}
    legend = "".join(
        f'<text x="76" y="{28 + 17 * at}" style="fill:{colours[style]}">{text}</text>'
        for at, (style, text) in enumerate(drawn.legend)
    )
    svg = str(drawn.svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    head, _, body = svg.partition(">")
    (FOLDER / f"{name}.svg").write_text(f"{head}>{STYLE}{body.removesuffix('</svg>')}{legend}</svg>")


def rows(name: str, pictures: list[list[np.ndarray]], gap: int = 4) -> None:
    """Write rows of RGB pictures of one size as a PNG."""
    height, width = pictures[0][0].shape[:2]
    page = np.full(((height + gap) * len(pictures) - gap, (width + gap) * len(pictures[0]) - gap, 3), 255, np.uint8)
    for row, line in enumerate(pictures):
        for column, picture in enumerate(line):
            top, left = row * (height + gap), column * (width + gap)
            page[top : top + height, left : left + width] = picture
    cv2.imwrite(str(FOLDER / f"{name}.png"), page[..., ::-1])


def elastic() -> None:
    """Weight of the Elastic loss and slope of weight times hinge, against how much too close a triplet is."""
    excess = torch.linspace(0, 6, 121, requires_grad=True)
    weight = elastic_weight(excess)
    (slope,) = torch.autograd.grad((weight * excess).sum(), excess)
    x = excess.detach().tolist()
    series = [
        plots.Line("weight; slope if it is detached", x, weight.detach().tolist()),
        plots.Line("slope", x, slope.tolist()),
    ]
    chart(
        "elastic",
        plots.lines(
            series,
            x_label="excess = margin + hardest positive - hardest negative",
            y_label="weight, slope",
            alt="The weight rises from one half to one; the slope rises from one half above one and falls back to it.",
        ),
    )


def gem() -> None:
    """Generalised mean of a small map between its average and its maximum."""
    values = torch.tensor([0.1, 0.2, 0.4, 0.6, 1.0]).view(1, 1, 1, 5)
    p = np.linspace(1, 20, 96)
    pooled = [float(GeM(float(power))(values).detach()) for power in p]
    series = [
        plots.Line("generalised mean", p.tolist(), pooled),
        plots.Line("average", [1, 20], [float(values.mean())] * 2, dashed=True),
        plots.Line("maximum", [1, 20], [1.0, 1.0], dashed=True),
    ]
    drawn = plots.lines(
        series, x_label="p (AGW begins at 3)", y_label="pooled value", alt="From the average at p = 1 to the maximum."
    )
    chart("gem", drawn)


def cbdb() -> None:
    """The six incomplete maps of CBDB-Net."""
    parts = []
    for i in range(6):
        for stripe in range(6):
            fill = "#e2e3e0" if stripe == i else "#2557a7"
            opacity = 1 if stripe == i else 0.35 + 0.1 * stripe
            parts.append(
                f'<rect x="{10 + 68 * i}" y="{10 + 32 * stripe}" width="48" height="30" '
                f'fill="{fill}" opacity="{opacity:.2f}"/>'
            )
        parts.append(f'<text x="{34 + 68 * i}" y="222" text-anchor="middle">drop {i + 1}</text>')
    (FOLDER / "cbdb.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 420 232" role="img"><title>Six copies of a map, each '
        f"with another of six horizontal stripes at zero.</title>{STYLE}{''.join(parts)}</svg>"
    )


def course() -> None:
    """Synthetic people as the course system sees them: letterboxed to 128x128."""
    with tempfile.TemporaryDirectory() as folder:
        people = resight.datasets.load("synthetic", f"{folder}/people", identities=12, cameras=2, images_per_camera=2)
        shown = people.train.take(np.arange(6))
        pixels = Images(shown, 128, 128, how="letterbox_corner").read(np.arange(6))
    rows("course", [list(pixels)])


def saver() -> None:
    """Drawn vehicles through an autoencoder of one minute's training: input, reconstruction, residual."""
    with tempfile.TemporaryDirectory() as folder:
        vehicles = resight.datasets.load(
            "synthetic", f"{folder}/vehicles", kind="vehicle", identities=120, cameras=3, images_per_camera=2
        )
        content = {
            "name": "saver_vae",
            "data": {"name": "synthetic"},
            "model": {"name": "saver_vae", "arguments": {"widths": [16, 32, 64, 128, 128], "latent": 64}},
            "images": {"height": 64, "width": 64},
            "sampler": {"kind": "random", "batch_size": 32},
            "losses": [{"name": "vae", "kl": 0.001}],
            "phases": [{"epochs": 40, "lr": 2e-3, "weight_decay": 0, "schedule": "cosine"}],
        }
        train(recipes.parse(content), f"{folder}/run", data=vehicles)
        model = resight.load(f"{folder}/run/model.safetensors")
        drawn = steps(model, vehicles.query.take(np.arange(0, 30, 5)))
    columns = list(zip(*drawn.values(), strict=True))
    rows("saver", [list(line) for line in zip(*columns, strict=True)])


def gates() -> None:
    """Which scales the gates of OSNet let through, after training on synthetic people."""
    with tempfile.TemporaryDirectory() as folder:
        people = resight.datasets.load("synthetic", f"{folder}/people", identities=120, cameras=3)
        content = {
            "name": "osnet",
            "data": {"name": "synthetic"},
            "model": {"name": "osnet_x0_25"},
            "images": {"height": 64, "width": 32},
            "sampler": {"kind": "random", "batch_size": 32},
            "phases": [{"epochs": 12, "lr": 3e-3, "schedule": "cosine"}],
        }
        train(recipes.parse(content), f"{folder}/run", data=people)
        found = look_inside(resight.load(f"{folder}/run/model.safetensors"), people.query, images=64)
    assert found is not None and found.gates is not None
    chart("gates", found.gates)


PROMISES = ((1e-1, 0.5), (1e-2, 0.8), (1e-3, 0.9), (1e-4, 0.95), (1e-5, 0.98))  # false-match rate, coverage
DIVISIONS = 10


def promises() -> None:
    """False-match rate and coverage attained on half of Market-1501's test identities, calibrated on the other half."""
    model = resight.load("osnet_x0_25", weights=SHARED / "weights" / "osnet_x0_25_msmt17.pth")
    data = resight.datasets.load("market1501", SHARED / "data" / "Market-1501-v15.09.15.zip")
    query, gallery, _ = measure(model, data)
    found: list[list[DecisionReport]] = []  # a line for each half, an entry for each promise
    for seed in range(DIVISIONS):
        first, second = halves(query, gallery, seed)
        for known, others in ((first, second), (second, first)):
            decisions = [resight.calibrate(known, false_match_rate=fmr, coverage=held) for fmr, held in PROMISES]
            found.append([measure_decisions(decision, *others) for decision in decisions])
    for promise, reports in zip(PROMISES, zip(*found, strict=True), strict=True):
        print(promise, f"both kept on {sum(report.kept for report in reports)} of {len(reports)} halves")
    draw_promises([[one.fmr for one in line] for line in found], [[one.coverage for one in line] for line in found])


Sides = tuple[resight.Embeddings, resight.Embeddings]


def halves(query: resight.Embeddings, gallery: resight.Embeddings, seed: int) -> tuple[Sides, Sides]:
    """Query and gallery of half of the identities and of the rest, drawn at random; nobody's images are divided too."""
    rng = np.random.default_rng(seed)
    known = np.unique(query.identities)
    half = rng.permutation(known)[: len(known) // 2]
    sides = []
    for of in (query, gallery):
        mine = np.where(of.identities > 0, np.isin(of.identities, half), rng.random(len(of)) < 0.5)
        columns = (of.vectors, of.identities, of.cameras, of.paths)
        sides.append([resight.Embeddings(*(column[side] for column in columns)) for side in (mine, ~mine)])
    return (sides[0][0], sides[1][0]), (sides[0][1], sides[1][1])


Attained = list[list[Interval]]  # a line for each half, an entry for each promise


def draw_promises(rates: Attained, coverage: Attained) -> None:
    """What was attained on each half: two figures, and two tables to print."""
    draw_attained(
        "promised_rates",
        rates,
        [fmr for fmr, _ in PROMISES],
        lambda value, promised: float(np.log2(value / promised)),
        x_label="false-match rate promised by one half, in %",
        y_label="attained by the other, times that",
        y_ticks=[-2, -1, 0, 1, 2, 3],
        y_text=lambda value: f"{2**value:g}",
    )
    draw_attained(
        "promised_coverage",
        coverage,
        [held for _, held in PROMISES],
        lambda value, promised: 100 * (value - promised),
        x_label="coverage promised by one half, in %",
        y_label="attained by the other, points more",
        y_ticks=[-10, -5, 0, 5, 10, 15],
        y_text=lambda value: f"{value:+g}" if value else "0",
    )


def draw_attained(
    name: str, found: Attained, promised: list[float], change: Callable[[float, float], float], **axes: Any
) -> None:
    """The mean over all halves, the range of one half's interval (mean of its ends), and the range of all halves."""
    places = list(range(len(promised)))

    def series(text: str, *sides: list[float], dashed: bool = False) -> plots.Line:
        x, y = [], []  # there along the first side, and back along the second
        for side, step in zip(sides, (1, -1)[: len(sides)], strict=True):
            x += places[::step]
            y += [change(value, wanted) for value, wanted in zip(side, promised, strict=True)][::step]
        return plots.Line(text, x, y, dashed)

    of_each = list(zip(*found, strict=True))
    values = [[one.value for one in side] for side in of_each]
    for wanted, side, all_values in zip(promised, of_each, values, strict=True):
        within = sum(one.low <= wanted <= one.high for one in side)
        print(
            f"{wanted:g} promised: mean {np.mean(all_values):.3g}, {min(all_values):.3g} to {max(all_values):.3g}, "
            f"within the interval on {within} of {len(side)} halves"
        )
    low, high = ([float(np.mean([getattr(one, end) for one in side])) for side in of_each] for end in ("low", "high"))
    drawn = plots.lines(
        [
            series("as promised", promised, dashed=True),
            series("attained, mean", [float(np.mean(side)) for side in values]),
            series("95% interval of one half", low, high),
            series(
                f"all {len(found)} halves", [min(side) for side in values], [max(side) for side in values], dashed=True
            ),
        ],
        alt="The mean of what is attained lies at what was promised, and that lies within the intervals.",
        x_ticks=places,
        x_text=lambda at: f"{100 * promised[int(at)]:g}",
        **axes,
    )
    chart(name, drawn)


FIGURES = {draw.__name__: draw for draw in (elastic, gem, cbdb, course, saver, gates)}
BY_NAME = FIGURES | {"promises": promises}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for wanted in sys.argv[1:] or FIGURES:
        BY_NAME[wanted]()
