"""Draws the figures of the documentation: python docs/figures.py [NAME ...]. Nobody's picture is in them."""

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch

import resight
from resight.images.cache import Images
from resight.models.pooling import GeM
from resight.report import plots
from resight.report.inside import look_inside, steps
from resight.training import recipe as recipes
from resight.training.loop import train
from resight.training.losses.elastic import elastic_weight

FOLDER = Path(__file__).parent / "figures"
STYLE = (
    "<style>svg{font:13px system-ui,sans-serif;background:#fff}text{fill:#60666e}.grid{stroke:#e2e3e0}"
    ".axis{stroke:#60666e}.line{fill:none;stroke-width:2.2}.s0{stroke:#2557a7}.s1{stroke:#d9742b}.s2{stroke:#12844f}"
    ".s3{stroke:#8a4fb0}.dashed{stroke-dasharray:6 5}.dot{stroke:none}</style>"
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
    """Drawn people as the course system sees them: letterboxed to 128x128."""
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
    """Which scales the gates of OSNet let through, after training on drawn people."""
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


FIGURES = {draw.__name__: draw for draw in (elastic, gem, cbdb, course, saver, gates)}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for wanted in sys.argv[1:] or FIGURES:
        FIGURES[wanted]()
