"""OSNet against torchreid's own network: the same keys, and with the same weights the same numbers."""

from types import ModuleType

import pytest
import torch
from torch import nn

import resight
from peers import load_file, scramble
from resight.models.registry import list_models

FILES = {"osnet_ain": "osnet_ain.py", "osnet": "osnet.py"}
PEERS = [name for name in list_models("osnet*") if not name.startswith("osnet_lct")]  # those torchreid has


def peer(name: str, num_classes: int) -> nn.Module:
    stem = next(stem for stem in FILES if name.startswith(stem))
    module: ModuleType = load_file("torchreid", f"reid/models/{FILES[stem]}")
    network: nn.Module = getattr(module, name)(num_classes=num_classes, pretrained=False, loss="triplet")
    return network


@pytest.mark.parametrize("name", PEERS)
def test_equal_keys_and_numbers(name: str) -> None:
    torch.manual_seed(0)
    theirs = peer(name, num_classes=11)
    scramble(theirs)
    ours = resight.models.create(name, num_identities=11)
    state = theirs.state_dict()
    assert set(ours.state_dict()) == set(state)
    ours.load_state_dict(state, strict=True)
    x = torch.rand(2, 3, 128, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x).embedding, theirs.eval()(x), rtol=1e-5, atol=1e-5)
        logits, features = theirs.train()(x)
        out = ours.train()(x)
    torch.testing.assert_close(out.logits[0], logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(out.features[0], features, rtol=1e-4, atol=1e-4)
    moved = ours.state_dict()
    for key, value in theirs.state_dict().items():  # batch statistics moved alike
        torch.testing.assert_close(moved[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PEERS)
def test_the_same_start(name: str) -> None:
    """Initial weights are drawn from the same distributions: per tensor, equal spread within sampling error."""
    torch.manual_seed(0)
    theirs, ours = peer(name, 1000).state_dict(), resight.models.create(name, num_identities=1000).state_dict()
    for key, value in theirs.items():
        mine, count = ours[key].double(), value.numel()
        value = value.double()
        spread = float(value.std(correction=0))
        assert float(mine.mean()) == pytest.approx(float(value.mean()), abs=10 * spread / count**0.5 + 1e-9), key
        if count >= 64:
            assert float(mine.std()) == pytest.approx(float(value.std()), rel=8 / count**0.5, abs=1e-9), key
