"""Learning rates and optimisers, by hand."""

import math

import pytest
import torch
from torch import nn

import resight
from resight.errors import RecipeError
from resight.training.optim import layers_of, learning_rate, optimizer, trained
from resight.training.parts import Phase


def phase(**changes: object) -> Phase:
    return Phase.model_validate({"epochs": 10, "lr": 0.1} | changes)


def test_constant_and_warm_up() -> None:
    assert learning_rate(phase(), 0) == learning_rate(phase(), 9.9) == 0.1
    slow = phase(warmup=4, warmup_factor=0.25)
    expected = {0: 0.025, 1: 0.04375, 2: 0.0625, 2.5: 0.071875, 4: 0.1, 7: 0.1}
    assert {at: pytest.approx(learning_rate(slow, at)) for at in expected} == expected


def test_bag_of_tricks() -> None:
    """Luo et al.: 3.5e-4 * (0.01 (1 - e/10) + e/10) for ten epochs, a tenth at 40, a hundredth at 70."""
    recipe = phase(epochs=120, lr=3.5e-4, schedule="multi_step", milestones=[40, 70], warmup=10, warmup_factor=0.01)
    for epoch in range(10):
        assert learning_rate(recipe, epoch) == pytest.approx(3.5e-4 * (0.01 * (1 - epoch / 10) + epoch / 10))
    expected = {10: 3.5e-4, 39.99: 3.5e-4, 40: 3.5e-5, 69.5: 3.5e-5, 70: 3.5e-6, 119: 3.5e-6}
    for at, rate in expected.items():
        assert learning_rate(recipe, at) == pytest.approx(rate)


def test_cosine() -> None:
    for start in (0, 2):
        recipe = phase(schedule="cosine", warmup=start, final_factor=0.1)
        for epoch in (start, 5, 7.5, 10):
            done = (epoch - start) / (10 - start)
            expected = 0.01 + 0.09 * 0.5 * (1 + math.cos(math.pi * done))
            assert learning_rate(recipe, epoch) == pytest.approx(expected)
    assert learning_rate(recipe, 10) == pytest.approx(0.01)
    assert learning_rate(phase(schedule="cosine"), 5) == pytest.approx(0.05)


def names(network: nn.Module, chosen: list[nn.Parameter]) -> set[str]:
    ids = {id(p) for p in chosen}
    return {name for name, p in network.named_parameters() if id(p) in ids}


def test_what_a_phase_trains() -> None:
    network = resight.models.create("osnet_x0_25", num_identities=3, head="bnneck")
    everything = frozenset(name for name, p in network.named_parameters() if p.requires_grad)
    assert "bottleneck.bias" not in everything
    assert names(network, trained(network, phase(), everything)) == everything
    some = phase(only=["classifier", "fc.1"])
    assert names(network, trained(network, some, everything)) == {"classifier.weight", "fc.1.weight", "fc.1.bias"}
    with pytest.raises(
        RecipeError, match=r"phase\.only \['clasifier'\] matches no parameter: the network has .*classifier"
    ):
        trained(network, phase(only=["clasifier"]), everything)
    with pytest.raises(RecipeError, match="matches no parameter"):
        trained(network, phase(only=["bottleneck.bias"]), everything)
    optimizer(network, some, everything)
    assert {name for name, p in network.named_parameters() if p.requires_grad} == {
        "classifier.weight",
        "fc.1.weight",
        "fc.1.bias",
    }
    optimizer(network, phase(), everything)  # and back
    assert {name for name, p in network.named_parameters() if p.requires_grad} == everything


def one_parameter(start: float) -> nn.Module:
    module = nn.Module()
    module.p = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    return module


def run(kind: str, gradients: list[float], start: float = 2.0, lr: float = 0.1, decay: float = 0.01) -> float:
    module = one_parameter(start)
    recipe = phase(optimizer=kind, lr=lr, weight_decay=decay, momentum=0.9)
    steps = optimizer(module, recipe, frozenset({"p"}))
    for gradient in gradients:
        module.p.grad = torch.tensor(gradient, dtype=torch.float64)  # type: ignore[union-attr]
        steps.step()
    return module.p.item()


GRADIENTS = [1.0, -0.5, 0.1, 0.05]


def test_sgd_by_hand() -> None:
    """Nesterov momentum 0.9, decay added to the gradient."""
    p, velocity = 2.0, None
    for gradient in GRADIENTS:
        g = gradient + 0.01 * p
        velocity = g if velocity is None else 0.9 * velocity + g
        p -= 0.1 * (g + 0.9 * velocity)
    assert run("sgd", GRADIENTS) == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize("kind", ["adam", "amsgrad", "adamw"])
def test_adam_by_hand(kind: str) -> None:
    """Betas 0.9 and 0.999, eps 1e-8; decay is added to the gradient, with AdamW it shrinks the weight instead."""
    p, m, v, largest = 2.0, 0.0, 0.0, 0.0
    for t, gradient in enumerate(GRADIENTS, start=1):
        g = gradient
        if kind == "adamw":
            p *= 1 - 0.1 * 0.01
        else:
            g += 0.01 * p
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        largest = max(largest, v)
        second = largest if kind == "amsgrad" else v
        p -= 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(second / (1 - 0.999**t)) + 1e-8)
    assert run(kind, GRADIENTS) == pytest.approx(p, rel=1e-9)


def factors(network: nn.Module, recipe: Phase) -> dict[str, tuple[float, bool]]:
    """Of each parameter the factor of its learning rate, and whether it decays."""
    names = {id(p): name for name, p in network.named_parameters()}
    groups = optimizer(network, recipe, frozenset(names.values())).param_groups
    return {names[id(p)]: (group["factor"], group["weight_decay"] > 0) for group in groups for p in group["params"]}


def test_rates_of_kinds_and_layers() -> None:
    network = resight.models.create("transreid_tiny", num_identities=3, depth=4, height=32, width=32)
    plain = factors(network, phase(weight_decay=0.01))
    assert set(plain.values()) == {(1.0, True)}
    found = factors(network, phase(weight_decay=0.01, bias_rate=2.0, layer_decay=0.5, decay_vectors=False))
    power = {"base.blocks.0.attn.qkv.weight": 4, "base.blocks.3.mlp.fc2.weight": 1}
    assert {name: found[name] for name in power} == {name: (0.5**i, True) for name, i in power.items()}
    assert found["base.patch_embed.proj.weight"] == (0.5**5, True)
    assert found["base.pos_embed"] == found["base.cls_token"] == (0.5**5, False)
    assert found["base.blocks.0.norm1.weight"] == (0.5**4, False)
    assert found["base.blocks.0.attn.qkv.bias"] == (2 * 0.5**4, False)
    assert found["base.norm.weight"] == (1.0, False) and found["classifier.weight"] == (1.0, True)
    with pytest.raises(RecipeError, match="needs a network with numbered blocks"):
        factors(resight.models.create("osnet_x0_25"), phase(layer_decay=0.9))


def test_layers_of_other_transformers() -> None:
    swin = [
        "patch.weight",
        "stages.0.blocks.0.w",
        "stages.0.blocks.1.w",
        "stages.0.downsample.w",
        "stages.1.blocks.0.w",
    ]
    assert list(layers_of([*swin, "norm3.weight"]).values()) == [0, 1, 2, 2, 3, 4]
    clip = ["v.class_embedding", "v.proj", "v.conv1.weight", "v.transformer.resblocks.0.w", "v.ln_post.weight"]
    assert list(layers_of(clip).values()) == [0, 2, 0, 1, 2]
