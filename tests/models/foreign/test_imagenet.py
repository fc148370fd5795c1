"""ImageNet weights: found in torch's cache, checked by hash, and a plain sentence where there is no network."""

import hashlib
import warnings
from pathlib import Path

import pytest
import torch

import resight
from resight.errors import ModelError
from resight.models.foreign import imagenet
from resight.models.loading import fill


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def weights_of_18(cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """A file like torchvision's, of random numbers, under the name that its hash asks for."""
    torch.manual_seed(5)
    tensors = resight.models.create("resnet18").state_dict()
    tensors |= {"fc.weight": torch.ones(1000, 512), "fc.bias": torch.ones(1000)}
    cache.mkdir(parents=True)
    torch.save(tensors, cache / "new.pth")
    digest = hashlib.sha256((cache / "new.pth").read_bytes()).hexdigest()[:8]
    (cache / "new.pth").rename(cache / f"resnet18-{digest}.pth")
    monkeypatch.setitem(imagenet.FILES, 18, f"resnet18-{digest}.pth")
    return tensors


def test_found_in_the_cache(weights_of_18: dict[str, torch.Tensor]) -> None:
    model = resight.load("resnet18", weights="imagenet")
    assert set(model.loading.dropped) == {"fc.weight", "fc.bias"} and not model.loading.missing
    assert torch.equal(model.network.state_dict()["layer3.0.conv1.weight"], weights_of_18["layer3.0.conv1.weight"])
    with pytest.warns(UserWarning, match="resnet18 has seen nothing but ImageNet: it is no re-ID model"):
        resight.Embedder(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resight.Embedder(resight.load("resnet18"))


@pytest.mark.parametrize("name", ["agw_resnet18", "saver_resnet18", "resnet18_course"])
def test_what_a_resnet_carries_is_filled(name: str, weights_of_18: dict[str, torch.Tensor]) -> None:
    network = resight.models.create(name, num_identities=3)
    told = fill(network, "imagenet")
    assert "120 tensors used" in told and "2 dropped (fc.weight, fc.bias)" in told
    carrier = getattr(network, "backbone", network)
    assert torch.equal(carrier.layer4[1].conv2.weight, weights_of_18["layer4.1.conv2.weight"])


def test_parts_from_files_of_their_own(weights_of_18: dict[str, torch.Tensor], tmp_path: Path) -> None:
    vae = resight.models.create("saver_vae")
    resight.models.weights.save(vae.state_dict(), tmp_path / "vae.safetensors")
    network = resight.models.create("saver_resnet18", num_identities=3)
    told = fill(network, {"vae": str(tmp_path / "vae.safetensors"), "backbone": "imagenet"})
    assert told.startswith("vae: ") and "backbone: imagenet: 120 tensors used" in told
    found = network.state_dict()
    for key, value in vae.state_dict().items():
        assert torch.equal(found[key], value)
    assert torch.equal(network.backbone.conv1.weight, weights_of_18["conv1.weight"])
    with pytest.raises(ModelError, match=r"SAVER has no part 'encoder' for a\.pth: it has vae, backbone"):
        fill(network, {"encoder": "a.pth"})


def test_a_damaged_file(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / imagenet.FILES[50]).write_bytes(b"not weights")
    with pytest.raises(ModelError, match=r"is not torchvision's resnet50-0676ba61.pth .* delete it and try again"):
        resight.load("resnet50", weights="imagenet")


def test_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(ModelError, match=r"downloaded \(no route to host\): fetch https://download") as told:
        resight.load("resnet34", weights="imagenet")
    assert str(told.value).endswith("or train from random weights.")
    with pytest.raises(ModelError, match="there are no ImageNet weights for OSNet: name a weight file instead"):
        resight.load("osnet_x0_25", weights="imagenet")
