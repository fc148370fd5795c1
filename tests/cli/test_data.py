"""``resight data check`` and ``stats``: options of the data set, the contact sheet, names that are not UTF-8."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from resight.cli.main import app
from resight.datasets import load

MAIN = "from resight.cli.main import main; main()"


def test_near_copies_in_words_in_json_and_in_a_sheet(tmp_path: Path) -> None:
    root = tmp_path / "people"
    load("synthetic", root, identities=8, cameras=2, seed=1)
    query = sorted((root / "query").iterdir())[0]
    shutil.copy(query, root / "bounding_box_train" / "0999_c1s1_000001_01.jpg")
    sheet = tmp_path / "sheet.html"
    done = CliRunner().invoke(app, ["data", "check", str(root), "--sheet", str(sheet)])
    assert done.exit_code == 1 and "are under different identities, byte for byte" in done.output
    page = sheet.read_text()
    assert "are under different identities" in page and page.count("<img") >= 2 and "http://" not in page
    done = CliRunner().invoke(app, ["data", "check", str(root), "--json", "--set", "fold=validation"])
    found = json.loads(done.stdout)
    assert all("different identities" not in finding["what"] for finding in found)  # no query of the test is checked


def test_stats_by_a_pattern(tmp_path: Path) -> None:
    root = tmp_path / "people"
    load("synthetic", root, identities=8, cameras=2, seed=1)
    pattern = r"pattern=(?P<identity>\d+)_c(?P<camera>\d+)"
    done = CliRunner().invoke(app, ["data", "stats", str(root), "--json", "--set", pattern])
    assert json.loads(done.stdout)["splits"]["train"]["cameras"] == 2


def test_names_that_are_not_utf8_are_printed(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"Jos\xe9")
    folder.mkdir()
    for name in ("1_a.jpg", "2_b.jpg"):
        (folder / name).write_bytes(b"")
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    command = [sys.executable, "-c", MAIN, "data", "check", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=strict)
    assert done.returncode == 1 and "2 image file(s) are empty" in done.stdout and "Traceback" not in done.stderr
