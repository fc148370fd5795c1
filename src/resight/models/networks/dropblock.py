"""Drop parts of the feature map in training: CBDB-Net, IDE+CBDB-Net, and their parent BDB.

CBDB-Net: Tan et al., "Incomplete Descriptor Mining with Elastic Loss for Person Re-Identification", TCSVT 2021,
arXiv 2008.04010. BDB: Dai et al., "Batch DropBlock Network", ICCV 2019, arXiv 1811.07130.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from resight.models.layers import heads
from resight.models.layers.pooling import edges
from resight.models.networks.resnet import Bottleneck
from resight.models.output import Output
from resight.models.registry import carrier, register


def backbone_of(name: str, **arguments: Any) -> Any:
    """The carrier ``name`` with a total stride of 16 (T(x) is 24x8), which OSNet has anyway."""
    return carrier(name, **({} if name.startswith("osnet") else {"last_stride": 1}) | arguments)


def incomplete(maps: Tensor, stripes: int) -> Tensor:
    """(B, C, H, W) to (stripes, B, C, H, W): in copy i the i-th of the horizontal stripes is zero, top to bottom.

    The paper's are equal (24 rows); see :func:`~resight.models.layers.pooling.edges`.
    """
    row = torch.arange(maps.shape[2], device=maps.device)
    edge = torch.tensor(edges(maps.shape[2], stripes), device=maps.device)[:, None]
    kept = (row < edge[:-1]) | (row >= edge[1:])  # (stripes, H)
    return maps[None] * kept[:, None, None, :, None]


class CBDBNet(nn.Module):
    """Consecutive Batch DropBlock.

    In training every one of ``stripes`` incomplete maps goes through the same ResBlock, average pooling and reduction:
    ``features`` and ``logits`` have one entry per incomplete descriptor, top to bottom, and ``embedding`` is their
    mean. At test nothing is dropped and there is one descriptor f(x).

    Not given in the paper; we use a bottleneck block as in BDB's code for the ResBlock, linear, batch norm and ReLU for
    the reduction, batch statistics of all incomplete maps together, and one classifier for all
    (``shared_classifier=False`` gives each its own).

    Args:
        backbone: the registered network that carries it.
        stripes: m, how many stripes; 6 in the paper's figures.
        global_branch: IDE+CBDB-Net: the average of T(x) with a classifier of its own comes last in ``features`` and
            ``logits``, and is concatenated to f(x) at test.
        dim: length of the reduced descriptor.
        carrying: arguments of the backbone.
    """

    def __init__(
        self,
        backbone: str,
        num_identities: int = 0,
        *,
        stripes: int = 6,
        global_branch: bool = False,
        shared_classifier: bool = True,
        dim: int = 512,
        **carrying: Any,
    ) -> None:
        super().__init__()
        self.backbone = backbone_of(backbone, **carrying)
        channels = self.backbone.channels
        self.resblock = Bottleneck(channels, channels // 4)
        self.reduction = heads.reduction(channels, dim)
        self.stripes, self.global_branch = stripes, global_branch
        dims = [dim] * (1 if shared_classifier else stripes) + [channels] * global_branch
        self.classifier = heads.classifiers(dims, num_identities, deviation=0.001)

    def descriptor(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) to (B, dim)."""
        out: Tensor = self.reduction(self.resblock(maps).mean((2, 3)))
        return out

    def forward(self, x: Tensor) -> Output:
        maps = self.backbone.maps(x)
        whole = (maps.mean((2, 3)),) if self.global_branch else ()
        if self.training:
            parts = self.descriptor(incomplete(maps, self.stripes).flatten(0, 1)).chunk(self.stripes)
        else:
            parts = (self.descriptor(maps),)
        logits: tuple[Tensor, ...] = ()
        if self.classifier is not None:
            *own, last = self.classifier
            own = own if self.global_branch else [*own, last]
            each = own * len(parts) if len(own) == 1 else own  # at test each classifier sees the one descriptor
            seen = parts * len(own) if len(parts) == 1 else parts
            logits = tuple(classify(part) for classify, part in zip(each, seen, strict=True))
            logits += tuple(last(g) for g in whole)
        embedding = torch.cat((torch.stack(tuple(parts)).mean(0), *whole), 1)
        return Output(embedding, (*parts, *whole), logits)


class BDBNet(nn.Module):
    """Batch DropBlock, as released: a global branch, and one where a random rectangle of the whole batch is zero.

    ``features`` and ``logits`` are those of the two branches; the embedding is both, 512 + 1024 long. The rectangle
    covers ``height`` and ``width`` of the map (persons: a third of the rows, the full width).
    """

    def __init__(
        self, backbone: str, num_identities: int = 0, *, height: float = 0.33, width: float = 1.0, **carrying: Any
    ) -> None:
        super().__init__()
        if not (0 < height <= 1 and 0 < width <= 1):
            raise ValueError(f"height {height:g} and width {width:g} are shares of the map, above 0 and up to 1")
        self.backbone = backbone_of(backbone, **carrying)
        channels = self.backbone.channels
        self.global_reduction = heads.reduction(channels, 512)
        self.resblock = Bottleneck(channels, channels // 4)
        self.part_reduction = heads.reduction(channels, 1024)
        self.height, self.width = height, width
        self.classifier = heads.classifiers((512, 1024), num_identities, deviation=0.001)

    def drop(self, maps: Tensor) -> Tensor:
        """Zero one rectangle, at the same random place in all images."""
        H, W = maps.shape[2:]
        rows, columns = round(self.height * H), round(self.width * W)
        corner = torch.stack([torch.randint(0, H - rows + 1, ()), torch.randint(0, W - columns + 1, ())])
        if dist.is_initialized():  # the batch is that of all processes
            corner = corner.to(maps.device)
            dist.broadcast(corner, 0)
        top, left = corner.tolist()
        kept = maps.new_ones(H, W)
        kept[top : top + rows, left : left + columns] = 0
        return maps * kept

    def forward(self, x: Tensor) -> Output:
        maps = self.backbone.maps(x)
        whole = self.global_reduction(maps.mean((2, 3)))
        part = self.resblock(maps)
        part = self.part_reduction((self.drop(part) if self.training else part).amax((2, 3)))
        features = (whole, part)
        return Output(torch.cat(features, 1), features, heads.logits(self.classifier, features))


@register(height=384, width=128)
def cbdb_resnet50(num_identities: int = 0, **arguments: Any) -> CBDBNet:
    """CBDB-Net on ResNet-50: 6 incomplete descriptors in training, one 512-d embedding at test."""
    return CBDBNet("resnet50", num_identities, **arguments)


@register(height=384, width=128)
def ide_cbdb_resnet50(num_identities: int = 0, **arguments: Any) -> CBDBNet:
    """IDE+CBDB-Net on ResNet-50: with the global branch, 512 + 2048 entries at test."""
    return CBDBNet("resnet50", num_identities, **{"global_branch": True} | arguments)


@register(height=384, width=128)
def bdb_resnet50(num_identities: int = 0, **arguments: Any) -> BDBNet:
    """Batch DropBlock on ResNet-50, the parent of CBDB-Net: 512 + 1024 entries (Dai et al., ICCV 2019)."""
    return BDBNet("resnet50", num_identities, **arguments)


@register(height=192, width=64)
def cbdb_osnet_x0_25(num_identities: int = 0, **arguments: Any) -> CBDBNet:
    """CBDB-Net carried by OSNet x0.25, for two cores: at 192x64 its map has 12 rows."""
    return CBDBNet("osnet_x0_25", num_identities, **arguments)


@register(height=192, width=64)
def ide_cbdb_osnet_x0_25(num_identities: int = 0, **arguments: Any) -> CBDBNet:
    """IDE+CBDB-Net carried by OSNet x0.25, for two cores: 512 + 128 entries."""
    return CBDBNet("osnet_x0_25", num_identities, **{"global_branch": True} | arguments)


@register(height=192, width=64)
def bdb_osnet_x0_25(num_identities: int = 0, **arguments: Any) -> BDBNet:
    """Batch DropBlock carried by OSNet x0.25, for two cores."""
    return BDBNet("osnet_x0_25", num_identities, **arguments)
