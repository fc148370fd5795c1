"""Files that other projects' trackers load themselves: their preprocessing, then the model, in one ONNX graph.

Written for the published code of both (BoxMOT's ``reid`` backends for ONNX; Ultralytics' ``trackers/bot_sort.py`` with
its ``AutoBackend``) and checked against what it says of names, metadata and preprocessing, which
``tests/embedding/export/test_trackers.py`` computes again. Neither is run in resight's tests: both need torchvision.
"""

from __future__ import annotations

import copy
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resight.errors import ModelError, RecipeError
from resight.files import atomic_path
from resight.models.card import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from resight.models.exported import Exported
from resight.models.model import Model

Tool = Literal["boxmot", "ultralytics"]
TOOLS: tuple[Tool, ...] = ("boxmot", "ultralytics")
HEIGHT, WIDTH = 256, 128  # what both give to a model of people
OPSET = 17
_NOT_IN_NAMES = ("veri", "vehicleid", "lmbn", "hacnn", "clip")  # BoxMOT chooses another input size by these


@dataclass(frozen=True)
class TrackerExport:
    """What was written.

    Attributes:
        path: the file.
        use: how the tool takes it, a line of its command line or configuration.
    """

    path: Path
    use: str


def export_for(model: Model, tool: str, output: str | Path | None = None) -> TrackerExport:
    """Write a model as an ONNX file that BoxMOT or Ultralytics loads as its re-identification network.

    - ``boxmot`` gives RGB images of 256x128, stretched, divided by 255 and normalised by ImageNet's mean and standard
      deviation. It also builds the architecture that it finds in the file's name, and drops it: the smallest is named.
    - ``ultralytics`` gives RGB images from 0 to 1, letterboxed to 256x128 on grey, of a batch and size that vary. It
      reads stride, task and names from the file's metadata.

    The graph undoes that preprocessing, resizes to the model's size where it is another, and prepares images as the
    model's card says.

    Raises:
        RecipeError: another tool, or a file name that it would misread.
        ModelError: onnx is not installed, the model is a file already, or ONNX has no words for it.
    """
    if tool not in TOOLS:
        raise RecipeError(f"There is no tool {tool!r}: choose {' or '.join(TOOLS)}.")
    if isinstance(model.network, Exported):
        raise ModelError(f"{model.network.file} is a file already: start from its weights.")
    name = f"osnet_x0_25_{model.card.architecture}_resight.onnx" if tool == "boxmot" else "resight_reid.onnx"
    path = Path(output or name)
    if path.suffix != ".onnx":
        raise RecipeError(f"{path} must end in .onnx: name it so.")
    misread = "osnet_x0_25" not in path.name or any(word in path.name.lower() for word in _NOT_IN_NAMES)
    if tool == "boxmot" and misread:
        raise RecipeError(
            f"BoxMOT would misread the name {path.name}: it must contain osnet_x0_25, and none of "
            f"{', '.join(_NOT_IN_NAMES)}."
        )
    try:
        import onnx
    except ImportError:
        raise ModelError("ONNX files need onnx, which is not installed: pip install 'resight[onnx]'.") from None
    graph = _Prepared(model.network, model.card.preprocessing, normalised=tool == "boxmot").eval()
    with atomic_path(path) as temporary:
        _to_onnx(graph, temporary, any_size=tool == "ultralytics")
        if tool == "ultralytics":
            loaded = onnx.load(temporary)
            onnx.helper.set_model_props(loaded, _metadata())
            onnx.save(loaded, str(temporary))
    use = f"boxmot track --reid {path}" if tool == "boxmot" else f"botsort.yaml: with_reid: True, model: {path}"
    return TrackerExport(path, use)


class _Prepared(nn.Module):
    """From a tool's images (B, 3, h, w) to embeddings (B, D)."""

    own_mean: Tensor
    own_std: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, to: Preprocessing, *, normalised: bool) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.to_size, self.bgr, self.scale = (to.height, to.width), to.colour == "BGR", to.scale
        own_mean, own_std = (IMAGENET_MEAN, IMAGENET_STD) if normalised else ((0.0,) * 3, (1.0,) * 3)
        for name, values in (("own_mean", own_mean), ("own_std", own_std), ("mean", to.mean), ("std", to.std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.own_std + self.own_mean  # RGB from 0 to 1
        x = F.interpolate(x, self.to_size, mode="bilinear", align_corners=False)
        if self.bgr:
            x = x.flip(1)
        embedding: Tensor = self.network((x * 255 / self.scale - self.mean) / self.std).embedding
        return embedding


def _to_onnx(graph: nn.Module, path: Path, *, any_size: bool) -> None:
    axes: dict[str, dict[int, str]] = {"images": {0: "batch"}, "embedding": {0: "batch"}}
    if any_size:
        axes["images"] |= {2: "height", 3: "width"}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            (torch.rand(2, 3, HEIGHT, WIDTH),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["embedding"],
            dynamic_axes=axes,
        )


def _metadata() -> dict[str, str]:
    """What Ultralytics' ``AutoBackend`` reads of an ONNX file; text that it evaluates."""
    plain: dict[str, Any] = {
        "stride": 32,
        "task": "detect",  # letterboxes, and does not cut out the middle as for classification
        "batch": 1,
        "imgsz": [HEIGHT, WIDTH],
        "names": {0: "person"},
        "channels": 3,
        "args": {"dynamic": True, "half": False},
    }
    return {key: value if isinstance(value, str) else repr(value) for key, value in plain.items()} | {
        "description": "resight re-identification network",
        "author": "resight",
        "date": "",
        "version": "8.0.0",
        "license": json.dumps(""),
    }
