"""A fingerprint names a function: weights, preprocessing, architecture, arguments; cards of 0.1.0 still belong."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import resight
from resight.decisions.decide import Decision
from resight.models import shipped, weights
from resight.models.card import named, parse_card
from resight.models.model import Model

SMALL: dict[str, Any] = {"height": 64, "width": 32}


def old_fingerprint(model: Model) -> str:
    """By the rule of version 0.1.0: preprocessing, then names and bytes of the weights."""
    digest = hashlib.sha256(model.card.preprocessing.model_dump_json().encode())
    for key, value in sorted(model.network.state_dict().items()):
        if not key.startswith("classifier.") and not key.endswith("num_batches_tracked"):
            digest.update(key.encode() + value.numpy().tobytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize(
    ("name", "other", "built", "differently"),
    [
        ("resnet18", "resnet18", {"last_stride": 1}, {"last_stride": 2}),
        ("resnet18", "resnet18", {}, {"pool": "max"}),
        ("attributes_osnet_x0_25", "attributes_osnet_x0_25", {}, {"embedding": "probabilities"}),
        ("bot_resnet18", "fastreid_resnet", {}, {"depth": 18}),
    ],
)
def test_the_same_weights_in_another_network_are_another_model(
    name: str, other: str, built: dict[str, Any], differently: dict[str, Any], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    file = tmp_path / "w.safetensors"
    weights.save(resight.models.create(name, **built).state_dict(), file)
    models = [resight.load(name, file, **SMALL, **built) for _ in range(2)]
    changed = Model(resight.models.create(other, **differently).eval(), models[0].card)
    changed.network.load_state_dict(models[0].network.state_dict())
    card = models[0].card.model_copy(update={"architecture": other, "arguments": differently})
    x = torch.rand(2, 3, 64, 32)
    with torch.inference_mode():
        assert not torch.allclose(changed.network(x).embedding, models[0].network(x).embedding, atol=1e-3)
    assert models[0].card.fingerprint == models[1].card.fingerprint != weights.fingerprint(changed.network, card)


def test_how_arguments_are_spelt_and_the_classifier_do_not_count() -> None:
    one = named("0" * 16, "a", {"blocks": (0, 2), "head": "plain"})
    assert one == named("0" * 16, "a", {"head": "plain", "blocks": [0, 2], "num_identities": 751})
    assert len(one) == 24 and one != named("1" * 16, "a", {"blocks": (0, 2), "head": "plain"})


def test_weights_of_16_bits_have_a_fingerprint() -> None:
    model = resight.load("osnet_x0_25", **SMALL)
    assert weights.fingerprint(model.network.bfloat16(), model.card) != model.card.fingerprint


def test_a_card_of_version_0_1_0_belongs_to_its_weights_and_so_does_its_decision(tmp_path: Path) -> None:
    model, file = resight.load("vehicle"), tmp_path / "old.safetensors"
    random = np.random.default_rng(0)
    known = resight.Embeddings(
        random.normal(size=(160, 8)).astype(np.float32),
        identities=np.repeat(np.arange(1, 81), 2),
        cameras=np.tile([1, 2], 80),
        fingerprint=model.card.fingerprint,
    )
    decision = resight.calibrate(known, metric="cosine")
    card = model.card.model_copy(update={"decision": decision.plain(), "threshold": decision.threshold})
    Model(model.network, card).save(file)
    old, beside = old_fingerprint(model), file.with_suffix(".card.json")
    assert old == "7ddd9b3f55d781a6"  # as version 0.1.0 printed it
    plain = json.loads(beside.read_text())
    plain["fingerprint"] = plain["decision"]["fingerprint"] = old
    beside.write_text(json.dumps(plain))
    loaded = resight.load(file)
    assert loaded.card == card and Decision.from_card(loaded.card).fingerprint == model.card.fingerprint
    plain["fingerprint"] = "7ddd9b3f55d781a7"
    beside.write_text(json.dumps(plain))
    with pytest.raises(resight.ModelError, match="does not match its card"):
        resight.load(file)


def test_a_gallery_of_version_0_1_0_opens_with_its_model_and_with_no_other(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    weights.save(resight.models.create("resnet18").state_dict(), file)
    model, other = (resight.load("resnet18", file, **SMALL, last_stride=stride) for stride in (1, 2))
    picture = np.zeros((64, 32, 3), np.uint8)
    vectors = resight.Embedder(model, engine="torch")(picture).vectors
    with resight.Gallery.open(str(tmp_path / "seen"), model) as gallery:
        gallery.add(resight.Embeddings(vectors, fingerprint=model.card.fingerprint), cameras=["door"])
    with sqlite3.connect(tmp_path / "seen.db") as db:
        old = model.card.model_copy(update={"fingerprint": old_fingerprint(model)}).model_dump_json()
        assert db.execute("UPDATE meta SET value = ? WHERE key = 'card'", (old,)).rowcount == 1
    db.close()
    with resight.Gallery.open(str(tmp_path / "seen"), resight.Embedder(model, engine="torch")) as gallery:
        assert len(gallery.search(picture, 1)) == 1
    with pytest.raises(resight.ModelError, match="open it with its own model"):
        resight.Gallery.open(str(tmp_path / "seen"), other)


def test_the_bundled_models_have_cards_of_today() -> None:
    for name in shipped.names():
        text = shipped.file_of(name).with_suffix(".card.json").read_text(encoding="utf-8")
        assert len(json.loads(text)["fingerprint"]) == 24 and json.loads(text) == parse_card(text, name).model_dump(
            mode="json"
        )
