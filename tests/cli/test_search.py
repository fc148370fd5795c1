"""``resight search``: tables, JSON, filters and the contact sheet."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

import resight
from cli.conftest import Shell, told
from resight.retrieval.ranking.distance import pairwise


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of synthetic people whose model is calibrated, so that there are decisions."""
    folder = tmp_path_factory.mktemp("filled")
    data = resight.datasets.load("synthetic", folder / "people", identities=12, cameras=2, images_per_camera=2)
    model = resight.load("osnet_x0_25", height=32, width=16)
    rng = np.random.default_rng(0)  # what is learnt does not matter here
    who = np.repeat(np.arange(1, 101), 4)
    spread = rng.normal(size=(101, 512))[who] + 0.5 * rng.normal(size=(400, 512))
    embedded = resight.Embeddings(spread.astype(np.float32), who, fingerprint=model.card.fingerprint)
    decision = resight.calibrate(embedded, false_match_rate=1e-2, metric=model.card.metric)
    card = model.card.model_copy(update={"decision": decision.plain(), "threshold": decision.threshold})
    replace(model, card=card).save(folder / "model.safetensors")
    keep = data.gallery.identities >= 0
    people = data.gallery.take(keep)
    with resight.Gallery.open(folder / "seen", folder / "model.safetensors") as gallery:
        gallery.add(people, identities=[f"person {who}" for who in people.identities])
    return folder


@pytest.fixture
def seen(filled: Path, tmp_path: Path, shell: Shell) -> Shell:
    """A shell in a folder with copies of all that."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return shell


def pictures(folder: str) -> list[str]:
    return sorted(map(str, Path("people", folder).glob("*.jpg")))


def test_what_is_found_is_what_lies_nearest(seen: Shell) -> None:
    query = pictures("query")[0]
    several = [path for path in pictures("bounding_box_test") if not Path(path).name.startswith("-1")]  # junk
    (one,) = told(seen("search", "seen", query, "-k", 5, "--json"))
    model = resight.load("model.safetensors")
    embedder = resight.Embedder(model)
    apart = pairwise(embedder([query]).vectors, embedder(several).vectors, model.card.metric)[0]
    nearest = np.argsort(apart)[:5]
    assert one["query"] == query
    assert [Path(hit["record"]["source"]).name for hit in one["hits"]] == [Path(several[i]).name for i in nearest]
    np.testing.assert_allclose([hit["distance"] for hit in one["hits"]], apart[nearest], rtol=1e-3, atol=1e-5)
    decision = resight.Decision.from_plain(model.card.decision)
    for hit in one["hits"]:
        assert hit["decision"] == decision.decide(hit["distance"])
        assert hit["probability"] == pytest.approx(decision.probability(hit["distance"]))
    again = told(seen("gallery", "search", "seen", query, "-k", 5, "--json"))
    assert again == [one]
    assert told(seen("search", "seen", query, "-k", 5, "--approximate", "--json")) == [one]
    reranked = told(seen("search", "seen", query, "-k", 5, "--rerank", "--json"))
    assert len(reranked[0]["hits"]) == 5


def test_filters_and_more_like_this(seen: Shell) -> None:
    query = pictures("query")[0]
    (one,) = told(seen("search", "seen", query, "--camera", "2", "-k", 100, "--json"))
    (other,) = told(seen("search", "seen", query, "--not-camera", "2", "-k", 100, "--json"))
    assert {hit["record"]["camera"] for hit in one["hits"]} == {"2"} and "2" not in {
        hit["record"]["camera"] for hit in other["hits"]
    }
    stats = told(seen("gallery", "stats", "seen", "--json"))
    assert len(one["hits"]) + len(other["hits"]) == stats["records"]
    first = one["hits"][0]["record"]
    (own,) = told(seen("search", "seen", "--record", first["id"][:12], "-k", 1, "--json"))
    assert own["query"] == first["id"] and own["hits"][0]["record"] == first and own["hits"][0]["distance"] < 1e-6
    (elsewhere,) = told(seen("search", "seen", "--record", first["id"], "--other-cameras", "-k", 100, "--json"))
    (without,) = told(seen("search", "seen", "--record", first["id"], "--not-camera", "2", "-k", 100, "--json"))
    assert elsewhere == without and {hit["record"]["camera"] for hit in elsewhere["hits"]} == {"1"}
    code, _, err = seen("search", "seen", query, "--other-cameras")
    assert code == 2 and "with --not-camera" in err
    (named,) = told(seen("search", "seen", query, "--identity", first["identity"], "--json"))
    assert {hit["record"]["identity"] for hit in named["hits"]} == {first["identity"]}
    for nothing in (("--unknown",), ("--after", "2026-01-01"), ("--camera", "roof")):
        code, out, _ = seen("search", "seen", query, *nothing)
        assert code == 0 and "nothing found" in out
    for wrong in ((), (query, "--record", first["id"]), (query, "--after", "soon"), ("none.jpg",)):
        code, _, err = seen("search", "seen", *wrong)
        assert code == 2 and err.startswith("Error:"), wrong


def test_the_table_and_the_contact_sheet(seen: Shell) -> None:
    script = "<script>alert(1)</script>"
    first = told(seen("gallery", "identities", "seen", "--json"))[0]["name"]
    assert seen("gallery", "rename", "seen", first, script)[0] == 0
    asked = pictures("query")
    code, out, err = seen("search", "seen", "people/query", "-k", 100, "--camera", "1", "--html", "sheet.html")
    assert code == 0 and "written: sheet.html" in err
    for word in ("distance", "decision", "match", "identity", "camera", "id"):
        assert word in out
    (one, *_) = told(seen("search", "seen", *asked[:1], "-k", 100, "--camera", "1", "--json"))
    assert one["hits"][0]["record"]["id"][:12] in out
    page = Path("sheet.html").read_text(encoding="utf-8")
    shown = len(asked) * (1 + len(one["hits"]))
    assert page.count("data:image/jpeg;base64,") == shown == page.count("<img ")
    assert script not in page and "&lt;script&gt;alert(1)" in page
    assert "contains pictures" in page and "camera 1" in page
    assert not re.search(r"""(src|href)="(?!data:)""", page)
    for hit in one["hits"]:
        assert hit["record"]["id"][:12] in page and hit["decision"] in page


def test_a_sheet_of_embeddings_alone_has_gaps(seen: Shell) -> None:
    assert seen("gallery", "create", "bare", "-m", "model.safetensors", "--no-thumbnails")[0] == 0
    assert seen("gallery", "add", "bare", "people/query")[0] == 0
    record = told(seen("gallery", "records", "bare", "--limit", 1, "--json"))[0]["id"]
    for options, said in ((), False), (("--other-cameras",), True):
        assert seen("search", "bare", "--record", record, "--html", "bare.html", *options)[0] == 0
        page = Path("bare.html").read_text(encoding="utf-8")
        assert "data:image" not in page and "no picture" in page
        assert ("another camera than the record&#39;s" in page) == said


@pytest.mark.long
def test_the_five_commands_of_the_readme(tmp_path: Path, shell: Shell) -> None:
    """From installing to a search in the browser, but for installing; the page is served and the records are known."""
    pytest.importorskip("fastapi", reason="the service needs resight[serve]")
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = readme.partition("## From installation to a search in five commands")[2].split("```")[1]
    install, *commands = [line.split("#")[0].split() for line in block.splitlines()[1:]]
    assert len(commands) == 4 and install[:2] == ["pip", "install"] and commands[-1][1] == "serve"
    data = resight.datasets.load("synthetic", "people", identities=6, cameras=2, images_per_camera=2)
    places = {"PICTURES": "people/bounding_box_test", "SOMEBODY.jpg": str(data.query.paths[0])}
    for words in commands[:-1]:
        code, out, err = shell(*(places.get(word, word) for word in words[1:]))
        assert code == 0, err
    assert f"{data.query.paths[0]}: {len(data.gallery)} found" in out and Path("found.html").is_file()
    server = subprocess.Popen(
        [sys.executable, "-m", *commands[-1], "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        with urlopen(url, timeout=60) as page:
            assert b"<html" in page.read()
        with urlopen(f"{url}/api/stats", timeout=60) as answer:
            assert json.load(answer)["records"] == len(data.gallery)
    finally:
        server.terminate()
        server.communicate(timeout=60)


def test_several_pictures_of_one_individual_are_one_query(seen: Shell) -> None:
    query = pictures("query")[:3]
    several = [path for path in pictures("bounding_box_test") if not Path(path).name.startswith("-1")]
    (one,) = told(seen("search", "seen", *query, "--together", "-k", 5, "--json"))
    model = resight.load("model.safetensors")
    embedder = resight.Embedder(model)
    asked = embedder(query).vectors.astype(np.float64)
    if model.card.metric == "cosine":
        asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    apart = pairwise(asked.mean(axis=0).astype(np.float32)[None], embedder(several).vectors, model.card.metric)[0]
    np.testing.assert_allclose([hit["distance"] for hit in one["hits"]], np.sort(apart)[:5], rtol=1e-3, atol=1e-5)
    code, out, err = seen("search", "seen", *query, "--together", "--html", "sheet.html")
    assert code == 0 and "and 2 more of the same individual: 10 found" in out, err
    assert "and 2 more of the same individual" in Path("sheet.html").read_text()
