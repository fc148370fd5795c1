"""OSNet with linear context transform: its gate by the formula, its fixed statistics, its sizes."""

import pytest
import torch
from torch.nn import functional as F

from resight.errors import ModelError
from resight.models import registry
from resight.models.networks.osnet_lct import ContextGate, WeightedSum


def test_the_gate_is_the_papers_formula() -> None:
    gate = ContextGate(32)
    torch.nn.init.normal_(gate.w)
    torch.nn.init.normal_(gate.b)
    x = torch.randn(3, 32, 5, 4)
    z = F.group_norm(x.mean((2, 3)), 16, eps=1e-5)  # Eq. 3: over the means of each of 16 groups of channels
    expected = x * torch.sigmoid(z[:, :, None, None] * gate.w + gate.b)
    torch.testing.assert_close(gate(x), expected)


def test_the_gate_is_computed_once_for_each_channel() -> None:
    """A runtime that joins it with the multiplication by the map would compute it once for each place."""
    with torch.autograd.profiler.profile(record_shapes=True) as seen:
        ContextGate(32)(torch.randn(3, 32, 5, 4))
    sizes = [one.input_shapes[0] for one in seen.function_events if one.name == "aten::sigmoid"]
    assert sizes == [[3, 32]]


@pytest.mark.parametrize("norm", ["batch", "fixed"])
def test_fixed_statistics_stay_in_training(norm: str) -> None:
    network = registry.create("osnet_lct_x0_5", norm=norm, num_identities=3).train()
    before = network.conv5.bn.running_mean.clone()
    network(torch.randn(4, 3, 32, 16))
    assert torch.equal(network.conv5.bn.running_mean, before) == (norm == "fixed")


def test_the_sum_over_the_map_is_a_depthwise_convolution_and_takes_other_sizes() -> None:
    pool = WeightedSum(6)
    torch.nn.init.normal_(pool.weight)
    torch.nn.init.normal_(pool.bias)
    x = torch.randn(2, 6, 16, 8)
    expected = F.conv2d(x, pool.weight, pool.bias, groups=6)[..., 0, 0]
    torch.testing.assert_close(pool(x), expected, rtol=1e-4, atol=1e-4)
    pool.weight.data[:] = torch.randn(6, 1, 1, 1)  # the same everywhere: the sum over a constant map does not change
    torch.testing.assert_close(pool(torch.ones(1, 6, 8, 4)), pool(torch.ones(1, 6, 16, 8)), rtol=1e-4, atol=1e-4)


def test_what_it_refuses() -> None:
    with pytest.raises(ModelError, match="choose 'batch' or 'fixed'"):
        registry.create("osnet_lct_x0_5", norm="layer")
