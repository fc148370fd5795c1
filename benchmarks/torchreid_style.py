"""torchreid's training loop, as the peer of the benchmarks in this folder (``train_step.py`` describes the comparison).

Written after torchreid 0.2.5 (``reid/data``, ``reid/engine``, ``reid/optim``) without importing it, for its package
needs torchvision and more. Its network and its loss are its own files where the package is installed.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from resight import models
from resight.files import read_bytes, split_archive
from resight.models.card import IMAGENET_MEAN, IMAGENET_STD
from resight.records import Split

WORKERS = 2


def published(file: str) -> ModuleType | None:
    """One file of the installed torchreid, such as ``models/osnet.py``, without importing the package."""
    package = importlib.util.find_spec("torchreid")
    folders = (package.submodule_search_locations or []) if package else []
    for path in (Path(folder, "reid", file) for folder in folders):
        spec = importlib.util.spec_from_file_location(f"torchreid_{path.stem}", path)
        if path.is_file() and spec and spec.loader:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return None


class _Ours(nn.Module):
    """resight's network with torchreid's return values."""

    def __init__(self, name: str, identities: int) -> None:
        super().__init__()
        self.network = models.create(name, identities)

    def forward(self, x: Tensor) -> Tensor:
        output = self.network(x)
        found: Tensor = output.logits[0] if self.training else output.embedding
        return found


def network(name: str, identities: int) -> tuple[nn.Module, str]:
    """A network with random weights (logits in training, embedding in evaluation), and where its code is from."""
    module = published("models/osnet.py")
    if module and hasattr(module, name):
        return getattr(module, name)(identities, pretrained=False, loss="softmax"), "torchreid's own network"
    return _Ours(name, identities), "resight's network, for torchreid is not installed"


def criterion(identities: int) -> nn.Module:
    """Cross entropy with label smoothing 0.1."""
    module = published("losses/cross_entropy_loss.py")
    if module:
        loss: nn.Module = module.CrossEntropyLoss(identities, use_gpu=False, label_smooth=True)
        return loss
    return nn.CrossEntropyLoss(label_smoothing=0.1)


def optimizer(network: nn.Module, lr: float) -> torch.optim.Optimizer:
    """AMSGrad with the configuration's weight decay and betas."""
    return torch.optim.Adam(network.parameters(), lr=lr, weight_decay=5e-4, betas=(0.9, 0.999), amsgrad=True)


class Crops(Dataset[dict[str, Any]]):
    """Image files, each opened, resized, perhaps flipped, and normalised with Pillow and torch, one by one."""

    def __init__(self, split: Split, labels: NDArray[np.int64], height: int, width: int, *, flip: bool) -> None:
        self.items = list(zip(split.paths.tolist(), labels.tolist(), split.cameras.tolist(), strict=True))
        self.size, self.flip = (width, height), flip
        self.mean, self.std = (torch.tensor(x).view(-1, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        path, identity, camera = self.items[index]
        image = Image.open(path).convert("RGB").resize(self.size, Image.Resampling.BILINEAR)
        if self.flip and torch.rand(1) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)  # ToTensor
        x = x.sub_(self.mean).div_(self.std)
        return {"img": x, "pid": identity, "camid": camera, "impath": path, "dsetid": 0}


def loader(crops: Crops, batch_size: int, *, train: bool) -> DataLoader[dict[str, Any]]:
    """Shuffled whole batches for training (RandomSampler), all images in order otherwise."""
    return DataLoader(crops, batch_size, shuffle=train, num_workers=WORKERS, drop_last=train)


def step(network: nn.Module, loss_of: nn.Module, optimizer: torch.optim.Optimizer, batch: dict[str, Any]) -> float:
    """``forward_backward`` of its softmax engine: one update and the two numbers it reports; the loss."""
    images, identities = batch["img"], batch["pid"]
    outputs = network(images)
    loss = loss_of(outputs, identities)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    outputs.topk(1, 1, True, True)[1].t().eq(identities.view(1, -1)).float().sum().item()  # its accuracy
    return float(loss.item())


def unpack(split: Split, folder: Path) -> Split:
    """The same split as files of ``folder``, written there once, where it stands inside a zip archive."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, path in enumerate(split.paths.tolist()):
        if split_archive(path)[1]:
            file = folder / f"{index:06}{Path(path).suffix}"
            if not file.exists():
                file.write_bytes(read_bytes(path))
            path = str(file)
        paths.append(path)
    return replace(split, paths=np.array(paths, dtype=np.str_))
