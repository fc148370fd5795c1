"""The Hub: huggingface_hub itself against a server on this machine."""

import builtins
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import resight
from hub_stand_in import Hub, hub_stand_in
from resight.errors import ModelError
from resight.models import folder as folders
from resight.models.card import About, Card, Licences, Preprocessing
from resight.models.exported import Exported
from resight.models.model import Model

constants = pytest.importorskip("huggingface_hub.constants")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub without any model, and an empty cache."""
    with hub_stand_in() as served:
        address = served.address
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # a storage of its own, which we have not here
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", "hf_nobody")
        yield served


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """Weights and a card that are like no other's."""
    torch.manual_seed(5)
    network = resight.load("osnet_x0_25", height=64, width=32).network
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.add_(0.1 * torch.rand(value.shape))
    said = About(title="Noise", made="Of noise: no data.", intended="Tests.", not_intended="All else.", limits="Many.")
    measured = {"data": "market1501", "command": "resight evaluate", "mAP": 0.25, "cmc": {"1": 0.5}, "mINP": 0.125}
    card = Card(
        architecture="osnet_x0_25",
        preprocessing=Preprocessing(height=64, width=32),
        trained_on="noise",
        licences=Licences(weights="Apache-2.0", data="none"),
        about=said,
        metrics=(measured,),
    )
    Model(network, card).save(tmp_path / "model.safetensors")
    return resight.load(tmp_path / "model.safetensors")


def files_of(model: Model, folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in resight.models.save(model, folder).iterdir()}


def refused(name: str) -> str:
    with pytest.raises(ModelError) as error:
        resight.load(name)
    message = str(error.value)
    assert message.endswith(".") and "\n" not in message and len(message) < 300, message
    return message


def test_what_is_pushed_is_what_is_loaded(hub: Hub, model: Model) -> None:
    name = resight.models.push(model, "people/noise")
    files = hub.commits["people/noise"][-1]
    assert sorted(files) == ["README.md", "model.card.json", "model.safetensors"]
    assert name == f"hf:people/noise@{hub.name('people/noise', 1)}"
    for wanted in ("hf:people/noise", name):
        loaded = resight.load(wanted)
        assert loaded.card == model.card
        found = loaded.network.state_dict()
        for key, value in model.network.state_dict().items():
            assert torch.equal(found[key], value), key
    again = resight.models.push(model, "people/noise")  # into a repository that is there
    assert again != name and resight.load(again).card == model.card


def test_a_revision_is_what_it_was(hub: Hub, model: Model, tmp_path: Path) -> None:
    files = files_of(model, tmp_path / "one")
    first = hub.commit("people/noise", files)
    with torch.no_grad():
        model.network.conv1.conv.weight[0, 0, 0, 0] += 1  # type: ignore[union-attr, index, operator]
    changed = Model(model.network, model.card.model_copy(update={"fingerprint": ""}))
    second = hub.commit("people/noise", files_of(changed, tmp_path / "two"))
    old, new = resight.load(f"hf:people/noise@{first}"), resight.load("hf:people/noise")
    assert old.card.fingerprint == model.card.fingerprint != new.card.fingerprint
    assert new.card.fingerprint == resight.load(f"hf:people/noise@{second}").card.fingerprint
    assert f"no revision '{'0' * 40}'" in refused(f"hf:people/noise@{'0' * 40}")


def test_without_a_network_what_was_fetched_is_used(
    hub: Hub, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commit("people/noise", files_of(model, tmp_path / "model"))
    hub.commit("people/other", files_of(model, tmp_path / "model"))
    resight.load("hf:people/noise")
    hub.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert resight.load("hf:people/noise").card == model.card
    assert "not on this disk and the Hub cannot be reached" in refused("hf:people/other")
    assert hub.asked == []


def test_nothing_but_weights_and_card_is_ever_fetched(hub: Hub, model: Model, tmp_path: Path) -> None:
    files = files_of(model, tmp_path / "model")
    hub.commit("people/noise", files | {"pytorch_model.bin": b"a pickle", "modeling.py": b"raise SystemExit"})
    resight.load("hf:people/noise")
    assert {path.rpartition("/")[2] for path in hub.asked} == {"model.card.json", "model.safetensors"}
    hub.commit("people/pickle", {"pytorch_model.bin": b"a pickle", "model.card.json": files["model.card.json"]})
    hub.commit("people/elsewhere", {"pytorch_model.bin": b"a pickle", "config.json": b"{}"})
    for name in ("hf:people/pickle", "hf:people/elsewhere"):
        assert "is no model of resight, which has model.safetensors and model.card.json" in refused(name)
    assert not [path for path in hub.asked if path.endswith((".bin", ".py"))]


def test_names_that_lead_nowhere(hub: Hub, model: Model, tmp_path: Path) -> None:
    assert "There is no hf:people/gone on the Hub, or it is private" in refused("hf:people/gone")
    hub.gated.add("people/gated")
    assert "after accepting its terms: do so at huggingface.co/people/gated" in refused("hf:people/gated")
    for name in ("hf:", "hf:a/b/c", "hf:one two"):
        assert "names no repository of the Hub: write hf:org/name" in refused(name)
    with pytest.raises(ModelError, match="is no name for a repository: write org/name"):
        resight.models.push(model, "a/b/c")


def test_bytes_that_are_not_the_hubs(hub: Hub, model: Model, tmp_path: Path) -> None:
    hub.commit("people/noise", files_of(model, tmp_path / "model"))
    hub.spoil = lambda content: content.replace(b'"Noise"', b'"Voice"') if content.startswith(b"{") else content
    assert "model.card.json of hf:people/noise is not what the Hub has" in refused("hf:people/noise")


def test_weights_that_are_not_the_cards(hub: Hub, model: Model, tmp_path: Path) -> None:
    files = files_of(model, tmp_path / "model")
    content = bytearray(files["model.safetensors"])
    content[-1] ^= 1
    hub.commit("people/mixed", files | {"model.safetensors": bytes(content)})
    assert "does not match its card" in refused("hf:people/mixed")
    card = json.loads(files["model.card.json"]) | {"fingerprint": ""}
    hub.commit("people/unsure", files | {"model.card.json": json.dumps(card).encode()})
    assert "has no fingerprint, so its weights cannot be verified" in refused("hf:people/unsure")


def test_a_push_that_is_refused(hub: Hub, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ModelError, match=r"people/noise cannot be written on the Hub \(.*hf auth login"):
        resight.models.push(model, "people/noise")
    assert hub.commits == {}
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    with pytest.raises(ModelError, match="people/noise cannot be written on the Hub"):
        resight.models.push(model, "people/noise")


def test_private_stays_private(hub: Hub, model: Model) -> None:
    resight.models.push(model, "people/secret", private=True)
    resight.models.push(model, "people/secret", private=True)
    assert hub.private == {"people/secret"} and len(hub.commits["people/secret"]) == 3  # the first is empty
    resight.models.push(model, "people/noise")
    with pytest.raises(ModelError, match="people/noise is public on the Hub: make it private there"):
        resight.models.push(model, "people/noise", private=True)
    assert len(hub.commits["people/noise"]) == 2


@pytest.mark.parametrize(
    ("text", "told"), [("Task error: no route\nmore", "Task error: no route"), ("", "RuntimeError")]
)
def test_an_error_of_the_transfer_is_one_sentence(monkeypatch: pytest.MonkeyPatch, text: str, told: str) -> None:
    """The library that moves large files has errors of no kind of its own."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", broken)
    assert f"cannot be fetched ({told})" in refused("hf:people/noise")


def test_what_cannot_be_saved_leaves_nothing(model: Model, tmp_path: Path) -> None:
    for metrics, clue in (({"dataset": "mine"}, "data: "), ({"data": "mine", "mAP": "50%"}, "mAP: ")):
        wrong = replace(model, card=model.card.model_copy(update={"metrics": (metrics,)}))
        with pytest.raises(ModelError, match=f"metrics cannot be shown, correct them: {clue}"):
            resight.models.save(wrong, tmp_path / "out")
    file = tmp_path / "there.onnx"
    exported = Exported.__new__(Exported)
    torch.nn.Module.__init__(exported)
    exported.file = file
    with pytest.raises(ModelError, match=r"there\.onnx is no network of torch: save what it was exported from"):
        resight.models.save(replace(model, network=exported), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_that_changed_under_their_card_are_not_saved(model: Model, tmp_path: Path) -> None:
    with torch.no_grad():
        model.network.conv1.conv.weight.mul_(2)  # type: ignore[union-attr, operator]
    with pytest.raises(ModelError, match=f"have changed since they were {model.card.fingerprint}"):
        resight.models.save(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_readme_says_what_the_card_says(model: Model, tmp_path: Path) -> None:
    text = files_of(model, tmp_path / "model")["README.md"].decode()
    _, front, body = text.split("---\n", 2)
    said = yaml.safe_load(front)
    assert said["license"] == "apache-2.0" and said["library_name"] == "resight"
    (result,) = said["model-index"][0]["results"]
    assert {one["type"]: one["value"] for one in result["metrics"]} == {"mAP": 25.0, "R1": 50.0, "mINP": 12.5}
    for words in ("# Noise", "Of noise: no data.", "Tests.", "All else.", "Many.", "50.00% | 25.00% | 12.50%"):
        assert words in body, words
    research = model.card.model_copy(update={"licences": Licences(weights="research use: see the data"), "metrics": ()})
    said = yaml.safe_load(folders.readme(research).split("---\n")[1])
    assert said["license"] == "other" and "model-index" not in said
    assert "## Measured" not in folders.readme(research) and "## The same one?" not in folders.readme(research)


def test_without_huggingface_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fails(name: str, *rest: Any) -> Any:
        if name.startswith("huggingface_hub"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", fails)
    assert "pip install 'resight[hub]'" in refused("hf:people/noise")
