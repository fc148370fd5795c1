"""Tracklets in a shell: counted, measured, embedded; boxes of MOTChallenge sequences cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import resight
from resight.datasets import load
from resight.embedding import files

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Random weights."""
    path = tmp_path / "model.safetensors"
    resight.load("osnet_x0_25", height=32, width=16).save(path)
    return path


def test_from_a_folder_to_numbers_and_a_file(shell: Shell, tmp_path: Path, model: Path) -> None:
    data = load("synthetic_tracklets", tmp_path / "set", identities=4, cameras=2, seconds=20.0, rate=2, size=(64, 100))
    facts = data.facts()
    code, out, err = shell("data", "stats", "set", "--json")
    assert code == 0 and json.loads(out)["splits"]["query"]["tracklets"] == facts["query"]["tracklets"], err
    code, out, err = shell(
        "evaluate", model, "set", "--frames", "2", "--sampling", "first", "--pooling", "quality", "--json"
    )
    assert code == 0, err
    (entry,) = json.loads(out)
    assert entry["protocol"] == "tracklets" and entry["gallery"] == facts["gallery"]["tracklets"]
    code, out, err = shell("embed", model, "set", "-o", "t.npz", "--tracklets", "--frames", "2")
    count = sum(one["tracklets"] for one in facts.values())
    assert code == 0 and f"{count:,} tracklets, one row each." in out and len(files.read("t.npz")) == count, err
    for arguments, message in (
        (("evaluate", model, "set", "--pooling", "attention"), "osnet_x0_25 has learnt no attention over frames"),
        (("embed", model, "set", "-o", "u.npz", "--frames", "2"), "are about tracklets: add --tracklets"),
        (("compare", model, model, "set", "-o", "c.html"), "-o shows images, and tracklets are compared here"),
    ):
        code, _, err = shell(*arguments)
        assert code == 2 and message in " ".join(err.split()), err


def test_crops_of_sequences(shell: Shell, tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "sets" / "MOT17-02-DPM"
    (folder / "gt").mkdir(parents=True), (folder / "img1").mkdir()
    lines = [f"{frame},{who},{30 * who},5,24,50,1,1,1" for frame in range(1, 11) for who in (1, 2)]
    (folder / "gt" / "gt.txt").write_text("\n".join(lines) + "\n")
    (folder / "seqinfo.ini").write_text("[Sequence]\nname=MOT17-02\nseqLength=10\n")
    for frame in range(1, 11):
        pixels = np.random.default_rng(frame).integers(0, 256, (80, 100, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "img1" / f"{frame:06d}.jpg"), pixels)
    code, out, err = shell("data", "crops", "sets", "crops")
    assert code == 0 and "20 crops; not cut: 0 not counted, 0 hidden, 0 small." in out and "written: crops" in err
    code, out, err = shell("evaluate", model, "crops", "--set", "gap=1", "--set", "stride=2", "--json")
    assert code == 0, err
    (entry,) = json.loads(out)
    assert (
        entry["protocol"] == "reassociation" and entry["queries"] == 4
    )  # frames 8 and 10, of which 10 has no later one
    assert entry["reasons"] == {"it has fewer than two candidates, or its identity is not among them": 2}
    code, _, err = shell("data", "crops", "sets", "crops")
    assert code in (1, 2) and "crops" in err and "Traceback" not in err
    code, _, err = shell("evaluate", model, "sets")
    assert code == 2 and "cut its crops first" in " ".join(err.split())
