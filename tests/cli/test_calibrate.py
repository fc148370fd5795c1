"""``resight calibrate`` as people and scripts meet it, on synthetic people."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

import resight
from limits import files_no_larger_than
from resight.decisions.decide import Decision
from resight.errors import ModelError

from .conftest import Shell

MODEL = "model.safetensors"
DRAWN = ("people", "--as", "synthetic", "--set", "identities=30", "--set", "test_fraction=0.8")
EASY = (*DRAWN, "--false-match-rate", "1e-2", "--coverage", "0.9")


@pytest.fixture
def calibrate(shell: Shell) -> Shell:
    """Run ``resight calibrate ARGUMENTS`` where an untrained model stands: (exit code, output, errors)."""
    resight.load("osnet_x0_25", height=32, width=16).save(MODEL)
    return partial(shell, "calibrate")


def test_the_card_gets_the_decision_and_the_weights_stay(calibrate: Shell) -> None:
    weights, before = Path(MODEL).read_bytes(), resight.load(MODEL).card
    with pytest.raises(ModelError, match="has not been calibrated"):
        Decision.from_card(resight.load(MODEL).card)
    code, out, err = calibrate(MODEL, *EASY, "--json")
    assert code == 0, err
    told = json.loads(out)
    after = resight.load(MODEL)
    assert Path(MODEL).read_bytes() == weights and after.card.fingerprint == before.fingerprint
    changed = {"threshold", "decision"}
    assert after.card.model_dump(exclude=changed) == before.model_dump(exclude=changed)
    decision = Decision.from_card(after.card)
    assert told["decision"] == decision.plain() == after.card.decision and told["card"] == "model.card.json"
    assert after.card.threshold == decision.threshold and decision.false_match_rate == 0.01

    data = resight.datasets.load("synthetic", "people", identities=30, test_fraction=0.8)
    embedder = resight.Embedder(after, device="cpu")
    query, gallery = embedder(data.query), embedder(data.gallery)
    assert decision == resight.calibrate((query, gallery), false_match_rate=1e-2, coverage=0.9)
    assert (decision.facts.queries, decision.facts.gallery, decision.facts.identities) == (96, 192, 24)


def test_the_table_says_what_it_can_and_what_it_cannot(calibrate: Shell) -> None:
    code, out, err = calibrate(MODEL, *EASY)
    assert code == 0, err
    decision = Decision.from_card(resight.load(MODEL).card)
    impostors = 96 * 192 - 24 * 4 * 8
    assert decision.facts.impostors == impostors
    assert f"{impostors:,} impostor" in out and f"match up to {decision.threshold:.4g}" in out
    assert "needs 30,000 pairs" in out and "needs 300,000 pairs" in out and "needs 300 searches" in out
    assert f"within {decision.set_distance:.4g} hold a true match with probability 0.9" in out
    assert "equal errors" in out and "written: model.card.json" in err


def test_to_another_file(calibrate: Shell) -> None:
    code, _, err = calibrate(MODEL, *EASY, "-o", "out/calibrated.safetensors")
    assert code == 0, err
    assert resight.load(MODEL).card.decision is None
    other = resight.load("out/calibrated.safetensors")
    assert other.card.fingerprint == resight.load(MODEL).card.fingerprint == Decision.from_card(other.card).fingerprint
    code, _, err = calibrate("osnet_x0_25", *EASY, "--weights", MODEL, "-o", "third.safetensors", "--json")
    assert code == 0, err
    assert Decision.from_card(resight.load("third.safetensors").card) == Decision.from_card(other.card)


def test_a_full_disk_leaves_the_old_card(calibrate: Shell) -> None:
    calibrate(MODEL, *EASY)  # the people are drawn now
    old = Path("model.card.json").read_bytes()
    with files_no_larger_than(1_000):
        code, _, err = calibrate(MODEL, *DRAWN, "--false-match-rate", "2e-2", "--coverage", "0.8")
    assert code == 2 and "model.card.json cannot be written" in err
    assert Path("model.card.json").read_bytes() == old


def test_a_decision_of_another_model_is_refused(calibrate: Shell) -> None:
    calibrate(MODEL, *EASY)
    calibrated = resight.load(MODEL)
    other = resight.load("osnet_x0_25", height=32, width=16)
    mixed = type(other)(other.network, other.card.model_copy(update={"decision": calibrated.card.decision}))
    with pytest.raises(ModelError, match=f"distances of {calibrated.card.fingerprint}, but the model is"):
        Decision.from_card(mixed.card)


def test_a_model_that_came_along_is_not_changed_nor_a_folder_of_its_name(calibrate: Shell) -> None:
    resight.load(MODEL).save("person/model.safetensors")
    before = Path("person/model.card.json").read_bytes()
    for name in ("person", "hf:somebody/model@v1.0"):
        code, _, err = calibrate(name, *EASY)
        assert code == 2 and f"{name} is not a model of yours to change: add -o" in err
    assert Path("person/model.card.json").read_bytes() == before and not list(Path().glob("hf:*"))


def test_what_cannot_be_done_is_one_sentence(calibrate: Shell) -> None:
    Path("bare.safetensors").write_bytes(Path(MODEL).read_bytes())
    for arguments, clue in [
        ((MODEL, *DRAWN, "--coverage", "0.99"), "needs at least 99 identities"),
        ((MODEL, *DRAWN, "--coverage", "0.9", "--false-match-rate", "1e-4"), "30,000 different impostor pairs"),
        ((MODEL, *DRAWN, "--false-match-rate", "0"), "false-match rate is 0"),
        ((MODEL, *DRAWN, "--coverage", "2"), "coverage is 2"),
        ((MODEL, *DRAWN, "-o", "out.pth"), "out.pth must be a safetensors file"),
        (("bare.safetensors", *DRAWN), "bare.safetensors has no card to store the decision in"),
        (("osnet_x0_25", *DRAWN), "osnet_x0_25 has no weights to calibrate"),
        (("gone.safetensors", *DRAWN), "gone.safetensors does not exist"),
        ((MODEL, "people", "--as", "synthetic", "--set", "identities=many"), "identities"),
        ((MODEL, "people", "--as", "market"), "market"),
    ]:
        code, _, err = calibrate(*arguments)
        assert code == 2 and clue in err and "Traceback" not in err, (arguments, err)
    assert resight.load(MODEL).card.decision is None


def test_help_says_what_it_does(calibrate: Shell) -> None:
    code, out, _ = calibrate("--help")
    assert code == 0 and "false-match" in out and "coverage" in out and "fold=validation" in out


def test_several_places_and_what_each_of_them_shows(calibrate: Shell) -> None:
    code, out, err = calibrate(MODEL, "yard", "hall", *EASY[1:])
    assert code == 0, err
    assert "yard, hall" in out and "false matches in each domain" in out
    decision = Decision.from_card(resight.load(MODEL).card)
    assert [one.name for one in decision.domains] == ["yard", "hall"]
    assert all(one.cross_camera is not None and one.cross_camera.value <= 0.01 for one in decision.domains)


def test_a_table_of_pairs(calibrate: Shell) -> None:
    data = resight.datasets.load("synthetic", "people", identities=30, test_fraction=0.8)
    query, gallery = data.query, data.gallery
    rows = ["a,b,same"]
    for q in range(len(query)):
        for g in range(0, len(gallery), 3):
            same = query.identities[q] == gallery.identities[g]
            rows += [f"{query.paths[q]},{gallery.paths[g]},{'yes' if same else 'no'}"] * bool(same or (q + g) % 25 == 0)
    Path("pairs.csv").write_text("\n".join(rows) + "\n")
    code, out, err = calibrate(MODEL, "--pairs", "pairs.csv", "--false-match-rate", "0.05", "--json")
    assert code == 0, err
    decision = Decision.from_card(resight.load(MODEL).card)
    assert json.loads(out)["decision"] == decision.plain() and decision.facts.impostors == sum("no" in r for r in rows)
    assert calibrate(MODEL)[0] == 2 and calibrate(MODEL, "people", "--pairs", "pairs.csv")[0] == 2
