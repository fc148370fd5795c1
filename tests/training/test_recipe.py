"""A recipe is refused when anything in it is unknown or out of range, with the cure in one sentence."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from resight.errors import RecipeError
from resight.training import recipe
from resight.training.recipe import Recipe

TEXT = """
name: tiny
data: {name: market1501, root: somewhere}
model: {name: osnet_x0_25}
images: {height: 32, width: 16, progressive: [{until: 2, height: 16, width: 8}]}
losses: [{name: cross_entropy, smoothing: 0.1}, {name: triplet, margin: null}]
phases: [{epochs: 1, only: [classifier]}, {epochs: 3, lr: 1e-3, milestones: [1, 2]}]
averaging: {decay: 0.9}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(TEXT)
    return tmp_path / "tiny.yaml"


def test_defaults_are_filled_in(file: Path) -> None:
    found = recipe.read(file)
    assert (found.epochs, found.sampler.batch_size, found.seed, found.precision) == (4, 64, 1, "no")
    assert found.losses[1].margin is None and found.losses[0].weight == 1.0  # type: ignore[union-attr]
    assert found.phases[1].lr == 1e-3 and found.phases[0].only == ("classifier",)
    assert found.images.progressive[0].until == 2 and found.averaging is not None


def test_the_resolved_recipe_reads_back_the_same(file: Path, tmp_path: Path) -> None:
    found = recipe.read(file)
    (tmp_path / "resolved.yaml").write_text(found.yaml())
    again = recipe.read(tmp_path / "resolved.yaml")
    assert again == found and again.yaml() == found.yaml()
    assert yaml.safe_load(found.yaml())["augmentation"]["erase_area"] == [0.02, 0.4]


def test_overrides(file: Path) -> None:
    changes = (
        "phases.1.lr=1e-2",
        "phases.1.milestones=[2]",
        "data.root=/a=b.zip",
        "data.options.fold=validation",
        "seed=7",
        "averaging=null",
        "images.progressive.0.until=3",
        "augmentation.flip=0",
        "losses.1.margin=0.2",
    )
    found = recipe.read(file, changes)
    assert found.phases[1].lr == 0.01 and found.phases[1].milestones == (2,) and found.phases[0].lr == 3.5e-4
    assert found.data.root == "/a=b.zip" and found.data.options == {"fold": "validation"}
    assert (found.seed, found.averaging, found.augmentation.flip) == (7, None, 0.0)
    assert found.images.progressive[0].until == 3 and found.losses[1].margin == 0.2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "is not of the form key=value"),
        ("=3", "is not of the form key=value"),
        ("phases.7.lr=1", r"no place 'phases\.7\.lr'"),
        ("phases.first.lr=1", r"no place 'phases\.first\.lr'"),
        ("name.lr=1", r"no place 'name\.lr'"),
        ("seed=[1", "not a YAML value"),
        ("data={name: a, name: b}", "not a YAML value"),
        ("sede=3", "unknown key 'sede': did you mean 'seed'"),
        ("phases.0.learning_rate=3", r"unknown key 'phases\.0\.learning_rate'"),
        ("sampler.batchsize=3", r"unknown key 'sampler\.batchsize': did you mean 'batch_size'"),
        ("images.progressive.0.heigth=3", r"unknown key 'images\.progressive\.0\.heigth': did you mean 'height'"),
        ("averaging.decya=0.5", r"unknown key 'averaging\.decya': did you mean 'decay'"),
        ("model.zzz=1", r"unknown key 'model\.zzz': known: name, head, weights"),
        ("seed=-1", "seed: .*greater than or equal to 0, found -1"),
        ("seed=4294967296", "seed: .*less than 4294967296"),
        ("phases.0.lr=0", r"phases\.0\.lr: .*greater than 0, found 0"),
        ("phases.0.warmup=1000", r"phases\.0: warmup is 1000 epochs, longer than the phase \(\d+\)"),
        ("phases.0.epochs=1.5", r"phases\.0\.epochs: .*integer"),
        ("phases.0.only=classifier", r"phases\.0\.only: .*tuple"),
        ("phases=[]", "phases: .*at least 1 item"),
        ("losses=[]", "losses: .*at least 1 item"),
        ("losses.0.weight=-1", r"losses\.0\.weight: .*greater than or equal to 0"),
        ("losses.0.weight=.nan", r"losses\.0\.weight: .*finite"),
        ("phases.0.lr=.inf", r"phases\.0\.lr: .*finite"),
        ("losses=[{name: cross_entropy, weight: 0}, {name: triplet, weight: 0}]", "every loss has weight 0"),
        ("losses.0.name=centre", r"losses\.0: .*'centre' .*expected tags: .*'center', 'circle'"),
        ("losses.0.smoothin=0.2", r"unknown key 'losses\.0\.smoothin': did you mean 'smoothing'"),
        ("losses.0.name=center", r"unknown key 'losses\.0\.smoothing': known: name, weight, plain_views, rate"),
        ("augmentation.flip=1.5", r"augmentation\.flip: .*less than or equal to 1"),
        ("augmentation.erase_area=[0.4, 0.02]", r"erase_area \(0\.4, 0\.02\) must rise"),
        ("augmentation.erase_area=[0.4, 1.2]", "erase_area .* must rise within"),
        ("augmentation.erase_ratio=[0, 3]", r"erase_ratio \(0\.0, 3\.0\) must be positive"),
        ("sampler.batch_size=30", "batch_size 30 is not a multiple of images_per_identity 4"),
        ("averaging.decay=1", "averaging.decay: .*less than 1"),
        ("precision=fp8", "precision: .*found 'fp8'"),
        ("model.arguments={num_identities: 3}", r"model\.arguments: num_identities follows from the data"),
        ("triplet={margin: 0.3}", "unknown key 'triplet': "),
        ("losses=[{name: given_triplets}]", r"'given_triplets' needs sampler\.kind 'triplets', not 'identities'"),
        ("losses=[{name: attributes, sigma: 0}]", r"losses\.0\.sigma: .*greater than 0"),
        (
            "images.progressive=[{until: 4, height: 8, width: 8}, {until: 2, height: 8, width: 8}]",
            r"end after epochs \[4, 2\], which must rise",
        ),
    ],
)
def test_what_is_refused(file: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as refused:
        recipe.read(file, [override])
    assert "\n" not in str(refused.value) and str(refused.value).endswith((".", "?"))


def test_what_is_written_out_can_be_overridden(file: Path, tmp_path: Path) -> None:
    """A resolved recipe has nulls where settings may stand, and YAML's no is a word here."""
    whole = tmp_path / "whole.yaml"
    whole.write_text(recipe.read(file, ["averaging=null", "precision=no"]).yaml())
    found = recipe.read(whole, ["averaging.decay=0.9", "phases.0.sampler.kind=random", "precision=no"])
    assert found.averaging is not None and found.averaging.decay == 0.9 and found.precision == "no"
    assert found.phases[0].sampler is not None and found.phases[0].sampler.kind == "random"


def test_an_empty_value_of_weights_is_none(file: Path) -> None:
    assert recipe.read(file, ["model.weights="]).model.weights == ""


def test_the_recipe_of_the_documentation_can_be_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    (block,) = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "mine.yaml").write_text(block)
    assert recipe.read(tmp_path / "mine.yaml").epochs == 60


def test_files_that_are_no_recipes(tmp_path: Path, file: Path) -> None:
    def refused(content: str | None, message: str) -> None:
        path = tmp_path / "a.yaml"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        with pytest.raises(RecipeError, match=message) as error:
            recipe.read(path)
        assert "\n" not in str(error.value)

    refused(None, "a.yaml does not exist")
    refused("a: [1", "not a readable YAML file")
    refused(TEXT + "seed: 2\nseed: 3\n", r"the key 'seed' is given twice in line \d+: correct it there")
    refused("- 1\n", "must be a YAML mapping")
    refused("", "must be a YAML mapping")
    refused(TEXT.replace("name: tiny\n", ""), "the key 'name' is missing")
    refused(TEXT.replace("{name: osnet_x0_25}", "{}"), r"'model\.name' is missing")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not a readable YAML file"):
        recipe.read(tmp_path / "b.yaml")
    with pytest.raises(RecipeError, match="not a readable YAML file"):
        recipe.read(tmp_path)


def test_a_recipe_cannot_be_changed(file: Path) -> None:
    found: Any = recipe.read(file)
    with pytest.raises(ValueError, match="frozen"):
        found.seed = 3
    assert isinstance(found, Recipe)
