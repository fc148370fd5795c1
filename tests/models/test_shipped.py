"""The models that come with the package: there, small, whole, and told by their cards."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import resight
from resight import datasets
from resight.datasets.synthetic.dataset import draw
from resight.decisions.decide import Decision
from resight.decisions.same import same
from resight.errors import ModelError, RecipeError
from resight.models import shipped
from resight.models.card import About, Licences, read_card
from resight.models.model import Model
from resight.models.weights import fingerprint
from resight.retrieval.ranking.distance import pairwise
from resight.training.ship import Notes, read_notes, ship

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=shipped.names())
def model(request: pytest.FixtureRequest) -> Model:
    return resight.load(request.param)


def scrambled(head: str = "plain") -> Model:
    torch.manual_seed(2)
    loaded = resight.load("osnet_x0_25", height=64, width=32, head=head)
    for value in loaded.network.state_dict().values():
        if value.is_floating_point():
            value.add_(0.1 * torch.rand(value.shape))
    found = fingerprint(loaded.network, loaded.card)
    return Model(loaded.network, loaded.card.model_copy(update={"fingerprint": found, "trained_on": "noise"}))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> datasets.Dataset:
    folder = tmp_path_factory.mktemp("drawn") / "people"
    return datasets.load("synthetic", folder, identities=6, cameras=2, images_per_camera=2, seed=3, size=(64, 32))


# ---- what is here


def test_names_are_no_architectures_and_the_default_is_among_them() -> None:
    assert shipped.DEFAULT in shipped.names()
    assert not set(shipped.names()) & set(resight.models.list())
    assert resight.load().card == resight.load("person").card


def test_each_is_small_and_its_card_says_everything(model: Model) -> None:
    card = model.card
    for words in (*card.about.model_dump().values(), *card.licences.model_dump().values(), card.trained_on):
        assert words and words != "unknown"
    assert card.metrics and all({"data", "command", "mAP", "cmc"} <= measured.keys() for measured in card.metrics)
    assert not model.loading.missing and not model.loading.mismatched


def test_files_are_under_two_megabytes_and_hold_halves() -> None:
    for name in shipped.names():
        file = shipped.file_of(name)
        assert file.stat().st_size < 2_000_000
        kinds = {tensor.ndim > 1: set() for tensor in load_file(file).values()}
        for tensor in load_file(file).values():
            kinds[tensor.ndim > 1].add(tensor.dtype)
        assert kinds == {True: {torch.float16}, False: {torch.float32}}


def test_the_fingerprint_is_that_of_the_weights_in_float32(model: Model) -> None:
    """Counted here from the file itself, so that it is the same wherever the file is."""
    name = next(n for n in shipped.names() if read_card(shipped.file_of(n)) == model.card)
    digest = hashlib.sha256(model.card.preprocessing.model_dump_json().encode())
    for key, tensor in sorted(load_file(shipped.file_of(name)).items()):
        digest.update(key.encode() + tensor.numpy().astype("<f4").tobytes())
    built = json.dumps([model.card.architecture, model.card.arguments], sort_keys=True)
    assert hashlib.sha256(f"{digest.hexdigest()[:16]} {built}".encode()).hexdigest()[:24] == model.card.fingerprint
    assert {value.dtype for value in model.network.parameters()} == {torch.float32}


# ---- the same one?


def test_the_answer_is_the_decision_on_the_distance() -> None:
    model = resight.load("person")
    first, second, other = (
        draw("person", identity, camera, 0, seed=4, size=(128, 64)) for identity, camera in ((1, 1), (1, 2), (2, 1))
    )
    embedder = resight.Embedder(model)
    vectors = embedder([first, second, other]).vectors
    decision = Decision.from_card(model.card)
    for pair, (a, b) in {(0, 0): (first, first), (0, 1): (first, second), (0, 2): (first, other)}.items():
        answer = same(a, b, embedder, prior=0.2)
        distance = pairwise(vectors[[pair[0]]], vectors[[pair[1]]], model.card.metric)[0, 0]
        assert answer.distance == pytest.approx(distance, abs=1e-5) and answer.metric == model.card.metric
        assert answer.answer == decision.decide(answer.distance)
        assert answer.probability == decision.probability(answer.distance, 0.2)
        assert bool(answer) == (answer.distance <= decision.threshold)
    itself = same(first, first, model)
    assert (
        itself
        and itself.distance == 0
        and itself.probability > 0.9
        and str(itself).startswith("match: cosine distance 0.000")
    )
    assert "%" not in str(itself) and f"match up to {decision.threshold:.3f}" in str(itself)
    noise = np.random.default_rng(0).integers(0, 255, (128, 64, 3), dtype=np.uint8)
    assert same(first, noise, embedder).probability < itself.probability


def test_the_vehicle_model_has_no_decision_since_none_held() -> None:
    card = resight.load("vehicle").card
    assert card.decision is card.threshold is None
    with pytest.raises(ModelError, match="has not been calibrated"):
        Decision.from_card(card)


def test_a_model_may_be_named_and_nothing_else_is_one() -> None:
    image = np.zeros((64, 32, 3), np.uint8)
    assert same(image, image, "person").distance == 0
    with pytest.raises(ModelError, match="has not been calibrated"):
        same(image, image, "vehicle")
    with pytest.raises(ModelError, match=r"3 is no model: pass resight\.load"):
        same(image, image, 3)  # type: ignore[arg-type]


def test_a_model_that_was_never_calibrated_says_nothing() -> None:
    image = np.zeros((64, 32, 3), np.uint8)
    with pytest.raises(ModelError, match="has not been calibrated"):
        same(image, image, resight.Embedder(resight.load("osnet_x0_25", height=64, width=32)))


# ---- shipping


def test_what_is_shipped_is_the_same_model_in_half_the_bytes(tmp_path: Path, people: datasets.Dataset) -> None:
    model = scrambled("bnneck")
    said = Notes(about=About(title="Noise"), licences=Licences(weights="MIT", data="none"))
    done = ship(model, tmp_path / "noise.safetensors", notes=said, data=people)
    again = resight.load(tmp_path / "noise.safetensors")
    assert again.card == done.model.card and again.card.about.title == "Noise"
    assert again.card.fingerprint != model.card.fingerprint
    assert done.parity.error < 5e-3 and done.parity.images == len(people.query) + len(people.gallery)
    wanted = model.network.state_dict()
    for key, value in again.network.state_dict().items():
        original = wanted[key]
        if key.endswith("num_batches_tracked"):
            continue
        torch.testing.assert_close(value, original.half().float() if value.ndim > 1 else original, rtol=0, atol=0)
    model.save(tmp_path / "whole.safetensors")
    assert (tmp_path / "noise.safetensors").stat().st_size < 0.6 * (tmp_path / "whole.safetensors").stat().st_size


def test_what_cannot_be_shipped(tmp_path: Path, people: datasets.Dataset) -> None:
    model = scrambled()
    with pytest.raises(RecipeError, match=r"ends in \.safetensors"):
        ship(model, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"was not written, for half precision differs too much .*limit -1 points"):
        ship(model, tmp_path / "model.safetensors", data=people, limit=-1)
    with pytest.raises(ModelError, match="has not been calibrated"):
        ship(model, tmp_path / "model.safetensors", decided_by=model)
    with pytest.raises(ModelError, match="about a model with another architecture"):
        ship(resight.load("resnet18"), tmp_path / "m.safetensors", decided_by=resight.load())
    with torch.no_grad():
        model.network.conv1.conv.weight[0, 0, 0, 0] = 1e5  # type: ignore[union-attr, index, operator]
    with pytest.raises(ModelError, match=r"conv1\.conv\.weight has weights beyond 65,504"):
        ship(model, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_decision_goes_with_the_weights(tmp_path: Path, people: datasets.Dataset) -> None:
    """One of another model of the same kind is taken over, and is then about the shipped weights."""
    given = resight.load()
    twin = Model(given.network, given.card.model_copy(update={"decision": None, "threshold": None}))
    done = ship(twin, tmp_path / "model.safetensors", decided_by=given, data=people)
    decision = Decision.from_card(resight.load(tmp_path / "model.safetensors").card)
    assert decision.threshold == Decision.from_card(given.card).threshold == done.model.card.threshold
    lengths, means, crowded = decision.reference.quantiles
    assert lengths == means == () and crowded == Decision.from_card(given.card).reference.quantiles[2]
    assert done.parity.before == done.parity.after and done.parity.error == 0  # halves of halves are the same


def test_notes(tmp_path: Path) -> None:
    for path in sorted((ROOT / "recipes" / "cards").glob("*.yaml")):
        said = read_notes(path)
        assert all(said.about.model_dump().values()) and said.licences.weights != "unknown"
        card = read_card(shipped.file_of(path.stem))
        assert card is not None and card.about == said.about and card.licences == said.licences
    (tmp_path / "notes.yaml").write_text("about: {titel: x}\nlicences: {}")
    with pytest.raises(RecipeError, match=r"notes\.yaml is not the notes for a card: about\.titel"):
        read_notes(tmp_path / "notes.yaml")
    (tmp_path / "notes.yaml").write_text("about: {}\nlicences: {}\nmetrics: [{dataset: mine}]")
    with pytest.raises(RecipeError, match=r"for a card: metrics\.0\.data: Field required\.$"):
        read_notes(tmp_path / "notes.yaml")
    with pytest.raises(RecipeError, match=r"gone\.yaml does not exist: pass the YAML file"):
        read_notes(tmp_path / "gone.yaml")


# ---- the wheel


def test_the_wheel_holds_weights_cards_and_templates(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    script = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", script, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in shipped.names():
            inside = f"resight/models/shipped/{name}.safetensors"
            assert archive.read(inside) == shipped.file_of(name).read_bytes()
            assert json.loads(archive.read(f"resight/models/shipped/{name}.card.json"))["fingerprint"]
    for path in (ROOT / "src" / "resight").rglob("*"):
        if path.is_file() and path.suffix in (".py", ".j2", ".yaml", ".css", ".html", ".js"):
            assert str(path.relative_to(ROOT / "src")) in names
    weights = [name for name in names if name.endswith((".safetensors", ".pt", ".pth", ".onnx"))]
    assert len(weights) == len(shipped.names())
