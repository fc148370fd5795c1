"""MixStyle: what comes out has statistics between those of two images, and nothing else changes."""

from typing import Any

import pytest
import torch
from torch import Tensor

import resight
from resight.errors import ModelError
from resight.models.layers.style import mix_style


def statistics(x: Tensor) -> Tensor:
    """(B, C, H, W) to means and deviations (B, 2C), in double."""
    x = x.double().flatten(2)
    return torch.cat((x.mean(2), x.std(2)), 1)


def test_statistics_are_a_mixture_of_two_images() -> None:
    torch.manual_seed(0)
    x = 1 + torch.rand(6, 4, 5, 3) * (0.5 + torch.rand(6, 4, 1, 1))
    out = mix_style(x, 1.0)
    before, after = statistics(x), statistics(out)
    weights = []
    for image in range(6):
        found = []
        for other in range(6):  # own share that explains every channel at once
            step = before[image] - before[other]
            if other == image:
                continue
            share = float((after[image] - before[other]) @ step / (step @ step))
            if torch.allclose(before[other] + share * step, after[image], atol=1e-5):
                found.append(share)
        assert found or torch.allclose(after[image], before[image], atol=1e-5)  # itself as the other
        assert all(-1e-4 <= share <= 1 + 1e-4 for share in found)
        weights += found
    assert any(0 < share < 1 for share in weights)
    for v, w in zip(x.flatten(0, 1).flatten(1), out.flatten(0, 1).flatten(1), strict=True):  # an affine map each
        torch.testing.assert_close((v - v.mean()) / v.std(), (w - w.mean()) / w.std(), rtol=1e-3, atol=1e-3)


def test_how_often_and_with_what_gradient() -> None:
    torch.manual_seed(0)
    x = torch.rand(4, 2, 3, 3)
    assert mix_style(x, 0.0) is x
    assert 60 < sum(mix_style(x, 0.4) is not x for _ in range(200)) < 100
    x.requires_grad_()
    out = mix_style(x, 1.0)
    out.sum().backward()
    assert x.grad is not None
    slopes = x.grad.flatten(2)  # statistics are constants: one slope per image and channel
    torch.testing.assert_close(slopes, slopes[..., :1].expand_as(slopes))


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ain_x0_25", "resnet18", "efficientnet_lite0", "mobilenet_v2"])
def test_a_network_mixes_in_training_only(name: str) -> None:
    torch.manual_seed(0)
    plain, mixing = (resight.models.create(name, **how) for how in ({}, {"mixstyle": 1.0}))
    mixing.load_state_dict(plain.state_dict(), strict=True)
    x = torch.rand(4, 3, 64, 32)
    with torch.no_grad():
        a: Any = plain.eval()(x).embedding
        assert torch.equal(mixing.eval()(x).embedding, a)
        assert not torch.allclose(mixing.train()(x).embedding, plain.train()(x).embedding, atol=1e-3)
    with pytest.raises(ModelError, match=r"mixstyle is 1\.5: a probability is in 0 to 1"):
        resight.models.create(name, mixstyle=1.5)
