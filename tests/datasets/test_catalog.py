from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resight import datasets
from resight.datasets import catalog
from resight.datasets.catalog import Dataset, register
from resight.errors import DataError, RecipeError
from resight.records import Split


def split(*paths: str, identities: list[int] | None = None) -> Split:
    return Split(np.array(paths, dtype=np.str_), identities or [1] * len(paths), [1] * len(paths))


def dataset(root: str = "", **changed: Split) -> Dataset:
    splits = {
        "train": split(f"{root}t/1.jpg", f"{root}t/2.jpg"),
        "query": split(f"{root}q/1.jpg"),
        "gallery": split(f"{root}g/1.jpg"),
    }
    return Dataset("example", **(splits | changed))


@pytest.fixture
def registered():
    before = dict(catalog._LOADERS)
    yield
    catalog._LOADERS.clear()
    catalog._LOADERS.update(before)


def test_the_built_in_data_sets_are_known() -> None:
    assert {"folder", "market1501", "market_layout", "synthetic"} <= set(datasets.names())
    assert datasets.names() == sorted(datasets.names())


def test_one_decorator_adds_a_data_set(registered: None) -> None:
    @register("example")
    def example(root: str, *, size: int = 1) -> Dataset:
        return dataset(f"{root}{size}/")

    assert "example" in datasets.names()
    assert datasets.load("example", "here", size=3).train.paths[0] == "here3/t/1.jpg"
    with pytest.raises(RecipeError, match=r"no option 'sise' \(did you mean 'size'\?\)"):
        datasets.load("example", "here", sise=3)
    with pytest.raises(DataError, match="'example' needs the folder or zip archive of its images"):
        datasets.load("example")


_WRONG = {"int": ("x", 1.5, [1]), "float": ("x", [1]), "bool": ("x", 7), "str": ([1], 3.5), "list": (3, [1])}


@pytest.mark.parametrize("name", sorted(set(datasets.names()) - {"unlabelled"}))
def test_options_of_another_type_are_one_sentence(name: str, tmp_path: Path) -> None:
    tried = 0
    for option, parameter in inspect.signature(catalog._LOADERS[name]).parameters.items():
        for kind, values in _WRONG.items():
            if option == "root" or not str(parameter.annotation).startswith(kind) or "|" in str(parameter.annotation):
                continue
            for value in values:
                tried += 1
                with pytest.raises(RecipeError, match=f"option {option} of the data set '{name}' cannot be"):
                    datasets.load(name, tmp_path, **{option: value})
        if option == "seed":
            with pytest.raises(RecipeError, match=r"seed .* cannot be -1: pass 0 or more"):
                datasets.load(name, tmp_path, seed=-1)
    assert tried or name == "course"


def test_options_are_taken_as_the_loader_has_them(registered: None) -> None:
    seen = []

    @register("example")
    def example(
        root: str, *, size: int = 1, share: float = 0.5, who: str | None = None, table: np.ndarray | None = None
    ) -> Dataset:
        seen.append((size, share, who))
        return dataset()

    datasets.load("example", "here", size="3", share=np.float32(0.25), who=None, table=np.zeros(2))
    datasets.load("example", "here", size=np.int64(2))
    assert seen == [(3, 0.25, None), (2, 0.5, None)]


def test_two_modules_cannot_share_a_name(registered: None) -> None:
    datasets.names()
    with pytest.raises(RecipeError, match=r"'market1501' of .* is taken by resight\.datasets\.market1501"):
        register("market1501")(dataset)


@pytest.mark.parametrize("wrong", ["market", "Market-1501", "market1510"])
def test_an_unknown_name_gets_the_nearest(wrong: str) -> None:
    with pytest.raises(RecipeError, match="did you mean 'market1501'"):
        datasets.load(wrong, "nowhere")


def test_a_far_name_gets_the_list(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no data set 'xyz': choose one of .*folder, .*market1501"):
        datasets.load("xyz", "nowhere")


def test_the_fingerprint_does_not_depend_on_the_place() -> None:
    here = dataset().fingerprint()
    assert len(here) == 64 and int(here, 16) >= 0
    assert here == dataset("/data/").fingerprint() == dataset("a.zip/b/").fingerprint()


@pytest.mark.parametrize(
    "changed",
    [
        {"train": split("t/1.jpg", "t/3.jpg")},
        {"train": split("t/1.jpg", "t/2.jpg", identities=[1, 2])},
        {"train": Split(["t/1.jpg", "t/2.jpg"], [1, 1], [1, 2])},
        {"query": split("t/1.jpg")},
        {"train": split("t/1.jpg"), "query": split("t/2.jpg", "q/1.jpg")},
    ],
)
def test_the_fingerprint_sees_every_change(changed: dict[str, Split]) -> None:
    assert dataset(**changed).fingerprint() != dataset().fingerprint()


def test_facts_count_people_apart_from_junk_and_distractors() -> None:
    gallery = Split([f"g/{i}.jpg" for i in range(6)], [-1, -1, 0, 4, 4, 9], [1, 2, 3, 1, 2, 5])
    facts = dataset(gallery=gallery).facts()
    assert facts["gallery"] == {"images": 6, "identities": 2, "cameras": 4, "junk": 2, "distractors": 1}
    assert list(facts) == ["train", "query", "gallery"]


def test_datasets_do_not_import_torch() -> None:
    code = "import sys, resight; resight.datasets.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
