"""A model as an ONNX file, which ONNX Runtime and OpenVINO both read; kept in the cache folder for the next time."""

from __future__ import annotations

import copy
import hashlib
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from resight.errors import ModelError, first_line
from resight.files import atomic_path
from resight.images.cache import engines_folder
from resight.models import weights
from resight.models.model import Model

OPSET = 17
FORMAT = 2  # of the file's content: another one makes files of before unused


class Outputs(nn.Module):
    """What an exported file gives of a network's :class:`~resight.models.output.Output`: tensors, in this order."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, 3, H, W) to embeddings (B, D), and attribute logits (B, A) where the network has them."""
        output = self.network(x)
        return output.embedding if output.attributes is None else (output.embedding, output.attributes)


def example(model: Model, batch: int = 2) -> Tensor:
    """Prepared images of noise, of the model's size; the same ones each time."""
    to = model.card.preprocessing
    return torch.randn((batch, 3, to.height, to.width), generator=torch.Generator().manual_seed(0), dtype=torch.float32)


def to_onnx(model: Model, path: Path) -> None:
    """Write the model's network as ONNX: input ``images`` (batch, 3, H, W), outputs ``embedding`` and ``attributes``.

    Normalisation stays outside. Batch norms are folded into the convolutions by the exporter.

    Raises:
        ModelError: the package onnx is not installed, or ONNX has no words for what the network does.
    """
    outputs, images = Outputs(model.network), example(model)
    with torch.inference_mode():
        names = ["embedding", "attributes"][: 2 if isinstance(outputs(images), tuple) else 1]
    try:
        import onnx  # noqa: F401  # what the exporter, too, looks for

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                outputs,
                (images,),
                path,
                dynamo=False,  # the newer exporter needs one more package and ten times as long for the same graph
                opset_version=OPSET,
                input_names=["images"],
                output_names=names,
                dynamic_axes={name: {0: "batch"} for name in ("images", *names)},
            )
    except ImportError as error:
        raise ModelError(
            f"ONNX files need {error.name}, which is not installed: pip install 'resight[onnx]'."
        ) from None
    except (RuntimeError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        reason = first_line(error)[:160]
        raise ModelError(
            f"{model.card.architecture} cannot be written as ONNX ({reason}): use engine='torch' for it."
        ) from None


def identity(model: Model) -> str:
    """32 hex digits that name an ONNX file of the model with its weights as they are now."""
    parts = f"{FORMAT} {OPSET} {torch.__version__} {weights.fingerprint(model.network, model.card)}"
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def converted_path(model: Model) -> Path:
    """Where the model's ONNX file is kept, whether it is there or not."""
    return engines_folder() / f"{identity(model)}.onnx"


def converted(model: Model) -> Path:
    """The model's ONNX file in the cache folder, written there if it is not there yet.

    Raises:
        ModelError: as :func:`to_onnx`.
    """
    path = converted_path(model)
    if not path.exists():
        with atomic_path(path) as temporary:
            to_onnx(model, temporary)
    return path
