"""Batch norms: unfolded without a change of the function, and estimated again."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import tiny
from resight.adaptation.statistics import folded, reestimate, unfold
from resight.errors import ModelError


def fold(network: nn.Module) -> nn.Module:
    """Mean 0 and variance 1 in every batch norm, with what it did in the layer before."""
    out = copy.deepcopy(network)
    for before, norm in ((out.one[0], out.one[1]), (out.two[0], out.two[1])):  # type: ignore[index]
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        with torch.no_grad():
            before.weight.mul_(factor[:, None, None, None])
            norm.bias.copy_(norm.bias - factor * norm.running_mean)
            norm.weight.fill_(1)
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
    return out


@pytest.fixture
def network() -> nn.Module:
    made = tiny.Tiny()
    torch.manual_seed(1)
    for norm in (made.one[1], made.two[1], made.end[3]):
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias)
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    return made.eval()


def test_unfolding_changes_no_embedding_and_makes_training_alike(network: nn.Module) -> None:
    torch.manual_seed(2)
    x = 2 * torch.randn(256, 3, 32, 16)
    idle = fold(network)
    with torch.no_grad():
        expected = network(x).embedding
        torch.testing.assert_close(idle(x).embedding, expected, rtol=1e-4, atol=1e-4)
        assert len(folded(idle)) == 2 and not folded(network)
        assert unfold(idle, x.split(100)) == 2 and not folded(idle)
        torch.testing.assert_close(idle(x).embedding, expected, rtol=1e-4, atol=1e-4)
        assert unfold(idle, x.split(100)) == 0
        maps = idle.two(idle.one(x))  # type: ignore[operator]
        in_training = idle.two.train()(idle.one.train()(x))  # type: ignore[operator, union-attr]
    torch.testing.assert_close(in_training, maps, rtol=1e-2, atol=1e-2)


def test_statistics_are_those_of_the_images(network: nn.Module) -> None:
    x = torch.randn(120, 3, 32, 16) * 3 + 1
    before = copy.deepcopy(network.state_dict())
    assert reestimate(network, [x[:60], x[60:]]) == 3
    with torch.no_grad():
        made = [network.one[0](part).transpose(0, 1).flatten(1) for part in (x[:60], x[60:])]  # type: ignore[index]
    norm = network.one[1]  # type: ignore[index]
    np.testing.assert_allclose(norm.running_mean, np.mean([m.mean(1).numpy() for m in made], 0), atol=1e-4)
    np.testing.assert_allclose(norm.running_var, np.mean([m.var(1).numpy() for m in made], 0), rtol=1e-3)
    same = [key for key in before if "running" not in key and "num_batches" not in key]
    assert all(torch.equal(before[key], network.state_dict()[key]) for key in same)
    assert not network.training and norm.momentum == 0.1


def test_what_has_no_statistics_is_refused(network: nn.Module) -> None:
    with pytest.raises(ModelError, match="folded"):
        reestimate(fold(network), [])
    with pytest.raises(ModelError, match="no batch normalisation"):
        reestimate(nn.Linear(2, 2), [])
