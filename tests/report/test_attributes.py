"""The table of attributes in the report of a run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import painted
import resight
from resight.attributes.run import attribute_outputs, recognise
from resight.report.run import report_run
from resight.training import recipe as recipes


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a finished run on painted people."""
    painted.install(monkeypatch)
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "run"
    resight.load("pixels", height=8, width=4).save(folder / "model.safetensors")
    content = {
        "name": "painted", "data": {"name": "painted", "root": str(tmp_path / "people")}, "model": {"name": "pixels"},
        "phases": [{"epochs": 1}],
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(recipes.parse(content).yaml())
    return folder


def rows(page: str) -> dict[str, list[str]]:
    section = re.findall(r'<section id="attributes">(.*?)</section>', page, re.DOTALL)
    lines = re.findall(r'<tr><th scope="row">(\w+)</th>(.*?)</tr>', section[0], re.DOTALL) if section else []
    return {name: re.findall(r"<td>(.*?)</td>", cells) for name, cells in lines}


def test_every_attribute_has_its_line(run: Path) -> None:
    path, _ = report_run(run)
    page = path.read_text(encoding="utf-8")
    model, data = resight.load(run / "model.safetensors"), painted.painted(run.parent / "people")
    found = recognise(attribute_outputs(model, [data.gallery], device="cpu")[0], data)
    table = rows(page)
    assert tuple(table) == data.attributes
    for at, (name, cells) in enumerate(table.items()):
        values = [getattr(found.report, key)[at] for key in ("accuracy", "balanced", "precision", "recall", "f1")]
        assert cells == [
            str(found.report.positives[at]), *("\u2013" if np.isnan(value) else f"{value:.1%}" for value in values)
        ], name  # fmt: skip
    assert table["downpurple"][0] == "0" and table["downpurple"][-1] == "\u2013"
    for number in (found.report.mA, found.report.macro_f1, found.report.instance_f1, found.official["mean"]):
        assert f"<b>{number:.1%}</b>" in page
    assert "24 gallery images have labels, 2 have none" in page and "uppurple" in page.split("which all or none")[0]


def test_a_model_without_attributes_has_no_such_table(run: Path) -> None:
    resight.load("osnet_x0_25", height=32, width=16).save(run / "model.safetensors")
    page = report_run(run, pictures=False)[0].read_text(encoding="utf-8")
    assert not rows(page) and "<h2>Attributes</h2>" not in page
