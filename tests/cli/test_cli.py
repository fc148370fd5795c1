"""The command line as people and scripts meet it: results, exit codes, one sentence per error."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import resight
from conftest import write_noise
from resight.datasets.best_known import BEST, Best

from .conftest import Shell

SMALL = [
    *("--set", "data.name=market_layout", "--set", "images.height=32", "--set", "images.width=16"),
    *("--set", "sampler.batch_size=8", "--set", "phases=[{epochs: 1}]"),
]
RECIPE = str(Path(__file__).parents[2] / "recipes" / "osnet_x0_25_market1501_cpu.yaml")


def one_sentence(err: str) -> str:
    """The error message; fails where there is a traceback or more than a line."""
    lines = [line for line in err.splitlines() if line.startswith("Error:")]
    assert len(lines) == 1 and "Traceback" not in err, err
    assert lines[0].rstrip().endswith((".", "?")), err
    return lines[0]


def test_models_as_json(shell: Shell) -> None:
    code, out, _ = shell("models", "list", "osnet_x0*", "--json")
    assert code == 0
    assert {m["name"]: m["parameters"] for m in json.loads(out)} == {
        "osnet_x0_25": 201_864, "osnet_x0_5": 630_034, "osnet_x0_75": 1_285_754,
    }  # fmt: skip


def test_models_show_adds_up(shell: Shell) -> None:
    code, out, _ = shell("models", "show", "osnet_x1_0", "--json")
    shown = json.loads(out)
    assert code == 0 and sum(stage["parameters"] for stage in shown["stages"]) == shown["parameters"] == 2_169_508


def test_models_that_come_along(shell: Shell) -> None:
    code, out, _ = shell("models", "list", "p*n", "--json")
    (person,) = json.loads(out)
    assert code == 0 and (person["name"], person["height"], person["width"], person["dim"]) == ("person", 256, 128, 256)
    code, out, _ = shell("models", "show", "person", "--json")
    assert code == 0 and json.loads(out)["parameters"] == person["parameters"]
    for arguments, clue in (
        (("person", "--height", "64"), "leave out height"),
        (("gone.safetensors",), "gone.safetensors does not exist"),
        (("hf:no such/name",), "names no repository of the Hub"),
    ):
        code, _, err = shell("models", "show", *arguments)
        assert code == 2 and clue in err


def test_stats_count_what_is_there(shell: Shell, tiny_market: Callable[..., Path]) -> None:
    code, out, _ = shell("data", "stats", tiny_market(), "--json")
    facts = json.loads(out)["splits"]
    assert code == 0 and facts["train"]["images"] == 16 and facts["query"]["images"] == 6
    assert facts["gallery"]["junk"] == 1 and facts["gallery"]["distractors"] == 1


def test_check_finds_a_broken_picture(shell: Shell, tiny_market: Callable[..., Path]) -> None:
    root = tiny_market()
    assert shell("data", "check", root)[0] in (0, 1)
    broken = next((root / "query").glob("*.jpg"))
    broken.write_bytes(broken.read_bytes()[:300])
    code, out, _ = shell("data", "check", root)
    assert code == 1 and broken.name in out


def test_train_then_report_then_evaluate(shell: Shell, tiny_market: Callable[..., Path]) -> None:
    root = tiny_market()
    code, out, err = shell("train", RECIPE, "--set", f"data.root={root}", *SMALL, "--cpu", "-o", "run", "--json")
    assert code == 0, err
    assert json.loads(out)["report"]["evaluated"] == 6
    for name in ("recipe.yaml", "environment.json", "metrics.json", "model.safetensors", "model.card.json"):
        assert (Path("run") / name).stat().st_size > 0, name
    assert list(Path("run/tensorboard").iterdir())
    environment = json.loads(Path("run/environment.json").read_text())
    assert environment["packages"]["torch"] and len(environment["data"]["fingerprint"]) == 64

    again = shell("train", RECIPE, "--set", f"data.root={root}", *SMALL, "--cpu", "-o", "run")
    assert again[0] == 2 and "--resume" in one_sentence(again[2])

    code, reported, _ = shell("report", "run", "--json")
    assert code == 0 and json.loads(reported)["mAP"] == pytest.approx(json.loads(out)["report"]["mAP"], abs=1e-6)
    assert "<html" in Path("run/report.html").read_text()

    code, _, err = shell("report", "run", "--on", root, "-o", "on.html", "--no-pictures")
    assert code == 0 and "On other data sets" in Path("on.html").read_text(), err

    code, out, _ = shell("evaluate", "run", root, "--metric", "euclidean", "--metric", "cosine", "--json")
    euclidean, cosine = json.loads(out)
    assert code == 0 and (euclidean["metric"], cosine["metric"]) == ("euclidean", "cosine")
    assert cosine["mAP"] == pytest.approx(json.loads(reported)["mAP"], abs=1e-6)


@pytest.mark.parametrize("several", [False, True])
def test_what_a_data_set_leaves_out_is_printed(shell: Shell, tmp_path: Path, several: bool) -> None:
    for person in ("a", "b"):
        for camera in (1, 2):
            write_noise(tmp_path / "set" / person / f"c{camera}_0.jpg", 32, 16, camera)
    (tmp_path / "set" / "a" / "notes.docx").write_bytes(b"no image")
    two = ("set", "again") if several else ("set",)
    if several:
        shutil.copytree(tmp_path / "set", tmp_path / "again")
    code, _, err = shell("evaluate", "osnet_x0_25", *two, "--height", 32, "--width", 16, "--engine", "torch")
    assert code == 0, err
    for name in two:
        label = f"{name}: " if several else ""
        assert f"{label}1 file that is not a readable image was left out (1 .docx; first {name}/a/notes.docx)" in err


def test_several_data_sets_give_one_table(
    shell: Shell, tiny_market: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    resight.load("osnet_x0_25", height=32, width=16).save("a.safetensors")
    roots = [tiny_market(name, test=test) for name, test in (("here", 3), ("there", 5))]
    shutil.rmtree(roots[1] / "bounding_box_train")  # a test set alone
    code, out, err = shell("evaluate", "a.safetensors", *roots, "--json")
    assert code == 0, err
    (table,) = json.loads(out)
    assert list(table["sets"]) == ["here", "there"]
    for root in roots:
        ((alone),) = json.loads(shell("evaluate", "a.safetensors", root, "--json")[1])
        assert table["sets"][root.name] == alone
    for name in ("mAP", "mINP"):
        assert table["average"][name] == pytest.approx(np.mean([one[name] for one in table["sets"].values()]))
    code, out, err = shell("evaluate", "a.safetensors", *roots, "--metric", "euclidean", "--metric", "cosine")
    assert code == 0 and out.count("macro average ") == 2 and f"{table['average']['mAP']:.2%}" in out, (out, err)
    monkeypatch.setitem(BEST, "market_layout", Best(0.99, 1.0, "somebody"))
    code, out, err = shell("evaluate", "a.safetensors", *roots)
    assert code == 0 and f"{99 - 100 * table['sets']['there']['mAP']:.1f}" in out and "gap" in out, (out, err)
    code, out, err = shell("evaluate", "a.safetensors", *roots, "--intervals")
    assert code == 0 and f"{table['sets']['there']['mAP']:.2%} [" in out, (out, err)
    code, _, err = shell("evaluate", "a.safetensors", *roots, "--repeats", "2")
    assert code == 2 and "one data set" in one_sentence(err)


def test_bad_input_is_one_sentence_and_exit_code_2(shell: Shell, tiny_market: Callable[..., Path]) -> None:
    root = tiny_market()
    Path("empty").mkdir()
    with zipfile.ZipFile("wrong.zip", "w") as archive:
        archive.writestr("notes.txt", "not images")
    Path("text.zip").write_text("not a zip")
    Path("typo.yaml").write_text(Path(RECIPE).read_text().replace("sampler:", "smapler:"))
    Path("weights.pth").write_text("not weights")
    for arguments, clue in [
        (["train", "nowhere.yaml"], "nowhere.yaml"),
        (["train", "typo.yaml"], "sampler"),
        (["train", RECIPE, "--set", "phases.0.lr"], "key=value"),
        (["train", RECIPE, "--set", "data.root=empty", "-o", "run"], "empty"),
        (["train", RECIPE, "--set", "data.root=wrong.zip", "-o", "run"], "wrong.zip"),
        (["train", RECIPE, "--set", "data.root=text.zip", "-o", "run"], "text.zip"),
        (["data", "stats", "nowhere"], "nowhere"),
        (["data", "stats", "empty"], "empty"),
        (["models", "show", "osnet_x025"], "osnet_x0_25"),
        (["evaluate", "osnet_x0_25", root, "--weights", "weights.pth"], "weights.pth"),
        (["evaluate", "weights.pth", root], "weights.pth"),
        (["report", "empty"], "empty"),
    ]:
        code, _, err = shell(*arguments)
        assert code == 2 and clue in one_sentence(err), (arguments, code, err)
    assert not Path("run").exists()
