"""The ResNet family against torchreid's copy of torchvision's code, and its parts against loops."""

import numpy as np
import pytest
import torch

import resight
from peers import load_file, scramble
from resight.errors import ModelError
from resight.models.layers.attention import ChannelAttention, NonLocal, SpatialAttention
from resight.models.layers.pooling import GeM
from resight.models.networks.resnet import IBN


@pytest.mark.parametrize(("name", "last_stride"), [("resnet18", 2), ("resnet34", 2), ("resnet50", 2), ("resnet50", 1)])
def test_keys_and_numbers_equal_the_peer(name: str, last_stride: int) -> None:
    peer = load_file("torchreid", "reid/models/resnet.py")
    block, layers = {
        "resnet18": (peer.BasicBlock, [2, 2, 2, 2]),
        "resnet34": (peer.BasicBlock, [3, 4, 6, 3]),
        "resnet50": (peer.Bottleneck, [3, 4, 6, 3]),
    }[name]
    torch.manual_seed(0)
    theirs = peer.ResNet(
        num_classes=11, loss="softmax", block=block, layers=layers, last_stride=last_stride, fc_dims=None
    )
    scramble(theirs)
    ours = resight.models.create(name, num_identities=11, last_stride=last_stride)
    assert set(ours.state_dict()) == set(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 64, 32)
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(x).embedding, theirs.eval()(x), rtol=1e-4, atol=1e-4)
        ours.train(), theirs.train()
        torch.testing.assert_close(ours(x).logits[0], theirs(x), rtol=1e-3, atol=1e-3)


def test_ibn_a_equals_the_peer() -> None:
    peer = load_file("torchreid", "reid/models/resnet_ibn_a.py")
    torch.manual_seed(0)
    theirs = peer.resnet50_ibn_a(num_classes=11)
    scramble(theirs)
    ours = resight.models.create("resnet50_ibn_a", num_identities=11).eval()
    assert set(ours.state_dict()) == set(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 64, 32)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x).embedding, theirs.eval()(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "parameters"),  # torchvision's published counts without the 1000-way classifier
    [("resnet18", 11_176_512), ("resnet34", 21_284_672), ("resnet50", 23_508_032), ("resnet101", 42_500_160)],
)
def test_parameters(name: str, parameters: int) -> None:
    with torch.device("meta"):
        network = resight.models.create(name)
        with_classes = resight.models.create(name, num_identities=1000)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert sum(p.numel() for p in with_classes.parameters()) == parameters + 1000 * (with_classes.channels + 1)


def test_last_stride_doubles_the_map() -> None:
    x = torch.zeros(1, 3, 128, 64)
    sizes = [resight.models.create("resnet18", head=None, last_stride=s).maps(x).shape[2:] for s in (2, 1)]
    assert [tuple(size) for size in sizes] == [(4, 2), (8, 4)]
    with pytest.raises(ModelError, match="last_stride is 3: choose 1 or 2"):
        resight.models.create("resnet18", last_stride=3)


def test_ibn_normalises_half_by_image_and_half_by_batch() -> None:
    layer = IBN(6)
    x = 3 * torch.randn(4, 6, 5, 5) + 1
    y = layer(x)
    for image in range(4):
        for channel in range(3):
            v = x[image, channel]
            torch.testing.assert_close(
                y[image, channel], (v - v.mean()) / (v.var(correction=0) + 1e-5).sqrt(), rtol=1e-4, atol=1e-4
            )
    v = x[:, 4]
    torch.testing.assert_close(y[:, 4], (v - v.mean()) / (v.var(correction=0) + 1e-5).sqrt(), rtol=1e-4, atol=1e-4)
    network = resight.models.create("resnet18", ibn=True)
    having = [name for name, module in network.named_modules() if isinstance(module, IBN)]
    assert len(having) == 6 and not any(name.startswith("layer4") for name in having)


def test_channel_attention_by_hand() -> None:
    torch.manual_seed(0)
    layer = ChannelAttention(8, reduction=4)
    x = torch.randn(2, 8, 3, 5)
    w1, b1, w2, b2 = (p.detach().numpy() for p in layer.parameters())
    for image in range(2):
        pooled = x[image].numpy().reshape(8, -1)
        a = sum(w2 @ np.maximum(w1 @ v + b1, 0) + b2 for v in (pooled.mean(1), pooled.max(1)))
        expected = x[image].numpy() / (1 + np.exp(-a))[:, None, None]
        np.testing.assert_allclose(layer(x)[image].detach(), expected, rtol=1e-4, atol=1e-5)


def test_spatial_attention_by_hand() -> None:
    """Maximum first, then mean; 7x7 with zeros around; batch norm; sigmoid."""
    torch.manual_seed(0)
    layer = SpatialAttention().eval()
    layer.bn.running_mean.fill_(0.3)  # type: ignore[union-attr, operator]
    layer.bn.running_var.fill_(2.0)  # type: ignore[union-attr, operator]
    x = torch.randn(1, 4, 6, 5)
    both = np.stack([x[0].numpy().max(0), x[0].numpy().mean(0)])
    padded = np.pad(both, ((0, 0), (3, 3), (3, 3)))
    kernel = layer.conv.weight.detach().numpy()[0]
    out = layer(x)[0].detach().numpy()
    for row in range(6):
        for column in range(5):
            s = (padded[:, row : row + 7, column : column + 7] * kernel).sum()
            s = (s - 0.3) / np.sqrt(2.0 + 1e-5)
            np.testing.assert_allclose(
                out[:, row, column], x[0, :, row, column] / (1 + np.exp(-s)), rtol=1e-4, atol=1e-5
            )


def test_attention_stands_before_the_addition_in_every_block() -> None:
    plain = resight.models.create("resnet18").eval()
    with_attention = resight.models.create("resnet18", attention="both").eval()
    gates = [m for m in with_attention.modules() if isinstance(m, (ChannelAttention, SpatialAttention))]
    assert len(gates) == 16
    with_attention.load_state_dict(plain.state_dict(), strict=False)
    for gate in gates:  # sigmoid(large) = 1: attention that lets everything pass is no attention
        last = gate.fc2.bias if isinstance(gate, ChannelAttention) else gate.bn.bias
        last.data.fill_(100.0)
    x = torch.randn(1, 3, 64, 32)
    with torch.inference_mode():
        torch.testing.assert_close(with_attention(x).embedding, plain(x).embedding, rtol=1e-4, atol=1e-5)
    with pytest.raises(ModelError, match="attention 'cbam' does not exist"):
        resight.models.create("resnet18", attention="cbam")


def test_non_local_with_its_matrix_of_all_pairs() -> None:
    torch.manual_seed(0)
    block = NonLocal(6, inner=2).eval()
    x = torch.randn(2, 6, 3, 4)
    g, theta, phi = (conv(x).flatten(2) for conv in (block.g, block.theta, block.phi))
    for image in range(2):
        pairs = theta[image].T @ phi[image] / 12  # (N, N), row i: how much place i takes from each j
        y = (pairs @ g[image].T).T.reshape(1, 2, 3, 4)
        expected = block.bn(block.W(y)) + x[image : image + 1]
        torch.testing.assert_close(block(x)[image : image + 1], expected, rtol=1e-4, atol=1e-5)
    block.start_as_identity()
    assert torch.equal(block(x), x)


def test_agw_has_five_non_local_blocks_at_the_ends_of_the_middle_stages() -> None:
    with torch.device("meta"):
        network = resight.models.create("agw_resnet50")
    having = [name for name, module in network.named_modules() if isinstance(module, NonLocal)]
    assert having == [f"layer2.{at}.after" for at in (2, 3)] + [f"layer3.{at}.after" for at in (3, 4, 5)]
    assert network.layer3[5].after.W.in_channels == 1  # as released


@pytest.mark.parametrize("wanted", [(0, 5, 0, 0), (0, -1, 0, 0), (0, 2, 3), (0, 2.0, 3, 0)])
def test_more_non_local_blocks_than_a_stage_has_are_refused(wanted: tuple[int, ...]) -> None:
    with torch.device("meta"), pytest.raises(ModelError, match=r"whole number for each stage.*\(3, 4, 6, 3\)"):
        resight.models.create("resnet50", non_local=wanted)


def test_generalised_mean() -> None:
    x = torch.rand(2, 3, 4, 5) + 0.1
    torch.testing.assert_close(GeM(1.0)(x), x.mean((2, 3)))
    torch.testing.assert_close(GeM(200.0)(x), x.amax((2, 3)), rtol=0.03, atol=0)
    torch.testing.assert_close(GeM(3.0)(x), x.double().pow(3).mean((2, 3)).pow(1 / 3).float())
    assert torch.isfinite(GeM()(-x)).all()  # clamped from below
    with pytest.raises(ModelError, match="pooling 'mean' does not exist: choose one of average, max, gem"):
        resight.models.create("resnet18", pool="mean")
