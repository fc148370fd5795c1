"""Draws the figures of the documentation that are made of formulas: python docs/figures.py"""

from pathlib import Path

import torch

from resight.report import plots
from resight.training.losses.elastic import elastic_weight

STYLE = (
    "<style>svg{font:13px system-ui,sans-serif;background:#fff}text{fill:#60666e}.grid{stroke:#e2e3e0}"
    ".axis{stroke:#60666e}.line{fill:none;stroke-width:2.2}.s0{stroke:#2557a7}.s1{stroke:#d9742b}.s2{stroke:#12844f}"
    ".dashed{stroke-dasharray:6 5}</style>"
)


def elastic() -> str:
    """Weight of the Elastic loss and slope of weight times hinge, against how much too close a triplet is."""
    excess = torch.linspace(0, 6, 121, requires_grad=True)
    weight = elastic_weight(excess)
    (slope,) = torch.autograd.grad((weight * excess).sum(), excess)
    x = excess.detach().tolist()
    return str(
        plots.lines(
            [
                plots.Line("weight", x, weight.detach().tolist()),
                plots.Line("slope of weight times excess", x, slope.tolist()),
                plots.Line("slope with the weight detached", x, weight.detach().tolist(), dashed=True),
            ],
            x_label="excess of the triplet: margin + hardest positive - hardest negative",
            y_label="weight (blue), slope (orange)",
            alt="The weight rises from one half to one; the slope rises from one half above one and falls back to it.",
        ).svg
    )


if __name__ == "__main__":
    folder = Path(__file__).parent / "figures"
    folder.mkdir(exist_ok=True)
    for draw in (elastic,):
        svg = draw().replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        head, _, body = svg.partition(">")
        (folder / f"{draw.__name__}.svg").write_text(f"{head}>{STYLE}{body}")
