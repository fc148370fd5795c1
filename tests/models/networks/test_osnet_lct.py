"""OSNet with linear context transform: its gate by the formula, its fixed statistics, its sizes."""

import pytest
import torch
from torch.nn import functional as F

from resight.errors import ModelError
from resight.models import registry
from resight.models.networks.osnet_lct import ContextGate


def test_the_gate_is_the_papers_formula() -> None:
    gate = ContextGate(32)
    torch.nn.init.normal_(gate.w)
    torch.nn.init.normal_(gate.b)
    x = torch.randn(3, 32, 5, 4)
    z = F.group_norm(x.mean((2, 3)), 16, eps=1e-5)  # Eq. 3: over the means of each of 16 groups of channels
    expected = x * torch.sigmoid(z[:, :, None, None] * gate.w + gate.b)
    torch.testing.assert_close(gate(x), expected)


@pytest.mark.parametrize("norm", ["batch", "fixed"])
def test_fixed_statistics_stay_in_training(norm: str) -> None:
    network = registry.create("osnet_lct_x0_5", height=32, width=16, norm=norm, num_identities=3).train()
    before = network.conv5.bn.running_mean.clone()
    network(torch.randn(4, 3, 32, 16))
    assert torch.equal(network.conv5.bn.running_mean, before) == (norm == "fixed")


def test_it_is_built_for_its_images() -> None:
    network = registry.create("osnet_lct_x0_5", height=64, width=32).eval()
    assert network(torch.zeros(2, 3, 64, 32)).embedding.shape == (2, 256)
    with pytest.raises(ModelError, match="multiples of 16, not 60x32"):
        registry.create("osnet_lct_x0_5", height=60, width=32)
    with pytest.raises(ModelError, match="choose 'batch' or 'fixed'"):
        registry.create("osnet_lct_x0_5", norm="layer")
