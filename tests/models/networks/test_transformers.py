"""Transformer networks against outputs of the published code, and against the facts that are easy to get wrong.

``golden/*.pt`` hold, for tiny networks with random weights, what the published forward code gives. Weights and inputs
are drawn again from a seed, over the sorted keys.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import resight
from resight.errors import ModelError
from resight.models.layers.patches import grid, resize_positions
from resight.models.networks import swin, transformer
from resight.models.networks.clip import InProjAttention
from resight.models.summary import summarise

GOLDEN = Path(__file__).parent / "golden"
TINY: dict[str, Any] = {"dim": 64, "heads": 2}
JPM = TINY | {"depth": 3, "stride": 12, "jpm": True, "cameras": 6}
SWIN = {"dim": 16, "depths": (2, 2, 2, 2), "heads": (1, 2, 4, 8)}
DINO = {"dim": 64, "depth": 2, "heads": 2, "feature": "class_patches"}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "transreid_plain_256x128_s16": ("transreid_base", TINY),
    "personvit_256x128": ("transreid_base", TINY),
    "transreid_ssl_ics_256x128": ("transreid_base", TINY | {"stem": "ics"}),
    "transreid_jpm_sie_256x128_s12": ("transreid_base", JPM),
    "clipreid_vit_256x128_s16": ("clipreid_vit_b16", {"dim": 64, "heads": 2, "joint": 32}),
    "clipreid_rn50_256x128": ("clipreid_rn50", {"layers": (1, 1, 1, 1), "base": 8, "heads": 4, "joint": 32}),
    "solider_384x128": ("solider_tiny", SWIN),
}


def golden(name: str) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """State dict, inputs and the rest of a golden file, drawn as it says."""
    kept = torch.load(GOLDEN / f"{name}.pt", weights_only=True)
    weights, generator = {}, torch.Generator().manual_seed(7)
    for key, (shape, kind) in sorted(kept["tensors"].items()):
        if not getattr(torch, kind).is_floating_point:
            continue  # counters of batches
        value = torch.randn(shape, generator=generator)
        if key.endswith("running_var"):
            value = 0.5 + 0.5 * value.abs()
        elif key.endswith("gamma"):
            value = 0.8 + 0.2 * value
        elif len(shape) == 1:
            value = 1 + 0.1 * value if key.endswith("weight") else 0.1 * value
        else:
            value = value * (value[0].numel() ** -0.5 if key.endswith("weight") else 0.3)
        weights[key] = value
    inputs = {
        key: torch.randn(shape, generator=torch.Generator().manual_seed(1)) for key, shape in kept["input"].items()
    }
    return weights, inputs, kept


def depth_of(weights: dict[str, Tensor]) -> dict[str, int]:
    found = [int(key.split(".")[2]) for key in weights if key.startswith("base.blocks.")]
    return {"depth": 1 + max(found)} if found else {}


def network_of(name: str, **changes: Any) -> tuple[nn.Module, dict[str, Tensor], dict[str, Any]]:
    """The golden network with the golden weights; only classifiers and counters of batches may be left over."""
    architecture, arguments = CASES[name]
    weights, inputs, kept = golden(name)
    network = resight.models.create(architecture, **arguments | depth_of(weights) | changes).eval()
    missing, unexpected = network.load_state_dict(weights, strict=False)
    assert not [key for key in missing if not key.endswith(("num_batches_tracked", "relative_position_index"))]
    assert not [key for key in unexpected if not key.startswith(("classifier", "base.fc."))]
    return network, inputs, kept


def embed(network: nn.Module, inputs: dict[str, Tensor], kept: dict[str, Any]) -> Tensor:
    cameras = (kept["side"] or {}).get("cam")
    with torch.inference_mode():
        embedding: Tensor = network(inputs["x"], *(() if cameras is None else (cameras,))).embedding
    return embedding


@pytest.mark.parametrize("neck", ["before", "after"])
@pytest.mark.parametrize("name", CASES)
def test_equal_to_the_published_code(name: str, neck: str) -> None:
    network, inputs, kept = network_of(name, neck=neck)
    torch.testing.assert_close(embed(network, inputs, kept), kept["out"][neck], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "registers"), [("dinov2_plain", 0), ("dinov2_reg", 4)])
def test_dinov2_is_equal_to_the_published_code(name: str, registers: int) -> None:
    weights, inputs, kept = golden(name)
    network = resight.models.create("dinov2_small", registers=registers, **DINO).eval()
    missing, unexpected = network.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) <= {"mask_token"}
    for size, x in inputs.items():
        with torch.inference_mode():
            token, patches = network(x).embedding.split(64, dim=1)
        torch.testing.assert_close(token, kept["out"][f"cls_{size}"], rtol=0, atol=1e-5)
        torch.testing.assert_close(patches, kept["out"][f"patches_mean_{size}"], rtol=0, atol=1e-5)


def test_swiglu_by_hand() -> None:
    torch.manual_seed(0)
    network = resight.models.create("dinov2_small", dim=64, depth=1, feed_forward="swiglu", hidden=48)
    mlp, x = network.blocks[0].mlp, torch.randn(2, 3, 64)
    first, second = x @ mlp.w12.weight.T[:, :48] + mlp.w12.bias[:48], x @ mlp.w12.weight.T[:, 48:] + mlp.w12.bias[48:]
    expected = (first * torch.sigmoid(first) * second) @ mlp.w3.weight.T + mlp.w3.bias
    torch.testing.assert_close(mlp(x), expected)


WRONG: dict[str, tuple[str, dict[str, Any], float]] = {  # each raises no error; at least how far the output moves
    "semantic weight 1": ("solider_384x128", {"semantic_weight": 1.0}, 1.0),
    "merging in Microsoft's order": ("solider_384x128", {"merge": "quarter"}, 1.0),
    "no shift on maps of one window": ("solider_384x128", {"shift_small": False}, 0.1),
    "SIE coefficient 1": ("transreid_jpm_sie_256x128_s12", {"sie_coefficient": 1.0}, 0.5),
    "JPM shift 8": ("transreid_jpm_sie_256x128_s12", {"shift": 8}, 0.005),
}


@pytest.mark.parametrize("fact", WRONG)
def test_a_wrong_argument_moves_the_output(fact: str) -> None:
    name, change, least = WRONG[fact]
    network, inputs, kept = network_of(name, **change)
    assert (embed(network, inputs, kept) - kept["out"]["before"]).abs().max() > least


def test_a_wrong_fact_in_the_code_moves_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(name: str, **changes: Any) -> float:
        network, inputs, kept = network_of(name, **changes)
        return float((embed(network, inputs, kept) - kept["out"]["before"]).abs().max())

    with monkeypatch.context() as patched:  # semantic scaling left out
        patched.setattr(swin.F, "softplus", torch.ones_like)
        assert moved("solider_384x128") > 1
    with monkeypatch.context() as patched:
        patched.setattr(transformer, "shuffle", lambda patches, shift, groups: patches)
        assert moved("transreid_jpm_sie_256x128_s12") > 0.01
    with monkeypatch.context() as patched:
        patched.setattr("resight.models.networks.clip.QuickGelu.forward", lambda self, x: F.gelu(x))
        assert moved("clipreid_vit_256x128_s16") > 0.01
    network, inputs, kept = network_of("transreid_plain_256x128_s16")
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5
    assert (embed(network, inputs, kept) - kept["out"]["before"]).abs().max() > 1e-5
    weights, inputs, kept = golden("dinov2_plain")
    plain = resight.models.create("dinov2_small", **DINO).eval()
    plain.load_state_dict(weights, strict=False)
    by_size = "resight.models.networks.dinov2.resize_positions"
    monkeypatch.setattr(by_size, lambda *a, **k: resize_positions(*a, **k | {"offset": None}))
    with torch.inference_mode():
        token = plain(inputs["252x126"]).embedding[:, :64]
    assert (token - kept["out"]["cls_252x126"]).abs().max() > 0.01


def test_clips_attention_is_multihead_attention() -> None:
    torch.manual_seed(0)
    ours, theirs = InProjAttention(64, 4), nn.MultiheadAttention(64, 4, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 7, 64)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0], rtol=1e-5, atol=1e-6)


def test_cameras_averaged_is_the_mean_of_the_table_in_the_positions() -> None:
    torch.manual_seed(0)
    arguments = TINY | {"depth": 2, "height": 64, "width": 32}
    with_cameras = resight.models.create("transreid_base", cameras=5, **arguments).eval()
    without = resight.models.create("transreid_base", **arguments).eval()
    weights = with_cameras.state_dict()
    table = weights.pop("base.sie_embed")
    weights["base.pos_embed"] = weights["base.pos_embed"] + 3.0 * table.mean(0)
    without.load_state_dict(weights)
    x = torch.randn(3, 3, 64, 32)
    with torch.inference_mode():
        torch.testing.assert_close(with_cameras(x).embedding, without(x).embedding)
        each = torch.cat([with_cameras(x[:1], torch.tensor([camera])).embedding for camera in range(5)])
    assert (each[0] - each[1]).abs().max() > 1e-3
    with pytest.raises(ModelError, match="Camera 6 is outside the model's table of cameras 1 to 5"):
        with_cameras(x, torch.tensor([0, 1, 5]))


@pytest.mark.parametrize("stride", [16, 12])
def test_multiply_adds_by_hand(stride: int) -> None:
    """ViT-B: patches, then per block the linear layers of each token and the two products of attention."""
    rows, columns = grid(256, 128, 16, stride)
    T, D, depth = rows * columns + 1, 768, 12
    wanted = (T - 1) * 3 * 16 * 16 * D + depth * (T * 12 * D * D + 2 * T * T * D)
    found = summarise("transreid_base", arguments={"stride": stride})
    assert found.multiply_adds == wanted and round(wanted / 1e9, 1) == {16: 11.3, 12: 18.9}[stride]


def test_grids_of_the_published_sizes() -> None:
    """Tokens with the class token, as the length of published position tables."""
    sizes = {(256, 128, 16): 129, (256, 128, 12): 211, (384, 128, 16): 193, (384, 128, 12): 311, (256, 256, 16): 257}
    for (height, width, stride), tokens in (sizes | {(256, 256, 12): 442}).items():
        rows, columns = grid(height, width, 16, stride)
        assert rows * columns + 1 == tokens


def test_the_shuffle_by_hand() -> None:
    """Seven patches, shift 3: rotated left by two, the second-last once more, two halves interleaved."""
    patches = torch.arange(7.0)[None, :, None]
    assert transformer.shuffle(patches, 3, 2)[0, :, 0].tolist() == [2, 6, 3, 0, 4, 1, 5, 0]


def test_window_zones_by_loops() -> None:
    """Two places see each other if the roll did not bring them together over an edge."""
    rows, columns, size, down, right = 6, 9, 3, 1, 1
    mask = swin._mask(rows, columns, size, down, right)

    def zone(at: int, side: int, shift: int) -> int:
        return 0 if at < side - size else 1 if at < side - shift else 2

    for window, (top, left) in enumerate((t, left) for t in range(0, rows, size) for left in range(0, columns, size)):
        places = [(top + r, left + c) for r in range(size) for c in range(size)]
        for i, (r1, c1) in enumerate(places):
            for j, (r2, c2) in enumerate(places):
                same = zone(r1, rows, down) == zone(r2, rows, down) and zone(c1, columns, right) == zone(
                    c2, columns, right
                )
                assert (mask[window, i, j] == 0) == same


def test_another_size_is_refused() -> None:
    network = resight.models.create("transreid_tiny", depth=1, height=64, width=32)
    with pytest.raises(ModelError, match="images of 64x32, not 96x32"):
        network(torch.zeros(1, 3, 96, 32))
    with pytest.raises(ModelError, match="multiples of 14"):
        resight.models.create("dinov2_small", depth=1)(torch.zeros(1, 3, 256, 128))


def test_pass_by_hand() -> None:
    """The tokens of the trunk, joined by a loop; a part token is not a patch."""
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"dim": 64, "depth": 1, "height": 64, "width": 32}
    joined = resight.models.create("pass_small", joining="cat", **arguments).eval()
    mean = resight.models.create("pass_small", **arguments).eval()
    mean.base.load_state_dict(joined.base.state_dict())
    x = torch.randn(2, 3, 64, 32)
    with torch.inference_mode():
        tokens = joined.base.tokens(x)
        assert tokens.shape == (2, 1 + 3 + 8, 64)
        local = sum(tokens[:, part] for part in (1, 2, 3)) / 3
        torch.testing.assert_close(joined(x).embedding, torch.cat([tokens[:, 0], local], 1))
        torch.testing.assert_close(mean(x).embedding, (tokens[:, 0] + local) / 2)
        by_hand = joined.base.patch_embed(x) + joined.base.pos_embed
        first = [joined.base.cls_token + joined.base.cls_pos]
        first += [getattr(joined.base, f"part_token{p}") + getattr(joined.base, f"part{p}_pos") for p in (1, 2, 3)]
        by_hand = torch.cat([torch.cat(first, 1).expand(2, -1, -1), by_hand], 1)
        torch.testing.assert_close(joined.base.norm(joined.base.blocks[0](by_hand)), tokens)
