"""Weight files: reading them safely, fitting them to a network, and saying what was used.

safetensors and torch files (``weights_only=True``: a file can never run code). Foreign files load by their own key
names; the usual wrappers (``state_dict``, ``model``, ``teacher``) and prefixes (``module.``, ``_orig_mod.``) are
removed, and a prefix that hides the network's own names as well.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile, is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from resight.beginnings import taken_for
from resight.errors import ModelError
from resight.files import atomic_path
from resight.models import unpickle
from resight.models.card import Card, named
from resight.paths import expanded

CLASSIFIER = ("classifier", "network.classifier")  # keys that begin so are used in training only: classifier_1.weight
WRAPPERS = ("state_dict", "model", "net", "network", "model_state_dict", "teacher", "target_encoder", "module")
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and torch.compile, at any depth
BESIDE = ("n_averaged",)  # counters that averaging keeps beside the weights


@dataclass(frozen=True)
class LoadReport:
    """Which tensors of a file went where.

    Attributes:
        used: keys copied into the network.
        dropped: keys of the file that the network does not have, or has only in training (the classifier).
        missing: keys of the network that the file does not give; they keep their initial values.
        mismatched: keys of both whose shapes differ, as ``key (file shape, network shape)``; not copied.
    """

    used: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"{len(self.used)} tensors used"]
        for name in ("dropped", "missing", "mismatched"):
            keys = getattr(self, name)
            if keys:
                parts.append(f"{len(keys)} {name} ({', '.join(keys[:4])}{', ...' if len(keys) > 4 else ''})")
        return ", ".join(parts)


def read(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weight file, on the CPU, without wrappers and ``module.`` prefixes.

    Raises:
        ModelError: the file is missing, damaged, or holds no tensors or none that are plain arrays of numbers.
    """
    file = Path(expanded(path))
    if file.is_dir():
        raise ModelError(f"{file} is a folder: pass the weight file in it, such as {file / 'model.safetensors'}.")
    if not file.is_file():
        raise ModelError(f"{file} does not exist: check the path of the weights.")
    if what := other_kind(file):
        raise ModelError(f"{file} is {what}.")
    try:
        if file.suffix == ".safetensors":
            found: object = load_file(file)
        else:
            found = unpickle.load(file)
    except Exception as error:  # a damaged torch file fails in any way it likes
        raise ModelError(
            f"{file} is not a weight file that can be read safely ({unreadable(error)}): "
            "pass a .safetensors or torch state dict."
        ) from None
    while isinstance(found, Mapping):
        inner = next((found[name] for name in WRAPPERS if isinstance(found.get(name), Mapping)), None)
        if inner is None:
            break
        found = inner
    items = found.items() if isinstance(found, Mapping) else ()
    tensors = {
        _bare(key): t for key, t in items if isinstance(key, str) and isinstance(t, Tensor) and key not in BESIDE
    }
    if not tensors:
        raise ModelError(f"{file} holds no tensors: pass a state dict of a network.")
    odd = [key for key, tensor in tensors.items() if not _is_plain(tensor)]
    if odd:
        raise ModelError(
            f"{file} has tensors that are sparse, quantised, complex or without content, first {odd[0]}: save plain "
            "weights."
        )
    return tensors


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not (tensor.is_meta or tensor.is_quantized or tensor.is_complex())


def other_kind(file: Path) -> str:
    """What a file is that is no weight file, with the cure; "" where that is not known."""
    if is_zipfile(file):
        with ZipFile(file) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return f"a TorchScript file, a whole model: rename it to {file.with_suffix('.torchscript').name}"
    with file.open("rb") as start:
        return taken_for(start.read(200))


def _bare(key: str) -> str:
    while key.startswith(PREFIXES):
        key = key.partition(".")[2]
    return key


def revealed(tensors: Mapping[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """``tensors`` without the leading parts of their names that hide those of ``own``.

    A leading part (``model.``, ``base.``) is taken off where more names are then known. Some programs put it before a
    part of the names only.
    """
    found = dict(tensors)
    while True:
        known = sum(key in own for key in found)
        leading = {key.partition(".")[0] + "." for key in found if "." in key}
        tries = [{key.removeprefix(part): value for key, value in found.items()} for part in sorted(leading)]
        best = max(tries, key=lambda tried: sum(key in own for key in tried), default=found)
        if len(best) != len(found) or sum(key in own for key in best) <= known:
            return found
        found = best


def unreadable(error: Exception) -> str:
    """Why a torch or safetensors file could not be read, in a few words; torch's own advice is to trust the file."""
    if isinstance(error, pickle.UnpicklingError):
        return "it is not made of tensors alone, or not a torch file"
    if isinstance(error, (SafetensorError, OSError)):
        return str(error).splitlines()[0][:120]
    return "it is damaged or cut short"


def fit(network: nn.Module, tensors: Mapping[str, Tensor], *, source: str, partial: bool = False) -> LoadReport:
    """Copy ``tensors`` into ``network`` by name.

    The classifier and batch counters may be absent on either side; everything else must match, unless ``partial``.

    Raises:
        ModelError: nothing matches, or (without ``partial``) something is missing, left over or of another shape; or
            a weight is NaN or infinite.
    """
    own = network.state_dict()
    tensors = revealed(tensors, own)
    report = compared(tensors, own)
    if not report.used or (differing(report, own) and not partial):
        most = 2 * len(report.used) > len(tensors)
        raise ModelError(
            f"{source} does not fit {type(network).__name__}: {report}; choose the architecture it was made for"
            + (", or allow partial loading (partial=True in Python)." if most else ".")
        )
    for key in report.used:
        if not torch.isfinite(tensors[key]).all():
            raise ModelError(
                f"{source} has weights that are NaN or infinite, first in {key}: choose a checkpoint from before the "
                "training went wrong, or copy the file again."
            )
    with torch.no_grad():
        for key in report.used:
            own[key].copy_(tensors[key])
    return report


def compared(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> LoadReport:
    """Which of ``tensors`` fit those of a network by name and shape."""
    both = [key for key in tensors if key in own]
    fitting = [key for key in both if own[key].shape == tensors[key].shape]
    return LoadReport(
        tuple(fitting),
        tuple(key for key in tensors if key not in own),
        tuple(key for key in own if key not in tensors and not key.endswith("num_batches_tracked")),
        tuple(
            f"{key} {tuple(tensors[key].shape)}, {tuple(own[key].shape)}"
            for key in both
            if own[key].shape != tensors[key].shape
        ),
    )


def differing(report: LoadReport, own: Collection[str]) -> list[str]:
    """What was dropped, is missing or of another shape, apart from the classifier and the counters of batches."""
    classifiers: tuple[str, ...] = (*CLASSIFIER, "_fc.")
    if not any(key.startswith("fc.") for key in own):  # torchvision's classifier; OSNet's reduction
        classifiers += ("fc.",)
    return [
        key
        for key in (*report.dropped, *report.missing, *report.mismatched)
        if not key.startswith(classifiers) and not key.endswith("num_batches_tracked")
    ]


def save(tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Write tensors as safetensors; the old file stays until the new one is whole."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary)
        except SafetensorError as error:
            raise OSError(str(error)) from None


def fingerprint(network: nn.Module, card: Card) -> str:
    """24 hex digits that name the function from image to embedding, as it is now.

    They cover the weights (the classifier apart), and of the card preprocessing, architecture and arguments.
    """
    digest = hashlib.sha256(card.preprocessing.model_dump_json().encode())
    for key, value in sorted(network.state_dict().items()):
        if not key.startswith(CLASSIFIER) and not key.endswith("num_batches_tracked"):
            digest.update(key.encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return named(digest.hexdigest()[:16], card.architecture, card.arguments)
