"""``resight compare`` as people and scripts meet it, on tiny pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import resight
from resight.embedding.measure import measure

from .conftest import Shell


@pytest.fixture
def folder(shell: Shell, tiny_market: Callable[..., Path]) -> Path:
    """Tiny pictures, and two untrained models: a file, and one in a folder as a run leaves it."""
    for seed, path in ((1, "a.safetensors"), (2, "run/model.safetensors")):
        torch.manual_seed(seed)
        Path(path).parent.mkdir(exist_ok=True)
        resight.load("osnet_x0_25", height=32, width=16).save(path)
    return tiny_market(test=6)


def test_two_models(shell: Shell, folder: Path) -> None:
    code, out, err = shell("compare", "a.safetensors", "run", folder, "-o", "page.html", "--json")
    assert code == 0, err
    told = json.loads(out)
    data = resight.datasets.load("market_layout", folder)
    a, b = (measure(resight.load(file), data, device="cpu")[2] for file in ("a.safetensors", "run/model.safetensors"))
    gained = [y - x for x, y in zip(a.average_precision, b.average_precision, strict=True)]
    found = told["difference"]
    assert found["mAP"]["value"] == pytest.approx(np.mean(gained)) and max(map(abs, gained)) > 0
    assert (found["wins"], found["losses"]) == (sum(one > 0 for one in gained), sum(one < 0 for one in gained))
    assert found["wins"] + found["losses"] + found["ties"] == 12
    assert (told["a"]["model"], told["b"]["model"]) == ("a.safetensors", "run")
    assert told["a"]["mAP"] == pytest.approx(a.mAP) and told["b"]["mAP"] == pytest.approx(b.mAP)
    page = Path("page.html").read_text(encoding="utf-8")
    assert "contains pictures" in page and page.count("<article") == found["wins"] + found["losses"]

    code, out, err = shell("compare", "a.safetensors", "run", folder, "-o", "bare.html", "--no-pictures")
    assert code == 0, err
    assert f"B is better on {found['wins']} queries, worse on {found['losses']}" in out and "bare.html" in err
    assert f"{100 * found['mAP']['value']:+.2f} [{100 * found['mAP']['low']:+.2f}" in out
    assert "data:image" not in Path("bare.html").read_text(encoding="utf-8")


def test_several_data_sets(shell: Shell, folder: Path, tiny_market: Callable[..., Path]) -> None:
    other = tiny_market("other/market", test=4)
    code, out, err = shell("compare", "a.safetensors", "run", folder, other, "--json")
    assert code == 0, err
    told = json.loads(out)
    first, second = f"{folder.parent.name}/market", "other/market"
    assert list(told["sets"]) == [first, second] and told["models"] == {"a": "a.safetensors", "b": "run"}
    alone = json.loads(shell("compare", "a.safetensors", "run", other, "--json")[1])
    assert told["sets"][second]["difference"] == alone["difference"]
    for side in "ab":
        mean = np.mean([one[side]["mAP"] for one in told["sets"].values()])
        assert told["average"][side]["mAP"] == pytest.approx(mean)
    gained = np.mean([one["difference"]["mAP"]["value"] for one in told["sets"].values()])
    assert told["average"]["difference"]["mAP"]["value"] == pytest.approx(gained)
    code, out, err = shell("compare", "a.safetensors", "run", folder, other)
    assert code == 0 and "macro average" in out and f"{100 * gained:+.2f} [" in out, (out, err)
    code, _, err = shell("compare", "a.safetensors", "run", folder, other, "-o", "page.html")
    assert code == 2 and "one data set" in err
    code, _, err = shell("compare", "a.safetensors", "run", folder, folder)
    assert code == 2 and "given twice" in err


def test_what_cannot_be_compared_is_one_sentence(shell: Shell, folder: Path) -> None:
    for arguments, clue in [
        (("a.safetensors", "gone.safetensors", folder), "gone.safetensors does not exist"),
        (("a.safetensors", "empty", folder), "empty"),
        (("a.safetensors", "run", "nowhere"), "nowhere"),
    ]:
        code, _, err = shell("compare", *arguments)
        assert code == 2 and clue in err and "Traceback" not in err, (arguments, err)
    code, out, _ = shell("compare", "--help")
    assert code == 0 and "intervals" in out and "pictures" in out
