"""What is particular to each system: SAVER, the course's ResNet-18, attributes, CBDB-Net and BDB."""

import numpy as np
import pytest
import torch

import resight
from resight.errors import ModelError
from resight.models.networks.dropblock import BDBNet, incomplete
from resight.models.networks.osnet import ChannelGate
from resight.models.networks.saver import VAE
from resight.models.summary import summarise

# ---- the course system


def test_the_course_network_has_the_sizes_of_its_tables() -> None:
    summary = summarise("resnet18_course")
    assert (summary.height, summary.width, summary.dim) == (128, 128, 256)
    rows = {stage.name: (stage.output, stage.parameters) for stage in summary.stages}
    expected = {
        "conv1": (64, 64, 64), "maxpool": (64, 32, 32), "layer1.0": (64, 32, 32), "layer1.1": (64, 32, 32),
        "layer2.0": (128, 16, 16), "layer2.1": (128, 16, 16), "layer3.0": (256, 8, 8), "layer3.1": (256, 8, 8),
        "layer4.0": (512, 8, 8), "layer4.1": (512, 8, 8), "avgpool": (512, 1, 1), "fc1.0": (512,), "fc2.0": (256,),
    }  # fmt: skip
    assert {name: rows[name][0] for name in expected} == expected
    assert next(stage.detail for stage in summary.stages if stage.name == "avgpool") == "average pooling 8x8"
    blocks = [rows[f"layer{stage}.{at}"][1] for stage in (1, 2, 3, 4) for at in (0, 1)]
    assert blocks == [73_984, 73_984, 230_144, 295_424, 919_040, 1_180_672, 3_673_088, 4_720_640]
    backbone = sum(count for name, (_, count) in rows.items() if not name.startswith("fc"))
    assert backbone == 11_176_512
    whole = resight.models.create("resnet18_course", num_identities=230)
    assert sum(p.numel() for p in whole.parameters()) == 11_631_142


def test_imagenet_weights_fill_the_whole_course_backbone() -> None:
    """Q5: nothing of the backbone is left out; the FC layers begin at random; torchvision's fc is discarded."""
    source = resight.models.create("resnet18").state_dict()
    source |= {"fc.weight": torch.ones(1000, 512), "fc.bias": torch.ones(1000)}
    network = resight.models.create("resnet18_course", num_identities=230)
    report = resight.models.weights.fit(network, source, source="resnet18.pth", partial=True)
    assert set(report.used) == set(source) - {"fc.weight", "fc.bias"} and not report.mismatched
    assert set(report.dropped) == {"fc.weight", "fc.bias"}
    assert {key.split(".")[0] for key in report.missing} == {"fc1", "fc2", "classifier"}


# ---- SAVER


def test_the_residual_and_the_convex_combination() -> None:
    torch.manual_seed(0)
    network = resight.models.create("saver_resnet18").eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        out = network(x)
        assert float(network.alpha) == 0.5
        residual = x - out.reconstruction
        torch.testing.assert_close(network.combine(x, out.reconstruction), 0.5 * x + 0.5 * residual)
        vector = network.backbone.maps(0.5 * x + 0.5 * residual).mean((2, 3))
        torch.testing.assert_close(out.features[0], vector, rtol=1e-4, atol=1e-5)
        network.mix.fill_(1000.0)
        assert torch.equal(network.combine(x, out.reconstruction), x)  # alpha 1: the image alone
    fixed = resight.models.create("saver_resnet18", alpha=0.0).eval()
    with torch.inference_mode():
        torch.testing.assert_close(fixed.combine(x, x), torch.zeros_like(x))
    assert "mix" not in dict(fixed.named_parameters())
    with pytest.raises(ModelError, match=r"alpha is 1.5: a convex combination needs a weight in \[0, 1\]"):
        resight.models.create("saver_resnet18", alpha=1.5)


def test_the_code_is_drawn_in_training_and_its_mean_at_test() -> None:
    torch.manual_seed(0)
    vae = VAE(widths=(4, 8), latent=3)
    x = torch.randn(2, 3, 16, 16)
    (a, mean, log_variance), (b, *_) = vae(x), vae(x)
    assert not torch.equal(a, b) and mean.shape == log_variance.shape == (2, 3, 4, 4)
    vae.eval()
    assert torch.equal(vae(x)[0], vae(x)[0])
    odd = torch.randn(1, 3, 30, 22)
    assert vae(odd)[0].shape == odd.shape


# ---- CBDB-Net, IDE+CBDB-Net, BDB


def test_each_stripe_is_dropped_once_from_top_to_bottom() -> None:
    maps = torch.rand(2, 3, 24, 8) + 1
    parts = incomplete(maps, 6)
    assert parts.shape == (6, 2, 3, 24, 8)
    for i in range(6):
        kept = np.r_[0 : 4 * i, 4 * i + 4 : 24]
        assert torch.equal(parts[i][:, :, kept], maps[:, :, kept]) and not parts[i][:, :, 4 * i : 4 * i + 4].any()
    uneven = incomplete(torch.ones(1, 1, 8, 2), 6)[:, 0, 0, :, 0]
    assert ((uneven == 0).sum(0) == 1).all() and ((uneven == 0).sum(1) >= 1).all()
    with pytest.raises(ModelError, match="a map of 4 rows cannot be divided into 6 stripes: choose 2 to 4"):
        incomplete(torch.ones(1, 1, 4, 2), 6)


def test_cbdb_shapes_at_its_own_size() -> None:
    with torch.device("meta"):
        network = resight.models.create("cbdb_resnet50", num_identities=751)
        x = torch.zeros(2, 3, 384, 128)
        assert network.backbone.maps(x).shape == (2, 2048, 24, 8)
        train, test = network.train()(x), network.eval()(x)
        both = resight.models.create("ide_cbdb_resnet50", num_identities=751)
        joint_train, joint_test = both.train()(x), both.eval()(x)
    assert [f.shape for f in train.features] == [(2, 512)] * 6 and [z.shape for z in train.logits] == [(2, 751)] * 6
    assert test.embedding.shape == (2, 512) and len(test.features) == len(test.logits) == 1
    assert [f.shape for f in joint_train.features] == [(2, 512)] * 6 + [(2, 2048)]
    assert joint_test.embedding.shape == (2, 2560) and len(joint_test.logits) == 2


@pytest.mark.parametrize("shared", [True, False])
def test_incomplete_descriptors_go_through_the_same_layers(shared: bool) -> None:
    torch.manual_seed(0)
    network = resight.models.create("cbdb_osnet_x0_25", num_identities=5, stripes=3, shared_classifier=shared, dim=32)
    for module in network.modules():  # batch statistics would couple the copies; the rest is what is tested
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    x = torch.randn(4, 3, 96, 32)
    with torch.no_grad():
        network.training = True
        out = network(x)
        maps = network.backbone.maps(x)
        for i in range(3):
            dropped = maps.clone()
            dropped[:, :, 2 * i : 2 * i + 2] = 0
            expected = network.reduction(network.resblock(dropped).mean((2, 3)))
            torch.testing.assert_close(out.features[i], expected, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(out.logits[i], network.classifier[0 if shared else i](expected))
        network.training = False
        whole = network.reduction(network.resblock(maps).mean((2, 3)))
        torch.testing.assert_close(network(x).embedding, whole, rtol=1e-4, atol=1e-5)


def test_bdb_drops_one_rectangle_for_the_whole_batch() -> None:
    torch.manual_seed(0)
    network = BDBNet("osnet_x0_25", 5)
    tops = set()
    for _ in range(60):
        dropped = network.drop(torch.ones(3, 2, 24, 8))
        rows = np.flatnonzero((dropped == 0).all(3).all(1).all(0))
        assert len(rows) == 8 and (np.diff(rows) == 1).all() and (dropped == 0).sum() == 3 * 2 * 8 * 8
        tops.add(int(rows[0]))
    assert len(tops) > 8 and min(tops) >= 0 and max(tops) <= 16
    out = network.eval()(torch.randn(2, 3, 96, 32))
    assert out.embedding.shape == (2, 1536) and [f.shape[1] for f in out.features] == [512, 1024]


# ---- attributes and OSNet's ablations


# ---- whole and parts


def test_whole_and_parts_have_their_places() -> None:
    with torch.device("meta"):
        network = resight.models.create("parts_resnet50", num_identities=751)
        x = torch.zeros(2, 3, 384, 128)
        assert network.backbone.maps(x).shape == (2, 2048, 24, 8)  # the last stage keeps its resolution
        out = network(x)
    assert out.embedding.shape == (2, 1280) and [z.shape for z in out.logits] == [(2, 751)] * 9
    assert all(one is out.logits[0] for one in out.logits[:4])  # the whole weighs as much as its four stripes
    assert [f.shape for f in out.features] == [(2, 512), (2, 256), (2, 512)]


def test_each_part_sees_its_own_rows() -> None:
    """Of a map of five rows in four stripes; what is seen is worked out again with numpy."""
    torch.manual_seed(0)
    network = resight.models.create("parts_osnet_x0_25", dims=(5, 4, 3)).eval()
    maps = torch.rand(1, 128, 5, 2)
    network.backbone.maps = lambda x: maps
    found = network(torch.zeros(1)).embedding[0].detach().numpy()
    values = maps[0].numpy()
    rows = [slice(0, 5), slice(0, 5), slice(0, 1), slice(1, 2), slice(2, 3), slice(3, 5)]
    wanted = []
    for at, (linear, norm, _) in enumerate(network.reductions):
        part = values[:, rows[at]].reshape(128, -1)
        vector = part.max(1) if at == 1 else part.mean(1)
        linear_, bias = (t.detach().numpy() for t in (linear.weight, linear.bias))
        wanted.append(np.maximum((linear_ @ vector + bias) / np.sqrt(1 + norm.eps), 0))  # batch norm as it begins
    assert [len(one) for one in wanted] == [5, 4, 3, 3, 3, 3]
    np.testing.assert_allclose(found, np.concatenate(wanted), rtol=1e-4, atol=1e-6)
    with pytest.raises(ModelError, match="a map of 3 rows cannot be divided into 4 stripes"):
        maps = maps[:, :, :3]
        network(torch.zeros(1))
    with pytest.raises(ModelError, match=r"'parts_osnet_x0_25' cannot be built with {'dims': \(5, 4\)}"):
        resight.models.create("parts_osnet_x0_25", dims=(5, 4))


def test_attribute_embeddings_are_the_outputs() -> None:
    x = torch.randn(2, 3, 64, 32)
    for kind in ("logits", "probabilities", "features"):
        torch.manual_seed(0)
        out = resight.models.create("attributes_osnet_x0_25", embedding=kind).eval()(x)
        assert out.attributes.shape == (2, 32)
        expected = {"logits": out.attributes, "probabilities": out.attributes.sigmoid(), "features": out.features[0]}
        assert torch.equal(out.embedding, expected[kind])
    with pytest.raises(ModelError, match="embedding 'sigmoid' does not exist"):
        resight.models.create("attributes_osnet_x0_25", embedding="sigmoid")


@pytest.mark.parametrize("gate", ["unified", "separate", "stream", "add", "concatenate"])
@pytest.mark.parametrize("streams", [1, 4])
def test_the_ablations_of_osnet(gate: str, streams: int) -> None:
    network = resight.models.create("osnet_x0_25", gate=gate, streams=streams)
    gates = [m for m in network.modules() if isinstance(m, ChannelGate)]
    assert len(gates) == {"unified": 6, "stream": 6, "separate": 6 * streams, "add": 0, "concatenate": 0}[gate]
    block = network.conv2[0]
    assert block.conv3.conv.in_channels == 16 * (streams if gate == "concatenate" else 1)
    x = torch.rand(2, 16, 8, 4)
    block.eval()
    inner = block.conv1(x)
    values = [getattr(block, f"conv2{at}")(inner) for at in "abcd"[:streams]]
    if gate == "stream":
        values = [v * block.gate.weights(v) for v in values]
        assert block.gate.weights(values[0]).shape == (2, 1, 1, 1)
    elif gate != "add" and gate != "concatenate":
        own = block.gate if gate == "separate" else [block.gate] * streams
        values = [
            v * g.fc2(g.fc1(v.mean((2, 3), keepdim=True)).relu()).sigmoid() for v, g in zip(values, own, strict=True)
        ]
    joined = torch.cat(values, 1) if gate == "concatenate" else torch.stack(values).sum(0)
    expected = (block.conv3(joined) + block.downsample(x)).relu()
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


def test_wrong_ablations() -> None:
    with pytest.raises(ModelError, match="OSNet has 1 to 4 streams, not 5"):
        resight.models.create("osnet_x0_25", streams=5)
    with pytest.raises(ModelError, match="gate 'none' does not exist: choose 'unified'"):
        resight.models.create("osnet_x0_25", gate="none")
