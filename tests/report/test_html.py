import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reference import ranking as plain
from resight import DataError, Embeddings, ResightError
from resight.report import html
from resight.report.inside import Inside
from resight.retrieval.evaluation.domains import Domains
from resight.retrieval.evaluation.evaluate import evaluate
from resight.retrieval.ranking.distance import pairwise

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """What a browser would see: tags are balanced or this fails."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.lists, self.images = [], [], [], [], []
        self.source = text
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "article":
            self.lists.append([])
        if tag == "figure" and "shot" in attributes["class"]:
            self.lists[-1].append([attributes["class"].removeprefix("shot ")])
        if tag == "div" and attributes.get("class") == "frame":
            self.lists[-1][-1].append(attributes["title"])
        if tag == "img":
            self.images.append(attributes)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def write(tmp_path, street, draw):
    """Write a report of the street with other options, and read it as a Page."""
    query, gallery, report = street

    def make(**options):
        given = {"title": "A street", "report": report, "query": query, "gallery": gallery, "images": draw}
        given |= {"protocol": "market1501", "metric": "euclidean"}
        path = html.write(tmp_path / "report.html", **(given | options))
        return Page(path.read_text(encoding="utf-8"))

    return make


def test_the_numbers_are_there(write, street):
    _, _, report = street
    text = write().text
    for value in (report.cmc[1], report.cmc[5], report.cmc[10], report.mAP, report.mINP):
        assert f"{value:.1%}" in text
    assert report.dropped >= 2 and f"{report.evaluated} of 40 queries were evaluated" in text
    for reason, count in report.reasons.items():
        assert f"{count}: {reason}" in text


def check_lists(page, query, gallery, protocol="market1501", metric="euclidean", shown=10):
    """Every list is the brute-force ranking, and green exactly where identities are equal."""
    distances = pairwise(query.vectors, gallery.vectors, metric)
    names = [Path(path).name for path in query.paths]
    assert page.lists
    for (kind, name), *answers in page.lists:
        q = names.index(name)
        assert kind == "asked"
        expected = plain.order(q, query, gallery, distances, protocol)[:shown]
        same = gallery.identities[expected] == query.identities[q]
        colours = ["right" if yes else "wrong" for yes in same]
        assert answers == [[c, Path(gallery.paths[g]).name] for c, g in zip(colours, expected, strict=True)]


@pytest.mark.parametrize("protocol", ["market1501", "single_camera"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_frames_are_green_exactly_where_identities_match(write, street, protocol, metric):
    query, gallery, _ = street
    report = evaluate(query, gallery, protocol=protocol, metric=metric)
    page = write(report=report, protocol=protocol, metric=metric)
    check_lists(page, query, gallery, protocol, metric)
    assert {kind for one in page.lists for kind, _ in one} == {"asked", "right", "wrong"}


def test_the_worst_queries_come_first(write, street):
    query, _, report = street
    names = [Path(path).name for path in query.paths]
    shown = [names.index(one[0][1]) for one in write(queries_shown=8).lists]
    assert len(set(shown)) == 8
    ordered = np.sort(report.average_precision[np.isfinite(report.average_precision)])
    np.testing.assert_array_equal(report.average_precision[shown[:4]], ordered[:4])
    np.testing.assert_array_equal(report.average_precision[shown[-2:]], ordered[::-1][:2])


def test_it_loads_nothing_and_runs_nothing(write):
    page = write(history=[{"epoch": 1, "loss": 1.0}], recipe="name: a", card={"dim": 8}, baseline=None)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on") and "http" not in (value or "")
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                assert value.startswith("data:image/jpeg;base64,")
    assert page.images and "url(" not in page.source and "@import" not in page.source


def test_every_picture_has_words(write):
    page = write(queries_shown=4, ranked=3)
    assert len(page.images) == 4 * 4
    for image in page.images:
        assert re.fullmatch(
            r"Query: identity \d+, camera c\d"
            r"|Rank \d: identity \d+, camera c\d, distance [\d.]+, (same|another) identity",
            image["alt"],
        )
    assert all(attributes.get("aria-label") for tag, attributes in page.tags if tag == "svg")


def test_24_queries_by_10_results_stay_below_3_mb(write, tmp_path):
    page = write()
    assert len(page.lists) == 24 and len(page.images) == 24 * 11
    assert (tmp_path / "report.html").stat().st_size < 3e6


def test_without_pictures_the_lists_remain(write, street):
    def never(path):
        raise AssertionError("nothing may be decoded")

    page = write(pictures=False, images=never)
    assert not page.images and "data:" not in page.source
    check_lists(page, street[0], street[1])
    assert "Pictures were left out" in page.text and "contains pictures" not in page.text
    assert "contains pictures" in write().text


def test_without_paths_and_cameras(write, street):
    query, gallery = (Embeddings(one.vectors, one.identities) for one in street[:2])
    report = evaluate(query, gallery, protocol="single_camera")
    page = write(query=query, gallery=gallery, report=report, protocol="single_camera")
    assert not page.images and "do not contain the paths of their files" in page.text
    assert "Camera against camera" not in page.text and len(page.lists) == 24


def test_real_files_and_one_that_is_missing(write, street, tmp_path):
    query, gallery, _ = street

    def at(embeddings):
        paths = [str(tmp_path / path) for path in embeddings.paths]
        for path, identity in zip(paths, embeddings.identities, strict=True):
            Path(path).parent.mkdir(exist_ok=True)
            Image.new("RGB", (40, 100), (10 * int(identity) + 20, 90, 40)).save(path)
        return dataclasses.replace(embeddings, paths=np.array(paths))

    query, gallery = at(query), at(gallery)
    page = write(query=query, gallery=gallery, images=None)
    assert len(page.images) == 24 * 11 and "could not be read" not in page.text
    name = page.lists[0][0][1]
    (tmp_path / "query" / name).unlink()
    page = write(query=query, gallery=gallery, images=None)
    assert len(page.images) == 24 * 11 - 1
    assert f"1 pictures could not be read and are left blank; the first: {tmp_path}/query/{name}" in page.text


def test_names_are_text_and_never_markup(write):
    nasty = "<script>alert('x')</script>"
    page = write(title=nasty, recipe=nasty, card={nasty: nasty, "deep": {"a": [nasty]}}, history=[{nasty: 1.0}])
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(nasty) >= 5


def test_before_and_after(write, street):
    query, gallery, report = street
    better = Embeddings(np.eye(13, dtype=np.float32)[query.identities - 1], query.identities, query.cameras)
    perfect = Embeddings(
        np.eye(14, dtype=np.float32)[np.maximum(gallery.identities, 0) - 1][:, :13] + 0,
        gallery.identities,
        gallery.cameras,
    )
    baseline = evaluate(better, perfect)
    assert baseline.mAP == 1
    text = write(baseline=baseline).text
    change = 100 * (report.mAP - 1)
    assert "Before and after" in text and f"mAP 100.0% {report.mAP:.1%} {change:+.1f}" in text
    worse = int((report.average_precision < 1).sum())
    assert f"0 got better , {worse} got worse" in text
    assert "Before and after" not in write().text


def test_training_curves(write):
    history = [
        {"epoch": 1, "loss": 2.0, "triplet": 0.5, "lr": 0.1, "size": "64x32", "seconds": 3.0},
        {"epoch": 2, "loss": float("nan"), "triplet": 0.25, "lr": 0.05, "mAP": 0.5, "R1": 0.75, "seconds": 6.0},
        {"epoch": 3, "loss": 1.0, "triplet": None, "lr": 0.01, "seconds": 9.0},
    ]
    page = write(history=history)
    labels = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    assert "Losses over the epochs: loss ends at 1, triplet ends at 0.25" in labels
    assert "Measured while training over the epochs: mAP ends at 0.5, R1 ends at 0.75" in labels
    assert "Learning rate over the epochs: lr ends at 0.01" in labels
    assert "How to read this: losses" not in write(history=[]).text


def test_the_threshold_of_the_card_is_marked(write):
    marked, plain_page = write(card={"threshold": 2.5}), write(card={"threshold": None})
    assert "threshold 2.5" in marked.text and "threshold None" not in plain_page.text
    assert [page.source.count('class="mark"') for page in (marked, plain_page)] == [2, 1]  # the other one is the mAP


def test_a_report_of_something_else_is_refused(write, street):
    _, gallery, _ = street
    with pytest.raises(DataError, match="about 40 queries and 200 gallery images but 200 and 200"):
        write(query=gallery)
    with pytest.raises(DataError, match="made with market1501 and euclidean distance, not with market1501 and cosine"):
        write(metric="cosine")
    with pytest.raises(DataError, match="did you mean 'market1501'"):
        write(protocol="market")


def test_a_place_that_cannot_be_written(street, tmp_path):
    query, gallery, report = street
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ResightError, match=r"report\.html cannot be written"):
        html.write(
            tmp_path / "file" / "report.html",
            title="A street",
            report=report,
            query=query,
            gallery=gallery,
            protocol="market1501",
            metric="euclidean",
            pictures=False,
        )


def test_a_failure_leaves_the_old_file(write, tmp_path):
    write(title="old")
    before = (tmp_path / "report.html").read_bytes()

    def broken(path):
        raise RuntimeError("a bug in somebody's decode function")

    with pytest.raises(RuntimeError):
        write(title="new", images=broken)
    assert (tmp_path / "report.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_other_data_sets_have_a_table(write, street):
    report = street[2]
    other = dataclasses.replace(report, mAP=0.25, cmc=report.cmc | {1: 0.5})
    assert "On other data sets" not in write().text
    text = write(domains=Domains({"here": report, "there": other}, {"there": 0.9})).text
    assert "On other data sets" in text and "there" in text and "65.0" in text  # the gap
    for values in ([report.mAP, 0.25], [report.cmc[1], 0.5]):
        assert f"{np.mean(values):.1%}" in text


def test_people_and_cameras_are_called_as_their_folders_and_lists_come_early(write, street):
    query, gallery, _ = street
    named = [
        dataclasses.replace(
            one,
            columns={
                "identity_names": np.array([f"person {who}" for who in one.identities]),
                "camera_names": np.array([f"gate {camera}" for camera in one.cameras]),
            },
        )
        for one in (query, gallery)
    ]
    page = write(query=named[0], gallery=named[1], inside=Inside(alpha=0.5), pictures=False)
    assert re.search(r"identity <b>person \d+</b>", page.source) and "· gate 1" in page.source
    assert '<th scope="row">gate 1</th>' in page.source
    assert page.source.index('id="lists"') < page.source.index('id="inside"')
