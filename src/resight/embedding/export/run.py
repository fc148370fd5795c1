"""A model as one file for other programs, which is written only after it was seen to do the same."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from resight.embedding.engines.convert import Outputs, example, to_onnx
from resight.embedding.engines.make import PACKAGES, installed
from resight.embedding.export.parity import Parity, Progress, both_splits, compare
from resight.embedding.export.quantise import quantise, stages
from resight.embedding.export.samples import Samples, samples
from resight.errors import ModelError, RecipeError
from resight.files import atomic_path
from resight.images.cache import Images
from resight.images.transforms import prepare
from resight.models.card import Card, card_path, named
from resight.models.exported import Exported, describe
from resight.models.loading import from_exported
from resight.models.model import Model
from resight.models.runtimes import CARD, openvino_core

Format = Literal["onnx", "openvino", "torchscript"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".torchscript"}
FLOAT_ERROR = 1e-5  # in entries of embeddings of unit length: ten times what engines were seen to differ by
LIMIT = 0.5  # points of mAP
Tell = Callable[[str], None]
_NOTHING: tuple[str, ...] = ()


@dataclass(frozen=True)
class Export:
    """What was written: the file (its card beside it), how it compares, and which parts stayed float (8-bit only)."""

    path: Path
    parity: Parity
    kept_float: tuple[str, ...] = ()

    def numbers(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"file": str(self.path), "kept_float": list(self.kept_float)} | self.parity.numbers()


def export(
    model: Model,
    to: Format,
    output: str | Path | None = None,
    *,
    int8: bool = False,
    images: str | Path | None = None,
    limit: float = LIMIT,
    force: bool = False,
    tell: Tell = lambda _: None,
    progress: Progress | None = None,
) -> Export:
    """Write a model as ONNX, OpenVINO or TorchScript with its card, if it gives the same rankings as the model.

    Args:
        model: what :func:`resight.load` gives: a network, or an ONNX file to go on from.
        to: the format; the batch is of any size in all of them.
        output: the file, named like the format; the architecture's name in the current folder when None.
        int8: in 8-bit integers, calibrated on ``images``; OpenVINO and ONNX only.
        images: a data set or folder to compare (and calibrate) on; synthetic people when None.
        limit: points of mAP (of overlap if no image is labelled) that may be lost.
        force: write it even so.
        tell: called with a sentence on what is being done; ``progress``: with (images done, images in all).

    Returns:
        The file and the comparison. A float file keeps the model's fingerprint, since it gives its embeddings.

    Raises:
        ModelError: the comparison fails, a package is missing, or the format has no words for the model.
        RecipeError: a format, name or combination that does not exist.
    """
    path = _path(model, to, output, int8)
    with tempfile.TemporaryDirectory() as folder, samples(images) as given:
        tell(f"embedding {len(given.query) + len(given.gallery):,} images with the model itself")
        original = both_splits(model, given, progress=progress)
        card = model.card.model_copy(update={"dim": original[0].vectors.shape[1], "digest": ""})

        def judge(source: Path, name: str) -> tuple[Path, Parity]:
            """Write what is to be delivered from a float or 8-bit ONNX file, and embed with it as a user would."""
            written = _write(model, card, to, source, Path(folder) / f"{name}{SUFFIXES[to]}", int8)
            found = both_splits(from_exported(written), given)
            return written, compare(original, found, given, card.metric)

        plain, kept = Path(folder) / "plain.onnx", _NOTHING
        if to != "torchscript":
            _to_onnx(model, plain)
        if int8:
            tell(f"calibrating on {len(given.calibration):,} images")
            written, parity, kept = _search(model, plain, _pixels(model, given), judge, limit, tell)
        else:
            written, parity = judge(plain, "model")
        wrong = parity.loss > limit or (not int8 and parity.error > FLOAT_ERROR)
        if wrong and not force:
            raise ModelError(
                f"{path} was not written, for it differs too much from the model ({parity}; limit {limit:g} points): "
                "raise --limit, calibrate on more images like yours, or pass --force."
            )
        _deliver(written, path)
    return Export(path, parity, kept)


def _path(model: Model, to: Format, output: str | Path | None, int8: bool) -> Path:
    if to not in get_args(Format):
        raise RecipeError(f"There is no format {to!r}: choose {', '.join(get_args(Format))}.")
    path = Path(output or f"{model.card.architecture}{'_int8' if int8 else ''}{SUFFIXES[to]}")
    if path.suffix != SUFFIXES[to]:
        raise RecipeError(f"{path} is to be {to}, so its name must end in {SUFFIXES[to]}: name it so.")
    if int8 and to == "torchscript":
        raise RecipeError("TorchScript is written in float only: choose onnx or openvino for 8-bit integers.")
    engine = "torch" if to == "torchscript" else to
    if engine not in installed() or (int8 and "onnx" not in installed()):
        wanted = " ".join((*PACKAGES[engine], *(PACKAGES["onnx"] if int8 else ())))
        raise ModelError(f"Writing {to} needs packages that are not installed: pip install {wanted}.")
    if isinstance(model.network, Exported) and (model.network.runtime != "onnx" or to == "torchscript"):
        raise ModelError(f"{model.network.file} cannot be written as {to}: start from weights, or from ONNX.")
    return path


def _to_onnx(model: Model, path: Path) -> None:
    if isinstance(model.network, Exported):
        shutil.copyfile(model.network.file, path)
    else:
        to_onnx(model, path)


def _search(
    model: Model,
    plain: Path,
    images: NDArray[np.float32],
    judge: Callable[[Path, str], tuple[Path, Parity]],
    limit: float,
    tell: Tell,
) -> tuple[Path, Parity, tuple[str, ...]]:
    """The 8-bit model; where it loses more than ``limit``, with the parts in float again that cost it most."""
    file = plain.with_name("scratch.onnx")
    quantise(plain, file, images)
    best = (*judge(file, "int8"), _NOTHING)
    if best[1].loss <= limit:
        return best
    parts = stages(plain)
    tell(f"{best[1].loss:.2f} points are lost: seeing which of {len(parts)} parts cost most")
    wanted = _embed(plain, images)

    def error(*keep: str) -> float:
        quantise(plain, file, images, keep=keep)
        return float(np.linalg.norm(_embed(file, images) - wanted))

    errors, whole = {part: error(part) for part in parts}, error()
    parts = sorted((part for part in parts if errors[part] < whole), key=lambda part: errors[part])
    for count in range(1, len(parts) + 1):
        kept = tuple(parts[:count])
        quantise(plain, file, images, keep=kept)
        tried = (*judge(file, f"int8_{count}"), kept)
        tell(f"{tried[1].loss:.2f} points are lost with {', '.join(kept)} in float")
        if tried[1].loss < best[1].loss:
            best = tried
        if best[1].loss <= limit:
            break
    return best


def _embed(file: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = Exported(file)(torch.from_numpy(images)).embedding.numpy()
    return found


def _pixels(model: Model, given: Samples) -> NDArray[np.float32]:
    to = model.card.preprocessing
    pixels = Images(given.calibration, to).read(np.arange(len(given.calibration)))
    return prepare(torch.from_numpy(pixels), to).contiguous().numpy()


def _write(model: Model, card: Card, to: Format, source: Path, path: Path, int8: bool) -> Path:
    """The file in its format with its card inside and beside it."""
    inside = card.model_copy(update={"fingerprint": "", "threshold": None, "decision": None}).model_dump_json()
    if to == "onnx":
        import onnx

        graph = onnx.load(source)
        onnx.helper.set_model_props(graph, {CARD: inside})
        onnx.save(graph, path)
    elif to == "openvino":
        read = openvino_core().read_model(str(source))
        import openvino  # its own type hints leave out what it exports

        vino: Any = openvino
        read.set_rt_info(inside, CARD.split("."))
        vino.save_model(read, str(path), compress_to_fp16=False)
    else:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(Outputs(model.network), example(model), check_trace=False)
            torch.jit.save(traced, str(path), _extra_files={CARD: inside.encode()})
    network = Exported(path)
    update: dict[str, Any] = {"digest": network.digest(card.preprocessing.model_dump_json())}
    if int8:  # other embeddings, so what was measured and calibrated does not hold
        own = named(update["digest"], card.architecture, card.arguments)
        update |= {"fingerprint": own, "threshold": None, "decision": None, "metrics": ()}
    card.model_copy(update=update | {"dim": describe(network, card.preprocessing).dim}).save(path)
    return path


def _deliver(written: Path, path: Path) -> None:
    """Put the file, its weights if they are apart, and its card in place, each whole; the file itself comes last."""
    files = {card_path(written): card_path(path), written: path}
    if written.suffix == ".xml":
        files = {written.with_suffix(".bin"): path.with_suffix(".bin")} | files
    for source, target in files.items():
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
