"""Models in files of other runtimes: ONNX, OpenVINO and TorchScript, with the same forward as every network.

The file takes prepared images, float (B, 3, H, W), and gives embeddings (B, D): its only output, the one named
``embedding``, or the one that the card names; one named ``attributes`` is attribute logits. How images are prepared
stands on the card beside it (``<file>.card.json``), or in the file itself where :mod:`resight.embedding.export.run`
wrote it.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resight.beginnings import taken_for
from resight.engines import ENGINES
from resight.errors import ModelError
from resight.models import runtimes
from resight.models.card import Card, Preprocessing, card_path, parse_card
from resight.models.output import Output
from resight.models.runtimes import Floats, Run, making_ready, settle_torch
from resight.paths import expanded
from resight.pools import OfProcess, Pool

RUNTIMES = {engine.reads[0]: engine.name for engine in ENGINES.values()}  # by the file's ending
PIECE = 8  # images that a thread computes at a time: their maps fit into its cache


class Exported(nn.Module):
    """A file as a network in evaluation mode.

    A batch is cut into pieces of :data:`PIECE` images. Each is computed by one thread from beginning to end, as many
    side by side as there are threads: unlike threads that share each layer, they never wait for one another. One image
    alone is shared by all threads. A file for batches of one fixed size gets its pieces in that size.

    Args:
        file: ONNX, OpenVINO's XML (its ``.bin`` beside it), or TorchScript.
        runtime: the library that computes it; OpenVINO also reads ONNX.
        threads: how many; torch's number when None.
        half: compute in bfloat16 where the processor can; OpenVINO alone does.
        output: the name of the output that is the embedding; found when "", see :meth:`chosen`.

    Raises:
        ModelError: a missing or damaged file, a runtime that is not installed, or not one image input.
    """

    def __init__(
        self,
        file: str | Path,
        runtime: str | None = None,
        *,
        threads: int | None = None,
        half: bool = False,
        output: str = "",
    ) -> None:
        super().__init__()
        self.file = Path(expanded(file))
        self.runtime = runtime or RUNTIMES[self.file.suffix.lower()]
        self.threads = threads or torch.get_num_threads()
        self.in_half = half
        if half and (self.runtime == "torch" or not ENGINES[self.runtime].half):  # TorchScript: as it was exported
            raise ModelError(f"{self.file} cannot be computed in 16 bits by {self.runtime}: leave that out.")
        if not self.file.is_file():
            raise ModelError(f"{self.file} does not exist: check the path of the model.")
        weights = self.file.with_suffix(".bin")
        if self.file.suffix.lower() == ".xml" and not weights.is_file():
            raise ModelError(f"{weights} does not exist: OpenVINO's weights must be beside {self.file.name}.")
        try:
            self._opened: runtimes.Onnx | runtimes.OpenVino | runtimes.TorchScript
            self._opened = getattr(runtimes, ENGINES[self.runtime].opens)(self.file)
        except ImportError as error:
            raise ModelError(
                f"{self.file} needs {error.name}, which is not installed: pip install 'resight[{self.runtime}]'."
            ) from None
        except (RuntimeError, ValueError) as error:
            with self.file.open("rb") as start:
                what = taken_for(start.read(200))
            if what:
                raise ModelError(f"{self.file} is {what}.") from None
            raise self._unfit(f"it cannot be read ({_short(error)})") from None
        self.names, self.shape, self.output = self._opened.names, self._opened.shape, output
        if output and output not in self.names:
            raise ModelError(f"{self.file} has no output {output!r}: choose one of {', '.join(self.names)}.")
        if len(self.shape) != 4 or self.shape[1] not in (3, None):
            raise self._unfit(f"its input is {self.shape}, not images (batch, 3, height, width)")

        self._pool = Pool(self.threads, "resight-engine")
        self._side_by_side = OfProcess(lambda: self._made(self.threads))
        self._alone = OfProcess(lambda: self._made(1, alone=True))
        self.eval()

    def __reduce__(self) -> tuple[Any, ...]:
        """Opened anew where it is unpickled or copied: what runtimes hold belongs to one process."""
        return partial(Exported, threads=self.threads, half=self.in_half, output=self.output), (self.file, self.runtime)

    def _made(self, streams: int, alone: bool = False) -> Run:
        with making_ready:
            return self._opened.run(threads=self.threads, streams=streams, half=self.in_half, alone=alone)

    def forward(self, x: Tensor) -> Output:
        """(B, 3, H, W) float32 in main memory, prepared as the card says."""
        found = self.outputs(x)
        embedding = found[self.chosen(tuple(found))].flatten(1)
        return Output(embedding, (embedding,), attributes=found.get("attributes"))

    def outputs(self, x: Tensor) -> dict[str, Tensor]:
        """Everything that the file gives for (B, 3, H, W), by name."""
        settle_torch()
        images: Floats = x.detach().numpy()
        fixed = self.shape[0]
        try:
            alone = self.runtime != "torch" and len(images) == 1 and fixed in (None, 1)
            run = self._alone() if alone else self._side_by_side()  # here: the threads below could not make it ready
            if alone or self.runtime == "torch":
                found = run(np.ascontiguousarray(images))
            else:
                size = fixed or min(PIECE, -(-len(images) // self.threads))
                pieces = [images[at : at + size] for at in range(0, len(images), size)]
                parts = list(self._pool.map(lambda piece: self._padded(run, piece), pieces))
                found = [np.concatenate(part) for part in zip(*parts, strict=True)]
        except (RuntimeError, ValueError) as error:
            raise self._unfit(f"it cannot take {len(images)} images {images.shape[1:]} ({_short(error)})") from None
        # not strict: a TorchScript file does not tell how many outputs it has
        return dict(zip(self.names, map(torch.from_numpy, found), strict=False))

    def _padded(self, run: Run, images: Floats) -> list[Floats]:
        count, fixed = len(images), self.shape[0]
        if fixed and count < fixed:
            images = np.concatenate([images, np.zeros((fixed - count, *images.shape[1:]), np.float32)])
        return [part[:count] for part in run(np.ascontiguousarray(images))]

    def chosen(self, names: tuple[str, ...]) -> str:
        """Which of the outputs is the embedding: the one asked for, the only one, or the one whose name says so.

        Raises:
            ModelError: there are several, and it is not clear which.
        """
        if self.output:
            return self.output
        others = [name for name in names if name != "attributes"]
        for few in (
            [name for name in others if name == "embedding"],
            others,
            [name for name in others if "embed" in name.lower() or "feat" in name.lower()],
        ):
            if len(few) == 1:
                return few[0]
        raise ModelError(
            f"{self.file} has several outputs ({', '.join(names)}): say which is the embedding, with "
            f"resight models card {self.file} --output NAME."
        )

    def inside(self) -> str:
        """The card inside the file as JSON, or nothing."""
        return self._opened.card()

    def digest(self, preprocessing: str) -> str:
        """16 hex digits that name the file's bytes, the preprocessing, and the output where the card names one."""
        digest = hashlib.sha256(f"{preprocessing}{self.output}".encode())
        weights = self.file.with_suffix(".bin")
        for file in (self.file, weights) if self.file.suffix.lower() == ".xml" else (self.file,):
            digest.update(file.read_bytes())
        return digest.hexdigest()[:16]

    def _unfit(self, why: str) -> ModelError:
        return ModelError(f"{self.file} does not work as a re-ID model: {why}; export it again or choose another file.")


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")[:160]


def own_card(network: Exported) -> Card:
    """The card written inside a file.

    Raises:
        ModelError: there is none (the message shows one), or it is not valid.
    """
    text = network.inside()
    if text:
        return parse_card(text, str(network.file))
    height, width = network.shape[2] or 256, network.shape[3] or 128
    raise ModelError(
        f"{network.file} has no card that says how its images are prepared: write {card_path(network.file)}, such as "
        f'{{"architecture": "exported", "dim": 512, "preprocessing": {{"height": {height}, "width": {width}, '
        '"colour": "BGR", "scale": 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}}, or let '
        "resight models card write it."
    )


def describe(network: Exported, preprocessing: Preprocessing) -> Card:
    """A card for a file from elsewhere; one empty image is embedded to see how many numbers come out.

    Raises:
        ModelError: images of that size do not go in.
    """
    to, (_, _, height, width) = preprocessing, network.shape
    if (height or to.height, width or to.width) != (to.height, to.width):
        raise ModelError(
            f"{network.file} takes images of {height}x{width}, but its card says {to.height}x{to.width}: write the "
            "file's own size there."
        )
    found = network.outputs(torch.zeros(1, 3, to.height, to.width, dtype=torch.float32))
    output = network.chosen(tuple(found))
    dim = found[output].flatten(1).shape[1]
    several = len(found) > 1 and output != "embedding"
    return Card(architecture="exported", preprocessing=to, dim=dim, metric="cosine", output=output if several else "")
