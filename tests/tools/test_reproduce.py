"""``tools/reproduce``: the registry agrees with the pages, and a number that no longer holds is noticed."""

import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest
import yaml

from conftest import TinyMarket
from resight.errors import RecipeError, ResightError
from resight.yaml_text import assign
from tools.reproduce import check, registry
from tools.reproduce.__main__ import main
from tools.reproduce.registry import DATA, Entry, entries

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, pathlib, sys
run, seed = pathlib.Path(sys.argv[2]), sys.argv[3]
if sys.argv[1] == "train":
    run.mkdir(parents=True)
    (run / "mAP").write_text(str(0.5 + 0.01 * int(seed)))
elif sys.argv[1] == "fail":
    sys.exit("no")
else:
    print(json.dumps([{"mAP": float((run / "mAP").read_text()), "cmc": {"1": 0.75}}]))
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry with one entry, whose training leaves 0.5 + 0.01 * seed; the documentation says 0.52."""
    monkeypatch.chdir(tmp_path)
    Path("a script.py").write_text(SCRIPT)
    Path("data.zip").write_text("")
    run = Path("runs/toy")
    run.mkdir(parents=True)
    (run / "mAP").write_text("0.5201")
    content = {
        "about": "a toy",
        "train": ["python 'a script.py' train {run} {seed} {market1501}"],
        "evaluate": "python 'a script.py' evaluate {run} {seed}",
        "run": "runs/toy",
        "minutes": {"evaluate": 0},
        "spread": 0.011,
        "numbers": [
            {"what": "0.mAP", "value": 0.52, "shown": {"README.md": "52%"}},
            {"what": "0.cmc.1", "value": 0.74, "within": 0.02, "shown": {"README.md": "74%"}},
        ],
    }
    monkeypatch.setattr(check, "entry", lambda name: Entry.model_validate(content))
    monkeypatch.setitem(DATA, "market1501", "data.zip")
    return run


def run(*arguments: str) -> int:
    sys.argv = ["tools.reproduce", *arguments]
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.fixture(autouse=True)
def _argv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv)


# ---- the registry and the pages


@pytest.mark.parametrize("name", sorted(entries()))
def test_every_number_stands_where_the_registry_says(name: str) -> None:
    for number in entries()[name].numbers:
        for page, words in number.shown.items():
            text = (ROOT / page).read_text(encoding="utf-8")
            assert re.search(rf"(?<![\d.]){re.escape(words)}(?!\d)", text), f"{page} does not say {words!r}"
            shown = re.findall(r"\d+(?:\.\d+)?", words)[-1]
            places = len(shown.partition(".")[2])
            apart = min(abs(float(shown) - scale * number.value) for scale in (1, 100))
            assert apart <= 0.5001 * 10**-places, f"{name}: {words} is not {number.value}"


@pytest.mark.parametrize("name", sorted(entries()))
def test_every_entry_can_be_run(name: str) -> None:
    entry = entries()[name]
    trains = " ".join(entry.train)
    trains += "".join((ROOT / recipe).read_text(encoding="utf-8") for recipe in re.findall(r"recipes/\S+", trains))
    for before in entry.after:
        assert f"{entries()[before].run}/model.safetensors" in trains, f"{name} does not start from {before}"
    assert all(check._filled(entry.evaluate, DATA, entry.run or "reproduced/x", 1))
    assert entry.numbers and "evaluate" in entry.minutes and len({n.what for n in entry.numbers}) == len(entry.numbers)
    assert bool(entry.train) == (entry.spread > 0) == ("train" in entry.minutes) == bool(entry.run)
    for command in (*entry.train, entry.evaluate):
        first, *rest = check._filled(command, DATA, "runs/x", 1)
        assert first == sys.executable and not [word for word in rest if "{" in word]
        for word in rest:
            if word.startswith(("recipes/", "benchmarks/")):
                assert (ROOT / word).is_file(), command
    assert "json" in entry.evaluate


def test_every_measured_recipe_can_be_reproduced() -> None:
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        measured = yaml.safe_load(path.read_text(encoding="utf-8")).get("measured", "")
        if not measured:
            continue
        page = f"recipes/{path.name}"
        said = {n.shown[page] for e in entries().values() for n in e.numbers if page in n.shown}
        assert said, f"{page} says what was measured, but no entry of numbers.yaml gives it"
        assert all(words in measured for words in said), page


# ---- running an entry


def test_what_is_measured_again_holds(toy: Path) -> None:
    done = check.reproduce("toy")
    assert done.holds and not done.trained
    assert [(one.what, one.found, one.holds) for one in done.numbers] == [
        ("0.mAP", (0.5201,), True),
        ("0.cmc.1", (0.75,), True),
    ]
    (toy / "mAP").write_text("0.5203")
    again = check.reproduce("toy")
    assert not again.holds and [one.holds for one in again.numbers] == [False, True]


def test_what_is_trained_again_with_three_seeds(toy: Path) -> None:
    announced: list[str] = []
    done = check.reproduce("toy", train=True, seeds=3, output="new", announce=announced.append)
    assert [p.name for p in sorted(Path("new").iterdir())] == ["toy-seed1", "toy-seed2", "toy-seed3"]
    first = done.numbers[0]
    assert first.found == (0.51, 0.52, 0.53) and first.spread == stdev([0.51, 0.52, 0.53])
    assert first.mean == pytest.approx(0.52) and done.holds and first.allowed == 0.011
    assert len(announced) == 6 and announced[0] == "python 'a script.py' train new/toy-seed1 1 data.zip"
    assert (toy / "mAP").read_text() == "0.5201"  # the run that was there is left alone


def test_what_has_no_run_writes_into_a_folder_of_its_own(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the demo, which would otherwise write where it is called."""
    alone = check.entry("toy").model_copy(update={"run": "", "train": ()})
    monkeypatch.setattr(check, "entry", lambda name: alone)
    folder = Path("again/toy")
    folder.mkdir(parents=True)
    (folder / "mAP").write_text("0.52")
    assert check.reproduce("toy", output="again").holds


def test_a_path_is_a_text_whatever_yaml_makes_of_it() -> None:
    command = "resight train x -o {run} --set seed={seed} --set data.root={market1501} --set a.b={run}/m.pt"
    for path in ("/d/Market #1/M.zip", "/d/a: b/M.zip", "[old]/M.zip", "2024", "runs/it's"):
        words = check._filled(command, {"market1501": path}, path, 3)[2:]
        content: dict[str, Any] = {}
        for before, word in pairwise(words):
            if before == "--set":
                assign(content, word)
        assert content == {"seed": 3, "data": {"root": path}, "a": {"b": f"{path}/m.pt"}}
        assert words[4] == path
    assert check._filled(command, {"market1501": "a b"}, "runs/x", 1)[10:] == [
        "data.root=a b", "--set", "a.b=runs/x/m.pt",
    ]  # fmt: skip


def test_what_a_training_starts_from_is_trained_once(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole chains of it, in their own places and with the recipe's own seed."""
    last = check.entry("toy")
    chain = {
        "start": last.model_copy(update={"run": "runs/start"}),
        "middle": last.model_copy(update={"run": "runs/middle", "after": ("start",)}),
        "toy": last.model_copy(update={"after": ("middle",)}),
    }
    monkeypatch.setattr(check, "entry", chain.__getitem__)
    announced: list[str] = []
    check.reproduce("toy", output="new", announce=announced.append)
    assert len(announced) == 1  # measuring needs nothing of before
    announced.clear()
    check.reproduce("toy", train=True, seeds=2, output="new", announce=announced.append)
    assert [line.split()[3:6] for line in announced[:3]] == [
        ["train", "runs/start", "1"], ["train", "runs/middle", "1"], ["train", "new/toy-seed1", "1"],
    ]  # fmt: skip
    assert len(announced) == 6
    Path("runs/middle/model.safetensors").write_text("")
    announced.clear()
    check.reproduce("toy", train=True, output="newer", announce=announced.append)
    assert len(announced) == 2


def test_a_training_that_comes_out_elsewhere_does_not_hold(toy: Path) -> None:
    Path("a script.py").write_text(SCRIPT.replace("0.5 +", "0.6 +"))
    done = check.reproduce("toy", train=True)
    assert not done.holds and done.numbers[0].found == (0.61,)


def test_exit_code_and_json(toy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("toy", "--json") == 0
    out, err = capfd.readouterr()
    result = json.loads(out)
    assert result["holds"] and result["numbers"][0]["expected"] == 0.52 and err.startswith("$ python 'a script.py'")
    (toy / "mAP").write_text("0.4")
    assert run("toy", "--evaluate-only") == 1
    out, _ = capfd.readouterr()
    assert "toy does not hold." in out and "NO" in out


def test_what_cannot_be_reproduced(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="is a number of trainings"):
        check.reproduce("toy", seeds=2)
    with pytest.raises(RecipeError, match="it is one of market1501, domains"):
        check.reproduce("toy", data={"msmt": "x"})
    with pytest.raises(RecipeError, match=r"toy needs market1501, but gone\.zip does not exist"):
        check.reproduce("toy", data={"market1501": "gone.zip"})
    (toy / "mAP").unlink()
    with pytest.raises(ResightError, match="ended with exit code 1: see above"):
        check.reproduce("toy")
    toy.rmdir()
    with pytest.raises(RecipeError, match="runs/toy does not exist, so there is nothing to measure: add --train"):
        check.reproduce("toy")
    Path("a script.py").write_text("print('{}')")
    with pytest.raises(ResightError, match=r"printed no 0\.mAP: correct numbers\.yaml"):
        check.reproduce("toy", train=True)


def test_names(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RecipeError, match="did you mean 'grouping'"):
        registry.entry("groupings")
    assert run("--list", "--json") == 0
    listed = json.loads(capfd.readouterr().out)
    assert set(listed) == set(entries()) and listed["grouping"]["needs"] == ["market1501"]
    assert run("--list") == 0 and "osnet_x0_25_market1501_cpu" in capfd.readouterr().out
    assert run() == 2 and run("grouping", "--data", "x") == 2


def test_a_command_of_resight_is_run_by_this_python(tiny_market: TinyMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    number = {"what": "splits.train.images", "value": 20, "shown": {"README.md": "-"}}
    evaluate = f"resight data stats {tiny_market(train=5)} --json"
    entry = {"about": "-", "evaluate": evaluate, "minutes": {}, "numbers": [number]}
    monkeypatch.setattr(check, "entry", lambda name: Entry.model_validate(entry))
    assert check.reproduce("size").numbers[0].found == (20,)
