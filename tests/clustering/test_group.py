"""Groups against plain average linkage, and their measures against loops over all pairs."""

import zipfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from resight.clustering.group import group, measure_groups, write_folders
from resight.errors import DataError, ResightError
from resight.records import Embeddings


def clouds(identities: int = 12, images: int = 6, spread: float = 0.25, seed: int = 0) -> tuple[Embeddings, np.ndarray]:
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(1, identities + 1), images)
    vectors = rng.normal(size=(identities, 16))[who - 1] + spread * rng.normal(size=(len(who), 16))
    order = rng.permutation(len(who))
    return Embeddings(vectors[order].astype(np.float32)), who[order]


def plain(vectors: np.ndarray, threshold: float, metric: str) -> list[set[int]]:
    """The same rule, with every average taken over all pairs of members."""
    x = vectors.astype(np.float64)
    if metric == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        apart = 1 - x @ x.T
    else:
        apart = ((x[:, None] - x[None]) ** 2).sum(2)
    limit = threshold if metric == "cosine" else threshold**2
    groups = [{i} for i in range(len(x))]
    pairs = sorted((apart[i, j], i, j) for i, j in combinations(range(len(x)), 2))
    for distance, i, j in pairs:
        if distance > limit:
            break
        a, b = (next(g for g in groups if k in g) for k in (i, j))
        if a is not b and np.mean([apart[p, q] for p in a for q in b]) <= limit:
            groups.remove(b)
            a |= b
    return groups


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("spread", [0.2, 0.6, 1.0])
def test_average_linkage(metric: str, spread: float) -> None:
    embeddings, _ = clouds(spread=spread, seed=int(10 * spread))
    for threshold in (0.1, 0.4, 0.8) if metric == "cosine" else (1.0, 3.0, 4.5):
        found = group(embeddings, threshold, metric)
        expected = plain(embeddings.vectors, threshold, metric)
        assert {frozenset(np.flatnonzero(found == g).tolist()) for g in set(found.tolist())} == set(
            map(frozenset, expected)
        )
        firsts = [np.flatnonzero(found == g)[0] for g in range(found.max() + 1)]
        assert firsts == sorted(firsts)


def test_people_far_apart_are_found_whatever_the_memory() -> None:
    embeddings, who = clouds()
    found = group(embeddings, 0.3)
    assert measure_groups(found, who).f1 == 1.0 and found.max() + 1 == 12
    assert np.array_equal(group(embeddings, 0.3, memory=1), found)


def test_a_bridge_does_not_chain_two_people() -> None:
    """Points at 0..3 and 10..13 with a bridge of 4..9: neighbours are 1 apart, yet the ends are not one group."""
    line = Embeddings(np.arange(14, dtype=np.float32)[:, None])
    found = group(line, 3.0, "euclidean")
    assert found[0] != found[-1] and found.max() >= 2
    assert group(line, 0.0, "euclidean").tolist() == list(range(14))
    twins = Embeddings(np.array([[1.0, 0], [1, 0], [0, 1]], np.float32))
    assert group(twins, 0.0).tolist() == [0, 0, 1]


def test_measures_by_all_pairs() -> None:
    rng = np.random.default_rng(4)
    groups, who = rng.integers(6, size=60), rng.integers(-1, 7, size=60)
    known = [(g, w) for g, w in zip(groups.tolist(), who.tolist(), strict=True) if w > 0]
    pairs = [(a[0] == b[0], a[1] == b[1]) for a, b in combinations(known, 2)]
    right = sum(t and s for t, s in pairs)
    together, same, n = sum(t for t, _ in pairs), sum(s for _, s in pairs), len(pairs)
    found = measure_groups(groups, who)
    assert found.precision == pytest.approx(right / together) and found.recall == pytest.approx(right / same)
    assert found.f1 == pytest.approx(2 * right / (together + same))
    expected = together * same / n
    assert found.adjusted_rand == pytest.approx((right - expected) / ((together + same) / 2 - expected))
    assert (found.images, found.identities, found.groups) == (len(known), 6, 6)
    assert "pairwise precision" in str(found) and found.numbers()["images"] == len(known)


def test_extremes() -> None:
    who = np.array([1, 1, 2, 2])
    assert measure_groups([0, 0, 1, 1], who).adjusted_rand == 1.0
    alone = measure_groups([0, 1, 2, 3], who)
    assert (alone.precision, alone.recall, alone.adjusted_rand) == (1.0, 0.0, 0.0)
    single = measure_groups([0], [5])
    assert (single.f1, single.adjusted_rand) == (1.0, 1.0)


def test_what_cannot_be_grouped() -> None:
    with pytest.raises(DataError, match="no images to group"):
        group(Embeddings(np.empty((0, 4), np.float32)), 0.5)
    with pytest.raises(DataError, match="threshold is -1"):
        group(clouds()[0], -1.0)
    with pytest.raises(DataError, match=r"Groups of shape \(3,\) do not go with identities of shape \(2,\)"):
        measure_groups([0, 0, 1], [1, 1])
    with pytest.raises(DataError, match="No image has a known identity"):
        measure_groups([0, 0], [0, -1])


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Five files, of which two share a name and a third differs in case only."""
    names = ["a/1.jpg", "b/1.jpg", "b/2.jpg", "c/1.JPG", "c/3.jpg"]
    for name in names:
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_text(f"the bytes of {name}")
    return [str(tmp_path / "images" / name) for name in names]


@pytest.mark.parametrize("copy", [True, False])
def test_a_folder_for_each_group(tmp_path: Path, files: list[str], copy: bool) -> None:
    groups = np.array([0, 0, 10, 0, 10])
    found = write_folders(tmp_path / "new" / "groups", files, groups, copy=copy)
    there = {path.relative_to(found).as_posix(): path for path in found.rglob("*") if not path.is_dir()}
    assert sorted(there) == ["00/1.jpg", "00/1_2.jpg", "00/1_3.JPG", "10/2.jpg", "10/3.jpg"]
    texts = {name: path.read_text() for name, path in there.items()}
    assert sorted(texts.values()) == sorted(Path(file).read_text() for file in files)
    assert texts["00/1_3.JPG"] == "the bytes of c/1.JPG" and texts["10/2.jpg"] == "the bytes of b/2.jpg"
    assert all(path.is_symlink() != copy for path in there.values())
    assert [path.name for path in found.parent.iterdir()] == ["groups"]
    Path(files[0]).write_text("changed")
    assert there["00/1.jpg"].read_text() == ("the bytes of a/1.jpg" if copy else "changed")


def test_nothing_is_written_over_or_left_half_written(tmp_path: Path, files: list[str]) -> None:
    groups, target = np.zeros(5, np.int64), tmp_path / "groups"
    target.mkdir()
    with pytest.raises(DataError, match="exists already and is never written over"):
        write_folders(target, files, groups)
    target.rmdir()
    target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="exists already"):
        write_folders(target, files, groups, copy=True)
    target.unlink()
    Path(files[3]).unlink()
    with pytest.raises(DataError, match=r"c/1\.JPG cannot be read"):
        write_folders(target, files, groups, copy=True)
    with pytest.raises(DataError, match="5 groups for 4 images"):
        write_folders(target, files[:4], groups)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResightError, match="file/groups cannot be written"):
        write_folders(tmp_path / "file" / "groups", files[:2], groups[:2])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "images"]


def test_images_in_a_zip_can_only_be_copied(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("a/1.jpg", "first")
    inside = [f"{tmp_path}/images.zip/a/1.jpg"]
    with pytest.raises(DataError, match=r"cannot be linked to: copy them \(--copy\) or unpack it"):
        write_folders(tmp_path / "groups", inside, np.array([0]))
    found = write_folders(tmp_path / "groups", inside, np.array([0]), copy=True)
    assert (found / "0" / "1.jpg").read_text() == "first"
