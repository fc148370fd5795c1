"""Weight files: what fits is loaded and told, what does not is refused in one sentence."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file as read_safetensors
from torch import Tensor, nn

import resight
from conftest import SHARED
from limits import files_no_larger_than
from peers import load_file
from resight.errors import ModelError, ResightError
from resight.models import Card, weights
from resight.models.card import Preprocessing, card_path, read_card
from resight.models.loading import fill


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A tiny run's worth: random weights with their card."""
    torch.manual_seed(0)
    model = resight.load("osnet_x0_25", height=64, width=32, head="bnneck")
    scramble(model.network)
    card = model.card.model_copy(update={"fingerprint": "", "threshold": 0.25, "trained_on": "noise"})
    weights.save(model.network.state_dict(), tmp_path / "model.safetensors")
    card.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def scramble(network: nn.Module) -> None:
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.add_(0.1 * torch.rand(value.shape))


def state(name: str = "osnet_x0_25", **arguments: object) -> dict[str, Tensor]:
    torch.manual_seed(3)
    return resight.models.create(name, **arguments).state_dict()  # type: ignore[arg-type]


def shared_weights(name: str) -> Path:
    path = SHARED / "weights" / name
    if not path.is_file():
        pytest.skip(f"needs {path}, which may not be passed on")
    return path


def one_sentence(message: str) -> bool:
    return message.endswith(".") and "\n" not in message and "\x1b" not in message and len(message) < 500


# ---- published files


def test_published_weights_load_strictly_and_equal_the_peer() -> None:
    model = resight.load("osnet_x0_25", weights=shared_weights("osnet_x0_25_msmt17.pth"))
    assert not model.loading.missing and not model.loading.mismatched
    assert all(key.startswith("classifier.") for key in model.loading.dropped)
    assert set(model.loading.used) == set(model.network.state_dict())
    theirs = load_file("torchreid", "reid/models/osnet.py").osnet_x0_25(num_classes=1, pretrained=False)
    tensors = weights.read(shared_weights("osnet_x0_25_msmt17.pth"))
    theirs.load_state_dict({k: v for k, v in tensors.items() if not k.startswith("classifier.")}, strict=False)
    x = torch.randn(2, 3, 256, 128)
    with torch.inference_mode():
        torch.testing.assert_close(model.network(x).embedding, theirs.eval()(x), rtol=1e-4, atol=1e-4)


def test_the_same_function_as_its_onnx_file() -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime to run the ONNX file")
    model = resight.load("osnet_x0_25", weights=shared_weights("osnet_x0_25_msmt17_bnfolded.pth"))
    session = runtime.InferenceSession(shared_weights("osnet_x0_25_msmt17.onnx"))
    x = np.random.default_rng(0).normal(size=(2, 3, 256, 128)).astype(np.float32)
    with torch.inference_mode():
        ours = model.network(torch.from_numpy(x)).embedding.numpy()
    np.testing.assert_allclose(ours, session.run(None, {"images": x})[0], rtol=1e-3, atol=1e-3)


def test_a_published_file_of_another_architecture() -> None:
    path = shared_weights("osnet_x0_25_msmt17.pth")
    with pytest.raises(ModelError, match=r"osnet_x0_25_msmt17\.pth does not fit OSNet: .*mismatched") as refused:
        resight.load("osnet_x1_0", weights=path)
    assert one_sentence(str(refused.value))


# ---- files that cannot be read


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.path),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_file_with_code_in_it_is_refused_and_not_run(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "evil.pth"
    content = {"conv1.conv.weight": _Evil(tmp_path / "proof")}
    if kind == "torch":
        torch.save(content, file)
    else:
        file.write_bytes(pickle.dumps(content))
    with pytest.raises(ModelError, match=r"evil\.pth is not a weight file that can be read safely") as refused:
        resight.load("osnet_x0_25", weights=file)
    assert one_sentence(str(refused.value)) and "trust" not in str(refused.value)
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_text_empty_and_truncated_files(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole.{suffix}"
    if suffix == "pth":
        torch.save(state(), whole)
    else:
        weights.save(state(), whole)
    data = whole.read_bytes()
    bad = {"text": b"no tensors but text\n", "empty": b"", "cut": data[: len(data) // 2]}
    bad |= {"short": data[:20], "header": b"\x07" + data[1:]}
    for name, content in bad.items():
        file = tmp_path / f"{name}.{suffix}"
        file.write_bytes(content)
        with pytest.raises(
            ModelError, match=f"{name}.{suffix} is not a weight file that can be read safely"
        ) as refused:
            resight.load("osnet_x0_25", weights=file)
        assert one_sentence(str(refused.value)), name


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_any_damage_gives_a_model_error(tmp_path: Path) -> None:
    """Bytes of a file in torch's older format are changed at random: it fails in many ways, always as a ModelError."""
    file = tmp_path / "old.pth"
    torch.save({"a": torch.ones(100), "b": torch.ones(3)}, file, _use_new_zipfile_serialization=False)
    data, random, refused = file.read_bytes(), np.random.default_rng(0), 0
    for _ in range(150):
        wrong = bytearray(data)
        for at in random.integers(0, 400, 3):
            wrong[at] = random.integers(0, 256)
        file.write_bytes(wrong)
        try:
            weights.read(file)
        except ModelError:
            refused += 1
    assert refused > 50


def test_files_without_tensors(tmp_path: Path) -> None:
    for content in ([1, 2], {"epoch": 3}, {0: torch.ones(3)}, {"state_dict": {"a": 1}}):
        torch.save(content, tmp_path / "a.pth")
        with pytest.raises(ModelError, match=r"a\.pth holds no tensors"):
            weights.read(tmp_path / "a.pth")
    with pytest.raises(ModelError, match=r"gone\.pth does not exist"):
        resight.load("osnet_x0_25", weights=tmp_path / "gone.pth")


# ---- what fits


@pytest.mark.parametrize("wrap", ["plain", "module", "state_dict", "nested"])
def test_wrappers_and_prefixes_are_removed(tmp_path: Path, wrap: str) -> None:
    plain = state()
    content: object = plain
    if wrap == "module":
        content = {f"module.{key}": value for key, value in plain.items()}
    elif wrap != "plain":
        content = {"epoch": 7, "state_dict": plain}
        content = {"model": content} if wrap == "nested" else content
    torch.save(content, tmp_path / "a.pth")
    found = weights.read(tmp_path / "a.pth")
    assert set(found) == set(plain) and all(torch.equal(found[key], plain[key]) for key in plain)


def test_a_classifier_of_other_people_is_left_out_and_said_so(tmp_path: Path) -> None:
    torch.save(state(num_identities=9), tmp_path / "a.pth")
    model = resight.load("osnet_x0_25", weights=tmp_path / "a.pth")
    assert set(model.loading.dropped) == {"classifier.weight", "classifier.bias"}
    assert "2 dropped (classifier.weight, classifier.bias)" in str(model.loading)
    network = resight.models.create("osnet_x0_25", num_identities=5)
    before = network.classifier.weight.clone()
    report = weights.fit(network, weights.read(tmp_path / "a.pth"), source="a.pth")
    assert report.mismatched == ("classifier.weight (9, 512), (5, 512)", "classifier.bias (9,), (5,)")
    assert torch.equal(network.classifier.weight, before)
    assert torch.equal(network.conv1.conv.weight, state(num_identities=9)["conv1.conv.weight"])


def test_partial_loading(tmp_path: Path) -> None:
    tensors = state()
    del tensors["conv1.conv.weight"]
    tensors["extra.weight"] = torch.ones(3)
    tensors["fc.0.weight"] = torch.ones(2, 2)
    network = resight.models.create("osnet_x0_25")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(ModelError, match=r"1 dropped .*1 missing .*1 mismatched .*or allow partial loading"):
        weights.fit(network, tensors, source="a.pth")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items()), (
        "a refusal changes nothing"
    )
    report = weights.fit(network, tensors, source="a.pth", partial=True)
    assert (report.dropped, report.missing) == (("extra.weight",), ("conv1.conv.weight",))
    assert report.mismatched == ("fc.0.weight (2, 2), (512, 128)",)
    after = network.state_dict()
    for key in after:
        source = before if key in ("conv1.conv.weight", "fc.0.weight") else tensors
        assert torch.equal(after[key], source[key]), key
    with pytest.raises(ModelError, match="choose the architecture it was made for"):
        weights.fit(network, {"foreign": torch.ones(3)}, source="a.pth", partial=True)


# ---- card and weights together


def test_a_round_trip_keeps_every_bit(saved: Path, tmp_path: Path) -> None:
    model = resight.load(saved)
    assert (model.card.architecture, model.card.arguments) == ("osnet_x0_25", {"head": "bnneck"})
    assert (model.card.preprocessing.height, model.card.threshold, model.card.trained_on) == (64, 0.25, "noise")
    assert not model.network.training
    network = model.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.save(tmp_path / "again" / "b.safetensors")
    again = resight.load(tmp_path / "again" / "b.safetensors")
    assert again.card == model.card and len(again.card.fingerprint) == 24
    x = torch.rand(3, 3, 64, 32)
    with torch.inference_mode():
        assert torch.equal(again.network(x).embedding, resight.load("osnet_x0_25", weights=saved).network(x).embedding)
        torch.testing.assert_close(network(x).embedding, again.network(x).embedding, rtol=1e-5, atol=1e-5)
    found = again.network.state_dict()
    for key, value in read_safetensors(saved).items():
        assert torch.equal(found[key], value)


@pytest.mark.parametrize("renames", [0, 1])
def test_a_model_saved_in_part_is_refused(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    """Stopped at each of the two files; a plain OSNet's weights alone are recognised as torchreid's, of 256x128."""
    model, file, done = resight.load(saved), tmp_path / "new" / "b.safetensors", []
    rename = os.replace

    def stops(source: Path, target: Path) -> None:
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(target)
        rename(source, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "replace", stops)
        model.save(file)
    assert len(done) == renames
    with pytest.raises(ModelError, match=r"b\.safetensors does not exist"):
        resight.load(file)
    model.save(file)
    assert resight.load(file).card == model.card


def test_a_fingerprint_names_weights_and_preprocessing_but_not_the_classifier(saved: Path) -> None:
    network, card = resight.load(saved).network, resight.load(saved).card
    first, other = weights.fingerprint(network, card), Preprocessing(colour="BGR")
    assert weights.fingerprint(network, card.model_copy(update={"preprocessing": other})) != first == card.fingerprint
    with_classifier = resight.models.create("osnet_x0_25", num_identities=4, head="bnneck")
    with_classifier.load_state_dict(network.state_dict(), strict=False)
    assert weights.fingerprint(with_classifier, card) == first
    network.bottleneck.running_mean[5] += 1e-3  # type: ignore[index, union-attr, operator]
    assert weights.fingerprint(network, card) != first


def test_a_card_of_other_weights_is_refused(saved: Path, tmp_path: Path) -> None:
    resight.load(saved).save(tmp_path / "b.safetensors")  # now with its fingerprint
    tensors = read_safetensors(tmp_path / "b.safetensors")
    tensors["conv1.conv.weight"][0, 0, 0, 0] += 1
    weights.save(tensors, tmp_path / "b.safetensors")
    with pytest.raises(ModelError, match=r"b\.safetensors does not match its card"):
        resight.load(tmp_path / "b.safetensors")
    text = card_path(saved).read_text().replace('"height":64', '"height": 64')
    card_path(tmp_path / "b.safetensors").write_text(text.replace('"linear-area"', '"cubic"'))
    with pytest.raises(ModelError, match=r"b\.card\.json is not a valid model card \(preprocessing\.interpolation: "):
        resight.load(tmp_path / "b.safetensors")
    card_path(tmp_path / "b.safetensors").write_text("not json")
    with pytest.raises(ModelError, match="not a valid model card"):
        resight.load(tmp_path / "b.safetensors")


def test_a_name_that_contradicts_the_card(saved: Path) -> None:
    for name in ("osnet_x1_0", "zebra"):
        with pytest.raises(ModelError, match=f"holds osnet_x0_25, not {name}"):
            resight.load(name, weights=saved)


def test_paths_and_names_that_lead_nowhere(saved: Path, tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(3)}, tmp_path / "odd.pth")
    with pytest.raises(ModelError, match=r'fits no architecture as it usually is.* load\("osnet.* keys are a\.weight'):
        resight.load(tmp_path / "odd.pth")
    with pytest.raises(ModelError, match=r"gone\.safetensors does not exist"):
        resight.load(tmp_path / "gone.safetensors")
    for wrong, right in (("osnet_x025", "osnet_x0_25"), ("persn", "person"), ("Vehicle", "vehicle")):
        with pytest.raises(
            ModelError, match=f"no model named '{wrong}', and nothing at that path: did you mean '{right}'"
        ):
            resight.load(wrong)
    with pytest.raises(ModelError, match=r"nothing at that path: known: person, vehicle, .*osnet_x0_25"):
        resight.load("zebra")
    for path in ("runs/mine", Path("mine")):
        with pytest.raises(ModelError, match=rf"^{path} does not exist: check the path\.$"):
            resight.load(path)
    with pytest.raises(ModelError, match="no model named"):
        resight.load("")
    for arguments in ((400 * "x",), ("osnet_x0_25", 400 * "x")):
        with pytest.raises(ModelError, match=r"^x+ cannot be looked at \(File name too long\): check the path"):
            resight.load(*arguments)
    (tmp_path / "run").mkdir()
    for folder in (".", tmp_path / "run"):
        with pytest.raises(ModelError, match=r"model\.safetensors does not exist: the run is not finished, or"):
            resight.load(folder)
    resight.load("osnet_x0_25", height=64, width=32).save(tmp_path / "run" / "model.safetensors")
    assert resight.load(tmp_path / "run").card.preprocessing.height == 64


def test_partial_loading_of_a_part(tmp_path: Path) -> None:
    network = resight.models.create("parts_osnet_x0_25")
    tensors = {k: v + 1 for k, v in network.backbone.state_dict().items() if not k.startswith("conv5.")}
    weights.save(tensors, tmp_path / "most.safetensors")
    source = {"backbone": str(tmp_path / "most.safetensors")}
    with pytest.raises(ModelError, match="allow partial loading"):
        fill(network, source)
    assert "backbone: " in fill(network, source, partial=True)
    assert torch.equal(network.backbone.conv1.conv.weight, tensors["conv1.conv.weight"])


def test_weights_that_do_not_fit_are_named_with_their_architecture() -> None:
    network = resight.models.create("osnet_x0_25")
    with pytest.raises(ModelError, match=r"^person \(osnet_lct_x0_5\) does not fit OSNet: "):
        fill(network, "person")


def test_a_path_is_never_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("person", "resnet18"):
        resight.load("osnet_x0_25", height=64, width=32).save(Path(name, "model.safetensors"))
        for given in (Path(name), f"./{name}"):
            assert resight.load(given).card.architecture == "osnet_x0_25"
        assert resight.load(name).card.architecture != "osnet_x0_25"
    with pytest.raises(
        ModelError, match="osnet_x0_5 does not exist: check the path; an architecture is named by a str"
    ):
        resight.load(Path("osnet_x0_5"))


def test_the_size_is_the_cards(saved: Path) -> None:
    for given in ({"height": 64}, {"width": 32}, {"height": 64, "neck": 3}):
        with pytest.raises(ModelError, match="has a card that says how the model is built: leave out"):
            resight.load(saved, **given)


def test_a_card_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_card(tmp_path / "a.pth") is None
    path = Card(architecture="osnet_x0_25", preprocessing=Preprocessing(height=8, width=4)).save(tmp_path / "a.b.pth")
    assert path.name == "a.b.card.json" and read_card(tmp_path / "a.b.pth") is not None


def test_a_full_disk_while_saving(saved: Path) -> None:
    before = saved.read_bytes()
    model = resight.load(saved)
    with pytest.raises(ResightError, match=r"model\.safetensors cannot be written"), files_no_larger_than(100_000):
        model.save(saved)
    assert saved.read_bytes() == before and len(list(saved.parent.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "dim"), [("osnet_x0_25", 512), ("resnet18", 512), ("resnet50", 2048), ("resnet18_course", 256)]
)
def test_a_card_made_on_loading_knows_the_length_of_the_embedding(name: str, dim: int) -> None:
    """As Table 1 of the ResNet paper and the course's hand-out have it; no random number is drawn for it."""
    torch.manual_seed(0)
    model = resight.load(name, height=64, width=64)
    after = torch.rand(1)
    torch.manual_seed(0)
    resight.models.create(name)
    assert model.card.dim == dim and torch.equal(after, torch.rand(1))


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module._orig_mod.", "module.module.", "model.", "base.", "net."])
def test_a_prefix_that_hides_the_names_is_taken_off(prefix: str, tmp_path: Path) -> None:
    state = resight.models.create("osnet_x0_25", num_identities=4).state_dict()
    torch.save({prefix + key: value for key, value in state.items()}, tmp_path / "a.pth")
    assert len(resight.load("osnet_x0_25", weights=tmp_path / "a.pth").loading.used) == len(state) - 2


def test_a_prefix_on_a_part_of_the_names(tmp_path: Path) -> None:
    """As the strong baseline writes them: the trunk under ``base.``, neck and classifier beside it."""
    state = resight.models.create("bot_resnet18", num_identities=4).state_dict()
    ends = ("classifier", "bottleneck")
    torch.save({("" if key.startswith(ends) else "base.") + key: t for key, t in state.items()}, tmp_path / "a.pth")
    loading = resight.load("bot_resnet18", weights=tmp_path / "a.pth").loading
    assert not loading.missing and loading.dropped == ("classifier.weight",)


def test_numpy_scalars_beside_the_weights_and_nothing_that_runs(tmp_path: Path) -> None:
    """torchreid writes ``rank1`` as a NumPy scalar; a file with a function is refused, and the function not called."""
    state = resight.models.create("osnet_x0_25").state_dict()
    for scalar in (np.float32(0.5), np.float64(0.5), np.int64(3), np.bool_(True)):
        torch.save({"state_dict": state, "rank1": scalar}, tmp_path / "a.pth.tar")
        assert len(resight.load("osnet_x0_25", weights=tmp_path / "a.pth.tar").loading.used) == len(state)

    class Call:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "made"),)

    torch.save({"state_dict": state, "rank1": Call()}, tmp_path / "b.pth")
    with pytest.raises(ModelError, match="not made of tensors alone"):
        resight.load("osnet_x0_25", weights=tmp_path / "b.pth")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"height": -3}, "height is -3: it must be a whole number of pixels"),
        ({"width": 0}, "width is 0: it must be a whole number of pixels"),
        ({"height": 64.5}, "height is 64.5: it must be a whole number of pixels"),
        ({"height": "64"}, "height is '64': it must be a whole number of pixels"),
        ({"height": 8, "width": 4}, "osnet_x0_25 does not take images of 8x4 "),
    ],
)
def test_sizes_that_are_none(size: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message) as refused:
        resight.load("osnet_x0_25", **size)
    assert "\n" not in str(refused.value)


def test_numpy_sizes() -> None:
    made = resight.load("osnet_x0_25", height=np.int64(64), width=np.int64(32))  # type: ignore[arg-type]
    assert made.card.preprocessing.height == 64
