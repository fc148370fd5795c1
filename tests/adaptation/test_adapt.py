"""The whole adaptation without labels, with a tiny network on made-up people."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import resight
import tiny
from resight.adaptation import judge
from resight.adaptation.clusters import Facts
from resight.adaptation.settings import settings
from resight.datasets import Dataset
from resight.embedding.measure import measure
from resight.errors import DataError, ModelError, RecipeError, TrainingError
from resight.models.model import Model
from resight.records import Split
from resight.training import recipe as recipes
from resight.training.run import Run

FAST: dict[str, Any] = {"epochs": 2, "steps": 3, "cpu": True, "progress": False}


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_it_learns_people_that_nobody_labelled(adapted: tuple[Path, dict[str, Any]], others: Dataset) -> None:
    folder, result = adapted
    before, after = result["check"]["before"]["mAP"], result["check"]["after"]["mAP"]
    assert before < 0.4 and after > before + 0.2
    assert result["check"]["difference"]["mAP"]["low"] > 0.1, "the interval by people is far from nothing"
    assert measure(resight.load(folder), others, engine="torch")[2].mAP == pytest.approx(after, abs=1e-6)
    assert result["history"][-1]["spanning"] > result["look"]["spanning"], "clusters span cameras now"
    assert json.loads((folder / "metrics.json").read_text())["stopped"] == "all 4 epochs are done"


def test_it_recovers_two_thirds_of_what_labels_would_give(
    adapted: tuple[Path, dict[str, Any]], others: Dataset, model: Model, tmp_path: Path
) -> None:
    """The same recipe with the true labels in place of clusters."""
    folder, result = adapted
    paths = np.array([line.split(",")[0] for line in (folder / "clusters.csv").read_text().splitlines()[1:]])
    names = [Path(path).name for path in paths.tolist()]
    people, cameras = (np.array([int(name[at]) for name in names]) for at in (slice(4), slice(6, 7)))
    labelled = Dataset("labelled", Split(paths, people, cameras), others.query, others.gallery)
    recipe = recipes.read(folder / "recipe.yaml")
    best = resight.train(recipe, tmp_path / "run", data=labelled, start=model, cpu=True, progress=False)
    before, after = result["check"]["before"]["mAP"], result["check"]["after"]["mAP"]
    assert best["report"]["mAP"] > before + 0.2, "there is a gap"
    assert after - before > 2 / 3 * (best["report"]["mAP"] - before)


def test_its_card_says_what_it_is_and_decides_nothing(adapted: tuple[Path, dict[str, Any]], model: Model) -> None:
    card = resight.load(adapted[0]).card
    assert card.trained_on == f"adapted without labels to 500 crops of 2 cameras from tiny ({model.card.fingerprint})"
    assert card.threshold is None and card.decision is None and card.metrics == ()
    assert card.fingerprint not in ("", model.card.fingerprint) and card.metric == "cosine"
    assert "made from the people" in card.about.limits and "adapted to" in card.licences.data


def test_the_report_and_the_clusters_lie_beside_it(adapted: tuple[Path, dict[str, Any]]) -> None:
    page = (adapted[0] / "report.html").read_text()
    assert "Most doubtful merges" in page and "Over several cameras" in page and "data:image/jpeg" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    lines = (adapted[0] / "clusters.csv").read_text().splitlines()
    assert lines[0] == "path,camera,track,before,after" and len(lines) == 501
    after = np.array([int(line.rsplit(",", 1)[1]) for line in lines[1:]])
    assert after.max() + 1 == adapted[1]["history"][-1]["clusters"]


class _Stop(Exception):
    pass


def test_an_interrupted_run_goes_on_to_the_same_bits(
    crops: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = resight.adapt(crops, tmp_path / "whole", model, **FAST | {"epochs": 3})
    plain = Run.write_metrics

    def stops(self: Run, metrics: dict[str, Any]) -> None:
        if len(metrics["history"]) == 2:
            raise _Stop
        plain(self, metrics)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "write_metrics", stops)
        with pytest.raises(_Stop):
            resight.adapt(crops, tmp_path / "parts", model, **FAST | {"epochs": 3})
    with pytest.raises(TrainingError, match="--resume"):
        resight.adapt(crops, tmp_path / "parts", model, **FAST | {"epochs": 3})
    with pytest.raises(TrainingError, match="another recipe"):
        resight.adapt(crops, tmp_path / "parts", model, resume=True, lr=1e-2, **FAST | {"epochs": 3})
    parts = resight.adapt(crops, tmp_path / "parts", model, resume=True, **FAST | {"epochs": 3})
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
    same = [[entry[key] for key in ("loss", "clusters", "agreement", "spread", "drift")] for entry in whole["history"]]
    assert same == [
        [entry[key] for key in ("loss", "clusters", "agreement", "spread", "drift")] for entry in parts["history"]
    ]
    assert resight.adapt(crops, tmp_path / "parts", model, resume=True, **FAST | {"epochs": 3}) == parts
    for other in ({"epochs": 5}, {"seed": 2}, {"lr": 1e-2}):  # what is finished does not answer for another run
        with pytest.raises(TrainingError, match=f"finished adaptation with {next(iter(other))}"):
            resight.adapt(crops, tmp_path / "parts", model, resume=True, **FAST | {"epochs": 3} | other)
    with pytest.raises(TrainingError, match="finished adaptation with source"):
        resight.adapt(tmp_path, tmp_path / "parts", model, resume=True, **FAST | {"epochs": 3})


def test_a_finished_run_answers_for_its_own_check_only(
    crops: Path, adapted: tuple[Path, dict[str, Any]], others: Dataset, model: Model, tmp_path: Path
) -> None:
    folder, result = adapted
    ways = {"epochs": 4, "lr": 1e-3, "cpu": True, "progress": False, "resume": True}
    assert resight.adapt(crops, folder, model, check=others, **ways)["check"] == result["check"]
    assert resight.adapt(crops, folder, model, **ways) == json.loads((folder / "metrics.json").read_text())
    fewer = Dataset("others", others.train, others.query.take(np.arange(1, 9)), others.gallery)
    with pytest.raises(TrainingError, match=r"checked on another data set \(others\): .* resight compare"):
        resight.adapt(crops, folder, model, check=fewer, **ways)
    copy = shutil.copytree(folder, tmp_path / "unchecked")
    (copy / "metrics.json").write_text(json.dumps({key: value for key, value in result.items() if key != "check"}))
    with pytest.raises(TrainingError, match="finished adaptation without a check"):
        resight.adapt(crops, copy, model, check=others, **ways)


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", 0), ("lr", float("nan")), ("seed", -1), ("steps", -1), ("epochs", -1), ("epochs", 1.5), ("travel", -1.0)],
)
def test_numbers_that_no_training_takes(crops: Path, model: Model, tmp_path: Path, name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=f"{name} is {value}"):
        resight.adapt(crops, tmp_path / "run", model, **FAST | {name: value})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("distance", [0.0, 0.71, float("nan")])
def test_a_distance_at_which_no_pairs_are_known(crops: Path, model: Model, tmp_path: Path, distance: float) -> None:
    with pytest.raises(RecipeError, match=r"from 0\.05 to 0\.7"):
        resight.adapt(crops, tmp_path / "run", model, distance=distance, **FAST)


def test_a_password_of_a_database_stays_out_of_the_recipe(model: Model) -> None:
    found = Facts(0.6, 20, 1.0, 0.1, 5.0, None)
    address = "postgresql://ann:hunter2@db/people?gallery=seen"
    recipe = settings(model.card, source=address, model="tiny", found=found, images=500, epochs=2)
    assert "hunter2" not in recipe.yaml() and "db/people" in recipe.yaml()


def test_a_collapse_goes_back_to_the_epoch_before(
    crops: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "collapsed", lambda entry, start, history: "made up" if entry["epoch"] == 2 else "")
    result = resight.adapt(crops, tmp_path / "run", model, **FAST)
    assert len(result["history"]) == 1 and "epoch 2 went wrong (made up)" in result["stopped"]
    kept = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["averaged"]
    network = resight.load(tmp_path / "run").network.state_dict()
    assert all(torch.equal(kept[f"module.{key}"], value) for key, value in network.items())
    monkeypatch.setattr(judge, "collapsed", lambda entry, start, history: "made up")
    with pytest.raises(TrainingError, match="first epoch"):
        resight.adapt(crops, tmp_path / "other", model, **FAST)
    assert not (tmp_path / "other" / "model.safetensors").exists()


def test_no_epochs_estimate_the_statistics_again(crops: Path, others: Dataset, model: Model, tmp_path: Path) -> None:
    result = resight.adapt(crops, tmp_path / "run", model, epochs=0, check=others, cpu=True, progress=False)
    assert result["norms"] == 3 and result["check"]["after"]["mAP"] > result["check"]["before"]["mAP"]
    found = resight.load(tmp_path / "run")
    assert torch.equal(found.network.one[0].weight, model.network.one[0].weight)  # type: ignore[index, union-attr]
    count = len(list(crops.rglob("*.*")))
    assert re.match(rf"statistics estimated again without labels on {count} crops of ", found.card.trained_on)


def test_what_cannot_be_learnt_from_is_refused(crops: Path, model: Model, tmp_path: Path) -> None:
    few = tmp_path / "few"
    tiny.write(few, range(1, 4))
    with pytest.raises(DataError, match=r"30 crops.*500 or more"):
        resight.adapt(few, tmp_path / "run", model, **FAST)
    copies = tmp_path / "copies"
    copies.mkdir()
    for number, path in enumerate(sorted(crops.iterdir())[:9] * 60):
        shutil.copy(path, copies / f"{number}.png")
    with pytest.raises(DataError, match="There are 9 crops"):
        resight.adapt(copies, tmp_path / "run", model, **FAST)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_an_exported_model_is_refused(crops: Path, tmp_path: Path, model: Model) -> None:
    from resight.models.exported import Exported

    network = Exported.__new__(Exported)
    with pytest.raises(ModelError, match="cannot be trained"):
        resight.adapt(crops, tmp_path / "run", Model(network, model.card), **FAST)
