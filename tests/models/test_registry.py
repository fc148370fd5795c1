"""Every registered architecture: what holds for one holds for all, and sizes are those of the papers."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import resight
from resight.errors import ModelError
from resight.models import Model, Output, registry
from resight.models.networks import resnest, resnet
from resight.models.summary import summarise

NAMES = resight.models.list()
SIZES = {  # parameters without classifier, multiply-adds of one 256x128 image in millions (OSNet, Table 6)
    "osnet_x1_0": (2_169_508, 978.88),
    "osnet_x0_75": (1_285_754, 571.75),
    "osnet_x0_5": (630_034, 272.90),
    "osnet_x0_25": (201_864, 82.31),
    "osnet_ibn_x1_0": (2_170_532, 978.88),
    "osnet_ain_x1_0": (2_169_508, 978.88),
    "osnet_ain_x0_75": (1_285_754, 571.75),
    "osnet_ain_x0_5": (630_034, 272.90),
    "osnet_ain_x0_25": (201_864, 82.31),
}


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_all_sizes_are_known() -> None:
    assert set(NAMES) >= set(SIZES)
    assert resight.models.list("osnet_x0_*") == ["osnet_x0_25", "osnet_x0_5", "osnet_x0_75"]


@pytest.mark.parametrize("name", SIZES)
def test_parameters_and_multiply_adds(name: str) -> None:
    count, millions = SIZES[name]
    with torch.device("meta"), torch.inference_mode(), FlopCounterMode(display=False) as flops:
        network = resight.models.create(name).eval()
        network(torch.zeros(1, 3, 256, 128))
    assert parameters(network) == count
    assert round(flops.get_total_flops() / 2e6, 2) == millions


@pytest.mark.parametrize("name", NAMES)
def test_a_summary_needs_no_memory(name: str) -> None:
    """Networks are built on torch's meta device, whose numbers nothing can read."""
    found = summarise(name)
    assert found.dim > 0 and found.multiply_adds > 10 * found.parameters > 0 and found.stages and found.about


@pytest.mark.parametrize("name", ["agw_resnet18", "clipreid_vit_b16", "dinov2_small", "mobilenet_v2", "solider_tiny"])
def test_multiply_adds_are_those_that_torch_counts(name: str) -> None:
    found = summarise(name)
    with torch.device("meta"), torch.inference_mode(), FlopCounterMode(display=False) as flops:
        resight.models.create(name).eval()(torch.zeros(1, 3, found.height, found.width))
    assert found.multiply_adds == flops.get_total_flops() // 2


class Various(nn.Module):
    """Products that no network here has: attention as torch has it, other convolutions, equations, named arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.up = nn.Conv2d(3, 16, 4, stride=16), nn.ConvTranspose2d(16, 16, 2, stride=2)
        self.along = nn.Conv1d(16, 16, 3, padding=1)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.matrix = nn.Parameter(torch.ones(16, 16))

    def forward(self, x: torch.Tensor) -> Output:
        tokens = self.along(self.up(self.stem(x)).flatten(2)).transpose(1, 2)
        tokens = self.attention(tokens, tokens, tokens)[0]
        tokens = torch.einsum("btc,cd->btd", tokens, self.matrix)
        return Output(nn.functional.linear(input=tokens.mean(1), weight=self.matrix))


def test_multiply_adds_of_a_network_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.list_models()
    for known in (registry._BUILDERS, registry._INPUTS):
        monkeypatch.setitem(known, "various", None)  # taken out again

    @registry.register
    def various(num_identities: int = 0) -> nn.Module:
        """Various products."""
        return Various()

    convolutions = 16 * 8 * 16 * 3 * 4 * 4 + 16 * 8 * 16 * 16 * 4 + 512 * 16 * 16 * 3  # 512 tokens in the end
    attention = 4 * 512 * 16 * 16 + 2 * 512 * 512 * 16  # what goes in and out; by the keys, and by the values
    assert summarise("various").multiply_adds == convolutions + attention + 512 * 16 * 16 + 16 * 16


def test_every_file_that_registers_is_imported_for_it() -> None:
    """Also in a program that has imported nothing else."""
    house = Path(resight.__file__).parent
    for file in house.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if "\n@register" in text and "from resight.models.registry import register" in text:
            dotted = ".".join(("resight", *file.relative_to(house).with_suffix("").parts))
            assert dotted.startswith(f"{registry.NETWORKS}.") or dotted in registry.ELSEWHERE, dotted


def test_a_classifier_counts_as_published() -> None:
    assert parameters(resight.models.create("osnet_x1_0", num_identities=1000)) == 2_682_508


SMALL: dict[str, dict[str, Any]] = {  # arguments that make a large family small enough for tests, by prefix
    "transreid_": {"dim": 64, "depth": 2, "heads": 2, "hidden": 96, "height": 96, "width": 32},
    "pass_": {"dim": 64, "depth": 2, "heads": 2, "height": 96, "width": 32},
    "dinov2_": {"dim": 64, "depth": 2, "heads": 2, "hidden": 96, "positions": 5},
    "clipreid_vit": {"dim": 64, "depth": 2, "heads": 2, "joint": 16, "height": 96, "width": 32},
    "clipreid_rn50": {"layers": (1, 1, 1, 1), "base": 8, "heads": 4, "joint": 16, "height": 96, "width": 32},
    "solider_": {"dim": 16, "depths": (2, 2, 2, 2), "heads": (1, 2, 4, 8)},
}


def small(name: str) -> dict[str, Any]:
    return next((arguments for prefix, arguments in SMALL.items() if name.startswith(prefix)), {})


def images(name: str, count: int = 2) -> torch.Tensor:
    """Small images of the shape that the network was made for."""
    made_for = registry.preprocessing(name)
    if name.startswith("dinov2_"):
        return torch.rand(count, 3, 84, 42)
    return torch.rand(count, 3, *((64, 64) if made_for.height == made_for.width else (96, 32)))


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each architecture; all tests of one run together, since building a network takes longer than using it.

    A deep ResNet has few blocks, but as many as AGW has non-local ones, and one that begins and one that goes on.
    """
    with pytest.MonkeyPatch.context() as patch:
        for layers in (resnet.LAYERS, resnest.LAYERS):
            for depth in layers:
                patch.setitem(layers, depth, (1, 1, 1, 1) if depth == 18 else (1, 2, 3, 1))
        yield str(request.param)


@pytest.fixture(scope="module")
def model(name: str) -> Model:
    """A model of the architecture, without a classifier, in evaluation mode; no test changes it."""
    torch.manual_seed(0)
    size = {"height": 84, "width": 42} if name.startswith("dinov2_") else {}
    made = resight.load(name, **size, **small(name))
    made.network.eval()
    return made


@pytest.fixture(scope="module")
def classifying(name: str) -> nn.Module:
    """A network of the architecture that tells 7 identities apart."""
    torch.manual_seed(0)
    return resight.models.create(name, num_identities=7, **small(name))


def test_the_same_output_in_training_and_evaluation(name: str, model: Model, classifying: nn.Module) -> None:
    x = images(name)
    for width, network in ((0, copy.deepcopy(model.network)), (7, classifying)):
        dims = set()
        for training in (True, False):
            with torch.no_grad():
                out = network.train(training)(x)
            assert isinstance(out, Output)
            assert out.embedding.ndim == 2 and len(out.embedding) == 2 and out.embedding.dtype == torch.float32
            dims.add(out.embedding.shape[1])
            assert out.features and all(f.ndim == 2 and len(f) == 2 for f in out.features)
            assert bool(out.logits) == bool(width) and all(logits.shape == (2, width) for logits in out.logits)
            assert not out.logits or len(out.logits) >= len(out.features)
            assert (out.attributes is not None) == name.startswith("attributes_")
            assert (out.reconstruction is not None) == (out.latent is not None) == name.startswith("saver_")
            assert out.reconstruction is None or out.reconstruction.shape == x.shape
        assert len(dims) == 1


def test_every_parameter_is_learnt_from(name: str, classifying: nn.Module) -> None:
    torch.manual_seed(0)
    out = classifying.train()(images(name, 4))
    told = (*out.logits, *out.features, *(out.latent or ()))
    told += (out.embedding,) if name == "frame_attention" else ()  # its attention is in the length
    told += tuple(x for x in (out.attributes, out.reconstruction) if x is not None)
    sum((x * torch.randn_like(x)).sum() for x in told).backward()  # type: ignore[union-attr]
    parameters = dict(classifying.named_parameters())
    silent = [key for key, p in parameters.items() if p.requires_grad and (p.grad is None or not p.grad.any())]
    # a narrow gate may have no unit awake; a non-local block begins as the identity
    assert not [key for key in silent if not any(part in key for part in (".gate.fc", ".attention.channel", ".after."))]
    assert len([key for key in silent if ".after." not in key]) < 12
    frozen = {key for key, p in parameters.items() if not p.requires_grad}  # biases of necks among them
    unused = (
        "mask_token",
        "base.norm0",
        "base.norm1",
        "base.norm2",
        "base.semantic_embed_w.3",
        "base.semantic_embed_b.3",
    )
    assert not {key for key in frozen if not key.startswith(("bottleneck", "reduction_", *unused))}


def test_an_image_does_not_depend_on_its_batch(name: str, model: Model) -> None:
    x = images(name, 3)
    with torch.inference_mode():
        together, alone = model.network(x).embedding, model.network(x[1:2]).embedding
    assert (together[1:2] - alone).norm() < 1e-4 * alone.norm()


def test_a_reloaded_model_is_the_same_and_half_precision_is_near(name: str, model: Model, tmp_path: Path) -> None:
    if not {"height", "width"} & small(name).keys() and not name.startswith("dinov2_"):
        made_for = registry.preprocessing(name)
        assert (model.card.preprocessing.height, model.card.preprocessing.width) == (made_for.height, made_for.width)
    model.save(tmp_path / "a.safetensors")
    again = resight.load(tmp_path / "a.safetensors")
    x = images(name)
    with torch.inference_mode():
        first, second = model.network(x).embedding, again.network(x).embedding
        with torch.autocast("cpu", torch.bfloat16):
            half = model.network(x).embedding.float()
    assert torch.equal(first, second) and again.card.fingerprint == model.card.fingerprint
    assert torch.isfinite(half).all() and (half - first).norm() < 0.1 * first.norm()


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ain_x1_0", "resnet18", "bot_resnet18"])
@pytest.mark.parametrize("head", ["plain", "bnneck"])
def test_either_end(name: str, head: str) -> None:
    network = resight.models.create(name, num_identities=7, head=head)
    out = network(images(name))
    assert out.embedding.shape == (2, 512) and [tuple(f.shape) for f in out.features] == [(2, 512)]
    assert torch.equal(out.embedding, out.features[0]) == (head == "plain")
    bare: Any = resight.models.create(name, head=None)
    assert bare.maps(images(name)).shape[1] == bare.channels
    assert not hasattr(bare, "classifier")


def test_bnneck_against_plain() -> None:
    torch.manual_seed(0)
    plain = resight.models.create("osnet_x0_25", num_identities=4).eval()
    necked = resight.models.create("osnet_x0_25", num_identities=4, head="bnneck")
    keys = set(necked.state_dict()) ^ set(plain.state_dict())
    expected = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    assert keys == {"classifier.bias"} | {f"bottleneck.{key}" for key in expected}
    shared = {key: value for key, value in plain.state_dict().items() if not key.startswith("classifier")}
    necked.load_state_dict(shared, strict=False)
    x = torch.rand(8, 3, 64, 32)
    with torch.no_grad():
        ours, theirs = necked.eval()(x), plain(x)
        assert torch.equal(ours.features[0], theirs.features[0]) and theirs.embedding is theirs.features[0]
        assert torch.equal(theirs.logits[0], theirs.embedding @ plain.classifier.weight.T + plain.classifier.bias)
        trained = necked.train()(x)
    v = trained.features[0].double()
    by_hand = (v - v.mean(0)) / (v.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(trained.embedding.double(), by_hand, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(trained.logits[0], trained.embedding @ necked.classifier.weight.T)


def test_a_wrong_name_or_argument() -> None:
    with pytest.raises(ModelError, match="no model named 'osnet_x1': did you mean 'osnet_x1_0'"):
        resight.models.create("osnet_x1")
    with pytest.raises(ModelError, match=r"no model named 'zebra': known: .*osnet_x0_25"):
        resight.models.create("zebra")
    for wrong in ({"height": 1.5}, {"width": 0.0}):
        with pytest.raises(ModelError, match=r"'bdb_osnet_x0_25' cannot be built with .*are shares of the map"):
            resight.models.create("bdb_osnet_x0_25", **wrong)
    with pytest.raises(ModelError, match=r"'parts_osnet_x0_25' cannot be built with .*dims"):
        resight.models.create("parts_osnet_x0_25", dims=(512, 256, -1))
    with pytest.raises(ModelError, match=r"'osnet_x0_25' cannot be built with .*depth"):
        resight.models.create("osnet_x0_25", depth=3)
    with pytest.raises(ModelError, match=r"head 'neck' does not exist: choose 'plain' or 'bnneck'"):
        resight.models.create("osnet_x0_25", head="neck")
