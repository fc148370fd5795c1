"""fast-reid's ResNeSt (BoT-SORT's ``mot17_sbs_S50``) gives the embeddings of fast-reid's own code."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import resight
from peers import scramble
from resight.errors import ModelError
from resight.models.foreign import fastreid
from resight.models.networks.resnest import ResNeSt, SplitAttention


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    """fast-reid's file of ResNeSt; of the rest of its package, which needs more, only the layers."""
    layers = pytest.importorskip("fastreid.layers", reason="needs fastreid: pip install --no-deps fastreid")
    source = Path(layers.__file__).parents[1] / "modeling" / "backbones" / "resnest.py"
    wanted = "from fastreid.utils.checkpoint import get_unexpected_parameters_message, get_missing_parameters_message"
    text = (
        source.read_text(encoding="utf-8").replace(wanted, "").replace("from .build import", "from peer_build import")
    )

    class Registry:
        def register(self) -> object:
            return lambda function: function

    build, made = ModuleType("peer_build"), ModuleType("peer_fastreid_resnest")
    build.__dict__["BACKBONE_REGISTRY"] = Registry()
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "peer_build", build)
        exec(compile(text, str(source), "exec"), made.__dict__)
    return made


class Published(nn.Module):
    """fast-reid's ``Baseline`` with its names, as its SBS configuration builds it."""

    def __init__(self, theirs: ModuleType) -> None:
        super().__init__()
        from fastreid.layers import get_norm, pooling

        shape = {"radix": 2, "bottleneck_width": 64, "deep_stem": True, "stem_width": 32, "avg_down": True, "avd": True}
        self.backbone, self.heads = theirs.ResNeSt(1, theirs.Bottleneck, [3, 4, 6, 3], **shape), nn.Module()
        self.heads.pool_layer = pooling.GeneralizedMeanPoolingP()
        self.heads.bottleneck = nn.Sequential(get_norm("BN", 2048, bias_freeze=True))
        self.heads.weight = nn.Parameter(torch.randn(5, 2048))
        self.register_buffer("pixel_mean", torch.zeros(1, 3, 1, 1))
        self.register_buffer("pixel_std", torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.heads.bottleneck(self.heads.pool_layer(self.backbone(x)))[..., 0, 0]  # type: ignore[operator]
        return found


@pytest.fixture(scope="module")
def published(theirs: ModuleType) -> Published:
    torch.manual_seed(0)
    network = Published(theirs)
    scramble(network)
    network.pixel_mean.copy_(torch.tensor([120.0, 116.28, 103.53]).view(1, 3, 1, 1))
    network.pixel_std.copy_(torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1))
    network.heads.pool_layer.p.data.fill_(1.72)  # type: ignore[union-attr,operator]
    return network.eval()


def test_a_checkpoint_is_recognised_and_gives_its_embeddings(published: Published, tmp_path: Path) -> None:
    torch.save({"model": published.state_dict(), "iteration": 3}, tmp_path / "mot17_sbs_S50.pth")
    model = resight.load(tmp_path / "mot17_sbs_S50.pth")
    assert (
        isinstance(model.network, ResNeSt) and model.card.architecture == "fastreid_resnest" and model.card.dim == 2048
    )
    assert not model.loading.missing and model.loading.dropped == ("classifier.weight",)
    made_for = model.card.preprocessing
    assert (made_for.height, made_for.width) == (384, 128) and made_for.mean[0] == pytest.approx(120 / 255, abs=1e-6)
    unsaid = {one["name"]: one["value"] for one in model.card.unsaid}
    size = {"height": 384, "width": 128}
    assert unsaid == size | {"last_stride": 1, "dilated": True, "neck": "after", "interpolation": "bicubic"}
    x = torch.randn(2, 3, 96, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = published(x)
        found = model.network(x).embedding
    assert (wanted[0] - wanted[1]).abs().max() > 0.01
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    with pytest.raises(ModelError, match="holds a ResNeSt of fast-reid: load it by its path alone"):
        resight.load("fastreid_resnet", weights=tmp_path / "mot17_sbs_S50.pth")


def test_the_softmax_of_split_attention_by_hand() -> None:
    torch.manual_seed(0)
    layer, x = SplitAttention(8).eval(), torch.randn(2, 8, 5, 4)
    with torch.inference_mode():
        split = layer.bn0(layer.conv(x)).relu().unflatten(1, (2, 8))
        inner = layer.bn1(layer.fc1(split.sum(1).mean((2, 3), keepdim=True))).relu()
        weights = layer.fc2(inner).unflatten(1, (2, 8)).softmax(1)
        torch.testing.assert_close(layer(x), (split * weights).sum(1))


def test_a_file_of_an_earlier_version_is_not_dilated(published: Published) -> None:
    """They had non-local blocks, which the last version does not have, and no dilation."""
    tensors = published.state_dict()
    more = {
        f"backbone.NL_{stage}.{at}.g.weight": torch.ones(1) for stage, count in ((2, 2), (3, 3)) for at in range(count)
    }
    found = fastreid.recognise(tensors | more, {})
    assert found is not None and found.arguments["non_local"] == [0, 2, 3, 0] and found.arguments["dilated"] is False
    assert {"layer2.2.after.g.weight", "layer3.5.after.g.weight"} <= found.tensors.keys()
    given = fastreid.recognise(tensors, {"dilated": False, "height": 256})
    assert given is not None and given.arguments["dilated"] is False and given.preprocessing["height"] == 256


def test_a_file_that_is_not_read_says_why(published: Published, tmp_path: Path) -> None:
    tensors = {key: value for key, value in published.state_dict().items() if "backbone.layer4.2" not in key}
    torch.save(tensors, tmp_path / "a.pth")
    with pytest.raises(
        ModelError, match="not read, for its backbone is not a ResNet-18, -34, -50 or -101 or a ResNeSt"
    ):
        resight.load(tmp_path / "a.pth")
