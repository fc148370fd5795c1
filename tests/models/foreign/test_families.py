"""Published checkpoints are recognised in whatever they come wrapped, and give the published outputs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import resight
from models.networks.test_transformers import GOLDEN, golden
from resight.cli.main import main
from resight.errors import ModelError
from resight.models.foreign import families

HEADS = {"heads": 2}
CASES: dict[str, tuple[str, dict[str, Any]]] = {  # what has to be given: heads are width / 64 in published models
    "transreid_plain_256x128_s16": ("transreid_base", HEADS),
    "personvit_256x128": ("transreid_base", HEADS),
    "transreid_ssl_ics_256x128": ("transreid_base", HEADS),
    "transreid_jpm_sie_256x128_s12": ("transreid_base", HEADS),
    "clipreid_vit_256x128_s16": ("clipreid_vit_b16", HEADS),
    "clipreid_rn50_256x128": ("clipreid_rn50", {}),
    "solider_384x128": ("solider_tiny", {}),
}
Wrap = Callable[[dict[str, Tensor]], Any]
WRAPPINGS: dict[str, Wrap] = {
    "bare": lambda tensors: tensors,
    "state_dict": lambda tensors: {"state_dict": tensors, "epoch": 60},
    "model": lambda tensors: {"model": tensors},
    "teacher": lambda tensors: {"teacher": tensors, "student": {}},
    "module.": lambda tensors: {f"module.{key}": value for key, value in tensors.items()},
    "_orig_mod.": lambda tensors: {f"_orig_mod.{key}": value for key, value in tensors.items()},
    "Lightning": lambda tensors: {"state_dict": {f"model.{key}": value for key, value in tensors.items()}},
    "SWA": lambda tensors: {"n_averaged": torch.tensor(3)} | {f"module.{key}": value for key, value in tensors.items()},
}


def test_every_golden_file_has_a_case() -> None:
    assert {file.stem for file in GOLDEN.glob("*.pt")} == {*CASES, "dinov2_plain", "dinov2_reg"}


@pytest.mark.parametrize("name", CASES)
def test_recognised_with_the_published_outputs(name: str, tmp_path: Path) -> None:
    weights, inputs, kept = golden(name)
    torch.save(weights, tmp_path / "published.pth")
    architecture, given = CASES[name]
    model = resight.load(tmp_path / "published.pth", **given)
    assert model.card.architecture == architecture
    cameras = (kept["side"] or {}).get("cam")
    with torch.inference_mode():
        found = model.network(inputs["x"], *(() if cameras is None else (cameras,))).embedding
    torch.testing.assert_close(found, kept["out"]["before"], rtol=0, atol=1e-5)
    assert {one["name"] for one in model.card.unsaid} >= {"neck", "mean", "std"}
    again = resight.load(resight.models.save(model, tmp_path / "folder"))  # its card says it all
    with torch.inference_mode():
        assert torch.equal(again.network(inputs["x"]).embedding, model.network(inputs["x"]).embedding)


@pytest.mark.parametrize(("name", "registers"), [("dinov2_plain", 0), ("dinov2_reg", 4)])
def test_dinov2_is_recognised_with_the_published_outputs(name: str, registers: int, tmp_path: Path) -> None:
    weights, inputs, kept = golden(name)
    torch.save({"teacher": {f"backbone.{key}": value for key, value in weights.items()}}, tmp_path / "dinov2.pth")
    model = resight.load(tmp_path / "dinov2.pth", heads=2, feature="class_patches")
    assert model.card.architecture == "dinov2_small" and model.card.arguments.get("registers", 0) == registers
    assert {one["name"] for one in model.card.unsaid} >= {"heads", "feature", "height"}
    for size, x in inputs.items():
        with torch.inference_mode():
            token, patches = model.network(x).embedding.chunk(2, 1)
        torch.testing.assert_close(token, kept["out"][f"cls_{size}"], rtol=0, atol=1e-5)
        torch.testing.assert_close(patches, kept["out"][f"patches_mean_{size}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wrappings(wrapping: str, tmp_path: Path) -> None:
    weights, inputs, kept = golden("transreid_plain_256x128_s16")
    torch.save(WRAPPINGS[wrapping](weights), tmp_path / "wrapped.pth")
    model = resight.load(tmp_path / "wrapped.pth", heads=2)
    with torch.inference_mode():
        torch.testing.assert_close(model.network(inputs["x"]).embedding, kept["out"]["before"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_in_safetensors(kind: torch.dtype, tmp_path: Path) -> None:
    weights, inputs, kept = golden("personvit_256x128")
    save_file({key: value.to(kind) for key, value in weights.items()}, tmp_path / "half.safetensors")
    model = resight.load(tmp_path / "half.safetensors", heads=2)
    with torch.inference_mode():
        found = model.network(inputs["x"]).embedding
    assert found.dtype == torch.float32 and (found - kept["out"]["before"]).norm() < 0.02 * kept["out"]["before"].norm()


def test_a_bare_trunk_gets_a_neck_that_changes_nothing(tmp_path: Path) -> None:
    weights, inputs, kept = golden("transreid_plain_256x128_s16")
    trunk = {key.removeprefix("base."): value for key, value in weights.items() if key.startswith("base.")}
    found = families.recognise(trunk, "trunk.pth", HEADS)
    assert found.filled == ("bottleneck",)
    torch.save(trunk, tmp_path / "trunk.pth")
    for neck in ("before", "after"):
        model = resight.load(tmp_path / "trunk.pth", heads=2, neck=neck)
        with torch.inference_mode():
            torch.testing.assert_close(model.network(inputs["x"]).embedding, kept["out"]["before"], rtol=0, atol=1e-4)


def test_microsofts_swin_is_soliders_with_other_merging() -> None:
    """A network in our keys, its merging turned into Microsoft's order and renamed to timm's keys, is the same one."""
    torch.manual_seed(0)
    arguments = {"dim": 16, "depths": [2, 2, 2, 2], "heads": [1, 2, 4, 8]}
    ours = resight.models.create("solider_tiny", semantic_weight=None, merge="quarter", shift_small=False, **arguments)
    theirs = {}
    for key, value in ours.eval().base.state_dict().items():
        if "relative_position_index" in key or key.startswith(("norm0", "norm1", "norm2")):
            continue
        name = key.replace("patch_embed.projection", "patch_embed.proj").replace("norm3.", "norm.")
        name = (
            name.replace("attn.w_msa.", "attn.")
            .replace("ffn.layers.0.0.", "mlp.fc1.")
            .replace("ffn.layers.1.", "mlp.fc2.")
        )
        if ".downsample." in name:
            stage = int(name.split(".")[1])
            name = name.replace(f"stages.{stage}.downsample", f"stages.{stage + 1}.downsample")
        theirs[name.replace("stages.", "layers.")] = value
    found = families.recognise(theirs, "mega.pth", {"height": 64, "width": 64})
    again = resight.models.create(found.architecture, **found.arguments).eval()
    again.load_state_dict(found.tensors, strict=False)
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(again(x).embedding, ours(x).embedding)


def test_what_does_not_fit_is_one_sentence(tmp_path: Path) -> None:
    weights, _, _ = golden("transreid_plain_256x128_s16")
    for given, words in (
        ({"heads": 2, "stride": 12}, "21 x 10 patches, but the file has positions for 128"),
        ({"heads": 2, "semantic_weight": 0.5}, "TransReID checkpoint has no use for semantic_weight"),
    ):
        with pytest.raises(ModelError, match=words):
            families.recognise(weights, "a.pth", given)
    torch.save({"conv9.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"no card.*no known family.*conv9\.weight"):
        resight.load(tmp_path / "other.pth")


def test_the_command_prints_what_the_file_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, _, _ = golden("transreid_jpm_sie_256x128_s12")
    torch.save({"model": weights}, tmp_path / "market.pth")
    arguments = ["models", "import", str(tmp_path / "market.pth"), "-o", str(tmp_path / "out"), "--set", "heads=2"]
    monkeypatch.setattr("sys.argv", ["resight", *arguments, "--set", "shift=8"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("shift = 8 (given)", "sie_coefficient = 3.0", "neck = before", "cameras = averaged", "licence"):
        assert words in printed, words
    assert resight.load(tmp_path / "out").card.arguments["shift"] == 8
