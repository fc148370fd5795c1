"""From a name or a file to a model that is ready to embed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from resight.errors import ModelError, first_line
from resight.models import folder, hub, registry, shipped, weights
from resight.models.card import (
    IMAGENET_ONLY,
    UNTRAINED,
    About,
    Card,
    Licences,
    Preprocessing,
    is_exported,
    named,
    read_card,
)
from resight.models.exported import Exported, describe, own_card
from resight.models.foreign import families, fastreid, imagenet, lightmbn, mobilenet, openmodelzoo
from resight.models.foreign.imagenet import IMAGENET
from resight.models.model import Model
from resight.models.weights import read as read_weights
from resight.models.zoo import catalog as zoo
from resight.models.zoo.fetch import fetch
from resight.paths import expanded, reachable


def load(
    name: str | Path = shipped.DEFAULT,
    weights: str | Path | None = None,
    *,
    height: int | None = None,
    width: int | None = None,
    partial: bool = False,
    **arguments: Any,
) -> Model:
    """A trained model that comes with resight, one of your own or of the Hub's, or an architecture by name.

    Args:
        name: ``"person"`` (what ``load()`` gives) or another of :func:`resight.models.shipped.names`; the folder of a
            training run that is done; a weight file with a card; an exported model: ONNX, OpenVINO's XML or TorchScript
            (:mod:`resight.models.exported`); ``"hf:org/name"`` or ``"hf:org/name@revision"`` on the Hub
            (:mod:`resight.models.hub`); or a registered architecture (``"osnet_x0_25"``). A folder with one of these
            names is meant by ``"./person"``, or by a ``Path``, which is never a name.
        weights: a weight file for a registered architecture (safetensors, or torch with torchreid's or torchvision's
            key names), or ``"imagenet"`` for torchvision's weights of a ResNet. Without it the weights are random.
        partial: load whatever matches instead of refusing a file that does not match wholly.
        height, width: input size of a model that has no card, if not the one it was made for.
        arguments: for an architecture that has no card.

    Raises:
        ModelError: unknown name, unreadable or unfitting weights, or a checkpoint without a card.
    """
    sides: dict[str, Any] = {"height": height, "width": width}
    for side, value in sides.items():
        if value is not None and not (isinstance(value, (int, np.integer)) and value > 0):
            raise ModelError(f"{side} is {value!r}: it must be a whole number of pixels, 1 or more.")
    if weights is None and str(name).startswith(zoo.PREFIX):
        if arguments or height or width:
            raise ModelError(f"{name} is a complete model with a card: pass only its name.")
        return from_zoo(str(name))
    for given in (name, weights):
        if given is None:
            continue
        if not isinstance(given, (str, Path)):
            raise ModelError(
                f"load takes names and paths of files, not a {type(given).__name__}: save the tensors of a state dict "
                "with safetensors.torch.save_file and pass the file, or load them into resight.models.create(...)."
            )
        reachable(given, ModelError)
        if is_exported(given):
            if weights is not None or arguments or height or width:
                raise ModelError(f"{given} is a complete model, not weights for one: load it by its path alone.")
            return from_exported(given)
    name = expanded(name) if str(name).startswith("~") else name
    weights = expanded(weights) if str(weights).startswith("~") and weights is not None else weights
    known = name in registry.list_models()
    if weights is None and is_named(name):
        name = file_of(str(name))
    if weights is None and not known and str(name) and Path(name).is_dir():
        name = Path(name) / folder.WEIGHTS
        if not name.exists():
            raise ModelError(f"{name} does not exist: the run is not finished, or the folder is not a run folder.")
    file = weights if weights is not None else None if known else Path(name)
    card = None if file is None or file == IMAGENET or not Path(file).name else read_card(file)
    if card is None:
        if not known:
            if weights is None and Path(name).is_file():
                sizes = {key: value for key, value in (("height", height), ("width", width)) if value is not None}
                return from_published(name, sizes | arguments)
            if weights is None and Path(name).suffix in (".safetensors", ".pth", ".pt"):
                raise ModelError(f"{name} does not exist: check the path of the checkpoint.")
            if isinstance(name, Path) or len(Path(name).parts) > 1:
                as_text = "; an architecture is named by a str" if str(name) in registry.list_models() else ""
                raise ModelError(f"{name} does not exist: check the path{as_text}.")
            hint = registry.nearest(name, [*shipped.names(), *registry.list_models()])
            raise ModelError(f"there is no model named {name!r}, and nothing at that path: {hint}")
        made_for = registry.preprocessing(str(name))
        size: dict[str, Any] = {"height": height or made_for.height, "width": width or made_for.width}
        if str(name) == fastreid.fastreid_resnet.__name__ and file is not None:
            tensors = read_weights(file)
            if fastreid.is_resnest(tensors):
                raise ModelError(f"{file} holds a ResNeSt of fast-reid: load it by its path alone.")
            arguments = fastreid.arguments_of(tensors, str(file)) | arguments
            size |= fastreid.colours(tensors)
        card = Card(
            architecture=str(name),
            arguments=registry.size_arguments(str(name), size["height"], size["width"]) | arguments,
            preprocessing=Preprocessing(**made_for.model_dump() | size),
            trained_on=IMAGENET_ONLY if file == IMAGENET else "unknown" if file else UNTRAINED,
        )
        return _measured(from_card(card, file, partial=partial))
    if weights is not None and card.architecture != str(name):
        raise ModelError(f"{file} holds {card.architecture}, not {name}: load it under its own name.")
    if given := ", ".join(arguments | {k: v for k, v in (("height", height), ("width", width)) if v is not None}):
        raise ModelError(f"{file} has a card that says how the model is built: leave out {given}.")
    return from_card(card, file, partial=partial)


def from_zoo(name: str, progress: Callable[[int, int], None] | None = None) -> Model:
    """A public re-ID model by its name in the zoo (:mod:`resight.models.zoo.catalog`), downloaded where it is not here.

    Raises:
        ModelError: no such model, not one that embeds, or it cannot be downloaded.
    """
    entry = zoo.entry(name)
    if entry.kind != "re-id":
        raise ModelError(f"{name} is a model of kind {entry.kind}, which gives no embeddings: use it as --detector.")
    file = fetch(name, progress)
    network = Exported(file).eval()
    card = entry.card()
    known = describe(network, card.preprocessing)
    found = network.digest(card.preprocessing.model_dump_json())
    card = card.model_copy(update={"dim": known.dim, "architecture": known.architecture})
    return Model(network, card.model_copy(update={"fingerprint": named(found, card.architecture, card.arguments)}))


def from_published(file: str | Path, given: Mapping[str, Any]) -> Model:
    """The model in a checkpoint that others published, recognised by its keys and shapes.

    What the file cannot say is taken from the published code and configurations and written into the card
    (``unsaid``), each value with its source.

    Args:
        file: the checkpoint, or ``zoo:NAME``.
        given: values that override what is inferred or taken (:mod:`resight.models.foreign.families`).

    Raises:
        ModelError: unreadable, of no known family, a model with a card already, or values that do not fit.
    """
    file = file_of(str(file)) if is_named(str(file)) else file
    if Path(file).is_file() and not is_exported(file) and read_card(file) is not None:
        raise ModelError(f"{file} has a card already: use it as it is.")
    found = openmodelzoo.read(file) if is_exported(file) else families.recognise(weights.read(file), str(file), given)
    network = registry.create(found.architecture, **found.arguments).eval()
    report = weights.fit(network, found.tensors, source=str(file))
    made_for = registry.preprocessing(found.architecture).model_dump()
    card = Card(
        architecture=found.architecture,
        arguments=found.arguments,
        preprocessing=Preprocessing(**made_for | found.preprocessing),
        metric=found.metric,
        about=About(title=f"{found.family}, {Path(file).name}"),
        licences=Licences(weights=found.licence),
        unsaid=tuple(asdict(one) for one in found.unsaid),
    )
    card = card.model_copy(update={"fingerprint": weights.fingerprint(network, card)})
    return _measured(Model(network, card, replace(report, dropped=found.dropped)))


def is_named(name: str | Path) -> bool:
    """Whether this is the name of a trained model, of the Hub or bundled, and not a path."""
    return isinstance(name, str) and (name.startswith((hub.PREFIX, zoo.PREFIX)) or name in shipped.names())


def file_of(name: str) -> Path:
    """The weight file of a bundled model, or of one of the zoo or the Hub, which is fetched."""
    if name.startswith(zoo.PREFIX):
        return fetch(name)
    return hub.fetch(name) if name.startswith(hub.PREFIX) else shipped.file_of(name)


def fill(network: nn.Module, source: str | Mapping[str, str], *, partial: bool = False) -> str:
    """Put weights into a network and say what was used: a file, ``imagenet``, or one of these for each of its parts.

    Raises:
        ModelError: unreadable or unfitting weights, or no such part.
    """
    if isinstance(source, str):
        return f"{source}: {_put(network, source, partial=partial)}"
    used = []
    for part, file in source.items():
        if not hasattr(network, part):
            known = ", ".join(name for name, _ in network.named_children())
            raise ModelError(f"{type(network).__name__} has no part {part!r} for {file}: it has {known}.")
        used.append(f"{part}: {file}: {_put(getattr(network, part), file, part=part, partial=partial)}")
    return "; ".join(used)


def _put(network: nn.Module, source: str | Path, *, part: str = "", partial: bool = False) -> weights.LoadReport:
    """Fit a file, or ``imagenet``; where the network is a ``part``, the file may hold it alone or with the rest."""
    if source == IMAGENET:
        return imagenet.fill(network)
    file = file_of(str(source)) if is_named(source) else source
    tensors = openmodelzoo.read(file).tensors if is_exported(file) else weights.read(file)
    if fastreid.is_fastreid(tensors):
        if not fastreid.is_its_network(network):
            raise ModelError(
                f"{source} is a checkpoint of fast-reid: load it as fastreid_resnet, or by its path alone."
            )
        tensors = fastreid.renamed(tensors)
    if lightmbn.is_lightmbn(tensors):
        tensors = lightmbn.renamed(tensors)
    if mobilenet.is_first_code(tensors):
        tensors = mobilenet.renamed(tensors)
    own = {key.removeprefix(f"{part}."): t for key, t in tensors.items() if part and key.startswith(f"{part}.")}
    card = None if is_exported(file) else read_card(file)
    of = f"{source} ({card.architecture})" if card else str(source)
    return weights.fit(network, own or tensors, source=of, partial=partial)


def from_card(card: Card, file: str | Path | None, *, partial: bool = False) -> Model:
    """Build the network that a card describes and fill it from ``file`` (random weights if None)."""
    network = registry.create(card.architecture, **card.arguments).eval()
    report = weights.LoadReport() if file is None else _put(network, file, partial=partial)
    found = weights.fingerprint(network, card)
    if card.fingerprint and card.fingerprint != found:
        raise ModelError(
            f"{file} does not match its card (fingerprint {found}, card {card.fingerprint}): "
            "put the right pair together."
        )
    return Model(network, card.model_copy(update={"fingerprint": found}), report)


def _measured(model: Model) -> Model:
    """The model with the length of its embeddings in its card, found by embedding one empty image."""
    to = model.card.preprocessing
    with torch.random.fork_rng(devices=()), torch.inference_mode():
        try:
            dim = model.network(torch.zeros(1, 3, to.height, to.width, dtype=torch.float32)).embedding.shape[1]
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"{model.card.architecture} does not take images of {to.height}x{to.width} ({first_line(error)}): "
                "choose another height and width."
            ) from None
    return replace(model, card=model.card.model_copy(update={"dim": dim}))


def from_exported(file: str | Path) -> Model:
    """The model in an ONNX, OpenVINO or TorchScript file.

    Its fingerprint names the file's bytes and preprocessing; for a float export with the card written beside it, it is
    that of the model it was made from.

    Raises:
        ModelError: a file that cannot be used, no card, or a card that does not fit the file.
    """
    beside = read_card(file)
    network = Exported(file, output=beside.output if beside else "")
    card = beside or own_card(network)
    found = network.digest(card.preprocessing.model_dump_json())
    own = named(found, card.architecture, card.arguments)
    expected, is_its = (card.digest, found) if card.digest else (card.fingerprint, own)
    if beside and expected and expected != is_its:
        raise ModelError(
            f"{file} does not match its card (digest {is_its}, card {expected}): put the right pair together."
        )
    dim = describe(network, card.preprocessing).dim
    if dim != card.dim:
        raise ModelError(
            f"{file} gives {dim} numbers per image, but its card says {card.dim}: write dim = {dim} there."
        )
    same_as_its_model = beside is not None and card.digest == found and card.fingerprint
    return Model(network, card.model_copy(update={} if same_as_its_model else {"fingerprint": own}))
