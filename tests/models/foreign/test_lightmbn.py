"""LightMBN's checkpoints give the vectors of its published structure, put together here from torchreid's blocks."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import resight
from peers import load_file, scramble
from resight.models.foreign import lightmbn
from resight.models.networks.lightmbn import without_strongest_rows

DIM = 24


def neck(channels: int, *, reduced: bool = False) -> nn.Module:
    made = nn.Module()
    if not reduced:
        made.reduction = nn.Conv2d(channels, DIM, 1, bias=False)
    made.bn, made.classifier = nn.BatchNorm1d(DIM), nn.Linear(DIM, 5, bias=False)
    return made


class Published(nn.Module):
    """The names and the order of the published network, on torchreid's OSNet x0.25."""

    def __init__(self, *, ibn: bool = False) -> None:
        super().__init__()
        peer = load_file("torchreid", "reid/models/osnet.py")
        shape = {"blocks": [peer.OSBlock] * 3, "layers": [2] * 3, "channels": [16, 64, 96, 128]}
        osnet = peer.OSNet(5, **shape, IN=ibn)
        rest = nn.Sequential(osnet.conv3[1:], osnet.conv4, osnet.conv5)
        self.backbone = nn.Sequential(osnet.conv1, osnet.maxpool, osnet.conv2, osnet.conv3[0])
        self.global_branch, self.partial_branch, self.channel_branch = (copy.deepcopy(rest) for _ in range(3))
        for at in range(5):
            self.add_module(f"reduction_{at}", neck(128))
        self.shared = nn.Sequential(nn.Conv2d(64, DIM, 1, bias=False), nn.BatchNorm2d(DIM), nn.ReLU())
        self.reduction_ch_0, self.reduction_ch_1 = neck(DIM, reduced=True), neck(DIM, reduced=True)
        self.batch_drop_block = nn.Module()
        self.batch_drop_block.drop_batch_bottleneck = peer.OSBlock(128, 128)

    def forward(self, x: Tensor) -> Tensor:
        x = self.backbone(x)
        glo = self.batch_drop_block.drop_batch_bottleneck(self.global_branch(x))  # type: ignore[operator]
        par, cha = self.partial_branch(x), self.channel_branch(x)
        halves = F.adaptive_avg_pool2d(par, (2, 1))
        pooled = (F.adaptive_avg_pool2d(glo, 1), F.adaptive_max_pool2d(glo, 1), F.adaptive_max_pool2d(par, 1))
        reduced = [
            getattr(self, f"reduction_{at}").reduction(one)
            for at, one in enumerate((*pooled, halves[:, :, :1], halves[:, :, 1:]))
        ]
        reduced += [self.shared(half) for half in F.adaptive_avg_pool2d(cha, 1).chunk(2, 1)]
        necks = [f"reduction_{at}" for at in range(5)] + ["reduction_ch_0", "reduction_ch_1"]
        return torch.stack([getattr(self, n).bn(v.flatten(1)) for n, v in zip(necks, reduced, strict=True)], 2)


@pytest.mark.parametrize("ibn", [False, True])
def test_a_checkpoint_is_recognised_and_gives_its_vectors(ibn: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    published = Published(ibn=ibn)
    scramble(published)
    published.eval()
    torch.save({"state_dict": {f"module.{k}": v for k, v in published.state_dict().items()}}, tmp_path / "lmbn_n.pth")
    small: dict[str, Any] = {"height": 144, "width": 48}
    x = torch.randn(2, 3, 144, 48)  # nine rows: the two halves share the middle one
    with torch.inference_mode():
        wanted = published(x)
        plain = resight.load(tmp_path / "lmbn_n.pth", unit=False, **small)
        torch.testing.assert_close(plain.network(x).embedding, wanted.flatten(1), rtol=1e-5, atol=1e-5)
        model = resight.load(tmp_path / "lmbn_n.pth", **small)
        unit = wanted / wanted.norm(dim=1, keepdim=True)
        torch.testing.assert_close(model.network(x).embedding, unit.flatten(1), rtol=1e-5, atol=1e-5)
    assert model.card.architecture == "lmbn_n" and model.card.dim == 7 * DIM and not model.loading.missing
    assert model.card.arguments["scale"] == "0_25" and model.card.arguments["instance_norm"] == ibn
    assert (model.card.preprocessing.width, model.card.preprocessing.interpolation) == (48, "bilinear")
    again = resight.load("lmbn_n", weights=tmp_path / "lmbn_n.pth", scale="0_25", dim=DIM, instance_norm=ibn, **small)
    with torch.inference_mode():
        assert torch.equal(again.network(x).embedding, model.network(x).embedding)


def test_the_published_size_is_the_default() -> None:
    found = lightmbn.recognise(Published().state_dict(), {})
    assert found is not None and (found.preprocessing["height"], found.preprocessing["width"]) == (384, 128)
    assert found.arguments["unit"] is True and {one.name for one in found.unsaid} >= {"unit", "mean", "height"}


def test_the_strongest_rows_by_loops() -> None:
    maps = torch.randn(3, 4, 6, 2, generator=torch.Generator().manual_seed(0))
    found = without_strongest_rows(maps, 0.33)
    for image, kept in zip(maps, found, strict=True):
        peaks = [max(float(sum(image[c, row, col] ** 2 for c in range(4))) for col in range(2)) for row in range(6)]
        strongest = sorted(range(6), key=peaks.__getitem__)[-2:]
        for row in range(6):
            assert torch.equal(kept[:, row], torch.zeros(4, 2) if row in strongest else image[:, row])


def test_training_gives_seven_logits_and_three_features() -> None:
    network = resight.models.create("lmbn_n", num_identities=3, scale="0_25", dim=8).train()
    out = network(torch.randn(2, 3, 64, 32))
    assert len(out.logits) == 7 and len(out.features) == 3 and out.embedding.shape == (2, 56)
    torch.stack([one.sum() for one in out.logits]).sum().backward()
    missing = [name for name, value in network.named_parameters() if value.requires_grad and value.grad is None]
    assert not missing
