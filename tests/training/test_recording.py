"""Where numbers are recorded: TensorBoard here, MLflow and Weights & Biases where they are installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from resight.errors import RecipeError
from resight.training import recipe as recipes
from resight.training.progress.recording import _flat, recorded

RECIPE = recipes.parse(
    {
        "name": "small",
        "about": "a test",
        "data": {"name": "synthetic", "root": "data"},
        "model": {"name": "osnet_x0_25"},
        "losses": [{"name": "cross_entropy"}],
        "phases": [{"epochs": 2, "lr": 0.01}],
    }
)
ENTRIES: list[dict[str, Any]] = [{"epoch": 1, "loss": 2.5, "note": "x"}, {"epoch": 2, "loss": 1.25, "mAP": 0.5}]


def record(folder: Path, *trackers: str, wanted: bool = True) -> None:
    with recorded(folder, RECIPE, trackers, wanted=wanted) as one:
        for entry in ENTRIES:
            one(entry)


def test_values_have_the_places_that_set_takes() -> None:
    flat = _flat(RECIPE.model_dump(mode="json"))
    assert flat["phases.0.lr"] == 0.01 and flat["losses.0.name"] == "cross_entropy" and flat["name"] == "small"
    assert not [value for value in flat.values() if isinstance(value, (dict, list)) and value]


def test_tensorboard_and_nothing_in_other_processes(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    record(tmp_path / "other", wanted=False)
    assert not (tmp_path / "other").exists()
    record(tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(1, 2.5), (2, 1.25)]
    assert [one.value for one in events.Scalars("mAP")] == [0.5]


def test_an_unknown_tracker_and_one_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="no tracker 'excel': choose mlflow or wandb"):
        record(tmp_path, "excel")
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(RecipeError, match="mlflow is not installed: pip install mlflow"):
        record(tmp_path, "mlflow")


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="run by tools.integrations")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(None)
    record(tmp_path / "run", "mlflow")
    (run,) = mlflow.MlflowClient().search_runs([mlflow.get_experiment_by_name("resight").experiment_id])
    assert run.info.run_name == "small" and run.info.status == "FINISHED"
    assert run.data.metrics == {"loss": 1.25, "mAP": 0.5} and run.data.params["phases.0.lr"] == "0.01"
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [(one.step, one.value) for one in history] == [(1, 2.5), (2, 1.25)]


def test_weights_and_biases_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="run by tools.integrations")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    (tmp_path / "run").mkdir()
    record(tmp_path / "run", "wandb")
    (file,) = (tmp_path / "run").glob("wandb/offline-run-*/*.wandb")
    held = file.read_bytes()
    assert b"phases.0.lr" in held and b"mAP" in held and json.dumps("small").encode()[1:-1] in held
